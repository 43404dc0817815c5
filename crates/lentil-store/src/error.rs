use std::fmt;
use std::time::Duration;

use lentil_values::{DocumentId, Interval};

/// Why a read or the start of a transaction failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another transaction or program held the write lock for the whole wait: answer "try again later".
    #[error("waited {} ms for the write lock", waited.as_millis())]
    Busy {
        /// How long this one waited.
        waited: Duration,
    },
    /// The snapshot is older than the store lets one be: begin again.
    #[error("the snapshot is too old to be read")]
    SnapshotExpired,
    /// What this transaction read has changed; every later use of it fails likewise: run the function again.
    #[error("a document that was read has changed meanwhile")]
    Conflict,
    /// Commits this transaction had read never became durable: what it computed must not be shown. Run it again.
    #[error("commits before this one were lost: {reason}")]
    Lost {
        /// What happened to them.
        reason: String,
    },
    /// The store is closing or closed: answer "try again later".
    #[error("the store is closed")]
    Closed,
    /// The store holds something that it cannot have written: stop and look.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// One document is damaged, the others can be read: log it, and answer with an internal error.
    #[error(transparent)]
    DamagedDocument(Box<DamagedDocument>),
    /// The machine under the store failed (disk, connection): tell the operator.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// A document that the store holds and cannot read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct DamagedDocument {
    /// The table's name.
    pub table: String,
    /// The document's `_id`, unless that is damaged too.
    pub id: Option<DocumentId>,
    /// The interval of the scanned index that a scan can leave out to read the other documents.
    pub entries: Option<Interval>,
    /// The fault, the place where it is stored, and what to do.
    pub reason: String,
}

impl fmt::Display for DamagedDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id {
            Some(id) => write!(f, "the document \"{id}\" of the table `{}`", self.table)?,
            None => write!(f, "a document of the table `{}`", self.table)?,
        }
        write!(f, " is damaged: {}", self.reason)
    }
}

/// Why a commit failed. Nothing of it was applied, unless it is [`CommitError::Unknown`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// What the transaction read has changed: run the function again.
    #[error("a document that was read has changed meanwhile")]
    Conflict,
    /// The commit, or one it built on, could not be made durable (a full disk): answer "try again later".
    #[error("the commit was lost: {reason}")]
    Lost {
        /// What happened.
        reason: String,
    },
    /// The connection was lost in the commit, and whether it happened could not be found out: say so, and never run
    /// the function again.
    #[error("the commit may or may not have happened: {reason}")]
    Unknown {
        /// What happened.
        reason: String,
    },
    /// The store failed otherwise, as it says; never with a conflict.
    #[error(transparent)]
    Store(StoreError),
}

impl StoreError {
    /// Returns whether running the function again in a new transaction may succeed at once.
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            StoreError::Conflict | StoreError::SnapshotExpired | StoreError::Lost { .. }
        )
    }
}

impl CommitError {
    /// As [`StoreError::is_retryable`].
    pub fn is_retryable(&self) -> bool {
        match self {
            CommitError::Conflict => true,
            CommitError::Lost { .. } | CommitError::Unknown { .. } => false,
            CommitError::Store(error) => error.is_retryable(),
        }
    }
}

impl From<StoreError> for CommitError {
    fn from(error: StoreError) -> CommitError {
        match error {
            StoreError::Conflict => CommitError::Conflict,
            error => CommitError::Store(error),
        }
    }
}
