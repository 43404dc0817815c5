//! The layers of the project, its language, and the code that the README shows.

mod cycles;
mod imports;
mod language;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The description of the workspace that Cargo gives.
fn metadata() -> serde_json::Value {
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(ROOT)
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Each of our packages with the packages that it depends on: other than for tests, and for tests.
fn packages() -> BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> {
    let metadata = metadata();
    let names = |package: &serde_json::Value, is_dev: bool| {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let wanted = dependencies.filter(|dependency| (dependency["kind"] == "dev") == is_dev);
        wanted
            .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
            .collect::<BTreeSet<_>>()
    };
    let package = |package: &serde_json::Value| {
        (
            package["name"].as_str().unwrap().to_owned(),
            (names(package, false), names(package, true)),
        )
    };
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(package)
        .collect()
}

/// The packages that may depend on every other.
const MAY_NAME_ALL: &[&str] = &["lentil-tests", "lentil-tidy", "lentil-bench"];

/// Which of our crates each of our crates may name.
const ARROWS: &[(&str, &[&str])] = &[
    ("lentil-values", &[]),
    ("lentil-macros", &[]),
    ("lentil-schema", &["lentil-values", "lentil-macros"]),
    ("lentil-store", &["lentil-values"]),
    ("lentil-sqlite", &["lentil-store", "lentil-values"]),
    ("lentil-files", &["lentil-store"]),
    ("lentil-call", &["lentil-store", "lentil-values"]),
    (
        "lentil-database",
        &[
            "lentil-call",
            "lentil-schema",
            "lentil-store",
            "lentil-values",
        ],
    ),
    (
        "lentil-runtime",
        &[
            "lentil-call",
            "lentil-database",
            "lentil-macros",
            "lentil-schema",
            "lentil-store",
            "lentil-values",
        ],
    ),
    (
        "lentil-system",
        &[
            "lentil-call",
            "lentil-database",
            "lentil-macros",
            "lentil-runtime",
            "lentil-schema",
            "lentil-store",
            "lentil-values",
        ],
    ),
    ("lentil-protocol", &["lentil-values"]),
    (
        "lentil-server",
        &["lentil-protocol", "lentil-runtime", "lentil-system"],
    ),
    (
        "lentil-testing",
        &[
            "lentil",
            "lentil-files",
            "lentil-runtime",
            "lentil-schema",
            "lentil-server",
            "lentil-sqlite",
            "lentil-store",
            "lentil-system",
            "lentil-values",
        ],
    ),
    (
        "lentil",
        &[
            "lentil-files",
            "lentil-macros",
            "lentil-runtime",
            "lentil-schema",
            "lentil-server",
            "lentil-sqlite",
            "lentil-store",
            "lentil-system",
            "lentil-values",
        ],
    ),
    ("clonk-schema", &["lentil"]),
    ("clonk-functions", &["lentil", "clonk-schema"]),
    ("clonk-http", &["lentil", "clonk-functions"]),
    (
        "clonk",
        &["lentil", "clonk-functions", "clonk-http", "clonk-schema"],
    ),
    ("lentil-examples", &["lentil"]),
];

#[test]
fn packages_depend_only_on_lower_layers() {
    let packages = packages();
    let ours = |names: &BTreeSet<String>| {
        names
            .iter()
            .filter(|name| packages.contains_key(*name))
            .cloned()
            .collect()
    };
    for (name, allowed) in ARROWS {
        let named: BTreeSet<String> = ours(&packages[*name].0);
        let unknown: Vec<_> = named
            .iter()
            .filter(|name| !allowed.contains(&name.as_str()))
            .collect();
        assert!(unknown.is_empty(), "{name} must not name {unknown:?}");
    }
    let listed: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let unlisted = packages
        .keys()
        .filter(|name| !listed.contains(name.as_str()) && !MAY_NAME_ALL.contains(&name.as_str()));
    let unlisted: Vec<_> = unlisted.collect();
    assert!(
        unlisted.is_empty(),
        "add {unlisted:?} and their allowed dependencies to `ARROWS` in tests/tidy/main.rs"
    );
}

#[test]
fn the_absences_hold() {
    let packages = packages();
    let names = |package: &str, dependency: &str| packages[package].0.contains(dependency);
    for package in [
        "lentil-values",
        "lentil-schema",
        "lentil-macros",
        "lentil-protocol",
    ] {
        for io in ["tokio", "rusqlite", "hyper", "http"] {
            assert!(
                !names(package, io),
                "{package} does no I/O, and so needs no {io}"
            );
        }
    }
    for package in [
        "lentil-call",
        "lentil-database",
        "lentil-runtime",
        "lentil-store",
    ] {
        for socket in [
            "hyper",
            "hyper-util",
            "rusqlite",
            "lentil-sqlite",
            "lentil-files",
            "lentil-server",
        ] {
            assert!(
                !names(package, socket),
                "{package} knows no socket and no concrete store, and so no {socket}"
            );
        }
    }
    for package in [
        "clonk-schema",
        "clonk-functions",
        "clonk-http",
        "clonk",
        "lentil-examples",
    ] {
        let foreign: Vec<_> = packages[package]
            .0
            .iter()
            .filter(|name| !name.starts_with("clonk-") && *name != "lentil")
            .collect();
        assert!(
            foreign.is_empty(),
            "{package} names lentil alone, and not {foreign:?}"
        );
        let for_tests = packages[package].1.iter().all(|name| {
            name.starts_with("clonk-") || matches!(name.as_str(), "lentil-testing" | "tokio")
        });
        assert!(
            for_tests,
            "{package} tests with lentil-testing alone: {:?}",
            packages[package].1
        );
    }
}

#[test]
fn no_module_imports_one_above_it() {
    let root = Path::new(ROOT).canonicalize().unwrap();
    let metadata = metadata();
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        for target in package["targets"].as_array().unwrap() {
            let kind = target["kind"][0].as_str().unwrap();
            if !matches!(kind, "lib" | "bin" | "proc-macro") {
                continue;
            }
            let file = target["src_path"].as_str().unwrap();
            found.extend(cycles::find_cycles(Path::new(file), &root));
        }
    }
    assert!(
        found.is_empty(),
        "these modules import each other:\n{}",
        found.join("\n\n")
    );
}

