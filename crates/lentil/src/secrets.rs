//! Secrets: from the environment, otherwise from a file in the data folder that the first start
//! creates.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The variable of the administrator's key.
pub(crate) const ADMIN_KEY: &str = "LENTIL_ADMIN_KEY";

/// An error of a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SecretError {
    #[error(
        "the environment variable {0} is empty; set it to a key, or unset it to have a key generated"
    )]
    Empty(String),
    #[error(
        "{0} contains a character that an HTTP header cannot carry; use letters, digits and punctuation, without spaces"
    )]
    Unusable(String),
    #[error("the secrets {0} and {1} use the same file {2}; rename one of them")]
    SameFile(String, String, String),
    #[error(
        "cannot read the key file {path}: {io}; make it readable, or remove it to have a new key generated"
    )]
    Read { path: String, io: io::Error },
    #[error("cannot write the key file {path}: {io}; the data folder must be writable")]
    Write { path: String, io: io::Error },
}

/// A secret and its source.
pub(crate) struct FoundSecret {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) source: Source,
}

#[derive(PartialEq, Eq)]
pub(crate) enum Source {
    Environment,
    File { path: PathBuf, is_new: bool },
}

/// Returns the values from the environment. This is checked before the data folder is touched.
pub(crate) fn from_environment(
    names: &[String],
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<HashMap<String, String>, SecretError> {
    let mut files: HashMap<String, &String> = HashMap::new();
    let mut found = HashMap::new();
    for name in names {
        if let Some(other) = files.insert(file_name(name), name) {
            return Err(SecretError::SameFile(
                other.clone(),
                name.clone(),
                file_name(name),
            ));
        }
        if let Some(value) = lookup(name) {
            found.insert(name.clone(), check(name, &value)?);
        }
    }
    Ok(found)
}

/// Returns every named secret: from the environment, otherwise from its file, which is created if
/// it is missing.
pub(crate) fn find(
    names: &[String],
    mut environment: HashMap<String, String>,
    folder: &Path,
    prefix: &str,
) -> Result<Vec<FoundSecret>, SecretError> {
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let (value, source) = match environment.remove(name) {
            Some(value) => (value, Source::Environment),
            None => {
                // `npx convex` takes the deployment's name from the part of the admin key before
                // the `|`.
                let prefix = match name.as_str() {
                    ADMIN_KEY => format!("{prefix}|"),
                    _ => String::new(),
                };
                read_or_create(folder.join(file_name(name)), &prefix)?
            }
        };
        found.push(FoundSecret {
            name: name.clone(),
            value,
            source,
        });
    }
    Ok(found)
}

/// Returns the file of a secret: `api-key` for `CLONK_API_KEY`. The first word is the
/// application's.
fn file_name(name: &str) -> String {
    let words = match name.split_once('_') {
        Some((_, words)) => words,
        None => name,
    };
    words.to_lowercase().replace('_', "-")
}

/// Checks a value, without its line break at the end.
fn check(name: &str, value: &str) -> Result<String, SecretError> {
    let value = value.trim_end_matches(['\r', '\n']);
    if value.is_empty() {
        return Err(SecretError::Empty(name.to_owned()));
    }
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SecretError::Unusable(name.to_owned()));
    }
    Ok(value.to_owned())
}

/// Returns the key in the file, which is created if it is missing.
fn read_or_create(path: PathBuf, prefix: &str) -> Result<(String, Source), SecretError> {
    let shown = path.display().to_string();
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let value =
                create(&path, prefix).map_err(|io| SecretError::Write { path: shown, io })?;
            return Ok((value, Source::File { path, is_new: true }));
        }
        Err(io) => return Err(SecretError::Read { path: shown, io }),
    };
    match check(&shown, &text) {
        Ok(value) => Ok((
            value,
            Source::File {
                path,
                is_new: false,
            },
        )),
        // An empty file needs other advice than an empty variable.
        Err(SecretError::Empty(_)) => Err(SecretError::Read {
            path: shown,
            io: io::Error::other("it is empty"),
        }),
        Err(error) => Err(error),
    }
}

fn create(path: &Path, prefix: &str) -> io::Result<String> {
    let value = generate(prefix)?;
    write_new(path, &value)?;
    Ok(value)
}

/// Returns 32 random bytes in hexadecimal, after this prefix.
pub(crate) fn generate(prefix: &str) -> io::Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(format!(
        "{prefix}{}",
        data_encoding::HEXLOWER.encode(&bytes)
    ))
}

/// Writes the file atomically and durably. Only its owner can read it, from the start.
pub(crate) fn write_new(path: &Path, value: &str) -> io::Result<()> {
    // A crash may leave this file, so it may exist already.
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    writeln!(file, "{value}")?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    // The rename is durable once the folder is fsynced.
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names() -> Vec<String> {
        vec!["CLONK_API_KEY".to_owned(), ADMIN_KEY.to_owned()]
    }

    #[test]
    fn the_first_start_creates_keys_that_the_second_finds() {
        let folder = tempfile::tempdir().unwrap();
        let first = find(&names(), HashMap::new(), folder.path(), "clonk").unwrap();
        let second = find(&names(), HashMap::new(), folder.path(), "clonk").unwrap();
        assert_eq!(first[0].value, second[0].value);
        assert_eq!(first[0].value.len(), 64);
        assert!(first[1].value.starts_with("clonk|"));
        assert_ne!(first[0].value, first[1].value);
        let mode = fs::metadata(folder.path().join("api-key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("api-key"), "from-file\n").unwrap();
        let environment = from_environment(&names(), |name| {
            (name == "CLONK_API_KEY").then(|| "from-env".into())
        });
        let found = find(&names(), environment.unwrap(), folder.path(), "clonk").unwrap();
        assert_eq!(found[0].value, "from-env");
        assert!(found[0].source == Source::Environment);
    }

    #[test]
    fn an_empty_value_is_refused() {
        let empty = from_environment(&names(), |_| Some(String::new()));
        assert!(matches!(empty, Err(SecretError::Empty(name)) if name == "CLONK_API_KEY"));
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("api-key"), "\n").unwrap();
        assert!(matches!(
            find(&names(), HashMap::new(), folder.path(), ""),
            Err(SecretError::Read { .. })
        ));
    }

    #[test]
    fn a_key_that_a_header_cannot_carry_is_refused() {
        for value in ["two words", "tab\t", "é", "a\nb"] {
            assert!(matches!(
                from_environment(&names(), |_| Some(value.into())),
                Err(SecretError::Unusable(_))
            ));
        }
    }

    #[test]
    fn secrets_with_the_same_file_are_refused() {
        let names = ["CLONK_API_KEY".to_owned(), "OTHER_API_KEY".to_owned()];
        assert!(matches!(
            from_environment(&names, |_| None),
            Err(SecretError::SameFile(..))
        ));
    }
}
