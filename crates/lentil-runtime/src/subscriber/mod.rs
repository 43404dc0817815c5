//! The live queries of one client, all at one timestamp.
//!
//! ```text
//! add ─► new ── refresh ──► valid ◄── refresh ── invalidated
//!         ▲                   │                      ▲
//!         ├── set_identity ───┤                      │
//!         │                   └─── commit ───────────┤
//!         └──────────── set_identity ────────────────┘
//! ```
//!
//! A query is valid at a timestamp if no commit up to it invalidates the query's result.
//! [`Subscriber::refresh`] evaluates the new and the invalidated queries, and finds a timestamp at
//! which all are valid. It returns the results that differ from those that were sent last.

mod refresh;

use std::collections::BTreeMap;
use std::sync::Arc;

use lentil_call::{FunctionKind, FunctionPath, Identity, Result};
use lentil_store::Timestamp;
use lentil_values::Object;

use crate::cache::{CacheKey, QueryResult, args_json};
use crate::engine::{Engine, Function};
use crate::live::{Invalidation, Watcher};
use crate::memory::{Account, Charge, Watched};
use crate::run::wrong_kind;

/// The live queries of one client. All of them move together from timestamp to timestamp.
///
/// The client chooses an id for each query. [`Subscriber::refresh`] evaluates the queries that are
/// new or may have changed; [`ChangeNotifier::changed`] returns when there may be one. Dropping it
/// removes all queries.
pub struct Subscriber {
    engine: Engine,
    identity: Identity,
    /// The cache's key of the user.
    user: Arc<str>,
    watcher: Arc<Watcher>,
    queries: BTreeMap<u32, Subscription>,
    /// The account of the client, which is charged for its queries.
    account: Account,
    /// The timestamp of the last update.
    timestamp: Timestamp,
}

/// Notifies a client when one of its live queries may have changed.
#[derive(Clone)]
pub struct ChangeNotifier(Arc<Watcher>);

/// The changes of a client's live queries.
#[derive(Debug)]
pub struct Update {
    /// A timestamp at which the results of all queries are valid. It never decreases.
    pub timestamp: Timestamp,
    /// The new and the changed results, by the ids of their queries.
    pub changes: Vec<(u32, Arc<QueryResult>)>,
}

/// One live query of a client.
struct Subscription {
    path: FunctionPath,
    args: Object,
    /// The arguments as cache keys contain them.
    args_json: Arc<[u8]>,
    /// The charge for the query without its result.
    _charge: Charge,
    /// The end of the page that the last execution read.
    journal: Option<String>,
    function: Result<Arc<Function>>,
    result: Option<WatchedResult>,
    /// The result that the last update with this query contained.
    last_sent: Option<Arc<QueryResult>>,
}

/// The result of a query while it is watched.
struct WatchedResult {
    result: Arc<QueryResult>,
    key: CacheKey,
    invalidation: Arc<Invalidation>,
    _watched: Watched,
}

/// The memory of a live query beside its arguments and its result: keys, invalidations and
/// watchers.
const QUERY_OVERHEAD_BYTES: usize = 1_024;

impl Subscriber {
    /// Returns a client without queries.
    pub(crate) fn new(engine: Engine, identity: Identity) -> Subscriber {
        Subscriber {
            user: identity.key(),
            identity,
            watcher: engine.live().watcher(),
            queries: BTreeMap::new(),
            account: engine.memory().internal(),
            timestamp: Timestamp::MIN,
            engine,
        }
    }

    /// Charges this account for the queries. It may be evicted for them.
    #[must_use]
    pub fn charged_to(mut self, account: Account) -> Subscriber {
        self.account = account;
        self
    }

    /// Adds a query, or replaces the query with this id.
    ///
    /// `journal` is the journal of the last execution, which a client that reconnects sends.
    pub fn add(
        &mut self,
        query_id: u32,
        path: FunctionPath,
        args: Object,
        journal: Option<String>,
    ) {
        self.remove(query_id);
        let function = self.find(&path);
        let args_json = args_json(&args);
        let text_bytes = args_json.len() + journal.as_ref().map_or(0, String::len);
        let bytes = QUERY_OVERHEAD_BYTES + args.heap_size() + text_bytes;
        let subscription = Subscription {
            path,
            args,
            args_json,
            _charge: self.account.charge(bytes),
            journal,
            function,
            result: None,
            last_sent: None,
        };
        self.queries.insert(query_id, subscription);
    }

    /// Removes a query.
    pub fn remove(&mut self, query_id: u32) {
        if let Some(query) = self.queries.remove(&query_id) {
            self.unwatch(query.result);
        }
    }

    /// Returns whether there is a query with this id.
    pub fn contains(&self, query_id: u32) -> bool {
        self.queries.contains_key(&query_id)
    }

    /// Sets the identity with which the queries are evaluated. All of them are evaluated again.
    pub fn set_identity(&mut self, identity: Identity) {
        self.user = identity.key();
        self.identity = identity;
        let mut queries = std::mem::take(&mut self.queries);
        for query in queries.values_mut() {
            // The visibility of functions depends on the identity. `last_sent` stays, so that a
            // result that is equal under the new identity is not sent again.
            query.function = self.find(&query.path);
            self.unwatch(query.result.take());
        }
        self.queries = queries;
    }

    /// Returns the identity with which the queries are evaluated.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the end of the page that the last execution of a query read.
    pub fn journal(&self, query_id: u32) -> Option<&str> {
        self.queries.get(&query_id)?.journal.as_deref()
    }

    /// Returns whether a query is new or invalidated.
    pub fn is_stale(&self) -> bool {
        self.queries.values().any(|query| match &query.result {
            Some(watched) => watched.invalidation.is_set(),
            None => true,
        })
    }

    /// Returns a notifier of changes.
    pub fn change_notifier(&self) -> ChangeNotifier {
        ChangeNotifier(Arc::clone(&self.watcher))
    }

    fn find(&self, path: &FunctionPath) -> Result<Arc<Function>> {
        let visibility = self.identity.visibility();
        let function = self.engine.registry().named(path, visibility)?;
        match function.kind() {
            FunctionKind::Query => Ok(function),
            _ => Err(wrong_kind(&function, FunctionKind::Query)),
        }
    }

    fn unwatch(&self, watched: Option<WatchedResult>) {
        if let Some(watched) = watched {
            self.engine.live().unwatch(&watched.key, &self.watcher);
        }
    }
}

impl ChangeNotifier {
    /// Returns when a query may have changed since the last return.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        for query in std::mem::take(&mut self.queries).into_values() {
            self.unwatch(query.result);
        }
    }
}
