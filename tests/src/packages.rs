use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::available;
use crate::tools::skip;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");
const INSTALLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/clients");

/// The programs of one folder of `tests/clients`, in a folder outside of Git with the packages that they import.
pub struct Packages {
    pub(crate) folder: PathBuf,
    pub(crate) program: PathBuf,
}

impl Packages {
    /// Node programs, and what their `package.json` names.
    pub fn of_node(name: &str) -> Option<Packages> {
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
        Packages::install(name, &["package.json"], "node".into(), &mut [install])
    }

    /// Python programs, and what their `requirements.txt` names.
    pub fn of_python(name: &str) -> Option<Packages> {
        if !available("python3", name) {
            return None;
        }
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv", "venv"]);
        let mut install = Command::new("venv/bin/pip");
        install.args(["install", "--quiet", "--requirement", "requirements.txt"]);
        let python = Path::new(INSTALLED).join(name).join("venv/bin/python");
        Packages::install(name, &["requirements.txt"], python, &mut [venv, install])
    }

    /// The Rust program, built in a workspace of its own.
    pub fn of_rust(name: &str) -> Option<Packages> {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--target-dir", "target"]);
        let program = Path::new(INSTALLED)
            .join(name)
            .join("target/debug/rust-client");
        Packages::install(name, &["Cargo.toml", "main.rs"], program, &mut [build])
    }

    /// Where they are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn install(
        name: &str,
        lists: &[&str],
        program: PathBuf,
        steps: &mut [Command],
    ) -> Option<Packages> {
        let folder = Path::new(INSTALLED).join(name);
        fs::create_dir_all(&folder).expect("target can be written to");
        // One at a time, in this process and in others.
        let lock = File::create(folder.join("lock")).expect("target can be written to");
        lock.lock().expect("a file can be locked");
        for entry in fs::read_dir(Path::new(SOURCES).join(name)).expect("the programs are there") {
            let source = entry.expect("the programs are there").path();
            let text = fs::read(&source).expect("the programs are readable");
            let copy = folder.join(source.file_name().unwrap_or_default());
            if fs::read(&copy).ok().as_ref() != Some(&text) {
                // In one step, as another test may be running the one that was there.
                let new = copy.with_extension("new");
                fs::write(&new, text)
                    .and_then(|()| fs::rename(&new, &copy))
                    .expect("target can be written to");
            }
        }
        let read = |list: &&str| fs::read(folder.join(list)).expect("what to install is there");
        let wanted: Vec<u8> = lists.iter().flat_map(read).collect();
        let stamp = folder.join("installed");
        if fs::read(&stamp).ok().as_ref() != Some(&wanted) {
            for step in steps {
                let output = step
                    .current_dir(&folder)
                    .output()
                    .expect("the installer starts");
                if !output.status.success() {
                    let said = [output.stdout, output.stderr].concat();
                    skip(
                        name,
                        &format!("{step:?} failed: {}", String::from_utf8_lossy(&said)),
                    );
                    return None;
                }
            }
            fs::write(&stamp, wanted).expect("target can be written to");
        }
        Some(Packages { folder, program })
    }
}
