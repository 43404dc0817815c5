//! Opening a database with an application's schema.
//!
//! First every document of a table whose type has changed, or one of whose indexes becomes unique, is checked, reading
//! only; a mismatch refuses the opening and names the first documents that do not fit. Only then are tables and
//! indexes declared, and new indexes built in batches, each of them durable, so that a crash continues where it stopped.

use std::fmt;

use lentil_database::Tables;
use lentil_schema::{Schema, SchemaError, Table};
use lentil_store::{
    Batches, Catalog, IndexDeclaration, IndexRef, Order, Progress, Snapshot, Store, StoreError,
    TableDeclaration, TableEntry, find_duplicates,
};
use lentil_values::{Interval, KeyWriter, TableNames, TableNumber, Value};

use crate::application::Application;
use crate::engine::Registry;
use crate::functions::{Functions, FunctionsError};
use crate::options::RuntimeOptions;
use crate::router::RouterError;
use crate::system_tables;

const BATCH: usize = 1_000;
const SHOWN_MISFITS: usize = 10;
/// The most that a `_creationTime` may be above the time of its commit. Documents that are made in the same moment
/// get increasing times.
const CREATION_LEAD_MS: f64 = 1_000.0;

/// Why an application cannot run on a store. The store is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The schema contradicts itself: correct it.
    #[error("the schema: {0}")]
    Schema(#[from] SchemaError),
    /// The functions' names clash or are malformed: correct them.
    #[error("the functions: {0}")]
    Functions(#[from] FunctionsError),
    /// The HTTP routes clash or are malformed: correct them.
    #[error("the HTTP routes: {0}")]
    Router(#[from] RouterError),
    /// A declared secret has no value: set it.
    #[error("the secret `{0}` has no value: set it in the environment")]
    Secret(String),
    /// Documents do not match the schema: change it back, or mend them with the version they fit.
    #[error("{0}")]
    Misfits(Misfits),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The first documents that do not match the schema.
#[derive(Debug)]
pub struct Misfits {
    /// One sentence each: table, id, field, what is wrong.
    pub first: Vec<String>,
}

impl fmt::Display for Misfits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("documents do not match the schema, so nothing was changed:")?;
        self.first
            .iter()
            .try_for_each(|misfit| write!(f, "\n  {misfit}"))?;
        if self.first.len() == SHOWN_MISFITS {
            f.write_str("\n  (there may be more)")
        } else {
            Ok(())
        }
    }
}

/// How opening goes on.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum OpenProgress<'a> {
    /// So many documents of a table have been checked.
    Checking {
        /// The table.
        table: &'a str,
        /// Documents checked so far.
        done: u64,
    },
    /// An index is being built or dropped.
    Index(&'a Progress),
}

/// The tables and functions of the system's modules.
pub(crate) struct System {
    pub(crate) tables: Vec<Table>,
    pub(crate) functions: Functions,
}

/// What opening finds out.
pub(crate) struct Opened {
    pub(crate) tables: Tables,
    pub(crate) registry: Registry,
    pub(crate) last_creation_time: f64,
}

pub(crate) async fn open(
    application: &Application,
    store: &dyn Store,
    system: System,
    options: &RuntimeOptions,
) -> Result<Opened, OpenError> {
    application.schema.check()?;
    application.http.check(options.server_paths.is_reserved)?;
    let mut functions = application.functions.list()?;
    functions.extend(system.functions.named()?);
    let registry = Registry::new(functions);
    if let Some(missing) = application
        .secrets
        .iter()
        .find(|name| !options.secrets.contains_key(*name))
    {
        return Err(OpenError::Secret(missing.clone()));
    }
    check_documents(&application.schema, store, options).await?;
    let system_schema = system_tables::schema(system.tables);
    let declared = [
        declarations(&system_schema),
        declarations(&application.schema),
    ]
    .concat();
    store.declare(&declared).await?;
    while let Some(progress) = store.maintain(BATCH).await? {
        (options.progress)(OpenProgress::Index(&progress));
    }
    let catalog = store.catalog();
    let last_creation_time = last_creation_time(&catalog, &mut *store.snapshot().await?).await?;
    Ok(Opened {
        tables: Tables::new(
            &application.schema,
            &system_schema,
            &system_tables::SHOWN,
            &catalog,
        ),
        registry,
        last_creation_time,
    })
}

fn declarations(schema: &Schema) -> Vec<TableDeclaration> {
    let declare = |table: &lentil_schema::Table| TableDeclaration {
        name: table.name().to_owned(),
        definition: definition(table),
        indexes: table.indexes().iter().map(declare_index).collect(),
    };
    schema.tables().iter().map(declare).collect()
}

fn declare_index(index: &lentil_schema::IndexDefinition) -> IndexDeclaration {
    IndexDeclaration {
        name: index.name.clone(),
        fields: index.fields.clone(),
        unique: index.unique,
    }
}

/// What the store keeps of a table's type: enough to see that it has changed.
fn definition(table: &lentil_schema::Table) -> String {
    table.document().to_json().to_string()
}

/// Checks the documents of every table whose type is not the one they were last checked against, and of those whose
/// indexes are unique and were not.
async fn check_documents(
    schema: &Schema,
    store: &dyn Store,
    options: &RuntimeOptions,
) -> Result<(), OpenError> {
    let catalog = store.catalog();
    let names = NamesAfter {
        schema,
        catalog: &catalog,
    };
    let mut snapshot = store.snapshot().await?;
    let mut misfits = Misfits { first: Vec::new() };
    for table in schema.tables() {
        let Some(entry) = catalog.tables.get(table.name()) else {
            continue;
        };
        if entry.definition != definition(table) || !entry.declared {
            check_table(
                table,
                entry.number,
                &names,
                &mut *snapshot,
                options,
                &mut misfits,
            )
            .await?;
        }
        for index in table
            .indexes()
            .iter()
            .filter(|index| index.unique && !is_known_unique(entry, index))
        {
            let left = SHOWN_MISFITS - misfits.first.len();
            let (of, by) = (
                (table.name(), entry.number),
                (index.name.as_str(), index.fields.as_slice()),
            );
            let tell = |done| {
                (options.progress)(OpenProgress::Checking {
                    table: table.name(),
                    done,
                })
            };
            let found = find_duplicates(&mut *snapshot, of, by, left, &tell).await?;
            misfits.first.extend(found.iter().map(ToString::to_string));
        }
        if misfits.first.len() == SHOWN_MISFITS {
            break;
        }
    }
    if misfits.first.is_empty() {
        Ok(())
    } else {
        Err(OpenError::Misfits(misfits))
    }
}

/// Returns whether an index was unique before, so that its documents are known to be.
fn is_known_unique(entry: &TableEntry, index: &lentil_schema::IndexDefinition) -> bool {
    entry
        .index(&index.name)
        .is_some_and(|known| known.unique && known.fields == index.fields)
}

async fn check_table(
    table: &lentil_schema::Table,
    number: TableNumber,
    names: &dyn TableNames,
    snapshot: &mut dyn Snapshot,
    options: &RuntimeOptions,
    misfits: &mut Misfits,
) -> Result<(), OpenError> {
    let index = IndexRef::ById(number);
    let mut batches = Batches::new(index, Interval::all(), Order::Asc, BATCH);
    let mut done = 0;
    while let Some(rows) = batches.next(snapshot).await? {
        for row in &rows {
            let Err(error) = table.validate(&row.document.fields, names) else {
                continue;
            };
            misfits.first.push(format!(
                "table \"{}\", document \"{}\": field {error}",
                table.name(),
                row.document.id
            ));
            if misfits.first.len() == SHOWN_MISFITS {
                return Ok(());
            }
        }
        done += rows.len() as u64;
        (options.progress)(OpenProgress::Checking {
            table: table.name(),
            done,
        });
    }
    Ok(())
}

/// Table names as they will be once the schema is declared: a table that is new has no documents to refer to.
struct NamesAfter<'a> {
    schema: &'a Schema,
    catalog: &'a Catalog,
}

