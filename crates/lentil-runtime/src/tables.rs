use std::collections::HashMap;
use std::sync::Arc;

use lentil_schema::Schema;
use lentil_store::{Catalog, IndexRef, TableEntry};
use lentil_values::TableNumber;

/// A declared table, with the number the store gave it.
pub(crate) struct OpenTable {
    pub(crate) table: lentil_schema::Table,
    entry: TableEntry,
}

impl OpenTable {
    pub(crate) fn name(&self) -> &str {
        self.table.name()
    }

    pub(crate) fn number(&self) -> TableNumber {
        self.entry.number
    }

    pub(crate) fn index(&self, name: &str) -> Option<IndexRef> {
        self.entry.index_ref(name)
    }
}

/// The tables that functions can use: those the schema declares, as the store has them.
pub(crate) struct Tables {
    by_name: HashMap<String, Arc<OpenTable>>,
    by_number: HashMap<TableNumber, Arc<OpenTable>>,
}

impl Tables {
    pub(crate) fn new(schema: &Schema, catalog: &Catalog) -> Tables {
        let mut tables = Tables { by_name: HashMap::new(), by_number: HashMap::new() };
        for table in schema.tables() {
            let entry = catalog.tables.get(table.name()).expect("every declared table is in the catalog").clone();
            let open = Arc::new(OpenTable { table: table.clone(), entry });
            tables.by_number.insert(open.number(), Arc::clone(&open));
            tables.by_name.insert(open.name().to_owned(), open);
        }
        tables
    }

    pub(crate) fn named(&self, name: &str) -> Option<&Arc<OpenTable>> {
        self.by_name.get(name)
    }

    pub(crate) fn numbered(&self, number: TableNumber) -> Option<&Arc<OpenTable>> {
        self.by_number.get(&number)
    }
}

impl lentil_values::TableNames for Tables {
    fn number(&self, name: &str) -> Option<TableNumber> {
        self.by_name.get(name).map(|table| table.number())
    }

    fn name(&self, number: TableNumber) -> Option<&str> {
        self.by_number.get(&number).map(|table| table.name())
    }
}
