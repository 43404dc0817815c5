//! Compares clonk with its alternatives, interleaved in one run on this machine.
//!
//! `just bench` builds and runs it. A *case* is a load: the kind of requests, and the number of
//! connections or the rate. Each case runs on several *contenders*, processes on a core of their
//! own: `bare`, hyper that checks the key and returns a constant; `axum`, the two routes written by
//! hand over rusqlite with one transaction for each request; loops of SQLite without a server; and
//! `clonk`, built as for its users. Contenders are measured in turn, in several rounds. The tables
//! show medians and spreads, and compare them with the targets.

mod contenders;
mod load;
mod report;
mod suites;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use contenders::cores::Cores;
use contenders::running::Contenders;
use contenders::slow_disk::Shim;
use contenders::{axum_service, bare, file_server, write_loop};
use report::machine::Machine;
use report::results::{Figure, Results, Row, Settings};
use report::{tables, targets};
use suites::cases::{Group, groups};
use suites::rounds::Disks;
use suites::{big, gallery, live, rounds, test_backend, whole};

/// Compares clonk with its alternatives.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Args)]
struct RunArgs {
    /// The measurements: get, post, known, hot (the last three also with -slow), mixed, tail, live,
    /// gallery, whole, tests, big; by default all but big.
    #[arg(value_parser = known_name)]
    names: Vec<String>,
    /// Measures fewer cases and for a shorter time, about two minutes.
    #[arg(long)]
    quick: bool,
    /// Also measures ten million jobs, which takes some minutes and 10 GB of disk.
    #[arg(long)]
    big: bool,
    /// The number of rounds.
    #[arg(long)]
    rounds: Option<usize>,
    /// The duration of a round of a case.
    #[arg(long)]
    seconds: Option<f64>,
    /// The folder of databases and results. The benchmark measures its disk.
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
    /// Also writes the figures into this document.
    #[arg(long)]
    into: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Verb {
    /// Prints the tables of a run from its JSON.
    Report {
        json: PathBuf,
        /// Writes the tables into this document instead.
        #[arg(long)]
        into: Option<PathBuf>,
    },
    #[command(hide = true)]
    ServeBare,
    #[command(hide = true)]
    ServeAxum { folder: PathBuf },
    #[command(hide = true)]
    ServeLoop { folder: PathBuf, batch: u64 },
    #[command(hide = true)]
    ServeFiles { folder: PathBuf },
}

const OTHERS: &[&str] = &["live", "gallery", "whole", "tests", "big"];

fn known_name(name: &str) -> Result<String, String> {
    let groups = groups(false);
    let known: Vec<&str> = groups
        .iter()
        .map(|group| group.name)
        .chain(OTHERS.iter().copied())
        .collect();
    if known.contains(&name) {
        Ok(name.to_owned())
    } else {
        Err(format!(
            "unknown measurement; there are: {}",
            known.join(" ")
        ))
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.verb {
        Some(Verb::ServeBare) => {
            bare::serve();
            Ok(())
        }
        Some(Verb::ServeAxum { folder }) => {
            axum_service::serve(&folder);
            Ok(())
        }
        Some(Verb::ServeLoop { folder, batch }) => {
            write_loop::serve(&folder, batch);
            Ok(())
        }
        Some(Verb::ServeFiles { folder }) => {
            file_server::serve(&folder);
            Ok(())
        }
        Some(Verb::Report { json, into }) => report(&json, into.as_deref()),
        None => run(&cli.run),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

fn report(json: &Path, into: Option<&Path>) -> Result<(), String> {
    let text = fs::read_to_string(json).map_err(|error| format!("{}: {error}", json.display()))?;
    let results =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", json.display()))?;
    show(&results, into)
}

fn show(results: &Results, into: Option<&Path>) -> Result<(), String> {
    match into {
        Some(document) => tables::write_into(document, results),
        None => {
            print!("{}", tables::markdown(results));
            Ok(())
        }
    }
}

fn run(args: &RunArgs) -> Result<(), String> {
    let cores = Cores::take();
    fs::create_dir_all(&args.folder)
        .map_err(|error| format!("{}: {error}", args.folder.display()))?;
    let data = tempfile::tempdir_in(&args.folder)
        .map_err(|error| format!("{}: {error}", args.folder.display()))?;
    let (rounds, seconds) = if args.quick { (3, 0.4) } else { (5, 1.5) };
    let settings = Settings {
        rounds: args.rounds.unwrap_or(rounds),
        seconds: args.seconds.unwrap_or(seconds),
        quick: args.quick,
    };
    let machine = Machine::describe(data.path());
    let results = measure(args, cores, data.path(), machine, settings);
    let json = args
        .folder
        .join(format!("{}.json", results.machine.date.replace(':', "")));
    let text = serde_json::to_string_pretty(&results).expect("results are JSON");
    fs::write(&json, text).map_err(|error| format!("{}: {error}", json.display()))?;
    println!("\n{}\nIn {}.", tables::markdown(&results), json.display());
    match &args.into {
        Some(document) => show(&results, Some(document)),
        None => Ok(()),
    }
}

fn measure(
    args: &RunArgs,
    cores: Cores,
    data: &Path,
    machine: Machine,
    settings: Settings,
) -> Results {
    let is_wanted =
        |name: &str| args.names.is_empty() || args.names.iter().any(|wanted| wanted == name);
    let groups: Vec<Group> = groups(args.quick)
        .into_iter()
        .filter(|group| is_wanted(group.name))
        .collect();
    let mut results = Results {
        machine,
        settings,
        rows: Vec::new(),
        figures: Vec::new(),
    };
    if !groups.is_empty() {
        let (rows, memory) = measure_groups(&groups, cores, data, settings);
        results.figures = targets::targets(&rows);
        results.figures.extend(memory);
        results.rows = rows;
    }
    if is_wanted("whole") {
        results.figures.extend(whole::whole(cores, data, settings));
    }
    if is_wanted("tests") {
        results.figures.push(test_backend::tests_a_second(settings));
    }
    if is_wanted("live") {
        results.figures.extend(live::live(cores, data, settings));
    }
    if is_wanted("gallery") {
        results
            .figures
            .extend(gallery::gallery(cores, data, settings));
    }
    if args.big || args.names.iter().any(|name| name == "big") {
        results.figures.extend(big::big(cores, data, settings));
    }
    results
}

/// Measures the groups. Returns their rows, and the memory of the contenders after them.
fn measure_groups(
    groups: &[Group],
    cores: Cores,
    data: &Path,
    settings: Settings,
) -> (Vec<Row>, Vec<Figure>) {
    let shim = Shim::compile(data);
    let counted = shim.map(|shim| Contenders::new(cores, data.join("counted"), Some(shim)));
    let mut disks = Disks {
        plain: Contenders::new(cores, data.join("plain"), None),
        counted,
    };
    let rows = groups
        .iter()
        .flat_map(|group| rounds::measure(group, &mut disks, settings))
        .collect();
    (rows, whole::memory_after(&disks.plain))
}
