//! Compares documents with checksums and index entries within one snapshot.

use lentil_store::{Catalog, IndexId, IndexRef, IndexState, StoreError, StoredDocument};
use lentil_values::{DocumentId, IndexKey, TableNumber};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};

use crate::error::store_error;
use crate::tables::damage;
use crate::tables::document_table::DocumentTable;
use crate::tables::documents::{self, Documents};
use crate::tables::row::{Fault, StoredRow};
use crate::tables::foreign;
use crate::tables::index_entries::{self, system_index};
use crate::tables::format;
use crate::tables::rowid::FIRST_NATIVE;

/// Rows that are read in one snapshot.
const STEP_ROWS: i64 = 256;

/// The place of an entry: its index's number, and its bytes.
pub(super) type EntryKey = (i64, Vec<u8>);

/// The state in one snapshot.
pub(super) struct View<'c> {
    conn: &'c Connection,
    catalog: Catalog,
    pub(super) findings: Vec<Finding>,
}

/// Something that is not as it was written.
pub(super) struct Finding {
    pub(super) table: String,
    pub(super) index: Option<String>,
    pub(super) id: Option<DocumentId>,
    pub(super) what: String,
}

/// The progress of a step.
pub(super) struct Walked<N> {
    pub(super) rows: u64,
    /// The start of the next step; `None` at the end.
    pub(super) next: Option<N>,
}

