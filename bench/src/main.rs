//! Measures clonk beside what people would use instead, interleaved in one run on this machine.
//!
//! `cargo run --release -p lentil-bench` runs, for each cell (what is asked, over how many connections), some rounds in
//! each of which every server is driven for a moment; it prints medians and their ratios to clonk's neighbours. The
//! servers are: `bare`, hyper that checks the key and answers a constant; `axum`, the two routes by hand over rusqlite
//! with one transaction a request; and `clonk` itself. All are run as processes of their own. With `live` it measures
//! live queries instead.

mod axum_service;
mod bare;
mod drive;
mod live;
mod report;
mod servers;

use std::process::ExitCode;
use std::time::Duration;

use drive::{Cell, Load};
use report::Report;
use servers::Server;

/// The key that all servers are started with.
const KEY: &str = "a-key-for-the-bench";

const CELLS: &[Cell] = &[
    Cell { name: "GET existing", load: Load::Get, connections: 64 },
    Cell { name: "POST new", load: Load::PostNew, connections: 64 },
    Cell { name: "POST one hot job", load: Load::PostHot, connections: 64 },
    Cell { name: "POST new", load: Load::PostNew, connections: 1 },
    Cell { name: "GET existing", load: Load::Get, connections: 1 },
];

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("live") => live::run(),
        Some("serve-bare") => bare::serve(),
        Some("serve-axum") => axum_service::serve(args.next().expect("serve-axum takes a folder").as_ref()),
        rounds => {
            let rounds = rounds.and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
            run(rounds, Duration::from_millis(1_500));
        }
    }
    ExitCode::SUCCESS
}

fn run(rounds: usize, moment: Duration) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let servers =
        [Server::bare(), Server::axum(&folder.path().join("axum")), Server::clonk(&folder.path().join("clonk"))];
    let mut report = Report::new(&servers);
    for cell in CELLS {
        for _ in 0..rounds {
            for server in &servers {
                let cpu_before = server.cpu_seconds();
                let driven = runtime.block_on(drive::drive(server.address(), cell, moment));
                report.add(cell, server, driven, server.cpu_seconds() - cpu_before);
            }
        }
    }
    report.print(&servers);
}
