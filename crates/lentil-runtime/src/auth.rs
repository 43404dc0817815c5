use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lentil_call::{Identity, UserIdentity};

/// The signed-in user of a call, `ctx.auth`.
///
/// ```
/// use lentil::{OrError, QueryCtx, Result};
///
/// async fn greeting(ctx: &mut QueryCtx, (): ()) -> Result<String> {
///     let user = ctx.auth.user_identity().or_error("nobody is signed in")?;
///     Ok(format!("Hello, {}!", user.name().unwrap_or("friend")))
/// }
/// ```
///
/// The cache keeps the result of a query that reads the user for that user only. Other results are
/// shared by all users.
#[derive(Clone, Default)]
pub struct Auth {
    identity: Identity,
    // Relaxed: the flag is read after the function has returned, and guards no other memory.
    asked: Arc<AtomicBool>,
}

impl Auth {
    pub(crate) fn new(identity: Identity) -> Auth {
        Auth {
            identity,
            asked: Arc::default(),
        }
    }

    /// Returns the signed-in user; `None` for a caller without a token, and for the administrator.
    pub fn user_identity(&self) -> Option<&UserIdentity> {
        self.asked.store(true, Ordering::Relaxed);
        self.identity.user()
    }

    /// Notes that a cached result depends on the user.
    pub(crate) fn note_asked(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Returns whether the call or a nested call has read the user.
    pub(crate) fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }
}
