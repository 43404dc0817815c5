use std::collections::BTreeMap;
use std::sync::Arc;

use lentil_store::StoredDocument;
use lentil_values::{FieldName, Object, Value, v};

use super::SystemTable;
use super::function::{mutation, object};
use crate::database::Transaction;
use crate::http::Secret;
use crate::{Code, Error, Function, Result, Runtime};

pub(crate) const TABLE: &str = "_environment_variables";
pub(super) const BY_NAME: &str = "by_name";
pub(super) const GET: &str = "_system/cli/queryEnvironmentVariables:get";

const CHANGE: &str = "_system/environment:change";

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

/// The stored value of a variable, as this transaction sees it.
async fn stored(transaction: &mut Transaction, name: &str) -> Result<Option<Arc<StoredDocument>>> {
    let rows = SystemTable::open(transaction, TABLE)
        .find(BY_NAME, &[Value::from(name)], 1)
        .await?;
    Ok(rows.into_iter().next().map(|row| row.document))
}

pub(super) async fn stored_value(
    transaction: &mut Transaction,
    name: &str,
) -> Result<Option<String>> {
    let found = stored(transaction, name).await?;
    Ok(found.and_then(|document| document.fields.get("value")?.as_str().map(str::to_owned)))
}

/// Every stored variable, by name.
pub(super) async fn all(transaction: &mut Transaction) -> Result<Vec<(String, String)>> {
    let rows = SystemTable::open(transaction, TABLE)
        .find_uncounted(BY_NAME, &[], None, MAX_VARIABLES)
        .await?;
    let text =
        |document: &StoredDocument, field| document.fields.get(field)?.as_str().map(str::to_owned);
    Ok(rows
        .iter()
        .filter_map(|row| Some((text(&row.document, "name")?, text(&row.document, "value")?)))
        .collect())
}

/// The value of a variable within a transaction: the process's or built-in one, or the stored one, or the generated
/// secret.
pub(crate) async fn read(
    runtime: &Runtime,
    transaction: &mut Transaction,
    name: &str,
) -> Result<Option<String>> {
    if let Some(value) = runtime.fixed_variable(name) {
        return Ok(Some(value));
    }
    let stored = stored_value(transaction, name).await?;
    Ok(stored.or_else(|| runtime.secret_value(name)))
}

impl Runtime {
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
        self.process_environment(name).or_else(built_in)
    }

    /// The stored environment variables, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn environment_variables(&self) -> Result<BTreeMap<String, String>> {
        let stored = self.stored_environment().await?;
        Ok(stored
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect())
    }

    /// The secret that the application declared under this name.
    pub(crate) async fn secret(&self, name: &str) -> Result<Secret> {
        let Some(declared) = self.declared_secret(name) else {
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

    /// Changes stored environment variables, all or none. What read them runs again.
    ///
    /// # Errors
    /// As [`EnvironmentError`] says.
    pub async fn change_environment(
        &self,
        changes: &[EnvironmentChange],
    ) -> Result<(), EnvironmentError> {
        changes.iter().try_for_each(EnvironmentChange::check)?;
        let change = |change: &EnvironmentChange| {
            let value = change.value.as_deref().map_or(Value::Null, Value::from);
            object([("name", change.name.as_str().into()), ("value", value)])
        };
        let changes = Value::Array(changes.iter().map(change).collect());
        let changed = self.system_mutation(CHANGE, Object::from([("changes", changes)]));
        match changed.await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Code::LimitExceeded => Err(EnvironmentError::TooMany),
            Err(error) => Err(EnvironmentError::Failed(error)),
        }
    }
}

pub(super) fn functions() -> Vec<Function> {
    let change = v::object([
        ("name", v::string()),
        ("value", v::union([v::string(), v::null()])),
    ]);
    vec![mutation(
        CHANGE,
        [("changes", v::array(change).into())],
        |ctx, args| {
            Box::pin(async move {
                let transaction = &mut *ctx.db.transaction()?;
                let changes = args
                    .get("changes")
                    .and_then(Value::as_array)
                    .unwrap_or_default();
                for change in changes.iter().filter_map(Value::as_object) {
                    let name = change
                        .get("name")
                        .and_then(Value::as_str)
                        .unwrap_or_default();
                    apply(
                        transaction,
                        name,
                        change.get("value").and_then(Value::as_str),
                    )
                    .await?;
                }
                check_total(transaction).await?;
                Ok(Value::Null)
            })
        },
    )]
}

async fn check_total(transaction: &mut Transaction) -> Result<()> {
    let all = all(transaction).await?;
    let total: usize = all
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if total > MAX_TOTAL_BYTES {
        return Err(Error::new(
            Code::LimitExceeded,
            "too many bytes of environment variables",
        ));
    }
    Ok(())
}

/// Stores a variable, or removes it where there is no value.
async fn apply(transaction: &mut Transaction, name: &str, value: Option<&str>) -> Result<()> {
    let old = stored(transaction, name).await?;
    let count = all(transaction).await?.len();
    let mut table = SystemTable::open(transaction, TABLE);
    match (old, value) {
        (None, None) => Ok(()),
        (Some(old), None) => {
            table.delete(old);
            Ok(())
        }
        (Some(old), Some(value)) => {
            let mut new = (*old).clone();
            new.fields
                .insert(FieldName::from_static("value"), Value::from(value));
            table.put(Some(old), new)
        }
        (None, Some(_)) if count >= MAX_VARIABLES => Err(Error::new(
            Code::LimitExceeded,
            "too many environment variables",
        )),
        (None, Some(value)) => table
            .insert([("name", Value::from(name)), ("value", Value::from(value))])
            .map(drop),
    }
}
