//! Unique indexes: no two documents of a table are equal in all fields of such an index.
//!
//! A missing field counts as a value: two documents that lack it are equal in it. Values are equal
//! if their index keys are; `1.0` and `1n` are not.
//!
//! The check runs when a mutation or a nested mutation ends, not at each write: two documents may
//! swap their values. It looks for the key through the transaction that writes it. A store refuses
//! to commit a transaction whose reads have changed, so the check holds under every interleaving
//! and on every store.

use std::fmt;
use std::sync::Arc;

use lentil_values::{DocumentId, FieldPath, Interval, KeyWriter, Value};

use crate::buffer::WriteBuffer;
use crate::catalog::{IndexEntry, IndexState, TableEntry};
use crate::document::StoredDocument;
use crate::error::StoreError;
use crate::index::{IndexRef, Order};
use crate::store::Snapshot;

/// Two documents are equal in all fields of a unique index.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct UniqueViolation {
    /// The table's name.
    pub table: String,
    /// The index's name.
    pub index: String,
    /// The index's fields and the value that both documents have in them; `None` if the field is
    /// missing.
    pub values: Vec<(FieldPath, Option<Value>)>,
    /// The two documents.
    pub documents: [DocumentId; 2],
}

impl fmt::Display for UniqueViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let UniqueViolation {
            table,
            index,
            values,
            documents: [a, b],
        } = self;
        write!(
            f,
            "the index {table}.{index} is unique, and the documents \"{a}\" and \"{b}\" both have "
        )?;
        for (at, (field, value)) in values.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { ", " })?;
            match value {
                Some(value) => write!(f, "`{field}` {value}")?,
                None => write!(f, "no `{field}`")?,
            }
        }
        Ok(())
    }
}

impl UniqueViolation {
    /// Describes two documents that are equal in the fields of this index. `document` is one of
    /// them.
    pub fn new(
        table: &str,
        index: &str,
        fields: &[FieldPath],
        document: &StoredDocument,
        other: DocumentId,
    ) -> Self {
        let values = fields
            .iter()
            .map(|field| (field.clone(), field.get(&document.fields).cloned()));
        UniqueViolation {
            table: table.to_owned(),
            index: index.to_owned(),
            values: values.collect(),
            // In the order of the ids, so that the message does not depend on the order of the
            // writes.
            documents: [other.min(document.id), other.max(document.id)],
        }
    }
}

impl TableEntry {
    /// Returns the unique indexes that are maintained.
    fn unique_indexes(&self) -> impl Iterator<Item = &IndexEntry> {
        self.indexes
            .iter()
            .filter(|index| index.unique && index.state != IndexState::Dropping)
    }
}

/// Returns the bytes with which the keys of all documents begin that are equal to this one in these
/// fields.
pub(crate) fn key_prefix(fields: &[FieldPath], document: &StoredDocument) -> Vec<u8> {
    let mut key = KeyWriter::new();
    for field in fields {
        key.push(field.get(&document.fields));
    }
    key.finish().into_bytes()
}

impl WriteBuffer {
    /// Finds two documents that are equal in all fields of a unique index because of the writes
    /// since the latest savepoint, or since the beginning if none is open. Call it after the last
    /// write, before the commit.
    ///
    /// # Errors
    /// The store's.
    pub async fn find_duplicate(
        &mut self,
        snapshot: &mut dyn Snapshot,
    ) -> Result<Option<UniqueViolation>, StoreError> {
        let catalog = Arc::clone(self.catalog());
        for (name, table) in &catalog.tables {
            // Most tables have no unique index, and finding what was written to a table takes
            // time.
            if table.unique_indexes().next().is_none() {
                continue;
            }
            for (before, now) in self.written_since_savepoint(table.number) {
                for index in table.unique_indexes() {
                    let prefix = key_prefix(&index.fields, &now);
                    let is_key_unchanged = before
                        .as_ref()
                        .is_some_and(|before| key_prefix(&index.fields, before) == prefix);
                    // A document that keeps its key did not cause the duplicate; the other document
                    // did.
                    if is_key_unchanged {
                        continue;
                    }
                    let index_ref = IndexRef::Declared(table.number, index.id);
                    let interval = Interval::prefix(&prefix);
                    // Counting reads no documents, so that a mutation without a duplicate pays
                    // little.
                    if self.count(snapshot, index_ref, &interval, 2).await? < 2 {
                        continue;
                    }

                    let rows = self
                        .scan(snapshot, index_ref, &interval, Order::Asc, 2)
                        .await?;
                    let mut ids = rows.iter().map(|row| row.document.id);
                    let other = ids.find(|id| *id != now.id);
                    return Ok(other.map(|other| {
                        UniqueViolation::new(name, &index.name, &index.fields, &now, other)
                    }));
                }
            }
        }
        Ok(None)
    }
}
