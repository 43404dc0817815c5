//! What an operator sees of the whole program: its size, its memory, how long it takes to start.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::cores::Cores;
use crate::drive::{Pace, Pool, Span};
use crate::fleet::{Fleet, KNOWN, Member, Subject};
use crate::jobs::{Jobs, Load};
use crate::results::{Figure, Settings};
use crate::server::{Server, beside, clonk};

/// The write-ahead log may be as long as that of this much writing when a server is killed.
const WRITING: Duration = Duration::from_secs(2);

/// Size, and start and memory on an empty database.
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
        Figure::new("start to first answer, empty database", " ms", starts),
        Figure::new("idle memory, empty database", " MB", idle).at_most(15.0),
        killed(
            "10 thousand jobs",
            &folder.join("killed"),
            cores,
            settings,
            |server| {
                Member::of(server, Jobs::new(KNOWN)).fill(KNOWN);
            },
        ),
    ]
}

/// Memory of the programs that rows were measured on; there is none where no row was.
pub(crate) fn memory_after(fleet: &Fleet) -> Vec<Figure> {
    let subjects = [Subject::Axum, Subject::Clonk];
    let figures = subjects.into_iter().flat_map(|subject| {
        let process = fleet.running(subject).map(Member::process);
        let of = |what: &str, mb: f64| {
            Figure::new(
                &format!("{subject}: {what} after all rows"),
                " MB",
                vec![mb],
            )
        };
        let figures = process.map(|process| {
            let now = of("memory", process.resident_mb());
            [
                if subject == Subject::Clonk {
                    now.at_most(64.0)
                } else {
                    now
                },
                of("most memory", process.most_resident_mb()),
            ]
        });
        figures.into_iter().flatten()
    });
    figures.collect()
}

/// Opening a database whose server was killed while it wrote.
pub(crate) fn killed(
    what: &str,
    folder: &Path,
    cores: Cores,
    settings: Settings,
    prepare: impl FnOnce(Server),
) -> Figure {
    prepare(Server::start(clonk(folder), cores));
    let mut opened = |_| {
        let mut member = Member::of(Server::start(clonk(folder), cores), Jobs::new(KNOWN));
        let pool = Pool {
            load: Load::PostKnown,
            connections: 64,
            pace: Pace::Closed,
        };
        member.drive(&[pool], Span::For(WRITING));
        // Dropped, it is killed.
        drop(member);
        ms(Server::start(clonk(folder), cores).start_time)
    };
    let times = (0..settings.rounds.min(3)).map(&mut opened).collect();
    Figure::new(
        &format!("start to first answer after kill -9, {what}"),
        " ms",
        times,
    )
    .at_most(1_000.0)
}

pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The size of the binary without symbols, which the release build leaves out already; where `strip` is missing, that
/// is believed.
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
