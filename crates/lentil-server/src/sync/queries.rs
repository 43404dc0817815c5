//! A client's live queries, and the transitions between their results.

use std::collections::HashSet;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;

use lentil_protocol::WireTimestamp;
use lentil_protocol::sync::{QuerySetChange, ServerMessage, StateModification, StateVersion};
use lentil_runtime::memory::{Account, Charge};
use lentil_runtime::{
    ChangeNotifier, FunctionPath, Identity, MAX_CURSOR_BYTES, Object, Runtime, Subscriber,
    Timestamp, Update,
};

use super::close_reason::CloseReason;
use crate::audience::Audience;

/// Estimated bytes of a change beside its arguments.
const CHANGE_OVERHEAD_BYTES: usize = 256;

type Refresh = Pin<Box<dyn Future<Output = (Subscriber, Update)> + Send>>;

/// The live queries of one client.
///
/// The client requests changes. The next refresh applies them and evaluates the queries. Its update
/// is sent as a transition, which moves the client to the requested version.
pub(super) struct Queries {
    account: Account,
    /// `None` while a refresh has it.
    subscriber: Option<Subscriber>,
    refresh: Option<Refresh>,
    change_notifier: ChangeNotifier,
    /// The requested changes that no refresh has applied.
    changes: Vec<Change>,
    /// The query set that the client requested last.
    query_ids: HashSet<u32>,
    /// The version that the client was sent last.
    sent: StateVersion,
    /// The version that the client requested last.
    requested: StateVersion,
    /// A transition to this timestamp or a later one must follow, even without changed results.
    pending_transition: Option<Timestamp>,
    /// The part of the next transition that does not come from the running refresh.
    next: NextTransition,
    audience: Audience,
    /// The client's clock minus the server's, measured when the client connected.
    pub(super) client_clock_skew_ms: Option<i64>,
}

/// A change that the client requested.
enum Change {
    Add {
        query_id: u32,
        path: FunctionPath,
        args: Object,
        journal: Option<String>,
        /// The charge for the query until the subscriber has it.
        charge: Charge,
    },
    Remove {
        query_id: u32,
        _charge: Charge,
    },
    Identity(Identity, Audience),
}

#[derive(Default)]
struct NextTransition {
    version: StateVersion,
    removed: Vec<u32>,
    /// Whether the transition is sent even without changed results.
    is_required: bool,
}

impl Queries {
    pub(super) fn new(runtime: &Runtime, audience: Audience, account: Account) -> Queries {
        let subscriber = runtime
            .subscriber(Identity::Anonymous)
            .charged_to(account.clone());
        Queries {
            account,
            change_notifier: subscriber.change_notifier(),
            subscriber: Some(subscriber),
            refresh: None,
            changes: Vec::new(),
            query_ids: HashSet::new(),
            sent: StateVersion::default(),
            requested: StateVersion::default(),
            pending_transition: None,
            next: NextTransition::default(),
            audience,
            client_clock_skew_ms: None,
        }
    }

    /// Returns the signal that a query may have changed.
    pub(super) fn change_notifier(&self) -> ChangeNotifier {
        self.change_notifier.clone()
    }

    /// Returns the version of the identity that the client was sent last.
    pub(super) fn sent_identity_version(&self) -> u32 {
        self.sent.identity
    }

    /// Accepts a change of the query set from version `base` to version `new`.
    pub(super) fn modify(
        &mut self,
        base: u32,
        new: u32,
        changes: Vec<QuerySetChange>,
    ) -> Result<(), CloseReason> {
        let current = self.requested.query_set;
        if base != current || new <= base {
            return Err(CloseReason::fatal(format!(
                "BaseVersionMismatch: the query set is at {current}; it cannot go from {base} to {new}"
            )));
        }
        for change in changes {
            let change = match change {
                QuerySetChange::Add {
                    query_id,
                    path,
                    args,
                    journal,
                } => self.add(query_id, &path, args, journal)?,
                QuerySetChange::Remove { query_id } => self.remove(query_id)?,
            };
            self.changes.push(change);
        }
        self.requested.query_set = new;
        // The client waits for a transition to the new version, even if no result changes.
        self.require_transition(Timestamp::MIN);
        Ok(())
    }

    fn add(
        &mut self,
        query_id: u32,
        path: &str,
        args: Object,
        journal: Option<String>,
    ) -> Result<Change, CloseReason> {
        let path =
            FunctionPath::parse(path).map_err(|error| CloseReason::fatal(error.to_string()))?;
        check_journal(journal.as_deref())?;
        let journal_bytes = journal.as_ref().map_or(0, String::capacity);
        let charge = self.charge_change(args.heap_size() + journal_bytes)?;
        if !self.query_ids.insert(query_id) {
            return Err(invalid_query_id());
        }
        Ok(Change::Add {
            query_id,
            path,
            args,
            journal,
            charge,
        })
    }

    fn remove(&mut self, query_id: u32) -> Result<Change, CloseReason> {
        let charge = self.charge_change(0)?;
        if !self.query_ids.remove(&query_id) {
            return Err(invalid_query_id());
        }
        Ok(Change::Remove {
            query_id,
            _charge: charge,
        })
    }

