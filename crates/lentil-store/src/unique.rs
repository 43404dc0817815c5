//! Unique indexes: no two documents of a table are equal in all fields of such an index.
//!
//! A field that is missing counts as a value like any other, so that two documents that lack it are equal there.
//! Values are equal when their index keys are: `1.0` and `1n` are not.
//!
//! What counts is how a mutation leaves the documents, not how it gets there: two of them may swap their values. So
//! no single write is ever wrong; the buffer is held against the unique indexes when a mutation, or a layer of one,
//! ends. It reads whether a key is taken through the transaction that writes, whose store refuses to commit what
//! another commit has overtaken; that holds for every store and under any interleaving.

use std::fmt;
use std::sync::Arc;

use lentil_values::{DocumentId, FieldPath, Interval, KeyWriter, Value};

use crate::{
    IndexEntry, IndexRef, IndexState, Order, Snapshot, StoreError, StoredDocument, TableEntry,
    WriteBuffer,
};

/// Two documents are equal in all fields of a unique index.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct UniqueViolation {
    /// The table's name.
    pub table: String,
    /// The index's name.
    pub index: String,
    /// The index's fields, and what both documents have there; `None` where the field is missing.
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
    /// That two documents are equal in the fields of this index; `document` is one of them.
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
            documents: [other.min(document.id), other.max(document.id)],
        }
    }
}

impl TableEntry {
    /// The unique indexes that are written.
    fn unique_indexes(&self) -> impl Iterator<Item = &IndexEntry> {
        self.indexes
            .iter()
            .filter(|index| index.unique && index.state != IndexState::Dropping)
    }
}

/// How the keys begin of all documents that are equal to this one in these fields.
pub(crate) fn prefix(fields: &[FieldPath], document: &StoredDocument) -> Vec<u8> {
    let mut key = KeyWriter::new();
    fields
        .iter()
        .for_each(|field| key.push(field.get(&document.fields)));
    key.finish().into_bytes()
}

impl WriteBuffer {
    /// Two documents that are equal in all fields of a unique index, because of what was written since the latest
    /// layer began, or, without layers, at all. The buffer is as good as its last check: see to it before the commit.
    ///
    /// # Errors
    /// The store's.
    pub async fn find_duplicate(
        &mut self,
        snapshot: &mut dyn Snapshot,
    ) -> Result<Option<UniqueViolation>, StoreError> {
        let catalog = Arc::clone(self.catalog());
        for (name, table) in &catalog.tables {
            if table.unique_indexes().next().is_none() {
                continue;
            }
            for (before, now) in self.latest(table.number) {
                for index in table.unique_indexes() {
                    let prefix = prefix(&index.fields, &now);
                    // One that has had its key before is not to blame for another that takes it.
                    if before
                        .as_ref()
                        .is_some_and(|before| self::prefix(&index.fields, before) == prefix)
                    {
                        continue;
                    }
                    let (of, interval) = (
                        IndexRef::Declared(table.number, index.id),
                        Interval::prefix(&prefix),
                    );
                    if self.count(snapshot, of, &interval, 2).await? < 2 {
                        continue;
                    }
                    let rows = self.scan(snapshot, of, &interval, Order::Asc, 2).await?;
                    let other = rows
                        .iter()
                        .map(|row| row.document.id)
                        .find(|id| *id != now.id);
                    return Ok(other.map(|other| {
                        UniqueViolation::new(name, &index.name, &index.fields, &now, other)
                    }));
                }
            }
        }
        Ok(None)
    }
}