#[test]
fn the_texts_are_free_of_the_old_style() {
    let found = language::find_rejected(&Path::new(ROOT).canonicalize().unwrap());
    assert!(
        found.is_empty(),
        "say this in plain words:\n{}",
        found.join("\n")
    );
}

#[test]
fn the_readme_shows_code_that_is_compiled() {
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let mut shown = 0;
    for block in readme.split("<!-- file: ").skip(1) {
        let (place, rest) = block
            .split_once(" -->\n```rust\n")
            .expect("a file's region is followed by its code");
        let (code, _) = rest.split_once("```").expect("a code block ends");
        let (file, region) = place.split_once('#').expect("a place is file#region");
        assert_eq!(
            code,
            region_of(file, region),
            "README.md differs from {place}"
        );
        shown += 1;
    }
    assert_eq!(
        readme.matches("```rust").count(),
        shown,
        "Rust code in README.md names the file it is from"
    );
}

fn region_of(file: &str, region: &str) -> String {
    let text = fs::read_to_string(Path::new(ROOT).join(file)).unwrap();
    let begin = format!("// [{region}]");
    let lines = text.lines().skip_while(|line| line.trim() != begin).skip(1);
    let lines: Vec<&str> = lines.take_while(|line| line.trim() != "// [end]").collect();
    assert!(!lines.is_empty(), "{file} has no region {region}");
    let indent = lines
        .iter()
        .filter(|line| !line.is_empty())
        .map(|line| line.len() - line.trim_start().len())
        .min();
    let cut = |line: &&str| format!("{}\n", line.get(indent.unwrap_or(0)..).unwrap_or_default());
    lines.iter().map(cut).collect()
}

/// The promises of ARCHITECTURE.md name the tests that hold them.
#[test]
fn tests_named_in_the_architecture_exist() {
    let root = Path::new(ROOT).canonicalize().unwrap();
    let mut sources = String::new();
    for file in language::files(&root) {
        if file.extension().is_some_and(|ending| ending == "rs") {
            sources.push_str(&fs::read_to_string(&file).unwrap());
        }
    }
    let names: BTreeSet<&str> = sources
        .split(|character: char| !character.is_alphanumeric() && character != '_')
        .collect();
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let quoted = text.split('`').skip(1).step_by(2);
    let missing: Vec<&str> = quoted
        .filter_map(|quoted| quoted.rsplit("::").next())
        .filter(|name| name.matches('_').count() > 2 && !name.contains(['/', '.', ' ']))
        .filter(|name| !names.contains(name))
        .collect();
    assert!(
        missing.is_empty(),
        "ARCHITECTURE.md names tests that do not exist: {missing:#?}"
    );
}

#[test]
fn links_of_documents_lead_to_files() {
    let entries = ["", "docs"].map(|folder| fs::read_dir(Path::new(ROOT).join(folder)).unwrap());
    let paths = entries
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path());
    for document in paths.filter(|path| path.extension().is_some_and(|ending| ending == "md")) {
        let folder = document.parent().unwrap();
        let text = fs::read_to_string(&document).unwrap();
        for rest in text.split("](").skip(1) {
            let link = rest.split([')', '#']).next().unwrap();
            assert!(
                folder.join(link).exists(),
                "{} links to {link}",
                document.display()
            );
        }
    }
}

#[test]
fn tests_start_programs_that_end_with_them() {
    let sources = ["src", "system"].map(|folder| Path::new(ROOT).join("tests").join(folder));
    let entries = sources
        .iter()
        .flat_map(|folder| fs::read_dir(folder).unwrap());
    let paths = entries.map(|entry| entry.unwrap().path());
    for path in paths.filter(|path| path.is_file()) {
        let starts = fs::read_to_string(&path)
            .unwrap()
            .contains(concat!(".spawn", "()"));
        assert!(
            !starts || path.ends_with("src/process.rs"),
            "{}: start programs by `Process::start`, which ends them with the test",
            path.display()
        );
    }
}
