use std::fmt;

use lentil_schema::{IndexDefinition, Schema, Table};
use lentil_store::{
    Batches, Catalog, IndexRef, Order, Snapshot, Store, StoreError, TableEntry, find_duplicates,
};
use lentil_values::{Interval, TableNames, TableNumber};

use crate::options::OpenProgress;
use crate::system_tables;

const BATCH_SIZE: usize = 1_000;
/// The most violations that are reported.
const MAX_VIOLATIONS: usize = 10;

/// The first documents that do not match the schema.
#[derive(Debug, Default)]
pub struct SchemaViolations {
    /// One sentence for each: table, id, field, and the fault.
    pub first: Vec<String>,
}

impl SchemaViolations {
    fn is_full(&self) -> bool {
        self.first.len() >= MAX_VIOLATIONS
    }
}

impl fmt::Display for SchemaViolations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("documents do not match the schema, so nothing was changed:")?;
        for violation in &self.first {
            write!(f, "\n  {violation}")?;
        }
        if self.is_full() {
            f.write_str("\n  (there may be more)")?;
        }
        Ok(())
    }
}

/// Returns a table's type as the store keeps it, to detect that the type has changed.
pub(crate) fn definition(table: &Table) -> String {
    table.document().to_json().to_string()
}

/// Checks the documents of a schema's tables. It only reads.
///
/// It checks the tables whose type has changed since their last check, and the indexes that become
/// unique.
pub(crate) async fn find_violations(
    schema: &Schema,
    store: &dyn Store,
    progress: &(dyn Fn(OpenProgress<'_>) + Send + Sync),
) -> Result<SchemaViolations, StoreError> {
    let catalog = store.catalog();
    let mut check = Check {
        schema,
        catalog: &catalog,
        snapshot: store.snapshot().await?,
        violations: SchemaViolations::default(),
        progress,
    };
    for table in schema.tables() {
        let Some(entry) = catalog.tables.get(table.name()) else {
            // A new table has no documents.
            continue;
        };
        if entry.definition != definition(table) || !entry.declared {
            check.check_documents(table, entry.number).await?;
        }
        for index in table.indexes() {
            if index.unique && !is_known_unique(entry, index) {
                check.check_unique(table, entry.number, index).await?;
            }
        }
        if check.violations.is_full() {
            break;
        }
    }
    Ok(check.violations)
}

/// Returns whether an index was unique before, so that its documents are known to be unique.
fn is_known_unique(entry: &TableEntry, index: &IndexDefinition) -> bool {
    entry
        .index(&index.name)
        .is_some_and(|known| known.unique && known.fields == index.fields)
}

/// A check of documents on one snapshot.
struct Check<'a> {
    schema: &'a Schema,
    catalog: &'a Catalog,
    snapshot: Box<dyn Snapshot>,
    violations: SchemaViolations,
    progress: &'a (dyn Fn(OpenProgress<'_>) + Send + Sync),
}

impl Check<'_> {
    /// Checks every document of a table against its type.
    async fn check_documents(
        &mut self,
        table: &Table,
        number: TableNumber,
    ) -> Result<(), StoreError> {
        let names = NamesAfterOpening {
            schema: self.schema,
            catalog: self.catalog,
        };
        let index = IndexRef::ById(number);
        let mut batches = Batches::new(index, Interval::all(), Order::Asc, BATCH_SIZE);
        let mut done = 0;
        while let Some(rows) = batches.next(&mut *self.snapshot).await? {
            for row in &rows {
                let Err(error) = table.validate(&row.document.fields, &names) else {
                    continue;
                };
                self.violations.first.push(format!(
                    "table \"{}\", document \"{}\": field {error}",
                    table.name(),
                    row.document.id
                ));
                if self.violations.is_full() {
                    return Ok(());
                }
            }
            done += rows.len() as u64;
            self.report(table, done);
        }
        Ok(())
    }

    /// Checks that no two documents are equal in an index that becomes unique.
    async fn check_unique(
        &mut self,
        table: &Table,
        number: TableNumber,
        index: &IndexDefinition,
    ) -> Result<(), StoreError> {
        let remaining = MAX_VIOLATIONS - self.violations.first.len();
        let report = |done| {
            (self.progress)(OpenProgress::Checking {
                table: table.name(),
                done,
            });
        };
        let duplicates = find_duplicates(
            &mut *self.snapshot,
            (table.name(), number),
            (index.name.as_str(), index.fields.as_slice()),
            remaining,
            &report,
        )
        .await?;
        for duplicate in duplicates {
            self.violations.first.push(duplicate.to_string());
        }
        Ok(())
    }

    fn report(&self, table: &Table, done: u64) {
        (self.progress)(OpenProgress::Checking {
            table: table.name(),
            done,
        });
    }
}

/// The names of tables as they will be when the schema is declared. A new table has no documents
/// that an id could refer to.
struct NamesAfterOpening<'a> {
    schema: &'a Schema,
    catalog: &'a Catalog,
}

impl TableNames for NamesAfterOpening<'_> {
    fn number(&self, name: &str) -> Option<TableNumber> {
        let mut tables = self.schema.tables().iter();
        let is_declared =
            tables.any(|table| table.name() == name) || system_tables::SHOWN.contains(&name);
        if !is_declared {
            return None;
        }
        Some(self.catalog.tables.get(name)?.number)
    }

    fn name(&self, number: TableNumber) -> Option<&str> {
        let mut tables = self.catalog.tables.iter();
        let (name, _) = tables.find(|(_, entry)| entry.number == number)?;
        Some(name)
    }
}
