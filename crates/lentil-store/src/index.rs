use std::sync::Arc;

use lentil_values::{IndexKey, TableNumber};

use crate::StoredDocument;

/// The number of a declared index, allotted by the catalog and never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexId(pub u32);

/// An index that can be scanned: each table's two system indexes, and the declared ones.
///
/// The keys are: for `ById` the 16 bytes of the internal id; for the others the encoded field values, then the
/// encoded `_creationTime`, then the 16 bytes of the internal id (for `ByCreationTime` there are no field values).
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
    /// The table whose index it is.
    pub fn table(self) -> TableNumber {
        match self {
            IndexRef::ById(table)
            | IndexRef::ByCreationTime(table)
            | IndexRef::Declared(table, _) => table,
        }
    }
}

/// The direction of a scan; descending reverses the whole key, tie-breaks included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// From the least key up.
    #[default]
    Asc,
    /// From the greatest key down.
    Desc,
}

/// One entry of an index, with the document it names.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The entry's key in the scanned index.
    pub key: IndexKey,
    /// The document.
    pub document: Arc<StoredDocument>,
}
