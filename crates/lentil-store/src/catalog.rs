use std::collections::BTreeMap;

use lentil_values::{FieldPath, TableNumber};

use crate::{IndexId, IndexRef};

/// A table that the application declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDeclaration {
    /// The table's name.
    pub name: String,
    /// What the layer above wants to find again (the validator's JSON); the store only keeps it.
    pub definition: String,
    /// The declared indexes, without the two system indexes.
    pub indexes: Vec<IndexDeclaration>,
}

/// An index that the application declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexDeclaration {
    /// The index's name, unique in its table.
    pub name: String,
    /// The fields of its key, without the `_creationTime` and `_id` that end every key.
    pub fields: Vec<FieldPath>,
}

/// The tables and indexes of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    /// Every table by its name, also those no longer declared.
    pub tables: BTreeMap<String, TableEntry>,
    /// The number the next new table gets.
    pub next_table: u32,
    /// The number the next new index gets.
    pub next_index: u32,
}

/// A table as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// The table's number, part of its documents' ids.
    pub number: TableNumber,
    /// What was declared with it.
    pub definition: String,
    /// Whether the schema last declared still names it.
    pub declared: bool,
    /// Its declared indexes.
    pub indexes: Vec<IndexEntry>,
}

/// An index as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The index's number.
    pub id: IndexId,
    /// The index's name.
    pub name: String,
    /// The fields of its key.
    pub fields: Vec<FieldPath>,
    /// Whether it can be scanned.
    pub state: IndexState,
}

/// Where an index stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexState {
    /// Written with every document, not yet complete.
    Building,
    /// Complete.
    Ready,
    /// No longer written; its entries are being removed.
    Dropping,
}

impl TableEntry {
    /// The declared index of this name that is not being dropped.
    pub fn index(&self, name: &str) -> Option<&IndexEntry> {
        self.indexes.iter().find(|index| index.name == name && index.state != IndexState::Dropping)
    }

    /// The index of this name, system indexes included.
    pub fn index_ref(&self, name: &str) -> Option<IndexRef> {
        match name {
            "by_id" => Some(IndexRef::ById(self.number)),
            "by_creation_time" => Some(IndexRef::ByCreationTime(self.number)),
            _ => self.index(name).map(|index| IndexRef::Declared(index.id)),
        }
    }
}
