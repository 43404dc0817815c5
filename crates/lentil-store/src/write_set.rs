use std::sync::Arc;

use lentil_values::{DocumentId, IndexKey};

use crate::document::StoredDocument;
use crate::index::IndexRef;

/// The writes of one transaction: each document once, with its index entries, in the order of the
/// ids.
#[derive(Clone, Debug, Default)]
pub struct WriteSet {
    /// The written documents.
    pub writes: Vec<DocumentWrite>,
}

impl WriteSet {
    /// Makes a write set without writes.
    pub fn empty() -> WriteSet {
        WriteSet::default()
    }

    /// Returns whether it has no writes.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Returns the keys of all written index entries, old and new. A commit invalidates reads by
    /// these keys.
    pub fn into_keys(self) -> Vec<(IndexRef, IndexKey)> {
        let mut keys =
            Vec::with_capacity(self.writes.iter().map(|write| 2 * write.keys.len()).sum());
        for KeyChange { index, old, new } in self.writes.into_iter().flat_map(|write| write.keys) {
            // The old and the new entry are adjacent, which `Commit::entries` relies on.
            keys.extend([old, new].into_iter().flatten().map(|key| (index, key)));
        }
        keys
    }
}

/// One document's change: an insert (no `old`), an update (both) or a delete (no `new`).
#[derive(Clone, Debug)]
pub struct DocumentWrite {
    /// The document's id.
    pub id: DocumentId,
    /// The document in the store before the transaction.
    pub old: Option<Arc<StoredDocument>>,
    /// The document after the transaction.
    pub new: Option<Arc<StoredDocument>>,
    /// Its entry in every index of its table, before and after, including unchanged entries.
    pub keys: Vec<KeyChange>,
}

/// A document's entry in one index, before and after the transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyChange {
    /// The index.
    pub index: IndexRef,
    /// The entry before; `None` for an insert.
    pub old: Option<IndexKey>,
    /// The entry after; `None` for a delete.
    pub new: Option<IndexKey>,
}
