//! Interleaved rounds: each round measures every contender briefly, so that a change of the machine's speed affects all
//! of them.

use std::time::{Duration, Instant};

use crate::contenders::process::own_cpu_seconds;
use crate::contenders::running::{Contender, Contenders, RunningContender};
use crate::load::drive::{PoolResult, Span};
use crate::report::results::{Disk, Durability, Round, Row, Settings};
use crate::report::tables::print_row;
use crate::suites::cases::{Case, Group};

/// The time that the slow disk adds to each fsync.
const SLOW_FSYNC_DELAY: Duration = Duration::from_millis(2);
/// The duration of a round that only counts fsyncs.
const FSYNC_COUNT_TIME: Duration = Duration::from_millis(400);

/// The contenders on the plain disk and, if there is a C compiler, those whose fsyncs are counted and delayed.
pub(crate) struct Disks {
    pub(crate) plain: Contenders,
    pub(crate) counted: Option<Contenders>,
}

impl Disks {
    fn on(&mut self, disk: Disk) -> Option<&mut Contenders> {
        match disk {
            Disk::AsIs => Some(&mut self.plain),
            Disk::Slow => self.counted.as_mut(),
        }
    }
}

/// Measures a group: in each round, each case on each contender.
pub(crate) fn measure(group: &Group, disks: &mut Disks, settings: Settings) -> Vec<Row> {
    let mut rows = rows_of(group);
    let (moment, count) = (Duration::from_secs_f64(settings.seconds), rows.len());
    for round in 0..settings.rounds {
        // The position within a round matters, so each round begins with another row.
        let (early, late) = rows.split_at_mut(round % count);
        for (case, row) in late.iter_mut().chain(early) {
            let Some(contenders) = disks.on(case.disk) else {
                continue;
            };
            row.rounds.push(measure_round(
                case,
                row.contender,
                contenders,
                moment,
                &mut row.durability,
            ));
        }
    }
    let written = rows
        .iter_mut()
        .filter(|(case, row)| case.disk == Disk::AsIs && writes_alone(case, row));
    for (case, row) in written {
        let Some(contenders) = &mut disks.counted else {
            continue;
        };
        measure_round(
            case,
            row.contender,
            contenders,
            FSYNC_COUNT_TIME,
            &mut row.durability,
        );
    }
    let measured = rows
        .into_iter()
        .map(|(_, row)| row)
        .filter(|row| !row.rounds.is_empty());
    measured.inspect(print_row).collect()
}

fn rows_of(group: &Group) -> Vec<(&Case, Row)> {
    let row = |case: &Case, contender| {
        let (name, disk) = (case.name.clone(), case.disk);
        Row {
            case: name,
            disk,
            contender,
            rounds: Vec::new(),
            durability: None,
        }
    };
    let cases = group.cases.iter().flat_map(|case| {
        case.contenders
            .iter()
            .map(move |contender| (case, *contender))
    });
    cases
        .map(|(case, contender)| (case, row(case, contender)))
        .collect()
}

/// Measures a case on a contender for a moment, and adds the counted fsyncs to `found`.
fn measure_round(
    case: &Case,
    contender: Contender,
    contenders: &mut Contenders,
    moment: Duration,
    found: &mut Option<Durability>,
) -> Round {
    let running = contenders.started(contender);
    running.delay_fsyncs(if case.disk == Disk::Slow {
        SLOW_FSYNC_DELAY
    } else {
        Duration::ZERO
    });
    let before = running.fsyncs();
    let (round, writes) = measure_once(case, running, moment);
    if let (Some(before), Some(after)) = (before, running.fsyncs()) {
        let in_flight = case.pools.iter().map(|pool| pool.connections as u64).sum();
        let durability = found.get_or_insert(Durability {
            fsyncs: 0,
            writes: 0,
            in_flight,
        });
        durability.fsyncs += after - before;
        durability.writes += writes;
    }
    running.delay_fsyncs(Duration::ZERO);
    round
}

/// Returns whether a row counts only writes. Bare hyper does not write.
fn writes_alone(case: &Case, row: &Row) -> bool {
    case.pools.iter().all(|pool| pool.load.is_writes()) && row.contender != Contender::Bare
}

/// Drives a contender for a moment. Returns the result and the number of requests of all pools.
pub(crate) fn measure_once(
    case: &Case,
    running: &mut RunningContender,
    moment: Duration,
) -> (Round, u64) {
    let cpu_before = running.process().cpu_seconds();
    let own_cpu_before = own_cpu_seconds();
    let began = Instant::now();
    let pools = running.drive(&case.pools, Span::For(moment));
    let cpu = running.process().cpu_seconds() - cpu_before;
    let own_cpu = own_cpu_seconds() - own_cpu_before;
    let seconds = began.elapsed().as_secs_f64();

    let requests: u64 = pools.iter().map(|pool| pool.requests).sum();
    let errors = pools.iter().map(|pool| pool.errors).sum();
    let round = Round {
        errors,
        cpu_seconds: cpu * 1_000.0 / requests.max(1) as f64,
        server_busy: cpu / seconds,
        generator_busy: own_cpu / seconds,
        ..of_pool(&pools[0])
    };
    (round, requests)
}

fn of_pool(driven: &PoolResult) -> Round {
    let ms = |quantile| driven.latency.value_at_quantile(quantile) as f64 / 1e6;
    let rate = driven.requests as f64 / driven.seconds;
    let (p50_ms, p99_ms, p999_ms) = (ms(0.5), ms(0.99), ms(0.999));
    Round {
        rate,
        p50_ms,
        p99_ms,
        p999_ms,
        errors: 0,
        cpu_seconds: 0.0,
        server_busy: 0.0,
        generator_busy: 0.0,
    }
}
