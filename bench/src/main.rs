//! Measures clonk beside what people would use instead, interleaved in one run on this machine.
//!
//! `just bench` builds and runs it. Each *cell* (what is asked, over how many connections or at which rate) is asked of
//! several *subjects*, programs of their own on a core of their own: `bare`, hyper that checks the key and answers a
//! constant; `axum`, the two routes by hand over rusqlite with one transaction a request; loops of SQLite alone; and
//! `clonk` itself, as it is built for its users. What is compared is measured in turns, in rounds; the tables show
//! medians and spreads, and hold the targets beside what was found.

mod answer;
mod axum_service;
mod bare;
mod big;
mod cells;
mod clients;
mod cores;
mod drive;
mod file_server;
mod fleet;
mod gallery;
mod jobs;
mod live;
mod machine;
mod process;
mod results;
mod rounds;
mod server;
mod slow_disk;
mod subscribers;
mod tables;
mod targets;
mod test_backend;
mod whole;
mod write_loop;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use cells::{Group, groups};
use cores::Cores;
use fleet::Fleet;
use machine::Machine;
use results::{Results, Settings};
use rounds::Fleets;
use slow_disk::Shim;

/// The key that all servers are started with.
const KEY: &str = "a-key-for-the-bench";

/// Measures clonk beside what people would use instead.
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
    /// What to measure: get, post, known, hot (the last three with -slow too), mixed, tail, live, gallery, whole, tests,
    /// big; all but big unless told.
    #[arg(value_parser = known_name)]
    names: Vec<String>,
    /// Fewer cells, and shorter: about two minutes.
    #[arg(long)]
    quick: bool,
    /// Ten million jobs too, which takes some minutes and 10 GB of disk.
    #[arg(long)]
    big: bool,
    /// How often each cell is measured.
    #[arg(long)]
    rounds: Option<usize>,
    /// How long a round of a cell takes.
    #[arg(long)]
    seconds: Option<f64>,
    /// Where databases and results go; the disk it is on is the one that is measured.
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
    /// Writes the figures into this document.
    #[arg(long)]
    into: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Verb {
    /// Prints the tables of a run from its JSON.
    Report {
        json: PathBuf,
        /// Writes them into this document instead.
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
        Err(format!("there are: {}", known.join(" ")))
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
    let (rounds, seconds) = (
        args.rounds.unwrap_or(rounds),
        args.seconds.unwrap_or(seconds),
    );
    let settings = Settings {
        rounds,
        seconds,
        quick: args.quick,
    };
    let machine = Machine::look(data.path());
    let results = measure(args, cores, data.path(), machine, settings);
    let json = args
        .folder
        .join(format!("{}.json", results.machine.date.replace(':', "")));
    let text = serde_json::to_string_pretty(&results).expect("results are JSON");
    fs::write(&json, text).map_err(|error| format!("{}: {error}", json.display()))?;
    println!("\n{}\nIn {}.", tables::markdown(&results), json.display());
    args.into
        .as_deref()
        .map_or(Ok(()), |document| show(&results, Some(document)))
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

/// The rows of the groups, and the memory that the programs took for them.
fn measure_groups(
    groups: &[Group],
    cores: Cores,
    data: &Path,
    settings: Settings,
) -> (Vec<results::Row>, Vec<results::Figure>) {
    let shim = Shim::compile(data);
    let counted = shim.map(|shim| Fleet::new(cores, data.join("counted"), Some(shim)));
    let mut fleets = Fleets {
        plain: Fleet::new(cores, data.join("plain"), None),
        counted,
    };
    let rows = groups
        .iter()
        .flat_map(|group| rounds::measure(group, &mut fleets, settings))
        .collect();
    (rows, whole::memory_after(&fleets.plain))
}
