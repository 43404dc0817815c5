use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use lentil_call::{Code, Error, Result, check_size};
use lentil_schema::{Doc, Document, Id, IntoRange, Patch};
use lentil_store::StoredDocument;
use lentil_values::{DocumentId, FieldName, Object, TableNumber, Value};

use crate::cell::TransactionCell;
use crate::env::DatabaseEnv;
use crate::query::Query;
use crate::reader::DatabaseReader;
use crate::tables::OpenTable;
use crate::transaction::size_of;

/// The database of a mutation, `ctx.db`: a [`DatabaseReader`] that also writes.
///
/// The mutation's own reads see its writes at once. All others see them together, when the mutation
/// is committed.
pub struct DatabaseWriter {
    reader: DatabaseReader,
}

impl DatabaseWriter {
    /// Stores a new document and returns its id.
    ///
    /// # Errors
    /// When the document does not match the schema or exceeds a limit, or when the mutation writes
    /// too much. This holds for the methods below, too.
    pub async fn insert<T: Document>(&mut self, document: T) -> Result<Id<T>> {
        self.insert_object(T::TABLE, document.into_fields())
            .await
            .map(Id::new)
    }

    /// Reads a document, as [`DatabaseReader::get`] does.
    ///
    /// The methods of the reader that take arguments are repeated here, because an argument may
    /// read the context (`ctx.db.query(Job::BY_TIME.lt(ctx.now()?))`). The compiler allows that for
    /// a method of `ctx.db` itself, and not for one behind a dereference.
    ///
    /// # Errors
    /// As [`DatabaseReader::get`].
    pub async fn get<T: Document>(&mut self, id: impl Into<Id<T>>) -> Result<Option<Doc<T>>> {
        self.reader.get(id).await
    }

    /// Returns a query over a range of an index, as [`DatabaseReader::query`] does.
    pub fn query<'f, T: Document>(&mut self, range: impl IntoRange<T>) -> Query<'_, 'f, Doc<T>> {
        self.reader.query(range)
    }

    /// Changes the named fields of a document and keeps the others.
    ///
    /// A patch that does not change the document writes nothing.
    ///
    /// # Errors
    /// [`Code::NonexistentDocument`] when it does not exist; [`Code::InvalidId`] when the id
    /// belongs to another table.
    pub async fn patch<T: Document>(
        &mut self,
        id: impl Into<Id<T>>,
        patch: impl Into<Patch<T>>,
    ) -> Result<()> {
        let id = id.into();
        self.reader.check_id("db.patch", id)?;
        self.patch_object(id.document_id(), patch.into().changes)
            .await
    }

    /// Replaces all fields of a document except `_id` and `_creationTime`.
    ///
    /// # Errors
    /// As [`DatabaseWriter::patch`].
    pub async fn replace<T: Document>(&mut self, id: impl Into<Id<T>>, document: T) -> Result<()> {
        let id = id.into();
        self.reader.check_id("db.replace", id)?;
        self.replace_object(id.document_id(), document.into_fields())
            .await
    }

    /// Deletes a document.
    ///
    /// # Errors
    /// As [`DatabaseWriter::patch`]. Deleting a document twice is an error.
    pub async fn delete<T: Document>(&mut self, id: impl Into<Id<T>>) -> Result<()> {
        let id = id.into();
        self.reader.check_id("db.delete", id)?;
        self.delete_object(id.document_id()).await
    }

    /// As [`DatabaseWriter::insert`], for a table known by its name.
    ///
    /// # Errors
    /// [`Code::InvalidQuery`] when the schema does not declare the table.
    pub async fn insert_object(&mut self, table: &str, fields: Object) -> Result<DocumentId> {
        let transaction = self.reader.transaction()?;
        let open = transaction
            .env()
            .tables
            .named(table)
            .cloned()
            .ok_or_else(|| {
                let message = format!("db.insert: table \"{table}\" is not declared in the schema");
                Error::new(Code::InvalidQuery, message)
            })?;
        let (id, creation_time) = transaction.env().new_id(open.number(), transaction.now_ms);
        // `put` borrows the transaction again.
        drop(transaction);
        self.put(
            "db.insert",
            &open,
            None,
            StoredDocument {
                id,
                creation_time,
                fields,
            },
        )?;
        Ok(id)
    }

    /// As [`DatabaseWriter::patch`], for any table; `None` removes a field.
    ///
    /// The changes may contain `_id` and `_creationTime` with their present values.
    ///
    /// # Errors
    /// As [`DatabaseWriter::patch`]; [`Code::InvalidId`] or [`Code::InvalidCreationTime`] when a
    /// system field would change.
    pub async fn patch_object(
        &mut self,
        id: DocumentId,
        changes: Vec<(FieldName, Option<Value>)>,
    ) -> Result<()> {
        let (open, old) = self.existing("db.patch", id).await?;
        let mut new = (*old).clone();
        for (name, value) in changes {
            if is_own_system_field("db.patch", &old, name.as_str(), value.as_ref())? {
                continue;
            }
            match value {
                Some(value) => new.fields.insert(name, value),
                None => new.fields.remove(name.as_str()),
            };
        }
        self.put("db.patch", &open, Some(old), new)
    }

    /// As [`DatabaseWriter::replace`], for any table.
    ///
    /// The fields may contain `_id` and `_creationTime` with their present values.
    ///
    /// # Errors
    /// As [`DatabaseWriter::patch_object`].
    pub async fn replace_object(&mut self, id: DocumentId, mut fields: Object) -> Result<()> {
        let (open, old) = self.existing("db.replace", id).await?;
        for name in SYSTEM_FIELDS {
            let given = fields.get(name);
            // A replacement may leave the system fields out, which a patch would call a removal.
            if given.is_some() && is_own_system_field("db.replace", &old, name, given)? {
                fields.remove(name);
            }
        }
        let new = StoredDocument {
            fields,
            ..(*old).clone()
        };
        self.put("db.replace", &open, Some(old), new)
    }

    /// As [`DatabaseWriter::delete`], for any table.
    ///
    /// # Errors
    /// As [`DatabaseWriter::delete`].
    pub async fn delete_object(&mut self, id: DocumentId) -> Result<()> {
        let (_, old) = self.existing("db.delete", id).await?;
        let mut transaction = self.reader.transaction()?;
        transaction.write("db.delete", size_of(&old), Some(old), None)
    }

    async fn existing(
        &mut self,
        call: &str,
        id: DocumentId,
    ) -> Result<(Arc<OpenTable>, Arc<StoredDocument>)> {
        if id.table < TableNumber::FIRST_USER {
            let message = format!(
                "{call}: \"{id}\" is an id of one of the system's tables, which functions do not write"
            );
            return Err(Error::new(Code::InvalidId, message));
        }
        let found = self
            .reader
            .transaction()?
            .get(id)
            .await
            .map_err(|error| error.in_context(call))?;
        let table = self
            .reader
            .transaction()?
            .env()
            .tables
            .numbered(id.table)
            .cloned();
        // A document of a table that the schema no longer declares counts as missing.
        table.zip(found).ok_or_else(|| {
            Error::new(
                Code::NonexistentDocument,
                format!("{call}: there is no document with the id \"{id}\""),
            )
        })
    }

    fn put(
        &mut self,
        call: &str,
        open: &OpenTable,
        old: Option<Arc<StoredDocument>>,
        new: StoredDocument,
    ) -> Result<()> {
        // An unchanged document was already checked, and a write of it would invalidate its
        // readers.
        if old.as_ref().is_some_and(|old| old.fields == new.fields) {
            return Ok(());
        }
        let mut transaction = self.reader.transaction()?;
        check_document(transaction.env(), call, open, &new)?;
        transaction.write(call, size_of(&new), old, Some(Arc::new(new)))
    }
}

