use std::fmt;
use std::sync::Arc;

/// A function's name, in its one canonical spelling: `module:function`, e.g. `jobs:upsert` or `admin/jobs:purge`.
///
/// Clients may also write `jobs.js:upsert`, and `jobs` for `jobs:default`; the split is at the last colon.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionPath(Arc<str>);

/// The text is no function path.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{path}` is no function path: write `module:function` in letters, digits, `_` and `.`, e.g. `jobs:upsert`"
)]
pub struct FunctionPathError {
    path: String,
}

impl FunctionPath {
    /// Reads any accepted spelling.
    ///
    /// # Errors
    /// When a part is empty, over 64 characters, or has a character other than letters, digits, `_` and `.`.
    pub fn parse(path: &str) -> Result<FunctionPath, FunctionPathError> {
        let (module, function) = path.rsplit_once(':').unwrap_or((path, "default"));
        let module = module.strip_suffix(".js").unwrap_or(module);
        if module.split('/').all(is_component) && is_component(function) && !function.contains('.')
        {
            return Ok(FunctionPath(format!("{module}:{function}").into()));
        }
        Err(FunctionPathError {
            path: path.chars().take(200).collect(),
        })
    }

    /// The spelling with the module's file: `jobs.js:upsert`.
    pub fn to_js(&self) -> String {
        self.0
            .rsplit_once(':')
            .map_or_else(String::new, |(module, function)| {
                format!("{module}.js:{function}")
            })
    }

    /// The canonical spelling, to be kept.
    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The canonical spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_component(part: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    part.len() <= 64 && part.chars().all(legal) && part.chars().any(|c| c.is_ascii_alphanumeric())
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
    fn every_spelling_has_one_canonical_form() {
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
    fn what_is_no_path_is_refused() {
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
}
