mod refresh;

use std::collections::BTreeMap;
use std::sync::Arc;

use lentil_call::{Error, FunctionKind, FunctionPath, Identity, Result};
use lentil_store::Timestamp;
use lentil_values::Object;

use crate::cache::{CacheKey, QueryResult, args_json};
use crate::engine::{Engine, Function};
use crate::live::{Mark, Watcher};
use crate::memory::{Account, Charge, Watched};
use crate::run::wrong_kind;

/// One client's live queries, which all move together from timestamp to timestamp.
///
/// Queries are added under numbers of the client's choice. [`Subscriber::refresh`] answers those that are new or may
/// have changed; [`Wakes::woken`] says when that is worth while. Dropping it leaves nothing behind.
pub struct Subscriber {
    engine: Engine,
    identity: Identity,
    user: Arc<str>,
    watcher: Arc<Watcher>,
    queries: BTreeMap<u32, Subscribed>,
    /// The client's.
    account: Account,
    /// What the client has been told last.
    timestamp: Timestamp,
}

/// Tells when a subscriber's queries may have changed.
#[derive(Clone)]
pub struct Wakes(Arc<Watcher>);

/// What has changed for a client, and since when all its queries are as they are now.
#[derive(Debug)]
pub struct Update {
    /// Every query's answer holds at this timestamp; never before the last update's.
    pub timestamp: Timestamp,
    /// The queries that are answered for the first time, or otherwise than before.
    pub changes: Vec<(u32, Arc<QueryResult>)>,
}

/// A query of the client's.
struct Subscribed {
    path: FunctionPath,
    args: Object,
    /// The same, as the keys of its answers have them.
    args_json: Arc<[u8]>,
    /// The charge for the query without its answer.
    _charge: Charge,
    /// Where the page ends that its last run read.
    journal: Option<String>,
    function: Result<Arc<Function>>,
    answer: Option<Answer>,
    /// What the client has been told last.
    told: Option<Arc<QueryResult>>,
}

/// The answer to a query, watched.
struct Answer {
    run: Arc<QueryResult>,
    key: CacheKey,
    mark: Arc<Mark>,
    _watched: Watched,
}

/// Bytes of a live query beside its arguments and its answer, for keys, marks and watchers.
const QUERY_BYTES: usize = 1_024;

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

    /// Charges a client's account, which may be evicted for it.
    #[must_use]
    pub fn charged_to(mut self, account: Account) -> Subscriber {
        self.account = account;
        self
    }

    /// Adds a query, or replaces the one of this number. `journal` is the last run's, of a client that comes back.
    pub fn add(&mut self, number: u32, path: FunctionPath, args: Object, journal: Option<String>) {
        self.remove(number);
        let function = self.find(&path);
        let args_json = args_json(&args);
        let text_bytes = args_json.len() + journal.as_ref().map_or(0, String::len);
        let bytes = QUERY_BYTES + args.heap_size() + text_bytes;
        self.queries.insert(
            number,
            Subscribed {
                path,
                args,
                args_json,
                _charge: self.account.charge(bytes),
                journal,
                function,
                answer: None,
                told: None,
            },
        );
    }

    /// Removes a query.
    pub fn remove(&mut self, number: u32) {
        if let Some(Subscribed {
            answer: Some(answer),
            ..
        }) = self.queries.remove(&number)
        {
            self.engine.live().unwatch(&answer.key, &self.watcher);
        }
    }

    /// Returns whether there is a query of this number.
    pub fn contains(&self, number: u32) -> bool {
        self.queries.contains_key(&number)
    }

    /// Changes on whose behalf the queries run; all of them run again.
    pub fn set_identity(&mut self, identity: Identity) {
        self.user = identity.key();
        self.identity = identity;
        for number in self.queries.keys().copied().collect::<Vec<_>>() {
            let function = self.find(&self.queries[&number].path);
            let Some(query) = self.queries.get_mut(&number) else {
                continue;
            };
            query.function = function;
            if let Some(answer) = query.answer.take() {
                self.engine.live().unwatch(&answer.key, &self.watcher);
            }
        }
    }

    /// On whose behalf the queries run.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where the page ends that a query's last run read.
    pub fn journal(&self, number: u32) -> Option<&str> {
        self.queries.get(&number)?.journal.as_deref()
    }

    /// Returns whether a query is new, or may have changed.
    pub fn is_stale(&self) -> bool {
        let is_stale = |answer: &Answer| answer.mark.is_touched();
        self.queries
            .values()
            .any(|query| query.answer.as_ref().is_none_or(is_stale))
    }

    /// What tells when a query may have changed.
    pub fn wakes(&self) -> Wakes {
        Wakes(Arc::clone(&self.watcher))
    }

    fn find(&self, path: &FunctionPath) -> Result<Arc<Function>, Error> {
        let function = self
            .engine
            .registry()
            .named(path, self.identity.visibility())?;
        if function.kind() == FunctionKind::Query {
            Ok(function)
        } else {
            Err(wrong_kind(&function, FunctionKind::Query))
        }
    }
}

impl Wakes {
    /// Returns when a query may have changed since this returned last; at once, if one has meanwhile.
    pub async fn woken(&self) {
        self.0.wake.notified().await;
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        for answer in self
            .queries
            .values()
            .filter_map(|query| query.answer.as_ref())
        {
            self.engine.live().unwatch(&answer.key, &self.watcher);
        }
    }
}
