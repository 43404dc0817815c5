//! Words of an older style that the texts of this project avoid.

use std::fs;
use std::path::{Path, PathBuf};

/// The phrases, in lower case.
const REJECTED: &[&str] = &[
    "anew",
    "of late",
    "not else",
    "one who",
    "those who",
    "is told",
    "are told",
    "was told",
    "lets go of",
    "let go of",
    "comes to be",
    "came to be",
    "has the disk keep",
];

/// The words that no doc comment begins with. It begins with a verb in the third person or with a noun phrase.
const REJECTED_OPENINGS: &[&str] = &["What", "Who", "Whose", "Whoever", "Whatever"];

/// The kinds of files that are read.
const ENDINGS: &[&str] = &["rs", "md", "toml"];

/// Returns a line for each rejected phrase.
pub(super) fn find_rejected(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for file in files(root) {
        let name = file.strip_prefix(root).unwrap_or(&file);
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        let phrases = find_phrases(&text).chain(find_openings(&text));
        found.extend(phrases.map(|(line, phrase)| format!("{}:{line}: {phrase}", name.display())));
    }
    found
}

/// Returns the files with texts of this project below a folder, except this one.
pub(super) fn files(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap_or_else(|error| panic!("{path:?}: {error}")) {
        let path = entry.expect("the folder can be read").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let ending = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !matches!(name.as_str(), "target" | "node_modules") {
                found.extend(files(&path));
            }
        } else if (ENDINGS.contains(&ending.as_str()) || name == "justfile")
            && !path.ends_with("tests/tidy/language.rs")
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The rejected phrases with their lines. A phrase may run over the end of a line, or stand in a name.
fn find_phrases(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut words = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let parts = line.split(|character: char| !character.is_alphanumeric());
        words.extend(
            parts
                .filter(|part| !part.is_empty())
                .map(|part| (at + 1, part.to_lowercase())),
        );
    }
    let mut found = Vec::new();
    for phrase in REJECTED {
        let wanted: Vec<&str> = phrase.split(' ').collect();
        for window in words.windows(wanted.len()) {
            if window.iter().map(|(_, word)| word).eq(wanted.iter()) {
                found.push((window[0].0, format!("\"{phrase}\"")));
            }
        }
    }
    found.sort();
    found.into_iter()
}

/// The first lines of doc comments that begin with a rejected word.
fn find_openings(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut was_doc = false;
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let doc = line.strip_prefix("/// ").or(line.strip_prefix("//! "));
        let first = doc
            .and_then(|doc| doc.split(' ').next())
            .unwrap_or_default();
        if !was_doc && REJECTED_OPENINGS.contains(&first) {
            found.push((at + 1, format!("a doc comment begins with \"{first}\"")));
        }
        was_doc = line.starts_with("///") || line.starts_with("//!");
    }
    found.into_iter()
}

#[test]
fn phrases_are_found_over_lines_and_in_names() {
    let found = |text| find_phrases(text).map(|(line, _)| line).collect::<Vec<_>>();
    assert_eq!(found("// built\n// anew,\n"), [2]);
    assert_eq!(found("/// the place of\n/// late writes"), [1]);
    assert_eq!(found("fn one_who_waits() {}"), [1]);
    assert_eq!(found("the index of later writes"), [0; 0]);
}

#[test]
fn openings_of_doc_comments_are_found() {
    let found = |text| {
        find_openings(text)
            .map(|(line, _)| line)
            .collect::<Vec<_>>()
    };
    assert_eq!(found("/// What it is.\n/// What follows is plain.\n"), [1]);
    assert_eq!(
        found("/// Returns it.\n///\n/// What it costs: nothing.\n"),
        [0; 0]
    );
}
