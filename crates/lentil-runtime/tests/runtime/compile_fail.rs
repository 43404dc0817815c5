//! The compiler's messages for functions of the wrong shape.
//!
//! Each file in `tests/compile_fail` is one mistake of an application author; the `.stderr` file
//! beside it is what the compiler says. `UPDATE=1` writes the `.stderr` files.
//!
//! The cases use the facade `lentil`, so `trybuild` would build the server and its C libraries a
//! second time. This test calls `rustc` with the facade that was built for the tests.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

#[test]
fn a_misuse_is_reported_with_the_shape_that_is_expected() {
    let dependencies = dependencies();
    let facade = newest_facade(&dependencies);
    let mut cases: Vec<PathBuf> = fs::read_dir("tests/compile_fail")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    cases.sort();

    let mut changed = Vec::new();
    for case in &cases {
        let reported = compile(case, &facade, &dependencies);
        let expected = case.with_extension("stderr");
        if fs::read_to_string(&expected).unwrap_or_default() == reported {
            continue;
        }
        if env::var_os("UPDATE").is_some() {
            fs::write(&expected, &reported).unwrap();
        } else {
            changed.push(format!("{} reports:\n{reported}", case.display()));
        }
    }
    assert!(
        changed.is_empty(),
        "messages differ from their `.stderr` files; compare them, or set UPDATE=1:\n{}",
        changed.join("\n")
    );
}

/// Returns the folder of the libraries that this test was linked with.
fn dependencies() -> PathBuf {
    let test = env::current_exe().unwrap();
    test.parent().unwrap().to_owned()
}

/// Returns the library of the facade. Other features or profiles leave older ones beside it.
fn newest_facade(dependencies: &Path) -> PathBuf {
    let modified = |path: &PathBuf| -> SystemTime { path.metadata().unwrap().modified().unwrap() };
    fs::read_dir(dependencies)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("liblentil-") && name.ends_with(".rlib")
        })
        .max_by_key(modified)
        .expect("the facade is a dependency of this test")
}

/// Returns what the compiler reports for a case.
fn compile(case: &Path, facade: &Path, dependencies: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args([
            "--edition=2024",
            "--emit=metadata",
            "--diagnostic-width=300",
        ])
        .arg(format!("--out-dir={}", folder.path().display()))
        .arg(format!("--extern=lentil={}", facade.display()))
        .arg(format!("-Ldependency={}", dependencies.display()))
        .arg(case)
        .output()
        .unwrap();
    assert!(!output.status.success(), "{} compiles", case.display());
    let reported = String::from_utf8(output.stderr).unwrap();
    reported.lines().map(without_engine_lines).collect()
}

/// Drops the line number from a place in the engine's source, which changes with every edit there.
fn without_engine_lines(line: &str) -> String {
    let is_place = line.trim_start().starts_with("--> crates/");
    let kept = match line.split_once(".rs:") {
        Some((file, _)) if is_place => format!("{file}.rs"),
        _ => line.to_owned(),
    };
    kept + "\n"
}
