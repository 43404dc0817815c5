use std::fmt;
use std::time::Duration;

use lentil_values::{DocumentId, Interval};

/// An error of a read or of the start of a transaction.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another transaction or program held the write lock during the whole wait. The client should
    /// try again later.
    #[error("waited {} ms for the write lock", waited.as_millis())]
    Busy {
        /// The time that this transaction waited.
        waited: Duration,
    },
    /// The store has ended the snapshot because of its age. Begin again on a new one.
    #[error("the snapshot is too old to be read")]
    SnapshotExpired,
    /// A document or interval that this transaction read has changed. Every later call of the
    /// transaction fails too. Execute the function again.
    #[error("another commit has changed a document that was read")]
    Conflict,
    /// Commits that this transaction had read never became durable. Discard its result and execute
    /// the function again.
    #[error("commits before this one were lost: {reason}")]
    Lost {
        /// The cause.
        reason: String,
    },
    /// The store is closing or closed. The client should try again later.
    #[error("the store is closed")]
    Closed,
    /// The store holds data that it cannot have written. An operator has to look at it.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// One document is damaged; the others can be read. Log it and fail the call with an internal
    /// error.
    #[error(transparent)]
    DamagedDocument(Box<DamagedDocument>),
    /// The disk or the connection under the store failed. The operator has to act.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// A document in the store that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct DamagedDocument {
    /// The table's name.
    pub table: String,
    /// The document's `_id`, unless the id is damaged too.
    pub id: Option<DocumentId>,
    /// The interval of the scanned index that a scan can skip to read the other documents.
    pub entries: Option<Interval>,
    /// The damage, its place in the store, and how to repair it.
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

/// An error of a commit. Nothing was applied, except perhaps with [`CommitError::Unknown`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// A document or interval that the transaction read has changed. Execute the function again.
    #[error("another commit has changed a document that was read")]
    Conflict,
    /// The commit, or one that it depends on, could not be made durable, such as on a full disk.
    /// The client should try again later.
    #[error("the commit was lost: {reason}")]
    Lost {
        /// The cause.
        reason: String,
    },
    /// The connection broke during the commit, and its outcome could not be found out. Report this
    /// to the client, and never execute the function again.
    #[error("the commit may or may not have happened: {reason}")]
    Unknown {
        /// The cause.
        reason: String,
    },
    /// Another error of the store, never a conflict.
    #[error(transparent)]
    Store(StoreError),
}

impl StoreError {
    /// Returns whether executing the function again in a new transaction may succeed at once.
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
            // A lost commit met a cause such as a full disk, which another attempt would meet as
            // well. An unknown one may have been applied.
            CommitError::Lost { .. } | CommitError::Unknown { .. } => false,
            CommitError::Store(error) => error.is_retryable(),
        }
    }
}

impl From<StoreError> for CommitError {
    fn from(error: StoreError) -> CommitError {
        match error {
            // Callers then need to match only one variant.
            StoreError::Conflict => CommitError::Conflict,
            error => CommitError::Store(error),
        }
    }
}
