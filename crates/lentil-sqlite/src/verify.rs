//! The background search for damage that no read has met yet.
//!
//! A thread compares all documents with their checksums, and documents with index entries both ways: soon after the
//! start, then once a day. It reads a few hundred rows at a time, each time in its own snapshot, and pauses in
//! between, so that it takes a tenth of one processor and does not hold up checkpoints:
//!
//! ```text
//! snapshot   ├ 256 documents ┤              ├ 256 documents ┤       …  ├ 256 entries ┤
//! writer                       256 checksums
//! ```
//!
//! It gives each intact document that has no checksum its own. That is a small transaction between two batches. It
//! changes no document, so it takes no timestamp and invalidates nothing.

use std::sync::Weak;
use std::time::{Duration, Instant};

use lentil_store::{Catalog, IndexId, IndexRef, IndexState, StoreError, StoredDocument};
use lentil_values::{DocumentId, IndexKey, TableNumber};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};

use crate::checkpoint::Ticker;
use crate::connection::{self, run};
use crate::damage::{self, Fault};
use crate::documents::{self, COLUMNS, Documents, Stored, Tree};
use crate::error::store_error;
use crate::foreign::{self, index_number, system_index};
use crate::numbers::FIRST_NATIVE;
use crate::store::Shared;
use crate::{format, maintain};

/// Rows that are read in one snapshot.
const STEP_ROWS: i64 = 256;
/// The pause after a step, in multiples of the step's duration.
const PAUSE_FACTOR: u32 = 9;
/// The number of times that a step asks for the writer between two batches.
const STAMP_TRIES: usize = 100;
/// The wait before it asks again.
const STAMP_PAUSE: Duration = Duration::from_millis(5);
/// The number of findings that are logged and returned one by one.
const MAX_SHOWN: usize = 100;

/// The result of a search for damage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Documents that were read.
    pub documents: u64,
    /// Index entries that were read.
    pub entries: u64,
    /// Documents that have got a checksum.
    pub stamped: u64,
    /// The number of damaged documents and entries.
    pub damaged: u64,
    /// The first of them, each as a sentence.
    pub findings: Vec<String>,
}

/// Looks for damage at intervals until the store is closed or dropped.
pub(crate) fn watch(ticker: &Ticker, shared: &Weak<Shared>) -> Result<(), StoreError> {
    let Some(options) = shared.upgrade().map(|shared| shared.options.clone()) else {
        return Ok(());
    };
    let mut wait = options.verify_delay;
    while ticker.wait(wait) {
        let Some(shared) = shared.upgrade() else {
            break;
        };
        let pause = |step: Duration| ticker.wait(step * PAUSE_FACTOR);
        match verify(&shared, &pause) {
            Ok(Some(found)) => log(&found),
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(%error, "the search for damage failed; the next one runs in a day")
            }
        }
        wait = options.verify_interval;
    }
    Ok(())
}

fn log(found: &Verification) {
    let Verification {
        documents,
        entries,
        stamped,
        damaged,
        ..
    } = found;
    if *damaged == 0 {
        tracing::info!(
            documents,
            entries,
            stamped,
            "all documents and index entries are intact"
        );
    } else {
        tracing::error!(
            documents,
            entries,
            damaged,
            "documents or index entries are damaged, as the lines above say; restore a backup"
        );
    }
}

/// Verifies everything once; `None` when `pause` says to stop. `pause` is called after each step with its duration.
pub(crate) fn verify(
    shared: &Shared,
    pause: &dyn Fn(Duration) -> bool,
) -> Result<Option<Verification>, StoreError> {
    let conn = connection::reader(&shared.path).map_err(store_error)?;
    let mut pass = Pass {
        shared,
        conn,
        found: Verification::default(),
    };
    for table in shared.catalog().tables.values() {
        let mut next = Some(i64::MIN);
        while let Some(from) = next {
            let began = Instant::now();
            next = pass.verify_documents(table.number, from)?;
            if !pause(began.elapsed()) {
                return Ok(None);
            }
        }
    }
    let mut next = Some((i64::MIN, Vec::new()));
    while let Some(after) = next {
        let began = Instant::now();
        next = pass.verify_entries(after)?;
        if !pause(began.elapsed()) {
            return Ok(None);
        }
    }
    Ok(Some(pass.found))
}

/// The place of an entry: its index's number, and its bytes.
type EntryKey = (i64, Vec<u8>);

struct Pass<'s> {
    shared: &'s Shared,
    conn: Connection,
    found: Verification,
}

/// The state in one snapshot.
struct View<'c> {
    conn: &'c Connection,
    catalog: Catalog,
    findings: Vec<Finding>,
}

/// Something that is not as it was written.
struct Finding {
    table: String,
    index: Option<String>,
    id: Option<DocumentId>,
    what: String,
}

