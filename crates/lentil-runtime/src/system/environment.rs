use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use lentil_database::{DatabaseReader, SystemTable};
use lentil_macros::{Args, Document, ValueType};
use lentil_schema::{Doc, Document};
use lentil_values::Nullable;

use super::StoredEnvironment;
use crate::engine::Engine;
use crate::http::Secret;
use crate::options::Environment;
use crate::{Code, Error, Functions, MutationCtx, Result, Runtime};

/// A stored environment variable.
#[derive(Document, Clone, Debug)]
#[system]
#[table("_environment_variables")]
#[index(by_name(name))]
pub(crate) struct EnvironmentVariable {
    pub(crate) name: String,
    pub(crate) value: String,
}

const MAX_NAME: usize = 256;
const MAX_VALUE: usize = 8 << 10;
const MAX_VARIABLES: usize = 512;
/// Of all names and values together.
const MAX_TOTAL_BYTES: usize = 512 << 10;

/// Variables that always name the server's origin, on which the application's routes are served too.
const BUILT_IN: [&str; 2] = ["CONVEX_CLOUD_URL", "CONVEX_SITE_URL"];

/// A change of the stored environment variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentChange {
    /// The variable.
    pub name: String,
    /// Its new value; `None` removes it.
    pub value: Option<String>,
}

/// Why a change of the stored environment variables is refused. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// Choose another name.
    #[error(
        "`{0}` is no name of an environment variable: take letters, digits and `_`, a letter first, at most {MAX_NAME}"
    )]
    Name(String),
    /// Read it, or choose another name.
    #[error("`{0}` is set by the server: it is the origin (`--origin`); choose another name")]
    BuiltIn(String),
    /// Shorten it.
    #[error("the value of `{name}` is {bytes} bytes long; the limit is {MAX_VALUE}")]
    Value {
        /// The variable.
        name: String,
        /// The length of its value.
        bytes: usize,
    },
    /// Remove some.
    #[error(
        "there would be more than {MAX_VARIABLES} environment variables or {MAX_TOTAL_BYTES} bytes in them; remove some first"
    )]
    TooMany,
    /// Try again later.
    #[error("{}", .0.message())]
    Failed(Error),
}

impl EnvironmentChange {
    fn check(&self) -> Result<(), EnvironmentError> {
        let is_name = self.name.len() <= MAX_NAME
            && self.name.starts_with(|c: char| c.is_ascii_alphabetic())
            && self
                .name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            return Err(EnvironmentError::Name(
                self.name.chars().take(MAX_NAME).collect(),
            ));
        }
        if BUILT_IN.contains(&self.name.as_str()) {
            return Err(EnvironmentError::BuiltIn(self.name.clone()));
        }
        match self.value.as_ref().map_or(0, String::len) {
            bytes if bytes > MAX_VALUE => Err(EnvironmentError::Value {
                name: self.name.clone(),
                bytes,
            }),
            _ => Ok(()),
        }
    }
}

/// Returns the stored value of a variable, as this transaction sees it.
pub(super) async fn stored_value(db: &DatabaseReader, name: &str) -> Result<Option<String>> {
    let found = SystemTable::of(db)?
        .first(EnvironmentVariable::BY_NAME.eq(name))
        .await?;
    Ok(found.map(|found| found.fields.value))
}

/// Returns every stored variable, by name.
pub(super) async fn all(db: &DatabaseReader) -> Result<Vec<Doc<EnvironmentVariable>>> {
    SystemTable::of(db)?
        .scan(EnvironmentVariable::BY_NAME, MAX_VARIABLES)
        .await
}

/// The parts of a runtime that only its environment variables use.
pub(crate) struct EnvironmentParts {
    process: Environment,
    secrets: BTreeMap<String, DeclaredSecret>,
    pub(crate) stored: Arc<StoredEnvironment>,
}

/// A secret that the application has declared.
struct DeclaredSecret {
    secret: Secret,
    /// Whether a variable of the process has its name. Then a stored one does not count.
    is_of_process: bool,
}

impl EnvironmentParts {
    /// Returns the environment of a runtime. `secrets` holds the generated values of the declared secrets.
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

/// Returns the value of a variable within a transaction.
///
/// The process's own variables come first, then the built-in ones, the stored ones, and the generated secrets.
pub(crate) async fn read(
    engine: &Engine,
    db: &DatabaseReader,
    name: &str,
) -> Result<Option<String>> {
    if let Some(value) = engine.fixed_variable(name) {
        return Ok(Some(value));
    }
    let stored = stored_value(db, name).await?;
    Ok(stored.or_else(|| engine.secret_value(name)))
}

impl Engine {
    /// The value of an environment variable now: the process's or built-in one, or the stored one, or the generated
    /// secret.
    pub(crate) async fn environment(&self, name: &str) -> Result<Option<String>> {
        if let Some(value) = self.fixed_variable(name) {
            return Ok(Some(value));
        }
        let stored = self.stored_environment().await?.get(name).cloned();
        Ok(stored.or_else(|| self.secret_value(name)))
    }