impl<'c> View<'c> {
    /// Returns a view of the snapshot that is open on the connection.
    pub(super) fn new(conn: &'c Connection) -> Result<View<'c>, StoreError> {
        Ok(View {
            conn,
            catalog: format::read_catalog(conn)?,
            findings: Vec::new(),
        })
    }

    /// Verifies up to [`STEP_ROWS`] documents of a table from this number on. Adds the numbers of intact documents
    /// without a checksum to `unstamped`.
    pub(super) fn walk_documents(
        &mut self,
        table: TableNumber,
        from: i64,
        unstamped: &mut Vec<i64>,
    ) -> Result<Walked<i64>, StoreError> {
        let mut walked = Walked {
            rows: 0,
            next: None,
        };
        let Some(mut select) = DocumentTable(table).prepare(self.conn, &DocumentTable(table).walk_sql())?
        else {
            return Ok(walked);
        };
        let mut rows = select.query([from, STEP_ROWS]).map_err(store_error)?;
        let mut last = None;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) => {
                    // SQLite does not get past such a page.
                    let what = format!("documents cannot be read: {}", failed(error)?);
                    self.find(table, None, None, what);
                    return Ok(walked);
                }
            };
            let stored = StoredRow::of(row).map_err(store_error)?;
            walked.rows += 1;
            last = Some(stored.rowid);
            match stored.verify(table) {
                Ok(document) => {
                    self.verify_entries_of(&document, stored.rowid)?;
                    if !stored.has_checksum() {
                        unstamped.push(stored.rowid);
                    }
                }
                Err(fault) => self.find_damaged(table, &stored, fault),
            }
        }
        if walked.rows == STEP_ROWS as u64 {
            walked.next = last.and_then(|last| last.checked_add(1));
        }
        Ok(walked)
    }

    fn find_damaged(&mut self, table: TableNumber, stored: &StoredRow<'_>, fault: Fault) {
        let what = match fault {
            Fault::Checksum => "the document's checksum does not match".to_owned(),
            Fault::Content(what) => format!("the document is damaged: {what}"),
        };
        let what = format!("{what} (row {} of {})", stored.rowid, DocumentTable(table));
        self.find(
            table,
            None,
            stored.id().filter(|id| id.table == table),
            what,
        );
    }

    /// Checks that a document has all entries that it should have.
    fn verify_entries_of(
        &mut self,
        document: &StoredDocument,
        number: i64,
    ) -> Result<(), StoreError> {
        let mut entries: Vec<(IndexRef, Vec<u8>)> = Vec::new();
        for (index, key) in self.catalog.keys_of(document) {
            if let IndexRef::Declared(_, id) = index
                && self.state_of(id) == Some(IndexState::Ready)
            {
                entries.push((index, key.into_bytes()));
            }
        }
        if number < FIRST_NATIVE {
            entries.extend(foreign::entries(document, number));
        }
        for (index, entry) in entries {
            if !index_entries::contains(self.conn, index, &entry).map_err(store_error)? {
                let what = "the document's index entry is missing".to_owned();
                self.find(document.id.table, Some(index), Some(document.id), what);
            }
        }
        Ok(())
    }

    /// Verifies up to [`STEP_ROWS`] entries after this one.
    pub(super) fn walk_entries(
        &mut self,
        (index, key): &EntryKey,
    ) -> Result<Walked<EntryKey>, StoreError> {
        let select = "SELECT index_id, key FROM _index_entries WHERE (index_id, key) > (?1, ?2)
             ORDER BY index_id, key LIMIT ?3";
        let mut select = self.conn.prepare_cached(select).map_err(store_error)?;
        let mut rows = select
            .query(params![index, key, STEP_ROWS])
            .map_err(store_error)?;
        let mut walked = Walked {
            rows: 0,
            next: None,
        };
        let mut last = None;
        loop {
            let row = match rows.next() {
                Ok(Some(row)) => row,
                Ok(None) => break,
                Err(error) => {
                    let what = format!("index entries cannot be read: {}", failed(error)?);
                    self.find_entry(what);
                    return Ok(walked);
                }
            };
            walked.rows += 1;
            let Ok(index) = row.get::<_, i64>(0) else {
                self.find_entry(
                    "an entry is malformed, and those after it are not read".to_owned(),
                );
                return Ok(walked);
            };
            let key = match row.get_ref(1).map_err(store_error)? {
                ValueRef::Blob(key) => {
                    self.verify_entry(index, key)?;
                    key.to_vec()
                }
                // SQLite orders values of other types before all blobs.
                _ => {
                    self.find_entry(format!("an entry is malformed (index_id {index})"));
                    Vec::new()
                }
            };
            last = Some((index, key));
        }
        if walked.rows == STEP_ROWS as u64 {
            walked.next = last;
        }
        Ok(walked)
    }

    /// Checks that an entry is one of a document that is there.
    fn verify_entry(&mut self, index_number: i64, entry: &[u8]) -> Result<(), StoreError> {
        let index = match u32::try_from(index_number).map(IndexId) {
            Ok(id) => self
                .catalog
                .find_index(id)
                .map(|(_, table, index)| (IndexRef::Declared(table.number, id), index.state)),
            Err(_) => system_index(index_number)
                .filter(|index| self.catalog.table_by_number(index.table()).is_some())
                .map(|index| (index, IndexState::Ready)),
        };
        let Some((index, state)) = index else {
            self.find_entry(format!(
                "an entry is of an index that does not exist (index_id {index_number})"
            ));
            return Ok(());
        };
        if state == IndexState::Dropping {
            return Ok(());
        }
        let (id, is_right) = match index {
            IndexRef::Declared(..) => self.is_declared_entry(index, entry)?,
            _ => self.is_system_entry(index, entry)?,
        };
        if !is_right {
            let what = "an index entry is of no document".to_owned();
            self.find(index.table(), Some(index), id, what);
        }
        Ok(())
    }

    /// The id in an entry of a declared index, and whether its document has this entry.
    fn is_declared_entry(
        &self,
        index: IndexRef,
        entry: &[u8],
    ) -> Result<(Option<DocumentId>, bool), StoreError> {
        let key = IndexKey::from_bytes(entry.to_vec());
        let Some(internal) = key.id() else {
            return Ok((None, false));
        };
        let id = DocumentId {
            table: index.table(),
            internal,
        };
        let document = match documents::get(self.conn, id) {
            Ok(document) => document,
            // The document is found to be damaged, or missing, elsewhere.
            Err(StoreError::DamagedDocument(_) | StoreError::Corrupt(_)) => {
                return Ok((Some(id), true));
            }
            Err(error) => return Err(error),
        };
        let is_right = document.is_some_and(|document| {
            let keys = self.catalog.keys_of(&document);
            keys.contains(&(index, key))
        });
        Ok((Some(id), is_right))
    }

    /// The same for an entry of `by_id` or `by_creation_time`.
    fn is_system_entry(
        &self,
        index: IndexRef,
        entry: &[u8],
    ) -> Result<(Option<DocumentId>, bool), StoreError> {
        let Some((key, number)) = foreign::split_entry(entry) else {
            return Ok((None, false));
        };
        let id = key.id().map(|internal| DocumentId {
            table: index.table(),
            internal,
        });
        let found = match Documents::of(self.conn, index.table())? {
            Some(mut documents) => documents.at(number),
            None => Ok(None),
        };
        let is_right = match found {
            Ok(found) => found.is_some_and(|found| {
                let entries = foreign::entries(&found.document, number);
                number < FIRST_NATIVE && entries.contains(&(index, entry.to_vec()))
            }),
            Err(StoreError::DamagedDocument(_) | StoreError::Corrupt(_)) => true,
            Err(error) => return Err(error),
        };
        Ok((id, is_right))
    }

    fn state_of(&self, index: IndexId) -> Option<IndexState> {
        self.catalog
            .find_index(index)
            .map(|(_, _, index)| index.state)
    }

    /// Notes damage to an entry that does not say which index or document it is of.
    fn find_entry(&mut self, what: String) {
        self.findings.push(Finding {
            table: "_index_entries".to_owned(),
            index: None,
            id: None,
            what,
        });
    }

    fn find(
        &mut self,
        table: TableNumber,
        index: Option<IndexRef>,
        id: Option<DocumentId>,
        what: String,
    ) {
        let finding = Finding {
            table: damage::table_name(self.conn, table),
            index: index.map(|index| damage::index_name(self.conn, index)),
            id,
            what,
        };
        self.findings.push(finding);
    }
}

/// Returns SQLite's description of a damaged page.
///
/// # Errors
/// Any error that does not mean damage.
fn failed(error: rusqlite::Error) -> Result<String, StoreError> {
    match store_error(error) {
        StoreError::Corrupt(what) => Ok(what),
        other => Err(other),
    }
}
