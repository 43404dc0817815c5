use std::hash::{Hash, Hasher};
use std::sync::Arc;

use lentil_values::{JsonForm, Object};

use super::CachedRun;
use crate::Visibility;

/// Which call an answer belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheKey {
    pub(super) function: Arc<str>,
    /// As JSON.
    args: Arc<[u8]>,
    journal: Option<Arc<str>>,
    visibility: Visibility,
    /// The user, where the function asks for that.
    user: Option<Arc<str>>,
}

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // By the rest few keys differ; and a call has one hash, whether its answer is one user's or everybody's.
        self.function.hash(state);
        self.args.hash(state);
    }
}

/// Arguments as a key has them.
pub(crate) fn args_json(args: &Object) -> Arc<[u8]> {
    let mut text = Vec::with_capacity(args.size() + 64);
    args.write_json(JsonForm::Encoded, &mut text);
    text.into()
}

impl CacheKey {
    /// The key of a call: the function's canonical path, its arguments, and the journal of the run before.
    pub fn new(
        function: impl Into<Arc<str>>,
        args: &Object,
        journal: Option<&str>,
        visibility: Visibility,
    ) -> CacheKey {
        CacheKey::of_json(function, args_json(args), journal, visibility)
    }

    /// The key of a call whose arguments are JSON already, and are shared.
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

    /// The key under which the answer of a run made for `user` stands.
    pub(crate) fn of_run(&self, run: &CachedRun, user: &Arc<str>) -> CacheKey {
        let journal = run.journal.as_deref().map(Arc::from);
        CacheKey {
            journal,
            ..self.of_answer(run, user)
        }
    }

    /// The key under which a call with this one's journal finds that answer.
    pub(super) fn of_answer(&self, run: &CachedRun, user: &Arc<str>) -> CacheKey {
        if run.read_set.reads_identity() {
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
        self.function.len() + self.args.len() + optional.map(|text| text.len()).sum::<usize>()
    }
}
