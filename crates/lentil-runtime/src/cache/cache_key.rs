use std::hash::{Hash, Hasher};
use std::sync::Arc;

use lentil_call::Visibility;
use lentil_values::{JsonForm, Object};

use super::query_result::QueryResult;

/// The identity of a call, to which a cached result belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheKey {
    pub(super) function: Arc<str>,
    /// As JSON.
    args: Arc<[u8]>,
    // With another journal, a paginated query ends its page elsewhere.
    journal: Option<Arc<str>>,
    visibility: Visibility,
    /// The user, if the function asks for its user.
    user: Option<Arc<str>>,
}

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Hashes only function and arguments, because user-specific and shared keys of a call must
        // hash alike.
        self.function.hash(state);
        self.args.hash(state);
    }
}

/// Returns arguments as JSON, as keys hold them.
pub(crate) fn args_json(args: &Object) -> Arc<[u8]> {
    let mut text = Vec::with_capacity(args.size() + 64);
    args.write_json(JsonForm::Encoded, &mut text);
    text.into()
}

impl CacheKey {
    /// Returns the key of a call. `function` is the canonical path, `journal` that of the execution
    /// before.
    pub fn new(
        function: impl Into<Arc<str>>,
        args: &Object,
        journal: Option<&str>,
        visibility: Visibility,
    ) -> CacheKey {
        CacheKey::of_json(function, args_json(args), journal, visibility)
    }

    /// Returns the key of a call whose arguments are JSON already.
    pub(crate) fn of_json(
        function: impl Into<Arc<str>>,
        args: Arc<[u8]>,
        journal: Option<&str>,
        visibility: Visibility,
    ) -> CacheKey {
        CacheKey {
            function: function.into(),
            args,
            journal: journal.map(Arc::from),
            visibility,
            user: None,
        }
    }

    /// Returns the arguments as JSON.
    pub(crate) fn args(&self) -> Arc<[u8]> {
        Arc::clone(&self.args)
    }

    /// Returns the key of a call that continues with the journal of this result.
    pub(crate) fn with_journal_of(&self, result: &QueryResult, user: &Arc<str>) -> CacheKey {
        let journal = result.journal.as_deref().map(Arc::from);
        CacheKey {
            journal,
            ..self.of_result(result, user)
        }
    }

    /// Returns the key of this call's result: with the user if the execution asked for it.
    pub(super) fn of_result(&self, result: &QueryResult, user: &Arc<str>) -> CacheKey {
        if result.read_set.reads_identity() {
            self.for_user(user)
        } else {
            self.clone()
        }
    }

    pub(super) fn for_user(&self, user: &Arc<str>) -> CacheKey {
        CacheKey {
            user: Some(Arc::clone(user)),
            ..self.clone()
        }
    }

    pub(super) fn size(&self) -> usize {
        let optional = [&self.journal, &self.user].into_iter().flatten();
        let optional: usize = optional.map(|text| text.len()).sum();
        self.function.len() + self.args.len() + optional
    }
}
