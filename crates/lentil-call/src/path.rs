use std::fmt;
use std::sync::Arc;

use lentil_values::Excerpt;

/// The path of a function in canonical form: `module:function`, e.g. `jobs:upsert` or
/// `admin/jobs:purge`.
///
/// Clients may also write `jobs.js:upsert`, and `jobs` for `jobs:default`. The last colon separates
/// module and function.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionPath(Arc<str>);

/// The error of a text that is not a function path.
#[derive(Debug, thiserror::Error)]
#[error(
    "{path} is not a function path: write `module:function`, such as `jobs:upsert`, in letters, digits, `_` and `.`, \
     each part at most {MAX_PART_BYTES} characters long and all of it at most {MAX_PATH_BYTES}"
)]
pub struct FunctionPathError {
    /// The text in quotes, shortened if it is long.
    path: String,
}

/// The longest name of a folder, a module or a function, as in Convex.
const MAX_PART_BYTES: usize = 64;
/// The longest path. Live queries, scheduled functions and cached results keep paths that clients
/// choose.
const MAX_PATH_BYTES: usize = 1_024;

impl FunctionPath {
    /// The beginning of the paths of the system's functions.
    pub const SYSTEM_PREFIX: &str = "_system/";

    /// Returns whether the function belongs to the system.
    pub fn is_system(&self) -> bool {
        self.0.starts_with(FunctionPath::SYSTEM_PREFIX)
    }

    /// Parses any accepted spelling.
    ///
    /// # Errors
    /// When a part is empty, is longer than 64 characters, or has characters other than letters,
    /// digits, `_` and `.`; when the path is longer than 1,024 characters.
    pub fn parse(path: &str) -> Result<FunctionPath, FunctionPathError> {
        let refuse = || FunctionPathError {
            path: Excerpt(path).to_string(),
        };
        // First, because the checks below read the whole path.
        if path.len() > MAX_PATH_BYTES {
            return Err(refuse());
        }
        let (module, function) = path.rsplit_once(':').unwrap_or((path, "default"));
        let module = module.strip_suffix(".js").unwrap_or(module);
        // A file name may contain a dot, but a function is an identifier of its module.
        if module.split('/').all(is_component) && is_component(function) && !function.contains('.')
        {
            return Ok(FunctionPath(format!("{module}:{function}").into()));
        }
        Err(refuse())
    }

    /// Returns the path with the module's file name: `jobs.js:upsert`.
    pub fn to_js(&self) -> String {
        self.0
            .rsplit_once(':')
            .map_or_else(String::new, |(module, function)| {
                format!("{module}.js:{function}")
            })
    }

    /// Returns the canonical form in shared memory.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// Returns the canonical form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_component(part: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    part.len() <= MAX_PART_BYTES
        && part.chars().all(legal)
        // Rejects `.` and `..`, which are not names of files.
        && part.chars().any(|c| c.is_ascii_alphanumeric())
}

impl fmt::Display for FunctionPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FunctionPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_spelling_has_one_canonical_form() {
        for (spelling, canonical) in [
            ("jobs:upsert", "jobs:upsert"),
            ("jobs.js:upsert", "jobs:upsert"),
            ("jobs", "jobs:default"),
            ("jobs.js", "jobs:default"),
            ("dir/file:fn", "dir/file:fn"),
        ] {
            assert_eq!(FunctionPath::parse(spelling).unwrap().as_str(), canonical);
        }
    }

    #[test]
    fn other_texts_are_rejected() {
        for path in [
            "",
            ":",
            "a:",
            ":b",
            "a b:c",
            "a-b:c",
            "a//b:c",
            "a:b:c",
            "é:f",
            &"x".repeat(65),
        ] {
            assert!(FunctionPath::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_long_path_is_rejected_and_quoted_in_part() {
        let longest = format!("{}a:b", "dir/".repeat(255));
        assert_eq!(longest.len(), MAX_PATH_BYTES - 1);
        assert!(FunctionPath::parse(&longest).is_ok());
        for path in [format!("{longest}bc"), "a/".repeat(4 << 20)] {
            let error = FunctionPath::parse(&path).unwrap_err().to_string();
            assert!(error.contains("1024") && error.len() < 500, "{error}");
        }
    }
}
