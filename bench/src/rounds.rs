//! Measuring in turns: what is compared is measured side by side, so that a change of the machine's mood hits all.

use std::time::{Duration, Instant};

use crate::cells::{Cell, Group};
use crate::drive::{Driven, Span};
use crate::fleet::{Fleet, Member, Subject};
use crate::process::own_cpu_seconds;
use crate::results::{Disk, Durability, Round, Row, Settings};
use crate::tables::print_row;

/// How much longer an fsync takes on the slow disk.
const SLOW: Duration = Duration::from_millis(2);
/// How long fsyncs are counted, in a run apart.
const COUNTED: Duration = Duration::from_millis(400);

/// The programs on the disk as it is, and, where there is a C compiler, those whose fsyncs are counted and delayed.
pub(crate) struct Fleets {
    pub(crate) plain: Fleet,
    pub(crate) counted: Option<Fleet>,
}

impl Fleets {
    fn on(&mut self, disk: Disk) -> Option<&mut Fleet> {
        match disk {
            Disk::AsIs => Some(&mut self.plain),
            Disk::Slow => self.counted.as_mut(),
        }
    }
}

/// Measures a group: in each round each cell on each subject for a moment.
pub(crate) fn measure(group: &Group, fleets: &mut Fleets, settings: Settings) -> Vec<Row> {
    let mut rows = rows_of(group);
    let (moment, count) = (Duration::from_secs_f64(settings.seconds), rows.len());
    for round in 0..settings.rounds {
        // Who comes first has an advantage or a disadvantage: it is another one each time.
        let (early, late) = rows.split_at_mut(round % count);
        for (cell, row) in late.iter_mut().chain(early) {
            let Some(fleet) = fleets.on(cell.disk) else {
                continue;
            };
            row.rounds.push(measure_round(
                cell,
                row.subject,
                fleet,
                moment,
                &mut row.durability,
            ));
        }
    }
    let written = rows
        .iter_mut()
        .filter(|(cell, row)| cell.disk == Disk::AsIs && writes_alone(cell, row));
    for (cell, row) in written {
        let Some(fleet) = &mut fleets.counted else {
            continue;
        };
        measure_round(cell, row.subject, fleet, COUNTED, &mut row.durability);
    }
    let measured = rows
        .into_iter()
        .map(|(_, row)| row)
        .filter(|row| !row.rounds.is_empty());
    measured.inspect(print_row).collect()
}

fn rows_of(group: &Group) -> Vec<(&Cell, Row)> {
    let row = |cell: &Cell, subject| {
        let (name, disk) = (cell.name.clone(), cell.disk);
        Row {
            cell: name,
            disk,
            subject,
            rounds: Vec::new(),
            durability: None,
        }
    };
    let cells = group
        .cells
        .iter()
        .flat_map(|cell| cell.subjects.iter().map(move |subject| (cell, *subject)));
    cells
        .map(|(cell, subject)| (cell, row(cell, subject)))
        .collect()
}

/// Measures a cell on a subject for a moment; where fsyncs are counted, they are added to what was found before.
fn measure_round(
    cell: &Cell,
    subject: Subject,
    fleet: &mut Fleet,
    moment: Duration,
    found: &mut Option<Durability>,
) -> Round {
    let member = fleet.member(subject);
    member.delay_fsyncs(if cell.disk == Disk::Slow {
        SLOW
    } else {
        Duration::ZERO
    });
    let before = member.fsyncs();
    let (round, writes) = once(cell, member, moment);
    if let (Some(before), Some(after)) = (before, member.fsyncs()) {
        let at_once = cell.pools.iter().map(|pool| pool.connections as u64).sum();
        let sofar = found.unwrap_or(Durability {
            fsyncs: 0,
            writes: 0,
            at_once,
        });
        let (fsyncs, writes) = (sofar.fsyncs + after - before, sofar.writes + writes);
        *found = Some(Durability {
            fsyncs,
            writes,
            at_once,
        });
    }
    member.delay_fsyncs(Duration::ZERO);
    round
}

/// Whether all that a row counts are writes, which the bare server does not do.
fn writes_alone(cell: &Cell, row: &Row) -> bool {
    cell.pools.iter().all(|pool| pool.load.is_writes()) && row.subject != Subject::Bare
}

/// Drives a subject for a moment; returns what came of it, and how many requests of all pools were answered.
pub(crate) fn once(cell: &Cell, member: &mut Member, moment: Duration) -> (Round, u64) {
    let (cpu, own_cpu, began) = (
        member.process().cpu_seconds(),
        own_cpu_seconds(),
        Instant::now(),
    );
    let driven = member.drive(&cell.pools, Span::For(moment));
    let (cpu, own_cpu) = (
        member.process().cpu_seconds() - cpu,
        own_cpu_seconds() - own_cpu,
    );
    let seconds = began.elapsed().as_secs_f64();
    let requests: u64 = driven.iter().map(|driven| driven.requests).sum();
    let errors = driven.iter().map(|driven| driven.errors).sum();
    let round = Round {
        errors,
        cpu_seconds: cpu * 1_000.0 / requests.max(1) as f64,
        server_busy: cpu / seconds,
        generator_busy: own_cpu / seconds,
        ..of_pool(&driven[0])
    };
    (round, requests)
}

fn of_pool(driven: &Driven) -> Round {
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