    /// A variable that cannot change while the server runs.
    fn fixed_variable(&self, name: &str) -> Option<String> {
        let built_in = || BUILT_IN.contains(&name).then(|| self.origin().to_owned());
        (self.parts().environment.process)(name).or_else(built_in)
    }

    /// The secret that the application declared under this name.
    pub(crate) async fn secret(&self, name: &str) -> Result<Secret> {
        let Some(declared) = self.parts().environment.secrets.get(name) else {
            let message = format!(
                "no secret `{name}` is declared: add `.secret(\"{name}\")` to the application"
            );
            return Err(Error::new(Code::Uncaught, message));
        };
        if declared.is_of_process {
            return Ok(declared.secret.clone());
        }
        let stored = self.stored_environment().await?;
        // An empty variable is no key: it would be an open door.
        let stored = stored.get(name).filter(|value| !value.is_empty());
        Ok(stored.map_or_else(|| declared.secret.clone(), Secret::new))
    }

    /// Returns the generated value of a declared secret.
    fn secret_value(&self, name: &str) -> Option<String> {
        let declared = self.parts().environment.secrets.get(name)?;
        Some(declared.secret.reveal().to_owned())
    }
}

impl Runtime {
    /// The stored environment variables, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn environment_variables(&self) -> Result<BTreeMap<String, String>> {
        let stored = self.engine.stored_environment().await?;
        Ok(stored
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect())
    }

    /// Changes stored environment variables, all or none. What read them runs again.
    ///
    /// # Errors
    /// As [`EnvironmentError`] says.
    pub async fn change_environment(
        &self,
        changes: &[EnvironmentChange],
    ) -> Result<(), EnvironmentError> {
        for change in changes {
            change.check()?;
        }
        let changes = changes.iter().map(|change| Change {
            name: change.name.clone(),
            value: change.value.clone().into(),
        });
        let changes = Changes {
            changes: changes.collect(),
        };
        match self.engine.system_mutation(change, changes).await {
            Ok(()) => Ok(()),
            Err(error) if error.code() == Code::LimitExceeded => Err(EnvironmentError::TooMany),
            Err(error) => Err(EnvironmentError::Failed(error)),
        }
    }
}

pub(super) fn functions() -> Functions {
    Functions::in_module("_system/environment").internal_mutation("change", change)
}

#[derive(Args)]
struct Changes {
    changes: Vec<Change>,
}

#[derive(ValueType)]
struct Change {
    name: String,
    /// Null removes the variable.
    value: Nullable<String>,
}

async fn change(ctx: &mut MutationCtx, args: Changes) -> Result<()> {
    for Change { name, value } in args.changes {
        match value {
            Nullable::Value(value) => set(ctx, name, value).await?,
            Nullable::Null => remove(ctx, &name).await?,
        }
    }
    let all = all(&ctx.db).await?;
    let sizes = all.iter().map(|all| all.name.len() + all.value.len());
    if sizes.sum::<usize>() > MAX_TOTAL_BYTES {
        let message = "too many bytes of environment variables";
        return Err(Error::new(Code::LimitExceeded, message));
    }
    Ok(())
}

async fn set(ctx: &mut MutationCtx, name: String, value: String) -> Result<()> {
    let count = all(&ctx.db).await?.len();
    let mut table = SystemTable::of(&ctx.db)?;
    let old = table.first(EnvironmentVariable::BY_NAME.eq(&name)).await?;
    match old {
        Some(old) => {
            let patch = EnvironmentVariable::patch().value(value);
            table.patch(&old.id, patch).await
        }
        None if count >= MAX_VARIABLES => {
            let message = "too many environment variables";
            Err(Error::new(Code::LimitExceeded, message))
        }
        None => table.insert(EnvironmentVariable { name, value }).map(drop),
    }
}

async fn remove(ctx: &mut MutationCtx, name: &str) -> Result<()> {
    let mut table = SystemTable::of(&ctx.db)?;
    let old = table.first(EnvironmentVariable::BY_NAME.eq(name)).await?;
    match old {
        Some(old) => table.delete(&old.id).await,
        None => Ok(()),
    }
}
