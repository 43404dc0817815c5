use std::sync::Arc;

use lentil_values::{IndexKey, Interval, TableNumber, successor};

use crate::document::StoredDocument;

/// The number of a declared index. The catalog assigns it and never reuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexId(pub u32);

/// An index that can be scanned: each table's two system indexes, and the declared ones.
///
/// A key of `ById` is the 16 bytes of the internal id. A key of the others is the encoded field
/// values, then the encoded `_creationTime`, then the 16 bytes of the internal id. `ByCreationTime`
/// has no field values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IndexRef {
    /// `by_id` of a table.
    ById(TableNumber),
    /// `by_creation_time` of a table.
    ByCreationTime(TableNumber),
    /// A declared index of a table.
    Declared(TableNumber, IndexId),
}

impl IndexRef {
    /// Returns the index's table.
    pub fn table(self) -> TableNumber {
        match self {
            IndexRef::ById(table)
            | IndexRef::ByCreationTime(table)
            | IndexRef::Declared(table, _) => table,
        }
    }
}

/// The direction of a scan. Descending order reverses the whole key, including `_creationTime` and
/// `_id`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// From the least key up.
    #[default]
    Asc,
    /// From the greatest key down.
    Desc,
}

impl Order {
    /// Shrinks `interval` to the part that a scan in this order has left after it has read `key`.
    pub fn advance(self, interval: &mut Interval, key: &IndexKey) {
        match self {
            Order::Asc => interval.start = successor(key.as_bytes()),
            // The end of an interval is exclusive.
            Order::Desc => interval.end = Some(key.as_bytes().to_vec()),
        }
    }
}

/// One entry of an index, with its document.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The entry's key in the scanned index.
    pub key: IndexKey,
    /// The document.
    pub document: Arc<StoredDocument>,
}
