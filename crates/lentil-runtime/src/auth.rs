use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Identity, UserIdentity};

/// Who is signed in, `ctx.auth`.
///
/// A query that asks is answered for each user on their own, and from the cache to that user alone; one that does
/// not ask is answered once for all.
#[derive(Clone, Default)]
pub struct Auth {
    identity: Identity,
    asked: Arc<AtomicBool>,
}

impl Auth {
    pub(crate) fn new(identity: Identity) -> Auth {
        Auth {
            identity,
            asked: Arc::default(),
        }
    }

    /// The user who is signed in, or `None`: whoever comes without a token, or with the administrator's key alone.
    pub fn user_identity(&self) -> Option<&UserIdentity> {
        self.asked.store(true, Ordering::Relaxed);
        self.identity.user()
    }

    /// Notes that an answer taken from the cache rests on who asks.
    pub(crate) fn note_asked(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Whether the call, or one nested in it, has asked.
    pub(crate) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }
}
