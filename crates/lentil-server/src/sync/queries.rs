//! A client's live queries, and the transitions that move them.

use std::collections::HashSet;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;

use lentil_protocol::WireTimestamp;
use lentil_protocol::sync::{QuerySetChange, ServerMessage, StateModification, StateVersion};
use lentil_runtime::memory::{Account, Charge};
use lentil_runtime::{
    FunctionPath, Identity, MAX_CURSOR_BYTES, Object, Runtime, Subscriber, Timestamp, Update, Wakes,
};

use super::close_reason::CloseReason;
use crate::audience::Audience;

/// Bytes of a change beside its arguments.
const CHANGE_BYTES: usize = 256;

type Refreshing = Pin<Box<dyn Future<Output = (Subscriber, Update)> + Send>>;

/// A client's queries: where it is, where it wants to be, and the refresh that is under way.
pub(super) struct Queries {
    account: Account,
    /// Here, unless a refresh has it.
    subscriber: Option<Subscriber>,
    refreshing: Option<Refreshing>,
    wakes: Wakes,
    /// What the client wants changed and no refresh has taken up yet.
    changes: Vec<Change>,
    /// The numbers of the queries as the client has them.
    numbers: HashSet<u32>,
    /// As the client was told last.
    told: StateVersion,
    /// As the client has asked for last.
    asked: StateVersion,
    /// A transition has to follow, to this timestamp or later.
    owes: Option<Timestamp>,
    /// What the refresh that is under way will tell beside its update.
    coming: Coming,
    audience: Audience,
    /// The client's clock minus the server's, measured when the client connected.
    pub(super) client_clock_skew_ms: Option<i64>,
}

enum Change {
    Add {
        number: u32,
        path: FunctionPath,
        args: Object,
        journal: Option<String>,
        /// The charge for the query until the subscriber has it.
        charge: Charge,
    },
    Remove {
        number: u32,
        _charge: Charge,
    },
    Identity(Identity, Audience),
}

#[derive(Default)]
struct Coming {
    version: StateVersion,
    removed: Vec<u32>,
    is_owed: bool,
}

/// Refuses a journal that this server cannot have given out, as the query would hold it.
fn check_journal(journal: Option<&str>) -> Result<(), CloseReason> {
    let bytes = journal.map_or(0, str::len);
    if bytes <= MAX_CURSOR_BYTES {
        return Ok(());
    }
    Err(CloseReason::fatal(format!(
        "a journal of {bytes} bytes; the longest has {MAX_CURSOR_BYTES}: send back the one that came with the result"
    )))
}

impl Queries {
    pub(super) fn new(runtime: &Runtime, audience: Audience, account: Account) -> Queries {
        let subscriber = runtime
            .subscriber(Identity::Anonymous)
            .charged_to(account.clone());
        Queries {
            account,
            wakes: subscriber.wakes(),
            subscriber: Some(subscriber),
            refreshing: None,
            changes: Vec::new(),
            numbers: HashSet::new(),
            told: StateVersion::default(),
            asked: StateVersion::default(),
            owes: None,
            coming: Coming::default(),
            audience,
            client_clock_skew_ms: None,
        }
    }

    /// What tells when a query may have changed.
    pub(super) fn wakes(&self) -> Wakes {
        self.wakes.clone()
    }

    /// The version of the identity that the client was told last.
    pub(super) fn told_identity(&self) -> u32 {
        self.told.identity
    }

    /// Takes up a change of the set of queries.
    pub(super) fn modify(
        &mut self,
        base: u32,
        new: u32,
        changes: Vec<QuerySetChange>,
    ) -> Result<(), CloseReason> {
        let was = self.asked.query_set;
        if base != was || new <= base {
            let message = format!(
                "BaseVersionMismatch: the query set is at {was}; it cannot go from {base} to {new}"
            );
            return Err(CloseReason::fatal(message));
        }
        for change in changes {
            let (is_right, change) = match change {
                QuerySetChange::Add {
                    query_id: number,
                    path,
                    args,
                    journal,
                } => {
                    let path = FunctionPath::parse(&path)
                        .map_err(|error| CloseReason::fatal(error.to_string()))?;
                    check_journal(journal.as_deref())?;
                    let journal_bytes = journal.as_ref().map_or(0, String::capacity);
                    let charge = self.charge(args.heap_size() + journal_bytes)?;
                    (
                        self.numbers.insert(number),
                        Change::Add {
                            number,
                            path,
                            args,
                            journal,
                            charge,
                        },
                    )
                }
                QuerySetChange::Remove { query_id } => {
                    let _charge = self.charge(0)?;
                    (
                        self.numbers.remove(&query_id),
                        Change::Remove {
                            number: query_id,
                            _charge,
                        },
                    )
                }
            };
            if !is_right {
                return Err(CloseReason::internal("QueryAddedTwiceOrRemovedUnknown"));
            }
            self.changes.push(change);
        }
        self.asked.query_set = new;
        self.owe(Timestamp::MIN);
        Ok(())
    }

