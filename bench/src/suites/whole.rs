//! The whole program: its size, its memory and its start time.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::contenders::cores::Cores;
use crate::contenders::running::{Contender, Contenders, KNOWN, RunningContender};
use crate::contenders::server::{Server, beside, clonk};
use crate::load::drive::{Pace, Pool, Span};
use crate::load::jobs::{Jobs, Load};
use crate::report::results::{Figure, Settings};

/// The duration of writing before a server is killed. It determines the length of the write-ahead log.
const WRITE_TIME: Duration = Duration::from_secs(2);

/// Measures the size, and the start time and memory on an empty database.
pub(crate) fn whole(cores: Cores, folder: &Path, settings: Settings) -> Vec<Figure> {
    let (mut starts, mut idle) = (Vec::new(), Vec::new());
    for round in 0..settings.rounds {
        let server = Server::start(clonk(&folder.join(format!("empty-{round}"))), cores);
        starts.push(ms(server.start_time));
        std::thread::sleep(Duration::from_millis(500));
        idle.push(server.process.resident_mb());
    }
    vec![
        Figure::new("binary, stripped", " MB", vec![stripped_mb(folder)]).at_most(15.0),
        Figure::new("start to first response, empty database", " ms", starts),
        Figure::new("idle memory, empty database", " MB", idle).at_most(15.0),
        killed(
            "10 thousand jobs",
            &folder.join("killed"),
            cores,
            settings,
            |server| {
                RunningContender::of(server, Jobs::new(KNOWN)).fill(KNOWN);
            },
        ),
    ]
}

/// Returns the memory of the contenders after their rows.
pub(crate) fn memory_after(running: &Contenders) -> Vec<Figure> {
    let mut figures = Vec::new();
    for contender in [Contender::Axum, Contender::Clonk] {
        let Some(process) = running.running(contender).map(RunningContender::process) else {
            continue;
        };
        let figure = |what: &str, mb: f64| {
            let name = format!("{contender}: {what} after all rows");
            Figure::new(&name, " MB", vec![mb])
        };
        let current = figure("memory", process.resident_mb());
        figures.push(if contender == Contender::Clonk {
            current.at_most(64.0)
        } else {
            current
        });
        figures.push(figure("most memory", process.most_resident_mb()));
    }
    figures
}

/// Measures the start on a database whose server was killed while it wrote.
pub(crate) fn killed(
    what: &str,
    folder: &Path,
    cores: Cores,
    settings: Settings,
    prepare: impl FnOnce(Server),
) -> Figure {
    prepare(Server::start(clonk(folder), cores));
    let mut opened = |_| {
        let mut running =
            RunningContender::of(Server::start(clonk(folder), cores), Jobs::new(KNOWN));
        let pool = Pool {
            load: Load::PostKnown,
            connections: 64,
            pace: Pace::Closed,
        };
        running.drive(&[pool], Span::For(WRITE_TIME));
        // Dropping it kills the server.
        drop(running);
        ms(Server::start(clonk(folder), cores).start_time)
    };
    let times = (0..settings.rounds.min(3)).map(&mut opened).collect();
    Figure::new(
        &format!("start to first response after kill -9, {what}"),
        " ms",
        times,
    )
    .at_most(1_000.0)
}

pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Returns the size of the binary without symbols. The release build already strips it, so a missing `strip` does not
/// matter.
fn stripped_mb(folder: &Path) -> f64 {
    let (binary, stripped) = (beside("clonk"), folder.join("stripped"));
    let done = Command::new("strip")
        .arg("-o")
        .arg(&stripped)
        .arg(&binary)
        .status();
    let path = if done.is_ok_and(|status| status.success()) {
        stripped
    } else {
        binary
    };
    std::fs::metadata(path).expect("the binary is there").len() as f64 / 1e6
}
