//! Live queries: the time from a commit to its subscribers, and the cost of subscriptions that a commit does not
//! invalidate. `testapp` with SQLite has 10,000 subscriptions over a hundred WebSockets.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::contenders::cores::Cores;
use crate::contenders::running::RunningContender;
use crate::contenders::server::{Server, testapp};
use crate::load::drive::histogram;
use crate::load::jobs::Jobs;
use crate::load::subscribers::{Kind, Subscribers, Writer, connect};
use crate::report::results::{Figure, Settings};
use crate::suites::cases;
use crate::suites::rounds::measure_once;

const SUBSCRIPTIONS: usize = 10_000;
const COMMITS: usize = 20;
const CONNECTIONS: usize = 2_000;

/// Measures live queries.
pub(crate) fn live(cores: Cores, folder: &Path, settings: Settings) -> Vec<Figure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a Tokio runtime starts");
    let mut figures = Vec::new();
    for (kind, what) in [
        (Kind::Same, "one query"),
        (Kind::Disjoint, "different queries"),
    ] {
        let name = format!("live-{kind:?}");
        let rounds =
            |round| runtime.block_on(reach(cores, &folder.join(format!("{name}-{round}")), kind));
        let rounds: Vec<Latencies> = (0..settings.rounds).map(rounds).collect();
        figures.extend(figures_of(&rounds, kind, what));
    }
    figures.push(untouched(&runtime, cores, folder, settings));
    figures.extend(runtime.block_on(memory(cores, folder)));
    figures
}

/// The times from commits to their subscribers.
struct Latencies {
    last_p50_ms: f64,
    last_p99_ms: f64,
    pushes_a_second: f64,
}

fn figures_of(rounds: &[Latencies], kind: Kind, what: &str) -> Vec<Figure> {
    let of = |pick: fn(&Latencies) -> f64| rounds.iter().map(pick).collect();
    let name = |value: &str| format!("live, 10,000 subscriptions to {what}: {value}");
    let p50 = Figure::new(
        &name("a commit to the last client, p50"),
        " ms",
        of(|reached| reached.last_p50_ms),
    );
    let p99 = Figure::new(
        &name("a commit to the last client, p99"),
        " ms",
        of(|reached| reached.last_p99_ms),
    );
    if kind == Kind::Disjoint {
        return vec![p50, p99];
    }
    let pushes = Figure::new(
        &name("pushes a second"),
        "",
        of(|reached| reached.pushes_a_second),
    );
    vec![p50, p99.at_most(250.0), pushes.at_least(100_000.0)]
}

/// Commits one mutation after another, each after all subscribers have the previous one.
async fn reach(cores: Cores, folder: &Path, kind: Kind) -> Latencies {
    let server = Server::start(testapp(folder), cores);
    let mut subscribers = Subscribers::open(server.address, kind, SUBSCRIPTIONS).await;
    let mut writer = Writer::open(server.address).await;
    let touched = if kind == Kind::Same { SUBSCRIPTIONS } else { 1 };
    let (mut to_last, all_began) = (histogram(), Instant::now());
    for commit in 0..COMMITS {
        let began = Instant::now();
        writer.add(&kind.counter(commit * 7)).await;
        let last = subscribers.receive(touched).await;
        to_last.saturating_record((last - began).as_nanos() as u64);
    }
    let ms = |quantile| to_last.value_at_quantile(quantile) as f64 / 1e6;
    let pushes_a_second = (touched * COMMITS) as f64 / all_began.elapsed().as_secs_f64();
    Latencies {
        last_p50_ms: ms(0.5),
        last_p99_ms: ms(0.99),
        pushes_a_second,
    }
}

/// Compares commits that invalidate none of the subscriptions with commits without subscriptions.
fn untouched(
    runtime: &tokio::runtime::Runtime,
    cores: Cores,
    folder: &Path,
    settings: Settings,
) -> Figure {
    let start = |name| {
        RunningContender::of(
            Server::start(testapp(&folder.join(name)), cores),
            Jobs::new(1),
        )
    };
    let mut alone = start("live-alone");
    let mut watched = start("live-watched");
    let address = watched.server().expect("testapp is a server").address;
    let _subscribers = runtime.block_on(Subscribers::open(address, Kind::Disjoint, SUBSCRIPTIONS));
    let case = cases::untouched();
    let moment = Duration::from_secs_f64(settings.seconds);
    let mut ratio = |_| {
        let alone = measure_once(&case, &mut alone, moment).0;
        let watched = measure_once(&case, &mut watched, moment).0;
        assert_eq!(alone.errors + watched.errors, 0, "no mutation fails");
        // The server pings its clients from time to time; they must read the pings.
        runtime.block_on(async { tokio::time::sleep(Duration::from_millis(20)).await });
        watched.rate / alone.rate
    };
    let ratios = (0..settings.rounds).map(&mut ratio).collect();
    Figure::new(
        "mutations @16 that invalidate none of 10,000 subscriptions: rate / without subscriptions",
        "",
        ratios,
    )
    .at_least(0.95)
}

/// Measures the memory of an idle connection and of a subscription.
async fn memory(cores: Cores, folder: &Path) -> Vec<Figure> {
    let server = Server::start(testapp(&folder.join("live-memory")), cores);
    let before = server.process.resident_mb();
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS {
        idle.push(connect(server.address).await);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let connected = server.process.resident_mb();
    let subscribers = Subscribers::open(server.address, Kind::Disjoint, SUBSCRIPTIONS).await;
    let subscribed = server.process.resident_mb();
    let kb = |mb: f64, count: usize| vec![mb * 1e3 / count as f64];
    let took = vec![subscribers.took.as_secs_f64() * 1e3];
    vec![
        Figure::new(
            "live: memory of an idle connection",
            " kB",
            kb(connected - before, CONNECTIONS),
        ),
        Figure::new(
            "live: memory of a separate subscription",
            " kB",
            kb(subscribed - connected, SUBSCRIPTIONS),
        ),
        Figure::new(
            "live: 10,000 different subscriptions, until each has its result",
            " ms",
            took,
        ),
    ]
}