impl TableNames for NamesAfter<'_> {
    fn number(&self, name: &str) -> Option<TableNumber> {
        let declared = self
            .schema
            .tables()
            .iter()
            .any(|table| table.name() == name)
            || system_tables::SHOWN.contains(&name);
        self.catalog
            .tables
            .get(name)
            .filter(|_| declared)
            .map(|entry| entry.number)
    }

    fn name(&self, number: TableNumber) -> Option<&str> {
        let mut tables = self.catalog.tables.iter();
        tables
            .find(|(_, entry)| entry.number == number)
            .map(|(name, _)| name.as_str())
    }
}

/// The greatest `_creationTime` that was given here, which later ones must be above.
///
/// It is at most [`CREATION_LEAD_MS`] above the last commit's time. Documents of other databases may have any, and are
/// ignored.
async fn last_creation_time(
    catalog: &Catalog,
    snapshot: &mut dyn Snapshot,
) -> Result<f64, StoreError> {
    let mut last = 0.0_f64;
    let latest = snapshot.timestamp().as_millis() + CREATION_LEAD_MS;
    let mut end = KeyWriter::new();
    end.push(Some(&Value::Float64(latest)));
    let interval = Interval {
        start: Vec::new(),
        end: Some(end.finish().into_bytes()),
    };
    for entry in catalog.tables.values() {
        let index = IndexRef::ByCreationTime(entry.number);
        match snapshot.scan(index, &interval, Order::Desc, 1).await {
            Ok(rows) => {
                for row in rows {
                    last = last.max(row.document.creation_time);
                }
            }
            // It does not keep the server from starting. Its time is not known, but it is not above this.
            Err(StoreError::DamagedDocument(_)) => last = last.max(latest),
            Err(error) => return Err(error),
        }
    }
    Ok(last)
}
