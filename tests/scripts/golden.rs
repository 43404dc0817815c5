//! Reads script files and compares them with the output of a run.

use std::fs;
use std::path::{Path, PathBuf};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts");
const INDENT: &str = "    ";

/// A script file.
pub(crate) struct Script {
    path: PathBuf,
    text: String,
}

/// A line of a script, without the output below it.
pub(crate) enum Line<'s> {
    /// A comment or an empty line.
    Comment(&'s str),
    /// A step to execute.
    Step(&'s str),
}

impl Script {
    /// Reads the scripts of a folder in the order of their names.
    pub(crate) fn of_folder(folder: &str) -> Vec<Script> {
        let entries = fs::read_dir(Path::new(SCRIPTS).join(folder)).expect("the folder exists");
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let script = |path: PathBuf| {
            let text = fs::read_to_string(&path).expect("the script is readable");
            Script { path, text }
        };
        paths.into_iter().map(script).collect()
    }

    /// Returns the lines without the output.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let lines = self.text.lines().filter(|line| !line.starts_with(INDENT));
        lines.map(|line| match line {
            "" => Line::Comment(line),
            line if line.starts_with('#') => Line::Comment(line),
            line => Line::Step(line),
        })
    }

    /// Compares the file with its lines and the output of a run. With `UPDATE=1` it writes them to the file.
    pub(crate) fn check(&self, transcript: &Transcript) {
        let Transcript(actual) = transcript;
        if std::env::var_os("UPDATE").is_some_and(|update| update == "1") {
            fs::write(&self.path, actual).expect("the script is writable");
            return;
        }
        let mut expected = self.text.lines();
        for (at, line) in actual.lines().enumerate() {
            let expected = expected.next().unwrap_or_default();
            assert_eq!(
                line,
                expected,
                "{}:{} (UPDATE=1 accepts the output); the run printed:\n{actual}",
                self.path.display(),
                at + 1
            );
        }
        let rest: Vec<&str> = expected.collect();
        assert!(
            rest.is_empty(),
            "{}: missing output {rest:?}",
            self.path.display()
        );
    }
}

/// The text of a script with the output of a run.
#[derive(Default)]
pub(crate) struct Transcript(String);

impl Transcript {
    /// Adds a comment or a step.
    pub(crate) fn add_line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// Adds a line of output.
    pub(crate) fn add_output(&mut self, line: &str) {
        self.add_line(&format!("{INDENT}{line}"));
    }
}
