mod json;

use std::collections::BTreeMap;

use lentil_values::{FieldPath, IndexKey, KeyWriter, TableNames, TableNumber, Value};

use crate::document::StoredDocument;
use crate::index::{IndexId, IndexRef};

/// A declaration of a table by the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDeclaration {
    /// The table's name.
    pub name: String,
    /// Text of the layer above, such as the validator's JSON. The store keeps it and does not
    /// interpret it.
    pub definition: String,
    /// The indexes, without the two system indexes.
    pub indexes: Vec<IndexDeclaration>,
}

/// A declaration of an index by the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexDeclaration {
    /// The index's name, unique in its table.
    pub name: String,
    /// The fields of its key, without the `_creationTime` and `_id` that end every key.
    pub fields: Vec<FieldPath>,
    /// Whether no two documents of the table are equal in all these fields.
    pub unique: bool,
}

/// The tables and indexes of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    /// Every table by its name, including those that are not declared any more.
    pub tables: BTreeMap<String, TableEntry>,
    /// The number of the next new table.
    pub next_table: u32,
    /// The number of the next new index.
    pub next_index: u32,
}

impl Default for Catalog {
    fn default() -> Catalog {
        Catalog {
            tables: BTreeMap::new(),
            next_table: TableNumber::FIRST_USER.get(),
            next_index: 1,
        }
    }
}

impl Catalog {
    /// Returns the table with this number.
    pub fn table_by_number(&self, number: TableNumber) -> Option<&TableEntry> {
        self.tables.values().find(|table| table.number == number)
    }

    /// Returns the index with this number, with its table's name and entry.
    pub fn find_index(&self, id: IndexId) -> Option<(&str, &TableEntry, &IndexEntry)> {
        self.tables.iter().find_map(|(name, table)| {
            let index = table.indexes.iter().find(|index| index.id == id)?;
            Some((name.as_str(), table, index))
        })
    }

    /// Returns the catalog after the application has declared these tables. A store saves it in one
    /// durable step.
    ///
    /// A table that is declared again keeps its number. An index whose fields have changed is
    /// dropped and built again. An index that only becomes unique, or stops to be, is kept.
    #[must_use]
    pub fn declare(&self, declared: &[TableDeclaration]) -> Catalog {
        let mut next = self.clone();
        for (name, table) in &mut next.tables {
            table.declared = declared.iter().any(|declaration| declaration.name == *name);
            // The table keeps its documents and its number, so that a later declaration finds
            // them.
            if !table.declared {
                for index in &mut table.indexes {
                    index.state = IndexState::Dropping;
                }
            }
        }
        for declaration in declared {
            next.declare_table(declaration);
        }
        next
    }

    fn declare_table(&mut self, declaration: &TableDeclaration) {
        if !self.tables.contains_key(&declaration.name) {
            let number = self.new_table_number(&declaration.name);
            let entry = TableEntry {
                number,
                definition: String::new(),
                declared: true,
                indexes: Vec::new(),
            };
            self.tables.insert(declaration.name.clone(), entry);
        }
        let table = self
            .tables
            .get_mut(&declaration.name)
            .expect("the table exists");
        table.definition.clone_from(&declaration.definition);
        // An index that is being dropped has missed writes. If it is declared again, it is built
        // again under a new number.
        let is_same = |index: &IndexEntry, wanted: &IndexDeclaration| {
            index.state != IndexState::Dropping
                && index.name == wanted.name
                && index.fields == wanted.fields
        };
        for index in &mut table.indexes {
            match declaration
                .indexes
                .iter()
                .find(|wanted| is_same(index, wanted))
            {
                Some(wanted) => index.unique = wanted.unique,
                None => index.state = IndexState::Dropping,
            }
        }
        for wanted in &declaration.indexes {
            if !table.indexes.iter().any(|index| is_same(index, wanted)) {
                table.indexes.push(IndexEntry {
                    id: IndexId(self.next_index),
                    name: wanted.name.clone(),
                    fields: wanted.fields.clone(),
                    unique: wanted.unique,
                    state: IndexState::Building,
                });
                self.next_index += 1;
            }
        }
    }

