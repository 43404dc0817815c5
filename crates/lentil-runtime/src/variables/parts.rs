use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use lentil_macros::Document;

use super::stored::StoredEnvironment;
use crate::http::Secret;

/// Looks up a variable of the process's environment.
pub type Environment = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// The variables that always contain the server's origin, on which the application's routes are
/// served too.
pub const BUILT_IN_VARIABLES: [&str; 2] = ["CONVEX_CLOUD_URL", "CONVEX_SITE_URL"];

/// A stored environment variable.
#[derive(Document, Clone, Debug)]
#[system]
#[table("_environment_variables")]
#[index(by_name(name))]
pub struct EnvironmentVariable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl EnvironmentVariable {
    /// The most variables that are stored.
    pub const MAX_COUNT: usize = 512;
}

/// The parts of an engine that only its environment variables use.
pub(crate) struct EnvironmentParts {
    pub(crate) process: Environment,
    pub(crate) secrets: BTreeMap<String, DeclaredSecret>,
    pub(crate) stored: Arc<StoredEnvironment>,
}

/// A secret that the application has declared.
pub(crate) struct DeclaredSecret {
    pub(crate) secret: Secret,
    /// Whether a variable of the process has its name. Then a stored one does not count.
    pub(crate) is_of_process: bool,
}

impl EnvironmentParts {
    /// Returns the environment of an engine. `secrets` holds the generated values of the declared
    /// secrets.
    pub(crate) fn new(process: Environment, secrets: HashMap<String, Secret>) -> EnvironmentParts {
        let declared = secrets.into_iter().map(|(name, generated)| {
            let of_process = process(&name);
            let declared = DeclaredSecret {
                is_of_process: of_process.is_some(),
                secret: match of_process {
                    Some(value) if !value.is_empty() => Secret::new(value),
                    _ => generated,
                },
            };
            (name, declared)
        });
        let secrets = declared.collect();
        EnvironmentParts {
            process,
            secrets,
            stored: Arc::default(),
        }
    }
}
