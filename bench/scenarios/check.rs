//! Compares instruction counts with the counts recorded in the repository.
//!
//! Callgrind's counts do not depend on the load of the machine. They still vary a little: the C library selects its
//! routines by the features of the real processor, and hash tables have random seeds. So changes up to [`TOLERANCE`] pass.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json");
/// The share by which a count may exceed the recorded one.
const TOLERANCE: f64 = 0.05;

/// The recorded counts.
#[derive(Deserialize, Serialize)]
struct Counts {
    /// The compiler that built the scenarios.
    toolchain: String,
    instructions: BTreeMap<String, u64>,
}

/// The use of new counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They are compared with the recorded counts.
    Compare,
    /// They replace the recorded counts.
    Record,
}

/// Counts the instructions of each scenario, and compares or records them.
///
/// # Errors
/// A sentence that says what is wrong and what to do.
pub(crate) fn check(scenarios: &[&str], mode: Mode) -> Result<(), String> {
    if !is_available("valgrind")? {
        return Ok(());
    }
    let counted = scenarios
        .iter()
        .map(|name| Ok(((*name).to_owned(), count(name)?)));
    let now = Counts {
        toolchain: toolchain(),
        instructions: counted.collect::<Result<_, String>>()?,
    };
    if mode == Mode::Record {
        let text = serde_json::to_string_pretty(&now).expect("counts are JSON");
        return fs::write(FILE, text + "\n").map_err(|error| format!("{FILE}: {error}"));
    }
    let text = fs::read_to_string(FILE).map_err(|error| format!("{FILE}: {error}"))?;
    let recorded = serde_json::from_str(&text).map_err(|error| format!("{FILE}: {error}"))?;
    compare(&recorded, &now)
}

fn is_available(tool: &str) -> Result<bool, String> {
    let found = Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    match (
        found.is_ok_and(|status| status.success()),
        std::env::var_os("LENTIL_TEST_ALL"),
    ) {
        (true, _) => Ok(true),
        (false, None) => {
            println!("SKIPPED the instruction counts: `{tool}` is not on this machine");
            Ok(false)
        }
        (false, Some(_)) => Err(format!(
            "`{tool}` is not on this machine; install it, or unset LENTIL_TEST_ALL"
        )),
    }
}

fn toolchain() -> String {
    let output = Command::new("rustc").arg("--version").output();
    output.map_or("unknown".to_owned(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}

/// Returns the path of callgrind's profile of a scenario, in this program's folder.
fn profile(scenario: &str) -> PathBuf {
    let program = std::env::current_exe().expect("this program has a path");
    program.with_file_name(format!("callgrind.{scenario}"))
}

fn count(scenario: &str) -> Result<u64, String> {
    let profile = profile(scenario);
    let mut valgrind = Command::new("valgrind");
    valgrind.args([
        "--tool=callgrind",
        "--toggle-collect=scenarios::counted",
        "--quiet",
    ]);
    valgrind.arg(format!("--callgrind-out-file={}", profile.display()));
    valgrind
        .arg(std::env::current_exe().expect("this program has a path"))
        .arg(scenario);
    let status = valgrind
        .status()
        .map_err(|error| format!("valgrind: {error}"))?;
    if !status.success() {
        return Err(format!(
            "the scenario `{scenario}` fails under valgrind: {status}"
        ));
    }
    instructions(&profile)
}

fn instructions(profile: &Path) -> Result<u64, String> {
    let text =
        fs::read_to_string(profile).map_err(|error| format!("{}: {error}", profile.display()))?;
    let summary = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let counted = summary
        .and_then(|number| number.trim().parse().ok())
        .filter(|count| *count > 0);
    counted.ok_or_else(|| format!("{} has no instruction count", profile.display()))
}

fn compare(recorded: &Counts, now: &Counts) -> Result<(), String> {
    let mut regressions = Vec::new();
    for (scenario, count) in &now.instructions {
        let before = recorded.instructions.get(scenario).copied().unwrap_or(0);
        let change = *count as f64 / before as f64 - 1.0;
        println!(
            "{scenario:6} {count:>12} instructions, {before:>12} recorded: {:+.2} %",
            100.0 * change
        );
        // A scenario without a recorded count has an infinite change.
        if change > TOLERANCE {
            let profile = profile(scenario);
            regressions.push(format!(
                "`{scenario}` by {:.1} %, see callgrind_annotate {}",
                100.0 * change,
                profile.display()
            ));
        }
    }
    if regressions.is_empty() {
        return Ok(());
    }
    let other = if recorded.toolchain == now.toolchain {
        String::new()
    } else {
        format!(
            "The recorded counts were made with {}, these with {}. ",
            recorded.toolchain, now.toolchain
        )
    };
    Err(format!(
        "more instructions than recorded:\n  {}\n{other}Reduce them, or record the new counts with \
         `just bench-check --record`.",
        regressions.join("\n  ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(count: u64) -> Counts {
        Counts {
            toolchain: "rustc".into(),
            instructions: BTreeMap::from([("get".to_owned(), count)]),
        }
    }

    #[test]
    fn growth_up_to_the_tolerance_passes() {
        compare(&counts(1_000), &counts(1_049)).unwrap();
        let failed = compare(&counts(1_000), &counts(1_060)).unwrap_err();
        assert!(
            failed.contains("`get` by 6.0 %") && failed.contains("--record"),
            "{failed}"
        );
        compare(&counts(1_000), &counts(500)).unwrap();
    }

    #[test]
    fn a_scenario_without_a_recorded_count_fails() {
        let none = Counts {
            toolchain: String::new(),
            instructions: BTreeMap::new(),
        };
        assert!(compare(&none, &counts(1)).is_err());
    }
}
