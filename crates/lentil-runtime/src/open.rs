//! Opening a database with an application's schema.
//!
//! The documents of every table whose type has changed, or one of whose indexes becomes unique, are
//! checked first. The check only reads. If documents do not match, the opening fails and names the
//! first of them. Otherwise the tables and indexes are declared, and new indexes are built. Each
//! batch is durable, so that a crash continues where it stopped.

use lentil_database::Tables;
use lentil_schema::{IndexDefinition, Schema, SchemaError, Table};
use lentil_store::{
    Catalog, IndexDeclaration, IndexRef, Order, Snapshot, Store, StoreError, TableDeclaration,
};
use lentil_values::{Interval, KeyWriter, Value};

use crate::application::Application;
use crate::engine::Registry;
use crate::functions::{Functions, FunctionsError};
use crate::options::{OpenProgress, RuntimeOptions};
use crate::router::RouterError;
use crate::schema_check::{SchemaViolations, definition, find_violations};
use crate::system_tables;

/// The number of documents in one step of building an index.
const BATCH_SIZE: usize = 1_000;
/// The most that a `_creationTime` can be above the time of its commit. Documents that are created
/// in the same millisecond get increasing times.
const CREATION_LEAD_MS: f64 = 1_000.0;

/// An error of opening an application on a store. The store is unchanged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The schema contradicts itself: correct it.
    #[error("the schema: {0}")]
    Schema(#[from] SchemaError),
    /// Two functions have the same path, or a path is malformed: correct it.
    #[error("the functions: {0}")]
    Functions(#[from] FunctionsError),
    /// Two HTTP routes are equal, or a route is malformed: correct it.
    #[error("the HTTP routes: {0}")]
    Router(#[from] RouterError),
    /// A declared secret has no value: set it.
    #[error("the secret `{0}` has no value: set it in the environment")]
    Secret(String),
    /// Documents do not match the schema. Change the schema back, or correct the documents with the
    /// version that they match.
    #[error("{0}")]
    SchemaViolations(SchemaViolations),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The tables and functions of the system's modules.
pub(crate) struct System {
    pub(crate) tables: Vec<Table>,
    pub(crate) functions: Functions,
}

/// The parts of a runtime that opening produces.
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
    // The checks that need no store come first, so that an invalid application does not touch the
    // database.
    application.schema.check()?;
    application.http.check(options.server_paths.is_reserved)?;
    let mut functions = application.functions.list()?;
    // `list` would reject these paths, which are in the module `_system`.
    functions.extend(system.functions.named()?);
    let registry = Registry::new(functions);
    for name in &application.secrets {
        if !options.secrets.contains_key(name) {
            return Err(OpenError::Secret(name.clone()));
        }
    }
    let violations = find_violations(&application.schema, store, &*options.progress).await?;
    if !violations.first.is_empty() {
        return Err(OpenError::SchemaViolations(violations));
    }
    let system_schema = system_tables::schema(system.tables);
    let declared = [
        declarations(&system_schema),
        declarations(&application.schema),
    ]
    .concat();
    store.declare(&declared).await?;
    while let Some(progress) = store.maintain(BATCH_SIZE).await? {
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
    let declarations = schema.tables().iter().map(|table| TableDeclaration {
        name: table.name().to_owned(),
        definition: definition(table),
        indexes: table.indexes().iter().map(declare_index).collect(),
    });
    declarations.collect()
}

fn declare_index(index: &IndexDefinition) -> IndexDeclaration {
    IndexDeclaration {
        name: index.name.clone(),
        fields: index.fields.clone(),
        unique: index.unique,
    }
}

/// Returns the greatest `_creationTime` that this database has given. Later ones must be greater.
///
/// It is at most [`CREATION_LEAD_MS`] above the time of the last commit. Greater ones are ignored,
/// because imported documents may have any.
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
            // A damaged document does not prevent the start. Its time is unknown, but at most
            // `latest`.
            Err(StoreError::DamagedDocument(_)) => last = last.max(latest),
            Err(error) => return Err(error),
        }
    }
    Ok(last)
}
