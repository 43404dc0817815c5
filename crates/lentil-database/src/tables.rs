use std::collections::BTreeMap;
use std::sync::Arc;

use lentil_call::{Code, Error, Result};
use lentil_schema::Schema;
use lentil_store::{Catalog, IndexRef, TableEntry};
use lentil_values::{DocumentId, TableNames, TableNumber};

/// A declared table, with the number that the store gave it.
pub struct OpenTable {
    /// Its declaration.
    pub table: lentil_schema::Table,
    entry: TableEntry,
}

impl OpenTable {
    /// Returns its name.
    pub fn name(&self) -> &str {
        self.table.name()
    }

    /// Returns its number.
    pub fn number(&self) -> TableNumber {
        self.entry.number
    }

    /// Returns its index of this name.
    pub fn index(&self, name: &str) -> Option<IndexRef> {
        self.entry.index_ref(name)
    }
}

/// The tables of the application and of the system, with their numbers in the store.
pub struct Tables {
    by_name: BTreeMap<String, Arc<OpenTable>>,
    by_number: BTreeMap<TableNumber, Arc<OpenTable>>,
    system: BTreeMap<String, Arc<OpenTable>>,
    shown: &'static [&'static str],
}

impl Tables {
    /// Returns the tables of an application and of the system, all of which the catalog has.
    ///
    /// Functions may read those of the system's tables that are `shown`.
    pub fn new(
        schema: &Schema,
        system: &Schema,
        shown: &'static [&'static str],
        catalog: &Catalog,
    ) -> Tables {
        let open = |table: &lentil_schema::Table| {
            let entry = catalog
                .tables
                .get(table.name())
                .expect("every declared table is in the catalog")
                .clone();
            Arc::new(OpenTable {
                table: table.clone(),
                entry,
            })
        };
        let system = system
            .tables()
            .iter()
            .map(|table| (table.name().to_owned(), open(table)))
            .collect();
        let mut tables = Tables {
            by_name: BTreeMap::new(),
            by_number: BTreeMap::new(),
            system,
            shown,
        };
        for table in schema.tables() {
            let open = open(table);
            tables.by_number.insert(open.number(), Arc::clone(&open));
            tables.by_name.insert(open.name().to_owned(), open);
        }
        tables
    }

    /// Returns one of the application's tables.
    pub fn named(&self, name: &str) -> Option<&Arc<OpenTable>> {
        self.by_name.get(name)
    }

    /// Returns one of the system's own tables.
    pub fn system(&self, name: &str) -> &Arc<OpenTable> {
        self.system
            .get(name)
            .expect("the system's tables are always declared")
    }

    /// Returns one of the system's own tables, if functions may read it.
    pub fn shown(&self, name: &str) -> Option<&Arc<OpenTable>> {
        self.shown.contains(&name).then(|| self.system(name))
    }

    /// Returns the names of the application's tables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Checks that an id belongs to `table`. `call` names the operation in the error.
    ///
    /// The type of an `Id<T>` does not guarantee it, because an id may be parsed from any text.
    ///
    /// # Errors
    /// [`Code::InvalidId`] when the id belongs to another table.
    pub fn check_id(&self, call: &str, id: DocumentId, table: &str) -> Result<()> {
        if self.number(table) == Some(id.table) {
            return Ok(());
        }
        let owner = match self.name(id.table) {
            Some(name) => format!("of table \"{name}\""),
            None if id.table < TableNumber::FIRST_USER => {
                "of one of the system's tables".to_owned()
            }
            None => "of no table that the schema declares".to_owned(),
        };
        Err(Error::new(
            Code::InvalidId,
            format!("{call}: \"{id}\" is an id {owner}; expected one of table \"{table}\""),
        ))
    }

    /// Returns the application's table of this number.
    pub fn numbered(&self, number: TableNumber) -> Option<&Arc<OpenTable>> {
        self.by_number.get(&number)
    }
}

impl TableNames for Tables {
    fn number(&self, name: &str) -> Option<TableNumber> {
        self.by_name
            .get(name)
            .or_else(|| self.shown(name))
            .map(|table| table.number())
    }

    fn name(&self, number: TableNumber) -> Option<&str> {
        let shown = || {
            self.shown
                .iter()
                .map(|name| self.system(name))
                .find(|table| table.number() == number)
        };
        self.by_number
            .get(&number)
            .or_else(shown)
            .map(|table| table.name())
    }
}
