//! Where secrets come from: the environment, else a file in the data folder that the first start makes.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The variable and the file of the key that opens the administrator's side of the API.
pub(crate) const ADMIN_KEY: &str = "LENTIL_ADMIN_KEY";

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SecretError {
    /// Set it to a value, or unset it to have one made.
    #[error("the environment variable {0} is empty; set it to a key, or unset it to have one made")]
    Empty(String),
    /// Take a key of letters, digits and signs.
    #[error(
        "{0} holds a character that no HTTP header can carry; use letters, digits and signs, without spaces"
    )]
    Unusable(String),
    /// Rename one.
    #[error("the secrets {0} and {1} would share the file {2}; rename one of them")]
    SameFile(String, String, String),
    /// Make the file readable, or remove it to have a new key made.
    #[error(
        "cannot read the key file {path}: {io}; make it readable, or remove it to have a new key made"
    )]
    Read { path: String, io: io::Error },
    /// Make room or give the permission.
    #[error("cannot write the key file {path}: {io}; the data folder must be writable")]
    Write { path: String, io: io::Error },
}

/// A secret with the place it came from.
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) source: Source,
}

#[derive(PartialEq, Eq)]
pub(crate) enum Source {
    Environment,
    File { path: PathBuf, is_new: bool },
}

/// The values that the environment gives, checked before anything on disk is touched.
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
            found.insert(name.clone(), usable(name, &value)?);
        }
    }
    Ok(found)
}

/// Every named secret: the environment's, else the file's, else a new one in a new file.
pub(crate) fn find(
    names: &[String],
    mut environment: HashMap<String, String>,
    folder: &Path,
    prefix: &str,
) -> Result<Vec<Found>, SecretError> {
    let find = |name: &String| {
        if let Some(value) = environment.remove(name) {
            return Ok(Found {
                name: name.clone(),
                value,
                source: Source::Environment,
            });
        }
        let path = folder.join(file_name(name));
        // The command line of Convex reads the deployment's name off the admin key, in front of the `|`.
        let prefix = if name == ADMIN_KEY {
            format!("{prefix}|")
        } else {
            String::new()
        };
        let (value, is_new) = read_or_make(name, &path, &prefix)?;
        Ok(Found {
            name: name.clone(),
            value,
            source: Source::File { path, is_new },
        })
    };
    names.iter().map(find).collect()
}

/// `CLONK_API_KEY` is kept in `api-key`: the words after the first.
fn file_name(name: &str) -> String {
    let words = name.split_once('_').map_or(name, |(_, rest)| rest);
    words.to_lowercase().replace('_', "-")
}

fn usable(name: &str, value: &str) -> Result<String, SecretError> {
    let value = value.trim_end_matches(['\r', '\n']);
    if value.is_empty() {
        return Err(SecretError::Empty(name.to_owned()));
    }
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(SecretError::Unusable(name.to_owned()));
    }
    Ok(value.to_owned())
}

fn read_or_make(name: &str, path: &Path, prefix: &str) -> Result<(String, bool), SecretError> {
    let shown = || path.display().to_string();
    let mut text = String::new();
    match File::open(path).and_then(|mut file| file.read_to_string(&mut text)) {
        Ok(_) => usable(&shown(), &text)
            .map(|value| (value, false))
            .map_err(|error| match error {
                SecretError::Empty(_) => SecretError::Read {
                    path: shown(),
                    io: io::Error::other("it is empty"),
                },
                other => other,
            }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let value = make(prefix).map_err(|io| SecretError::Write {
                path: name.to_owned(),
                io,
            })?;
            write_new(path, &value).map_err(|io| SecretError::Write { path: shown(), io })?;
            Ok((value, true))
        }
        Err(io) => Err(SecretError::Read { path: shown(), io }),
    }
}

/// 32 random bytes in hexadecimal digits, after this prefix.
pub(crate) fn make(prefix: &str) -> io::Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(format!(
        "{prefix}{}",
        data_encoding::HEXLOWER.encode(&bytes)
    ))
}

/// Writes the file whole or not at all, readable by its owner alone from the beginning.
pub(crate) fn write_new(path: &Path, value: &str) -> io::Result<()> {
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
    fn the_first_start_makes_keys_that_the_second_finds() {
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
    fn the_environment_wins_over_the_file() {
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
    fn an_empty_value_is_never_an_open_door() {
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
    fn a_key_that_no_header_can_carry_is_refused() {
        for value in ["two words", "tab\t", "é", "a\nb"] {
            assert!(matches!(
                from_environment(&names(), |_| Some(value.into())),
                Err(SecretError::Unusable(_))
            ));
        }
    }

    #[test]
    fn secrets_that_would_share_a_file_are_refused() {
        let names = ["CLONK_API_KEY".to_owned(), "OTHER_API_KEY".to_owned()];
        assert!(matches!(
            from_environment(&names, |_| None),
            Err(SecretError::SameFile(..))
        ));
    }
}
