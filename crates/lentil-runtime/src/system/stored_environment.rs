use std::collections::HashMap;
use std::sync::Arc;

use lentil_call::store_error;
use lentil_store::{Commit, IndexRef};
use lentil_values::TableNumber;
use parking_lot::Mutex;

use super::environment;
use crate::Result;
use crate::engine::Engine;

/// The stored environment variables, kept at hand until a commit changes them: a route that checks a key asks for one
/// with each request.
///
/// Commits are told before they are acknowledged, and what was read while one came in is not kept; so whoever asks
/// after a change was acknowledged sees it.
#[derive(Default)]
pub(crate) struct StoredEnvironment(Mutex<State>);

#[derive(Default)]
struct State {
    variables: Option<Arc<HashMap<String, String>>>,
    changes: u64,
}

impl StoredEnvironment {
    /// Forgets the variables if the commit has changed the table of this number.
    pub(crate) fn committed(&self, commit: &Commit, table: TableNumber) {
        if commit
            .keys
            .iter()
            .any(|(index, _)| *index == IndexRef::ById(table))
        {
            self.forget();
        }
    }

    /// Forgets the variables.
    pub(crate) fn forget(&self) {
        let mut state = self.0.lock();
        state.variables = None;
        state.changes += 1;
    }
}

impl Engine {
    /// The stored environment variables, by name.
    pub(super) async fn stored_environment(&self) -> Result<Arc<HashMap<String, String>>> {
        self.store().catch_up().await.map_err(store_error)?;
        let changes = {
            let state = self.parts().environment.stored.0.lock();
            if let Some(variables) = &state.variables {
                return Ok(Arc::clone(variables));
            }
            state.changes
        };
        // Apart, so that those who find them at hand do not carry the room that reading takes.
        let variables = Box::pin(async { environment::all(&self.reading().await?).await }).await?;
        let by_name = variables
            .into_iter()
            .map(|variable| (variable.fields.name, variable.fields.value));
        let variables = Arc::new(by_name.collect());
        let mut state = self.parts().environment.stored.0.lock();
        if state.changes == changes {
            state.variables = Some(Arc::clone(&variables));
        }
        Ok(variables)
    }
}