    /// Assigns a number that was never used. System tables, whose names begin with `_`, have the
    /// low numbers. They are never removed.
    fn new_table_number(&mut self, name: &str) -> TableNumber {
        let number = if name.starts_with('_') {
            let system = self
                .tables
                .iter()
                .filter(|(name, _)| name.starts_with('_'))
                .map(|(_, table)| table.number);
            system
                .max()
                .map_or(TableNumber::FIRST_SYSTEM.get(), |last| last.get() + 1)
        } else {
            self.next_table += 1;
            self.next_table - 1
        };
        TableNumber::new(number).expect("table numbers start above zero")
    }

    /// Returns the index that [`crate::Store::maintain`] has to build or drop next.
    pub fn next_unfinished(&self) -> Option<IndexId> {
        let mut indexes = self.tables.values().flat_map(|table| &table.indexes);
        indexes
            .find(|index| index.state != IndexState::Ready)
            .map(|index| index.id)
    }

    /// Returns the catalog after an index was built or dropped.
    #[must_use]
    pub fn finish(&self, id: IndexId) -> Catalog {
        let mut next = self.clone();
        for table in next.tables.values_mut() {
            table
                .indexes
                .retain(|index| index.id != id || index.state != IndexState::Dropping);
            if let Some(built) = table.indexes.iter_mut().find(|index| index.id == id) {
                built.state = IndexState::Ready;
            }
        }
        next
    }

    /// Returns a document's entry in every index of its table, except those that are being dropped.
    // The order of the indexes is always the same: the write buffer pairs the old and the new
    // entries of a document by position.
    pub fn keys_of(&self, document: &StoredDocument) -> Vec<(IndexRef, IndexKey)> {
        let table = document.id.table;
        let mut keys = vec![
            (IndexRef::ById(table), id_key(document)),
            (IndexRef::ByCreationTime(table), key(&[], document)),
        ];
        let Some(entry) = self.table_by_number(table) else {
            return keys;
        };
        for index in &entry.indexes {
            // An index that is being built gets every write, because the build may have passed the
            // document already.
            if index.state != IndexState::Dropping {
                let index_ref = IndexRef::Declared(table, index.id);
                keys.push((index_ref, key(&index.fields, document)));
            }
        }
        keys
    }
}

fn id_key(document: &StoredDocument) -> IndexKey {
    IndexKey::from_bytes(document.id.internal.as_bytes().to_vec())
}

/// Encodes the fields, then the creation time, then the id.
fn key(fields: &[FieldPath], document: &StoredDocument) -> IndexKey {
    let mut key = KeyWriter::new();
    for field in fields {
        key.push(field.get(&document.fields));
    }
    key.push(Some(&Value::Float64(document.creation_time)));
    key.push_id(document.id.internal);
    key.finish()
}

impl TableNames for Catalog {
    fn number(&self, name: &str) -> Option<TableNumber> {
        self.tables.get(name).map(|table| table.number)
    }

    fn name(&self, number: TableNumber) -> Option<&str> {
        self.tables
            .iter()
            .find(|(_, table)| table.number == number)
            .map(|(name, _)| name.as_str())
    }
}

/// A table in the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// The table's number, part of its documents' ids.
    pub number: TableNumber,
    /// The [`TableDeclaration::definition`] of the last declaration.
    pub definition: String,
    /// Whether the last declared schema has the table.
    pub declared: bool,
    /// Its declared indexes.
    pub indexes: Vec<IndexEntry>,
}

/// An index in the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The index's number.
    pub id: IndexId,
    /// The index's name.
    pub name: String,
    /// The fields of its key.
    pub fields: Vec<FieldPath>,
    /// Whether no two documents of the table are equal in all these fields.
    pub unique: bool,
    /// Whether it can be scanned.
    pub state: IndexState,
}

