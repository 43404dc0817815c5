use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::fetch::{FetchError, Fetched, Fetcher};
use super::key_set::KeySet;
use super::provider::KeyLocation;
use super::token::Token;

/// Returns the time in milliseconds since 1970.
pub(super) type NowMs = Arc<dyn Fn() -> f64 + Send + Sync>;

/// The longest time that keys are used without a new fetch. The provider may shorten it.
const MAX_AGE: Duration = Duration::from_secs(600);
/// The shortest interval between two fetches, also if tokens name unknown keys.
const MIN_FETCH_INTERVAL: Duration = Duration::from_secs(10);

/// One provider's keys, fetched on demand.
///
/// A token causes a fetch in three cases:
///
/// - There are no keys, or they are too old.
/// - The token names a key that is not among them.
/// - The token names no key and they do not verify it: the provider may have replaced its only key.
///
/// Between two fetches there is a minimum interval. A fetch is a separate task, so a caller that
/// stops waiting does not cancel it for the others. If it fails, the old keys remain in use. Until
/// a fetch succeeds, tokens that the old keys verify do not wait for one.
pub(super) struct KeyCache {
    issuer: String,
    location: KeyLocation,
    fetcher: Fetcher,
    now_ms: NowMs,
    state: Mutex<CacheState>,
}

#[derive(Default)]
struct CacheState {
    cached: Option<CachedKeys>,
    /// Whether the last fetch failed.
    is_failing: bool,
    /// The time at which the last fetch began.
    fetch_began_ms: Option<f64>,
    /// Closed when the last fetch ends.
    fetch: Option<watch::Receiver<()>>,
}

struct CachedKeys {
    keys: Arc<KeySet>,
    fetched_at_ms: f64,
    max_age: Duration,
}

impl KeyCache {
    pub(super) fn new(
        issuer: String,
        location: KeyLocation,
        fetcher: Fetcher,
        now_ms: NowMs,
    ) -> KeyCache {
        KeyCache {
            issuer,
            location,
            fetcher,
            now_ms,
            state: Mutex::default(),
        }
    }

    /// Returns the keys to verify a token with, or `None` if none are cached and none can be
    /// fetched now.
    pub(super) async fn keys_for(self: &Arc<Self>, token: &Token<'_>) -> Option<Arc<KeySet>> {
        // Checked without the lock, because it may verify a signature.
        let fit = match (self.cached(), &token.key_id) {
            (Some(keys), Some(id)) if keys.has_id(id) => KeyFit::Fits,
            (Some(keys), None) if keys.verify(token).is_ok() => KeyFit::Fits,
            _ => KeyFit::Missing,
        };
        if let Some(mut fetch) = self.fetch_to_await(fit) {
            // Nothing is ever sent. The wait ends with an error when the fetch ends.
            let _ = fetch.changed().await;
        }
        self.cached()
    }

    fn cached(&self) -> Option<Arc<KeySet>> {
        let state = self.state.lock();
        state.cached.as_ref().map(|cached| Arc::clone(&cached.keys))
    }

    /// Begins a fetch if one is due. Returns the fetch that the token must wait for.
    fn fetch_to_await(self: &Arc<Self>, fit: KeyFit) -> Option<watch::Receiver<()>> {
        let mut state = self.state.lock();
        let now_ms = (self.now_ms)();
        let is_fresh = state
            .cached
            .as_ref()
            .is_some_and(|cached| !has_passed(cached.max_age, cached.fetched_at_ms, now_ms));
        if fit == KeyFit::Fits && is_fresh {
            return None;
        }
        if state.may_fetch(now_ms) {
            state.fetch_began_ms = Some(now_ms);
            state.fetch = Some(self.begin_fetch());
        }
        if fit == KeyFit::Fits && state.is_failing {
            None
        } else {
            state.fetch.clone()
        }
    }

    fn begin_fetch(self: &Arc<Self>) -> watch::Receiver<()> {
        let (done, fetch) = watch::channel(());
        let cache = Arc::clone(self);
        tokio::spawn(async move {
            let fetched = cache.fetcher.fetch(&cache.issuer, &cache.location).await;
            cache.finish_fetch(fetched);
            // Wakes the waiting callers, which then read the new keys.
            drop(done);
        });
        fetch
    }

    fn finish_fetch(&self, fetched: Result<Fetched, FetchError>) {
        let fetched_at_ms = (self.now_ms)();
        let mut state = self.state.lock();
        state.is_failing = fetched.is_err();
        match fetched {
            Ok(Fetched { keys, max_age }) => {
                state.cached = Some(CachedKeys {
                    keys: Arc::new(keys),
                    fetched_at_ms,
                    max_age: max_age.unwrap_or(MAX_AGE).min(MAX_AGE),
                });
            }
            Err(error) => {
                tracing::warn!(
                    issuer = self.issuer,
                    %error,
                    "failed to fetch the keys of an auth provider"
                );
            }
        }
    }
}

/// Whether the cached keys can decide about a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyFit {
    Fits,
    Missing,
}

impl CacheState {
    fn may_fetch(&self, now_ms: f64) -> bool {
        // The sender is dropped when the fetch ends. From then on `has_changed` returns an error.
        let is_fetching = self
            .fetch
            .as_ref()
            .is_some_and(|fetch| fetch.has_changed().is_ok());
        let is_due = self
            .fetch_began_ms
            .is_none_or(|began_ms| has_passed(MIN_FETCH_INTERVAL, began_ms, now_ms));
        is_due && !is_fetching
    }
}

/// Returns whether a time has passed since `since_ms`. After the clock was set back, it counts as
/// passed.
fn has_passed(time: Duration, since_ms: f64, now_ms: f64) -> bool {
    !(0.0..time.as_secs_f64() * 1e3).contains(&(now_ms - since_ms))
}