    /// Charges the client for a change.
    fn charge(&self, bytes: usize) -> Result<Charge, CloseReason> {
        let charge = self.account.try_charge(CHANGE_BYTES + bytes);
        charge.map_err(|_| CloseReason::over_budget())
    }

    /// Checks what a change of the identity builds on.
    pub(super) fn check_identity(&self, base: u32) -> Result<(), CloseReason> {
        let was = self.asked.identity;
        if base == was {
            return Ok(());
        }
        Err(CloseReason::fatal(format!(
            "BaseVersionMismatch: the identity is at version {was}, not {base}"
        )))
    }

    /// Takes up a change of the identity.
    pub(super) fn set_identity(&mut self, identity: Identity, audience: Audience) {
        self.changes.push(Change::Identity(identity, audience));
        self.asked.identity += 1;
        self.owe(Timestamp::MIN);
    }

    /// Notes that the client is owed a transition to this timestamp or later.
    pub(super) fn owe(&mut self, timestamp: Timestamp) {
        self.owes = self.owes.max(Some(timestamp));
    }

    /// Begins a refresh if there is reason for one and none is under way.
    pub(super) fn begin_refresh(&mut self) {
        let is_due = |subscriber: &mut Subscriber| self.owes.is_some() || subscriber.is_stale();
        let Some(mut subscriber) = self.subscriber.take_if(is_due) else {
            return;
        };
        for change in self.changes.drain(..) {
            match change {
                Change::Add {
                    number,
                    path,
                    args,
                    journal,
                    charge,
                } => {
                    drop(charge);
                    subscriber.add(number, path, args, journal);
                }
                Change::Remove { number, .. } => {
                    subscriber.remove(number);
                    self.coming.removed.push(number);
                }
                Change::Identity(identity, audience) => {
                    subscriber.set_identity(identity);
                    self.audience = audience;
                }
            }
        }
        let owed = self.owes.take();
        self.coming.version = self.asked;
        self.coming.is_owed = owed.is_some();
        self.refreshing = Some(Box::pin(async move {
            let update = subscriber.refresh(owed.unwrap_or(Timestamp::MIN)).await;
            (subscriber, update)
        }));
    }

    /// What the refresh under way comes to; never, when there is none. Dropping the future loses nothing.
    pub(super) async fn refreshed(&mut self) -> Update {
        let Some(refreshing) = &mut self.refreshing else {
            return pending().await;
        };
        let (subscriber, update) = refreshing.await;
        self.refreshing = None;
        self.subscriber = Some(subscriber);
        update
    }

    /// The transition that tells an update, if the client is owed one or there is something to tell.
    pub(super) fn transition(&mut self, update: Update, now_ms: f64) -> Option<ServerMessage> {
        let Coming {
            version,
            removed,
            mut is_owed,
        } = std::mem::take(&mut self.coming);
        // What is owed since the refresh began may be in it all the same: a second transition would say nothing.
        if self.changes.is_empty() {
            is_owed |= self
                .owes
                .take_if(|owed| *owed <= update.timestamp)
                .is_some();
        }
        if !is_owed && update.changes.is_empty() {
            return None;
        }
        let removed = removed
            .into_iter()
            .map(|query_id| StateModification::QueryRemoved { query_id });
        let changed = update.changes.into_iter().map(|(query_id, run)| {
            let (log_lines, journal) =
                (self.audience.log_lines(&run.log_lines), run.journal.clone());
            match &run.result {
                Ok(value) => StateModification::QueryUpdated {
                    query_id,
                    value: Arc::clone(value),
                    log_lines,
                    journal,
                },
                Err(error) => {
                    let failure = self.audience.failure(error, &run.request_id);
                    StateModification::QueryFailed {
                        query_id,
                        failure,
                        log_lines,
                        journal,
                    }
                }
            }
        });
        let modifications = removed.chain(changed).collect();
        let end = StateVersion {
            ts: WireTimestamp(update.timestamp.as_nanos()),
            ..version
        };
        let start = std::mem::replace(&mut self.told, end);
        Some(ServerMessage::Transition {
            start,
            end,
            modifications,
            client_clock_skew_ms: self.client_clock_skew_ms,
            server_ns: (now_ms * 1e6) as u64,
        })
    }
}