/// The state of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexState {
    /// Every write maintains it, but it is not yet complete.
    Building,
    /// Complete.
    Ready,
    /// It is not maintained any more, and its entries are being removed.
    Dropping,
}

impl TableEntry {
    /// Returns the declared index with this name, unless it is being dropped.
    pub fn index(&self, name: &str) -> Option<&IndexEntry> {
        self.indexes
            .iter()
            .find(|index| index.name == name && index.state != IndexState::Dropping)
    }

    /// Returns the index with this name, which may be a system index.
    pub fn index_ref(&self, name: &str) -> Option<IndexRef> {
        match name {
            "by_id" => Some(IndexRef::ById(self.number)),
            "by_creation_time" => Some(IndexRef::ByCreationTime(self.number)),
            _ => self
                .index(name)
                .map(|index| IndexRef::Declared(self.number, index.id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, indexes: &[(&str, &str)]) -> TableDeclaration {
        let index = |(name, field): &(&str, &str)| IndexDeclaration {
            name: (*name).to_owned(),
            fields: vec![FieldPath::parse(field).unwrap()],
            unique: false,
        };
        let indexes = indexes.iter().map(index).collect();
        TableDeclaration {
            name: name.to_owned(),
            definition: "{}".to_owned(),
            indexes,
        }
    }

    #[test]
    fn numbers_are_never_reused() {
        let first = Catalog::default().declare(&[table("a", &[("by_x", "x")])]);
        let without = first.declare(&[table("b", &[])]);
        let back = without.declare(&[table("a", &[("by_x", "x")]), table("c", &[])]);
        assert_eq!(back.tables["a"].number, first.tables["a"].number);
        assert_eq!(back.tables["c"].number.get(), 10_003);
        let ids: Vec<_> = back.tables["a"]
            .indexes
            .iter()
            .map(|index| (index.id.0, index.state))
            .collect();
        assert_eq!(ids, [(1, IndexState::Dropping), (2, IndexState::Building)]);
    }

    #[test]
    fn system_tables_have_low_numbers() {
        let first = Catalog::default().declare(&[table("_b", &[]), table("a", &[])]);
        let second = first.declare(&[table("_a", &[]), table("_b", &[]), table("b", &[])]);
        let numbers = ["_b", "a", "_a", "b"].map(|name| second.tables[name].number.get());
        assert_eq!(numbers, [513, 10_001, 514, 10_002]);
    }

    #[test]
    fn an_index_whose_fields_change_is_built_again() {
        let first = Catalog::default()
            .declare(&[table("a", &[("by_x", "x")])])
            .finish(IndexId(1));
        assert_eq!(first.declare(&[table("a", &[("by_x", "x")])]), first);
        let changed = first.declare(&[table("a", &[("by_x", "y")])]);
        assert_eq!(changed.tables["a"].index("by_x").unwrap().id, IndexId(2));
        assert_eq!(changed.next_unfinished(), Some(IndexId(1)));
        let finished = changed.finish(IndexId(1)).finish(IndexId(2));
        assert_eq!(finished.tables["a"].indexes.len(), 1);
        assert_eq!(finished.next_unfinished(), None);
    }

    #[test]
    fn an_index_that_becomes_unique_is_kept() {
        let mut declared = table("a", &[("by_x", "x")]);
        let first = Catalog::default()
            .declare(std::slice::from_ref(&declared))
            .finish(IndexId(1));
        declared.indexes[0].unique = true;
        let unique = first.declare(std::slice::from_ref(&declared));
        let expected = IndexEntry {
            unique: true,
            ..first.tables["a"].indexes[0].clone()
        };
        assert_eq!(unique.tables["a"].indexes, [expected]);
        assert_eq!(unique.declare(&[table("a", &[("by_x", "x")])]), first);
    }
}
