use lentil_store::{Catalog, IndexId, IndexRef, IndexState, StoreError, StoredDocument};
use lentil_values::{DocumentId, IndexKey, TableNumber};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

use crate::error::store_error;
use crate::tables::document_table::DocumentTable;
use crate::tables::documents::{self, Documents};
use crate::tables::index_entries::{self, system_index};
use crate::tables::row::{Fault, StoredRow};
use crate::tables::rowid::FIRST_NATIVE;
use crate::tables::{damage, foreign, format};

/// The number of rows that are read in one snapshot.
const STEP_ROWS: i64 = 256;

/// The place of an entry: its `index_id` and its bytes.
pub(super) type EntryPlace = (i64, Vec<u8>);

/// Compares documents with checksums and index entries within one snapshot.
pub(super) struct View<'c> {
    conn: &'c Connection,
    catalog: Catalog,
    pub(super) findings: Vec<Finding>,
}

/// A document or entry that differs from what was written.
pub(super) struct Finding {
    pub(super) table: String,
    pub(super) index: Option<String>,
    pub(super) id: Option<DocumentId>,
    pub(super) what: String,
}

/// The result of a step.
pub(super) struct CheckStep<N> {
    pub(super) rows: u64,
    /// Where the next step begins; `None` at the end.
    pub(super) next: Option<N>,
}

/// An index entry, compared with its document.
struct ComparedEntry {
    /// The document's id if the entry contains it.
    id: Option<DocumentId>,
    has_document: bool,
}

