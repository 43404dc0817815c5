//! Reading environment variables.
//!
//! The process's own variables come first, then the built-in ones, the stored ones, and the
//! generated secrets.

use std::collections::HashMap;
use std::sync::Arc;

use lentil_call::{Code, Error, Result, store_error};
use lentil_database::{DatabaseReader, SystemTable};

use crate::engine::Engine;
use crate::http::Secret;
use crate::internal;
use crate::variables::{BUILT_IN_VARIABLES, EnvironmentVariable};

/// Returns the value of a variable within a transaction.
pub(crate) async fn variable_within(
    engine: &Engine,
    db: &DatabaseReader,
    name: &str,
) -> Result<Option<String>> {
    if let Some(value) = fixed_variable(engine, name) {
        return Ok(Some(value));
    }
    let found = SystemTable::of(db)?
        .first(EnvironmentVariable::BY_NAME.eq(name))
        .await?;
    let stored = found.map(|found| found.fields.value);
    Ok(stored.or_else(|| generated_secret(engine, name)))
}

/// Returns the current value of a variable, outside of a transaction.
pub(crate) async fn variable_now(engine: &Engine, name: &str) -> Result<Option<String>> {
    if let Some(value) = fixed_variable(engine, name) {
        return Ok(Some(value));
    }
    let stored = stored_variables(engine).await?.get(name).cloned();
    Ok(stored.or_else(|| generated_secret(engine, name)))
}

/// Returns the secret that the application declared under this name.
pub(crate) async fn secret(engine: &Engine, name: &str) -> Result<Secret> {
    let Some(declared) = engine.parts().environment.secrets.get(name) else {
        let message =
            format!("no secret `{name}` is declared: add `.secret(\"{name}\")` to the application");
        return Err(Error::new(Code::Uncaught, message));
    };
    if declared.is_of_process {
        return Ok(declared.secret.clone());
    }
    // An empty variable must not become a key that everybody knows.
    match stored_variables(engine).await?.get(name) {
        Some(value) if !value.is_empty() => Ok(Secret::new(value)),
        _ => Ok(declared.secret.clone()),
    }
}

/// Returns a variable that cannot change while the server runs.
fn fixed_variable(engine: &Engine, name: &str) -> Option<String> {
    let of_process = (engine.parts().environment.process)(name);
    if of_process.is_none() && BUILT_IN_VARIABLES.contains(&name) {
        return Some(engine.origin().to_owned());
    }
    of_process
}

fn generated_secret(engine: &Engine, name: &str) -> Option<String> {
    let declared = engine.parts().environment.secrets.get(name)?;
    Some(declared.secret.reveal().to_owned())
}

/// Returns the stored variables, by name.
async fn stored_variables(engine: &Engine) -> Result<Arc<HashMap<String, String>>> {
    engine.store().catch_up().await.map_err(store_error)?;
    let cache = &engine.parts().environment.stored;
    let changes = match cache.get() {
        Ok(variables) => return Ok(variables),
        Err(changes) => changes,
    };
    // Boxed, so that calls that find the variables in the cache do not hold room for reading them.
    let variables = Arc::new(Box::pin(read_variables(engine)).await?);
    cache.add(&variables, changes);
    Ok(variables)
}

async fn read_variables(engine: &Engine) -> Result<HashMap<String, String>> {
    let stored = SystemTable::open(&internal::read(engine).await?)?
        .scan(EnvironmentVariable::BY_NAME, EnvironmentVariable::MAX_COUNT)
        .await?;
    let by_name = stored
        .into_iter()
        .map(|variable| (variable.fields.name, variable.fields.value));
    Ok(by_name.collect())
}
