use std::collections::HashMap;
use std::sync::Arc;

use lentil_store::{Commit, IndexRef};
use lentil_values::TableNumber;
use parking_lot::Mutex;

/// A cache of the stored environment variables, by name. A route that checks a key reads one with
/// each request.
///
/// The store notifies the cache of a commit before it acknowledges the commit. Variables that were
/// read while a commit arrived are not cached. So every read after an acknowledged change returns
/// the new value.
#[derive(Default)]
pub(crate) struct StoredEnvironment(Mutex<Cached>);

#[derive(Default)]
struct Cached {
    variables: Option<Arc<HashMap<String, String>>>,
    changes: u64,
}

impl StoredEnvironment {
    /// Invalidates the variables if the commit has changed the table of this number.
    pub(crate) fn committed(&self, commit: &Commit, table: TableNumber) {
        let by_id = IndexRef::ById(table);
        if commit.keys.iter().any(|(index, _)| *index == by_id) {
            self.invalidate();
        }
    }

    /// Invalidates the variables.
    pub(crate) fn invalidate(&self) {
        let mut cached = self.0.lock();
        cached.variables = None;
        cached.changes += 1;
    }

    /// Returns the variables if they are cached; otherwise the number of changes so far, for
    /// [`StoredEnvironment::add`].
    pub(crate) fn get(&self) -> Result<Arc<HashMap<String, String>>, u64> {
        let cached = self.0.lock();
        cached.variables.clone().ok_or(cached.changes)
    }

    /// Caches variables that were read after so many changes, unless there has been another change
    /// since.
    pub(crate) fn add(&self, variables: &Arc<HashMap<String, String>>, changes: u64) {
        let mut cached = self.0.lock();
        if cached.changes == changes {
            cached.variables = Some(Arc::clone(variables));
        }
    }
}