impl<'c> View<'c> {
    /// Creates a view of the snapshot that is open on the connection.
    pub(super) fn new(conn: &'c Connection) -> Result<View<'c>, StoreError> {
        Ok(View {
            conn,
            catalog: format::read_catalog(conn)?,
            findings: Vec::new(),
        })
    }

    /// Verifies up to [`STEP_ROWS`] documents of a table from this rowid on. Adds the rowids of
    /// intact documents without a checksum to `unstamped`.
    pub(super) fn verify_documents(
        &mut self,
        table: TableNumber,
        from: i64,
        unstamped: &mut Vec<i64>,
    ) -> Result<CheckStep<i64>, StoreError> {
        let mut step = CheckStep {
            rows: 0,
            next: None,
        };
        let document_table = DocumentTable(table);
        let Some(mut select) = document_table.prepare(self.conn, &document_table.walk_sql())?
        else {
            return Ok(step);
        };
        let mut rows = select.query([from, STEP_ROWS]).map_err(store_error)?;
        let mut last = None;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) => {
                    // SQLite cannot read past a damaged page.
                    let what = format!("documents cannot be read: {}", damage_in(error)?);
                    self.report(table, None, None, what);
                    return Ok(step);
                }
            };
            let row = StoredRow::of(row).map_err(store_error)?;
            step.rows += 1;
            last = Some(row.rowid);
            match row.verify(table) {
                Ok(document) => {
                    self.verify_entries_of(&document, row.rowid)?;
                    if !row.has_checksum() {
                        unstamped.push(row.rowid);
                    }
                }
                Err(fault) => self.report_row(table, &row, fault),
            }
        }
        if step.rows == STEP_ROWS as u64 {
            step.next = last.and_then(|last| last.checked_add(1));
        }
        Ok(step)
    }

    fn report_row(&mut self, table: TableNumber, row: &StoredRow<'_>, fault: Fault) {
        let what = match fault {
            Fault::Checksum => "the document's checksum does not match".to_owned(),
            Fault::Content(what) => format!("the document is damaged: {what}"),
        };
        let what = format!("{what} (row {} of {})", row.rowid, DocumentTable(table));
        let id = row.id().filter(|id| id.table == table);
        self.report(table, None, id, what);
    }

    /// Checks that a document has all of its entries.
    fn verify_entries_of(
        &mut self,
        document: &StoredDocument,
        rowid: i64,
    ) -> Result<(), StoreError> {
        let mut entries: Vec<(IndexRef, Vec<u8>)> = Vec::new();
        for (index, key) in self.catalog.keys_of(document) {
            if let IndexRef::Declared(_, id) = index
                && self.state_of(id) == Some(IndexState::Ready)
            {
                entries.push((index, key.into_bytes()));
            }
        }
        if rowid < FIRST_NATIVE {
            entries.extend(foreign::entries(document, rowid));
        }
        for (index, entry) in entries {
            let is_stored =
                index_entries::contains(self.conn, index, &entry).map_err(store_error)?;
            if !is_stored {
                let what = "the document's index entry is missing".to_owned();
                self.report(document.id.table, Some(index), Some(document.id), what);
            }
        }
        Ok(())
    }

    /// Verifies up to [`STEP_ROWS`] entries after this one.
    pub(super) fn verify_entries(
        &mut self,
        (index_id, key): &EntryPlace,
    ) -> Result<CheckStep<EntryPlace>, StoreError> {
        let select = "SELECT index_id, key FROM _index_entries WHERE (index_id, key) > (?1, ?2)
             ORDER BY index_id, key LIMIT ?3";
        let mut select = self.conn.prepare_cached(select).map_err(store_error)?;
        let mut rows = select
            .query(params![index_id, key, STEP_ROWS])
            .map_err(store_error)?;
        let mut step = CheckStep {
            rows: 0,
            next: None,
        };
        let mut last = None;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) => {
                    let what = format!("index entries cannot be read: {}", damage_in(error)?);
                    self.report_entry(what);
                    return Ok(step);
                }
            };
            step.rows += 1;
            let Ok(index_id) = row.get::<_, i64>(0) else {
                let what = "an entry is malformed, and those after it are not read";
                self.report_entry(what.to_owned());
                return Ok(step);
            };
            let key = match row.get_ref(1).map_err(store_error)? {
                ValueRef::Blob(key) => {
                    self.verify_entry(index_id, key)?;
                    key.to_vec()
                }
                // SQLite orders values of other types before all blobs.
                _ => {
                    self.report_entry(format!("an entry is malformed (index_id {index_id})"));
                    Vec::new()
                }
            };
            last = Some((index_id, key));
        }
        if step.rows == STEP_ROWS as u64 {
            step.next = last;
        }
        Ok(step)
    }

    /// Checks that an entry's document exists and has this entry.
    fn verify_entry(&mut self, index_id: i64, entry: &[u8]) -> Result<(), StoreError> {
        let Some((index, state)) = self.find_index(index_id) else {
            self.report_entry(format!(
                "an entry is of an index that does not exist (index_id {index_id})"
            ));
            return Ok(());
        };
        if state == IndexState::Dropping {
            return Ok(());
        }
        let compared = match index {
            IndexRef::Declared(..) => self.compare_declared(index, entry)?,
            _ => self.compare_system(index, entry)?,
        };
        if !compared.has_document {
            let what = "an index entry is of no document".to_owned();
            self.report(index.table(), Some(index), compared.id, what);
        }
        Ok(())
    }

    /// Returns the index with this `index_id`.
    fn find_index(&self, index_id: i64) -> Option<(IndexRef, IndexState)> {
        match u32::try_from(index_id) {
            Ok(id) => {
                let id = IndexId(id);
                let (_, table, index) = self.catalog.find_index(id)?;
                Some((IndexRef::Declared(table.number, id), index.state))
            }
            Err(_) => {
                let index = system_index(index_id)?;
                self.catalog.table_by_number(index.table())?;
                Some((index, IndexState::Ready))
            }
        }
    }

    /// Compares an entry of a declared index with its document.
    fn compare_declared(&self, index: IndexRef, entry: &[u8]) -> Result<ComparedEntry, StoreError> {
        let key = IndexKey::from_bytes(entry.to_vec());
        let Some(internal) = key.id() else {
            return Ok(ComparedEntry {
                id: None,
                has_document: false,
            });
        };
        let id = DocumentId {
            table: index.table(),
            internal,
        };
        let has_document = match documents::get(self.conn, id) {
            Ok(Some(document)) => self.catalog.keys_of(&document).contains(&(index, key)),
            Ok(None) => false,
            // Another step reports the damaged or missing document.
            Err(StoreError::DamagedDocument(_) | StoreError::Corrupt(_)) => true,
            Err(error) => return Err(error),
        };
        Ok(ComparedEntry {
            id: Some(id),
            has_document,
        })
    }

    /// Compares an entry of `by_id` or `by_creation_time` with its foreign document.
    fn compare_system(&self, index: IndexRef, entry: &[u8]) -> Result<ComparedEntry, StoreError> {
        let Some((key, rowid)) = foreign::split_entry(entry) else {
            return Ok(ComparedEntry {
                id: None,
                has_document: false,
            });
        };
        let id = key.id().map(|internal| DocumentId {
            table: index.table(),
            internal,
        });
        let found = match Documents::of(self.conn, index.table())? {
            Some(mut documents) => documents.at(rowid),
            None => Ok(None),
        };
        let has_document = match found {
            Ok(Some(found)) => {
                let entries = foreign::entries(&found.document, rowid);
                rowid < FIRST_NATIVE && entries.contains(&(index, entry.to_vec()))
            }
            Ok(None) => false,
            Err(StoreError::DamagedDocument(_) | StoreError::Corrupt(_)) => true,
            Err(error) => return Err(error),
        };
        Ok(ComparedEntry { id, has_document })
    }

    fn state_of(&self, index: IndexId) -> Option<IndexState> {
        let (_, _, index) = self.catalog.find_index(index)?;
        Some(index.state)
    }

    /// Reports a damaged entry that names no index or document.
    fn report_entry(&mut self, what: String) {
        self.findings.push(Finding {
            table: "_index_entries".to_owned(),
            index: None,
            id: None,
            what,
        });
    }

    fn report(
        &mut self,
        table: TableNumber,
        index: Option<IndexRef>,
        id: Option<DocumentId>,
        what: String,
    ) {
        self.findings.push(Finding {
            table: damage::table_name(self.conn, table),
            index: index.map(|index| damage::index_name(self.conn, index)),
            id,
            what,
        });
    }
}

/// Returns SQLite's description of a damaged page.
///
/// # Errors
/// Any error that does not mean damage.
fn damage_in(error: rusqlite::Error) -> Result<String, StoreError> {
    match store_error(error) {
        StoreError::Corrupt(what) => Ok(what),
        other => Err(other),
    }
}