impl Pass<'_> {
    /// Reads in a snapshot.
    fn view<T>(
        &mut self,
        read: impl FnOnce(&mut View<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        run(&self.conn, "BEGIN").map_err(store_error)?;
        let read = format::read_catalog(&self.conn).and_then(|catalog| {
            let mut view = View {
                conn: &self.conn,
                catalog,
                findings: Vec::new(),
            };
            read(&mut view).map(|read| (read, view.findings))
        });
        run(&self.conn, "ROLLBACK").map_err(store_error)?;
        let (read, findings) = read?;
        for finding in findings {
            self.note(finding);
        }
        Ok(read)
    }

    fn note(&mut self, finding: Finding) {
        let Finding {
            table,
            index,
            id,
            what,
        } = finding;
        self.found.damaged += 1;
        if self.found.findings.len() == MAX_SHOWN {
            return;
        }
        let id = id.map_or_else(|| "unknown".to_owned(), |id| id.to_string());
        tracing::error!(table, index, id, "{what}");
        let index = index.map_or_else(String::new, |index| format!(", index `{index}`"));
        self.found
            .findings
            .push(format!("table `{table}`{index}, document \"{id}\": {what}"));
    }

    /// Verifies the documents of a table from this number on; returns the number to continue from.
    fn verify_documents(
        &mut self,
        table: TableNumber,
        from: i64,
    ) -> Result<Option<i64>, StoreError> {
        let (walked, unstamped) = self.view(|view| {
            let mut unstamped = Vec::new();
            let walked = view.walk_documents(table, from, &mut unstamped)?;
            Ok((walked, unstamped))
        })?;
        self.found.documents += walked.rows;
        if !unstamped.is_empty() {
            self.found.stamped += self.stamp(table, &unstamped)?;
        }
        Ok(walked.next)
    }

    /// Verifies the entries after this one; returns the last one.
    fn verify_entries(&mut self, after: EntryKey) -> Result<Option<EntryKey>, StoreError> {
        let walked = self.view(|view| view.walk_entries(&after))?;
        self.found.entries += walked.rows;
        Ok(walked.next)
    }

    /// Gives the documents of these numbers their checksums, if they still have none and are intact.
    fn stamp(&self, table: TableNumber, numbers: &[i64]) -> Result<u64, StoreError> {
        for _ in 0..STAMP_TRIES {
            let mut writer = self.shared.writer.blocking_lock();
            if writer.batch.is_none() {
                return maintain::in_transaction(self.shared, &mut writer, |conn| {
                    let mut stamped = 0;
                    for number in numbers {
                        stamped += u64::from(stamp(conn, table, *number).map_err(store_error)?);
                    }
                    Ok(stamped)
                });
            }
            drop(writer);
            self.shared.signal.close_batch();
            std::thread::sleep(STAMP_PAUSE);
        }
        // A mutation takes long. The next round gives the checksums.
        Ok(0)
    }
}

/// Gives a document its checksum; returns false if it has one, or is damaged.
fn stamp(conn: &Connection, table: TableNumber, number: i64) -> rusqlite::Result<bool> {
    let tree = Tree(table);
    let mut select =
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM {tree} WHERE number = ?1"))?;
    let mut rows = select.query([number])?;
    let Some(row) = rows.next()? else {
        return Ok(false);
    };
    let stored = Stored::of(row)?;
    if stored.has_checksum() || stored.verify(table).is_err() {
        return Ok(false);
    }
    let update = format!("UPDATE {tree} SET checksum = ?2 WHERE number = ?1");
    conn.prepare_cached(&update)?
        .execute(params![number, stored.own_checksum(table)])?;
    Ok(true)
}

/// The progress of a step.
struct Walked<N> {
    rows: u64,
    /// The start of the next step; `None` at the end.
    next: Option<N>,
}

impl View<'_> {
    fn walk_documents(
        &mut self,
        table: TableNumber,
        from: i64,
        unstamped: &mut Vec<i64>,
    ) -> Result<Walked<i64>, StoreError> {
        let mut walked = Walked {
            rows: 0,
            next: None,
        };
        let Some(mut select) = documents::prepare(self.conn, table, &documents::walk_sql(table))?
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
            let stored = Stored::of(row).map_err(store_error)?;
            walked.rows += 1;
            last = Some(stored.number);
            match stored.verify(table) {
                Ok(document) => {
                    self.verify_entries_of(&document, stored.number)?;
                    if !stored.has_checksum() {
                        unstamped.push(stored.number);
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

    fn find_damaged(&mut self, table: TableNumber, stored: &Stored<'_>, fault: Fault) {
        let what = match fault {
            Fault::Checksum => "the document's checksum does not match".to_owned(),
            Fault::Content(what) => format!("the document is damaged: {what}"),
        };
        let what = format!("{what} (row {} of {})", stored.number, Tree(table));
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
            if !has_entry(self.conn, index, &entry).map_err(store_error)? {
                let what = "the document's index entry is missing".to_owned();
                self.find(document.id.table, Some(index), Some(document.id), what);
            }
        }
        Ok(())
    }

    fn walk_entries(&mut self, (index, key): &EntryKey) -> Result<Walked<EntryKey>, StoreError> {
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
        let Some((key, number)) = foreign::split(entry) else {
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

fn has_entry(conn: &Connection, index: IndexRef, entry: &[u8]) -> rusqlite::Result<bool> {
    let select = "SELECT 1 FROM _index_entries WHERE index_id = ?1 AND key = ?2";
    let mut select = conn.prepare_cached(select)?;
    let found = select.query_row(params![index_number(index), entry], |_| Ok(()));
    Ok(found.optional()?.is_some())
}
