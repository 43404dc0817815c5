//! Changes of the stored environment variables, as the administrator makes them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use lentil_database::{DatabaseReader, SystemTable};
use lentil_macros::{Args, ValueType};
use lentil_runtime::{
    BUILT_IN_VARIABLES, Code, EnvironmentVariable, Error, Functions, MutationCtx, QueryCtx, Result,
    Runtime, SystemModule,
};
use lentil_schema::{Doc, Document};
use lentil_values::{Nullable, Value};

const MAX_NAME_BYTES: usize = 256;
const MAX_VALUE_BYTES: usize = 8 << 10;
const MAX_VARIABLES: usize = EnvironmentVariable::MAX_COUNT;
/// The most bytes of all names and values together.
const MAX_TOTAL_BYTES: usize = 512 << 10;

/// A change of the stored environment variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentChange {
    /// The variable.
    pub name: String,
    /// Its new value; `None` removes it.
    pub value: Option<String>,
}

/// The reason why a change of the stored environment variables is rejected. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvironmentError {
    /// Choose another name.
    #[error(
        "`{0}` cannot name an environment variable: use at most {MAX_NAME_BYTES} letters, digits and `_`, with a letter first"
    )]
    Name(String),
    /// Read the variable, or choose another name.
    #[error("`{0}` is set by the server: it is the origin (`--origin`); choose another name")]
    BuiltIn(String),
    /// Shorten the value.
    #[error("the value of `{name}` is {bytes} bytes long; the limit is {MAX_VALUE_BYTES}")]
    Value {
        /// The variable.
        name: String,
        /// The length of its value.
        bytes: usize,
    },
    /// Remove some variables.
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
        let is_name = self.name.len() <= MAX_NAME_BYTES
            && self.name.starts_with(|c: char| c.is_ascii_alphabetic())
            && self
                .name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !is_name {
            let shown = self.name.chars().take(MAX_NAME_BYTES).collect();
            return Err(EnvironmentError::Name(shown));
        }
        if BUILT_IN_VARIABLES.contains(&self.name.as_str()) {
            return Err(EnvironmentError::BuiltIn(self.name.clone()));
        }
        match &self.value {
            Some(value) if value.len() > MAX_VALUE_BYTES => Err(EnvironmentError::Value {
                name: self.name.clone(),
                bytes: value.len(),
            }),
            _ => Ok(()),
        }
    }
}

/// The functions over the stored environment variables.
pub(crate) struct Environment;

#[async_trait]
impl SystemModule for Environment {
    fn functions(&self) -> Functions {
        Functions::in_module("_system/environment")
            .internal_mutation("change", change_all)
            .with(
                // The names by which `npx convex env` calls them.
                Functions::in_module("_system/cli/queryEnvironmentVariables")
                    .internal_query("default", variables)
                    .internal_query("get", variable),
            )
    }
}

/// Returns the stored environment variables, by name.
///
/// # Errors
/// When the store fails.
pub async fn list(runtime: &Runtime) -> Result<BTreeMap<String, String>> {
    let all = InComponent { component_id: None };
    let variables = runtime.system_query(variables, all).await?;
    let by_name = variables
        .into_iter()
        .map(|variable| (variable.name, variable.value));
    Ok(by_name.collect())
}

/// Changes stored environment variables, all or none. Live queries that read them run again.
///
/// # Errors
/// See [`EnvironmentError`].
pub async fn change(
    runtime: &Runtime,
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
    match runtime.system_mutation(change_all, changes).await {
        Ok(()) => Ok(()),
        Err(error) if error.code() == Code::LimitExceeded => Err(EnvironmentError::TooMany),
        Err(error) => Err(EnvironmentError::Failed(error)),
    }
}

#[derive(Args)]
struct InComponent {
    /// The component of the application; there is only one.
    component_id: Option<Value>,
}

#[derive(ValueType)]
struct Variable {
    name: String,
    value: String,
}

impl From<Doc<EnvironmentVariable>> for Variable {
    fn from(document: Doc<EnvironmentVariable>) -> Variable {
        Variable {
            name: document.fields.name,
            value: document.fields.value,
        }
    }
}

async fn variables(ctx: &mut QueryCtx, _: InComponent) -> Result<Vec<Variable>> {
    let all = all(&ctx.db).await?;
    Ok(all.into_iter().map(Variable::from).collect())
}

#[derive(Args)]
struct OneVariable {
    name: String,
    component_id: Option<Value>,
}

async fn variable(ctx: &mut QueryCtx, args: OneVariable) -> Result<Option<Variable>> {
    let range = EnvironmentVariable::BY_NAME.eq(args.name);
    let found = SystemTable::of(&ctx.db)?.first(range).await?;
    Ok(found.map(Variable::from))
}

async fn all(db: &DatabaseReader) -> Result<Vec<Doc<EnvironmentVariable>>> {
    SystemTable::of(db)?
        .scan(EnvironmentVariable::BY_NAME, MAX_VARIABLES)
        .await
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

async fn change_all(ctx: &mut MutationCtx, args: Changes) -> Result<()> {
    for Change { name, value } in args.changes {
        match value {
            Nullable::Value(value) => set(ctx, name, value).await?,
            Nullable::Null => remove(ctx, &name).await?,
        }
    }
    let all = all(&ctx.db).await?;
    // Checked after all changes, so that one request can remove a variable and add another.
    let sizes = all
        .iter()
        .map(|variable| variable.name.len() + variable.value.len());
    if sizes.sum::<usize>() > MAX_TOTAL_BYTES {
        let message = "too many bytes of environment variables";
        return Err(Error::new(Code::LimitExceeded, message));
    }
    Ok(())
}

async fn set(ctx: &mut MutationCtx, name: String, value: String) -> Result<()> {
    // Counted before the table is opened, because an open table borrows the transaction.
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
        None => {
            table.insert(EnvironmentVariable { name, value })?;
            Ok(())
        }
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