    /// Charges the client for a change.
    fn charge_change(&self, bytes: usize) -> Result<Charge, CloseReason> {
        let charge = self.account.try_charge(CHANGE_OVERHEAD_BYTES + bytes);
        charge.map_err(|_| CloseReason::over_budget())
    }

    /// Checks that a change of the identity starts at the current version.
    pub(super) fn check_identity_version(&self, base: u32) -> Result<(), CloseReason> {
        let current = self.requested.identity;
        if base == current {
            return Ok(());
        }
        Err(CloseReason::fatal(format!(
            "BaseVersionMismatch: the identity is at version {current}, not {base}"
        )))
    }

    /// Accepts a change of the identity.
    pub(super) fn set_identity(&mut self, identity: Identity, audience: Audience) {
        self.changes.push(Change::Identity(identity, audience));
        self.requested.identity += 1;
        self.require_transition(Timestamp::MIN);
    }

    /// Requires a transition to this timestamp or a later one.
    pub(super) fn require_transition(&mut self, timestamp: Timestamp) {
        self.pending_transition = self.pending_transition.max(Some(timestamp));
    }

    /// Begins a refresh if it is due and none is running.
    pub(super) fn begin_refresh(&mut self) {
        let is_required = self.pending_transition.is_some();
        let due = self
            .subscriber
            .take_if(|subscriber| is_required || subscriber.is_stale());
        let Some(mut subscriber) = due else {
            return;
        };
        for change in self.changes.drain(..) {
            match change {
                Change::Add {
                    query_id,
                    path,
                    args,
                    journal,
                    charge,
                } => {
                    // The subscriber charges for the query itself.
                    drop(charge);
                    subscriber.add(query_id, path, args, journal);
                }
                Change::Remove { query_id, .. } => {
                    subscriber.remove(query_id);
                    self.next.removed.push(query_id);
                }
                Change::Identity(identity, audience) => {
                    subscriber.set_identity(identity);
                    self.audience = audience;
                }
            }
        }
        let timestamp = self.pending_transition.take().unwrap_or(Timestamp::MIN);
        self.next.version = self.requested;
        self.next.is_required = is_required;
        self.refresh = Some(Box::pin(async move {
            let update = subscriber.refresh(timestamp).await;
            (subscriber, update)
        }));
    }

    /// Returns the update of the running refresh. Waits forever while none is running. Cancelling
    /// the future loses no data.
    pub(super) async fn refreshed(&mut self) -> Update {
        let Some(refresh) = &mut self.refresh else {
            return pending().await;
        };
        let (subscriber, update) = refresh.await;
        self.refresh = None;
        self.subscriber = Some(subscriber);
        update
    }

    /// Converts an update to a transition. Returns `None` if the update changes nothing and no
    /// transition is required.
    pub(super) fn transition(&mut self, update: Update, now_ms: f64) -> Option<ServerMessage> {
        let NextTransition {
            version,
            removed,
            mut is_required,
        } = std::mem::take(&mut self.next);
        // The update may also cover a transition that became required while the refresh ran. Then
        // no second one follows.
        if self.changes.is_empty()
            && self
                .pending_transition
                .is_some_and(|required| required <= update.timestamp)
        {
            self.pending_transition = None;
            is_required = true;
        }
        if !is_required && update.changes.is_empty() {
            return None;
        }

        let mut modifications = Vec::with_capacity(removed.len() + update.changes.len());
        for query_id in removed {
            modifications.push(StateModification::QueryRemoved { query_id });
        }
        for (query_id, run) in update.changes {
            let log_lines = self.audience.log_lines(&run.log_lines);
            let journal = run.journal.clone();
            modifications.push(match &run.result {
                Ok(value) => StateModification::QueryUpdated {
                    query_id,
                    value: Arc::clone(value),
                    log_lines,
                    journal,
                },
                Err(error) => StateModification::QueryFailed {
                    query_id,
                    failure: self.audience.failure(error, &run.request_id),
                    log_lines,
                    journal,
                },
            });
        }
        let end = StateVersion {
            ts: WireTimestamp(update.timestamp.as_nanos()),
            ..version
        };
        let start = std::mem::replace(&mut self.sent, end);
        Some(ServerMessage::Transition {
            start,
            end,
            modifications,
            client_clock_skew_ms: self.client_clock_skew_ms,
            server_ns: (now_ms * 1e6) as u64,
        })
    }
}

/// Returns the reason to close a connection that added a query twice, or removed an unknown one.
fn invalid_query_id() -> CloseReason {
    CloseReason::internal("QueryAddedTwiceOrRemovedUnknown")
}

/// Refuses a journal that is longer than any that this server gives out, because the query would
/// hold it.
fn check_journal(journal: Option<&str>) -> Result<(), CloseReason> {
    let bytes = journal.map_or(0, str::len);
    if bytes <= MAX_CURSOR_BYTES {
        return Ok(());
    }
    Err(CloseReason::fatal(format!(
        "a journal of {bytes} bytes; the longest has {MAX_CURSOR_BYTES}: \
         send the journal that came with the result"
    )))
}
