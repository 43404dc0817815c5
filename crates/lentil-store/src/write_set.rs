use std::sync::Arc;

use lentil_values::{DocumentId, IndexKey};

use crate::{IndexRef, StoredDocument};

/// Everything one transaction writes: each document once, with its index entries, in id order.
#[derive(Clone, Debug, Default)]
pub struct WriteSet {
    /// The documents written.
    pub writes: Vec<DocumentWrite>,
}

impl WriteSet {
    /// A write set that changes nothing.
    pub fn empty() -> WriteSet {
        WriteSet::default()
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
    }

    /// Every index entry that is written, old and new: what invalidation follows.
    pub fn into_keys(self) -> Vec<(IndexRef, IndexKey)> {
        let mut keys =
            Vec::with_capacity(self.writes.iter().map(|write| 2 * write.keys.len()).sum());
        for KeyChange { index, old, new } in self.writes.into_iter().flat_map(|write| write.keys) {
            keys.extend([old, new].into_iter().flatten().map(|key| (index, key)));
        }
        keys
    }
}

/// One document's change: inserted (no `old`), replaced (both) or deleted (no `new`).
#[derive(Clone, Debug)]
pub struct DocumentWrite {
    /// The document's id.
    pub id: DocumentId,
    /// The document as the transaction found it in the store.
    pub old: Option<Arc<StoredDocument>>,
    /// The document as the transaction leaves it.
    pub new: Option<Arc<StoredDocument>>,
    /// Its entry in every index of its table, before and after; equal ones included.
    pub keys: Vec<KeyChange>,
}

/// A document's entry in one index, before and after the transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyChange {
    /// The index.
    pub index: IndexRef,
    /// The entry that stood there.
    pub old: Option<IndexKey>,
    /// The entry that stands there now.
    pub new: Option<IndexKey>,
}
