//! Instruction counts, compared with those that are kept in the repository.
//!
//! Callgrind counts the same on a busy machine as on an idle one. It emulates one processor, but the C library picks
//! its routines by what the real one can do, and hash tables are seeded: up to [`TOLERANCE`] is not told apart.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::SCENARIOS;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json");
/// The share by which a count may be greater than the one that is kept.
const TOLERANCE: f64 = 0.05;

/// What is kept: how many instructions each scenario took, and with what it was compiled.
#[derive(Deserialize, Serialize)]
struct Kept {
    toolchain: String,
    instructions: BTreeMap<String, u64>,
}

/// Counts each scenario and compares it with what is kept, or keeps it.
///
/// # Errors
/// A sentence that says what is wrong, and what to do about it.
pub(crate) fn check(is_to_record: bool) -> Result<(), String> {
    if !is_available("valgrind")? {
        return Ok(());
    }
    let counted = SCENARIOS
        .iter()
        .map(|(name, _)| Ok(((*name).to_owned(), count(name)?)));
    let now = Kept {
        toolchain: toolchain(),
        instructions: counted.collect::<Result<_, String>>()?,
    };
    if is_to_record {
        let text = serde_json::to_string_pretty(&now).expect("counts are JSON");
        return fs::write(FILE, text + "\n").map_err(|error| format!("{FILE}: {error}"));
    }
    let text = fs::read_to_string(FILE).map_err(|error| format!("{FILE}: {error}"))?;
    let kept = serde_json::from_str(&text).map_err(|error| format!("{FILE}: {error}"))?;
    compare(&kept, &now)
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
            println!("SKIPPED: instructions are not counted, for there is no {tool}");
            Ok(false)
        }
        (false, Some(_)) => Err(format!(
            "there is no {tool}; install it, or unset LENTIL_TEST_ALL"
        )),
    }
}

fn toolchain() -> String {
    let output = Command::new("rustc").arg("--version").output();
    output.map_or("unknown".to_owned(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}

/// The profile that callgrind leaves of a scenario, beside this program.
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
    counted.ok_or_else(|| format!("{} has counted nothing", profile.display()))
}

fn compare(kept: &Kept, now: &Kept) -> Result<(), String> {
    let mut regressions = Vec::new();
    for (scenario, count) in &now.instructions {
        let before = kept.instructions.get(scenario).copied().unwrap_or(0);
        let change = *count as f64 / before as f64 - 1.0;
        println!(
            "{scenario:6} {count:>12} instructions, {before:>12} kept: {:+.2} %",
            100.0 * change
        );
        // A scenario that is not kept yet has grown without bounds.
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
    let other = if kept.toolchain == now.toolchain {
        String::new()
    } else {
        format!(
            "The counts that are kept were made by {}, these by {}. ",
            kept.toolchain, now.toolchain
        )
    };
    Err(format!(
        "more instructions than before:\n  {}\n{other}Make it cheaper, or, if it is worth it, keep the new counts with \
         `just bench-check --record`.",
        regressions.join("\n  ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(count: u64) -> Kept {
        Kept {
            toolchain: "rustc".into(),
            instructions: BTreeMap::from([("get".to_owned(), count)]),
        }
    }

    #[test]
    fn less_than_five_percent_more_are_let_pass_and_six_are_not() {
        compare(&kept(1_000), &kept(1_049)).unwrap();
        let refused = compare(&kept(1_000), &kept(1_060)).unwrap_err();
        assert!(
            refused.contains("`get` by 6.0 %") && refused.contains("--record"),
            "{refused}"
        );
        compare(&kept(1_000), &kept(500)).unwrap();
    }

    #[test]
    fn a_scenario_that_is_not_kept_is_refused() {
        let none = Kept {
            toolchain: String::new(),
            instructions: BTreeMap::new(),
        };
        assert!(compare(&none, &kept(1)).is_err());
    }
}