// For the runtime, which owns the contexts.
#[doc(hidden)]
impl DatabaseWriter {
    /// Returns a writer that shares the transaction in a cell.
    pub fn on(cell: TransactionCell) -> DatabaseWriter {
        DatabaseWriter {
            reader: DatabaseReader::on(cell),
        }
    }
}

const SYSTEM_FIELDS: [&str; 2] = ["_id", "_creationTime"];

/// Returns whether a change names a system field with its present value.
///
/// # Errors
/// When the value would change.
fn is_own_system_field(
    call: &str,
    document: &StoredDocument,
    name: &str,
    value: Option<&Value>,
) -> Result<bool> {
    let (is_same, code) = match name {
        "_id" => {
            let id = value.and_then(Value::as_str).map(str::parse);
            (id == Some(Ok(document.id)), Code::InvalidId)
        }
        "_creationTime" => {
            let time = value.and_then(Value::as_f64);
            (
                time == Some(document.creation_time),
                Code::InvalidCreationTime,
            )
        }
        _ => return Ok(false),
    };
    if is_same {
        return Ok(true);
    }
    let message = format!(
        "{call}: `{name}` of document \"{}\" cannot change; leave it out or pass it as it is",
        document.id
    );
    Err(Error::new(code, message))
}

impl Deref for DatabaseWriter {
    type Target = DatabaseReader;

    fn deref(&self) -> &DatabaseReader {
        &self.reader
    }
}

impl DerefMut for DatabaseWriter {
    fn deref_mut(&mut self) -> &mut DatabaseReader {
        &mut self.reader
    }
}

/// Checks a document against the limits and the schema of its table, before it is written.
fn check_document(
    env: &DatabaseEnv,
    call: &str,
    open: &OpenTable,
    document: &StoredDocument,
) -> Result<()> {
    let limits = &env.limits;
    let what = format_args!("{call}: the document for table \"{}\"", open.name());
    check_size(what, size_of(document), limits.document_bytes)?;
    let nesting = document.fields.nesting();
    if nesting > limits.document_nesting {
        let message = format!(
            "{what} is nested {nesting} levels deep; the limit is {}",
            limits.document_nesting
        );
        return Err(Error::new(Code::ValueTooLarge, message));
    }
    if let Some((name, _)) = document
        .fields
        .iter()
        .find(|(name, _)| name.as_str().starts_with('_'))
    {
        let message = format!(
            "{what}: the field `{}` begins with `_`, which only system fields do",
            name.as_str()
        );
        return Err(Error::new(Code::SchemaEnforcement, message));
    }
    document
        .fields
        .check_limits()
        .map_err(|error| Error::new(Code::ValueTooLarge, format!("{what}: {error}")))?;
    open.table
        .validate(&document.fields, &env.tables)
        .map_err(|error| {
            let message = format!("{what} does not match the schema: field {error}");
            Error::new(Code::SchemaEnforcement, message)
        })
}
