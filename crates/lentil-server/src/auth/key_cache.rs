use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::authenticator::NowMs;
use super::fetch::{FetchError, Fetched, Fetcher};
use super::key_set::KeySet;
use super::provider::Published;
use super::token::Token;

/// How long keys are used without asking for newer ones, unless their provider says shorter.
const MAX_AGE: Duration = Duration::from_secs(600);
/// The least time from one fetch to the next, however many tokens name unknown keys.
const BETWEEN_FETCHES: Duration = Duration::from_secs(10);

/// One provider's keys, fetched when they are needed.
///
/// They are fetched when there are none, when they have become old, and when they do not suffice for a token: when it
/// names a key that is not among them, or names none and they do not verify it, since the provider may have replaced
/// its only key. In any case they are fetched only some time after the last fetch began. A fetch runs in its own task:
/// callers wait for it, and one that stops waiting does not end it for the others. If it fails, the old keys stay in
/// use, and until a fetch succeeds, tokens signed with them do not wait for one.
pub(super) struct KeyCache {
    issuer: String,
    published: Published,
    fetcher: Fetcher,
    now_ms: NowMs,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: Option<Kept>,
    is_failing: bool,
    began_ms: Option<f64>,
    /// Closed when the fetch that began last has ended.
    running: Option<watch::Receiver<()>>,
}

struct Kept {
    keys: Arc<KeySet>,
    since_ms: f64,
    max_age: Duration,
}

impl KeyCache {
    pub(super) fn new(
        issuer: String,
        published: Published,
        fetcher: Fetcher,
        now_ms: NowMs,
    ) -> KeyCache {
        KeyCache {
            issuer,
            published,
            fetcher,
            now_ms,
            state: Mutex::default(),
        }
    }

    /// Returns the keys to verify a token with; `None` when there are none and none can be fetched now.
    pub(super) async fn keys_for(self: &Arc<Self>, token: &Token<'_>) -> Option<Arc<KeySet>> {
        // Without the lock, since it may verify a signature.
        let suffices = self.kept().is_some_and(|keys| match &token.key_id {
            Some(id) => keys.knows(id),
            None => keys.verify(token).is_ok(),
        });
        if let Some(mut running) = self.to_wait_for(suffices) {
            // Nothing is ever sent: this ends, with an error, when the fetch does.
            let _ = running.changed().await;
        }
        self.kept()
    }

    fn kept(&self) -> Option<Arc<KeySet>> {
        let state = self.state.lock();
        state.kept.as_ref().map(|kept| Arc::clone(&kept.keys))
    }

    /// Begins a fetch if one is due; returns the one to wait for. `suffices` says whether the keys of before do.
    fn to_wait_for(self: &Arc<Self>, suffices: bool) -> Option<watch::Receiver<()>> {
        let mut state = self.state.lock();
        let now_ms = (self.now_ms)();
        let is_new = state
            .kept
            .as_ref()
            .is_some_and(|kept| !has_passed(kept.max_age, kept.since_ms, now_ms));
        if suffices && is_new {
            return None;
        }
        if state.may_fetch(now_ms) {
            state.began_ms = Some(now_ms);
            state.running = Some(self.begin());
        }
        if suffices && state.is_failing {
            None
        } else {
            state.running.clone()
        }
    }

    fn begin(self: &Arc<Self>) -> watch::Receiver<()> {
        let (done, running) = watch::channel(());
        let cache = Arc::clone(self);
        tokio::spawn(async move {
            cache.settle(cache.fetcher.fetch(&cache.issuer, &cache.published).await);
            drop(done);
        });
        running
    }

    fn settle(&self, fetched: Result<Fetched, FetchError>) {
        let since_ms = (self.now_ms)();
        let mut state = self.state.lock();
        state.is_failing = fetched.is_err();
        match fetched {
            Ok(Fetched { keys, max_age }) => {
                let max_age = max_age.map_or(MAX_AGE, |max_age| max_age.min(MAX_AGE));
                state.kept = Some(Kept {
                    keys: Arc::new(keys),
                    since_ms,
                    max_age,
                });
            }
            Err(error) => {
                tracing::warn!(issuer = self.issuer, %error, "the keys of an auth provider could not be fetched");
            }
        }
    }
}

impl State {
    fn may_fetch(&self, now_ms: f64) -> bool {
        let is_running = self
            .running
            .as_ref()
            .is_some_and(|running| running.has_changed().is_ok());
        !is_running
            && self
                .began_ms
                .is_none_or(|began_ms| has_passed(BETWEEN_FETCHES, began_ms, now_ms))
    }
}

/// Returns whether so much time has passed; a clock that was set back has let it pass.
fn has_passed(time: Duration, since_ms: f64, now_ms: f64) -> bool {
    !(0.0..time.as_secs_f64() * 1e3).contains(&(now_ms - since_ms))
}
