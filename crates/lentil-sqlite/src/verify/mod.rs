//! The background verification, which finds damage before a read meets it.
//!
//! A thread compares all documents with their checksums, documents with their index entries, and
//! entries with their documents: soon after the start, then once a day. It reads 256 rows at a
//! time, each time in a new snapshot, and pauses in between. So it takes a tenth of one processor
//! and does not delay checkpoints:
//!
//! ```text
//! snapshot   ├ 256 documents ┤              ├ 256 documents ┤       …  ├ 256 entries ┤
//! writer                       256 checksums
//! ```
//!
//! It adds the checksum to intact documents that have none, in a small transaction between two
//! batches. That changes no document, so it takes no timestamp and invalidates nothing.

mod view;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lentil_store::StoreError;
use lentil_values::TableNumber;
use rusqlite::{Connection, params};

use self::view::{EntryPlace, Finding, View};
use crate::catalog::CurrentCatalog;
use crate::connection::{self, run};
use crate::error::store_error;
use crate::group_commit::GroupCommit;
use crate::stop_signal::StopSignal;
use crate::tables::document_table::{COLUMNS, DocumentTable};
use crate::tables::row::StoredRow;

/// The pause after a step, in multiples of the step's duration.
const PAUSE_FACTOR: u32 = 9;
/// The number of attempts to lock the writer between two batches.
const CHECKSUM_ATTEMPTS: usize = 100;
/// The pause between two attempts.
const CHECKSUM_RETRY_INTERVAL: Duration = Duration::from_millis(5);
/// The maximum number of findings that are logged and returned one by one.
const MAX_SHOWN_FINDINGS: usize = 100;

/// The result of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// The number of documents that were read.
    pub documents: u64,
    /// The number of index entries that were read.
    pub entries: u64,
    /// The number of documents to which a checksum was added.
    pub stamped: u64,
    /// The number of damaged documents and entries.
    pub damaged: u64,
    /// The first findings, each as a sentence.
    pub findings: Vec<String>,
}

/// Verifies a database.
#[derive(Clone)]
pub(crate) struct Verifier {
    pub(crate) path: PathBuf,
    pub(crate) group_commit: Arc<GroupCommit>,
    pub(crate) catalog: Arc<CurrentCatalog>,
}

impl Verifier {
    /// Verifies after `delay` and then at intervals, until the store closes.
    pub(crate) fn run(&self, stop: &StopSignal, delay: Duration, interval: Duration) {
        let mut wait = delay;
        while stop.wait(wait) {
            match self.verify(&|step| stop.wait(step * PAUSE_FACTOR)) {
                Ok(Some(verified)) => log(&verified),
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "the verification failed; the next one runs in a day");
                }
            }
            wait = interval;
        }
    }

    /// Verifies everything once. Calls `pause` after each step with the step's duration; returns
    /// `None` if `pause` returns false.
    pub(crate) fn verify(
        &self,
        pause: &dyn Fn(Duration) -> bool,
    ) -> Result<Option<Verification>, StoreError> {
        let conn = connection::reader(&self.path).map_err(store_error)?;
        let mut pass = Pass {
            group_commit: &self.group_commit,
            conn,
            result: Verification::default(),
        };
        for table in self.catalog.get().tables.values() {
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
        Ok(Some(pass.result))
    }
}

fn log(verified: &Verification) {
    let Verification {
        documents,
        entries,
        stamped,
        damaged,
        ..
    } = verified;
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

/// One verification of the whole database.
struct Pass<'v> {
    group_commit: &'v GroupCommit,
    conn: Connection,
    result: Verification,
}

impl Pass<'_> {
    /// Reads in a new snapshot, and records the findings.
    fn view<T>(
        &mut self,
        read: impl FnOnce(&mut View<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        run(&self.conn, "BEGIN").map_err(store_error)?;
        let result = View::new(&self.conn)
            .and_then(|mut view| read(&mut view).map(|result| (result, view.findings)));
        // The snapshot also ends after a failure: an open snapshot would keep the log from
        // restarting.
        run(&self.conn, "ROLLBACK").map_err(store_error)?;
        let (result, findings) = result?;
        for finding in findings {
            self.record(finding);
        }
        Ok(result)
    }

    fn record(&mut self, finding: Finding) {
        let Finding {
            table,
            index,
            id,
            what,
        } = finding;
        self.result.damaged += 1;
        if self.result.findings.len() == MAX_SHOWN_FINDINGS {
            return;
        }
        let id = id.map_or_else(|| "unknown".to_owned(), |id| id.to_string());
        tracing::error!(table, index, id, "{what}");
        let index = index.map_or_else(String::new, |index| format!(", index `{index}`"));
        let sentence = format!("table `{table}`{index}, document \"{id}\": {what}");
        self.result.findings.push(sentence);
    }

    /// Verifies the documents of a table from this rowid on; returns the rowid at which to
    /// continue.
    fn verify_documents(
        &mut self,
        table: TableNumber,
        from: i64,
    ) -> Result<Option<i64>, StoreError> {
        let mut unstamped = Vec::new();
        let step = self.view(|view| view.verify_documents(table, from, &mut unstamped))?;
        self.result.documents += step.rows;
        if !unstamped.is_empty() {
            self.result.stamped += self.stamp(table, &unstamped)?;
        }
        Ok(step.next)
    }

    /// Verifies the entries after this one; returns the entry after which to continue.
    fn verify_entries(&mut self, after: EntryPlace) -> Result<Option<EntryPlace>, StoreError> {
        let step = self.view(|view| view.verify_entries(&after))?;
        self.result.entries += step.rows;
        Ok(step.next)
    }

    /// Adds checksums to the rows that still have none and are intact; returns their number.
    fn stamp(&self, table: TableNumber, rowids: &[i64]) -> Result<u64, StoreError> {
        for _ in 0..CHECKSUM_ATTEMPTS {
            let mut writer = self.group_commit.writer.blocking_lock();
            if writer.batch().is_none() {
                return writer.in_transaction(|conn| {
                    let mut stamped = 0;
                    for rowid in rowids {
                        stamped += u64::from(stamp_row(conn, table, *rowid).map_err(store_error)?);
                    }
                    Ok(stamped)
                });
            }
            // The committer locks the writer to end the batch.
            drop(writer);
            self.group_commit.close_batch();
            std::thread::sleep(CHECKSUM_RETRY_INTERVAL);
        }
        // A mutation takes long. The next verification adds the checksums.
        Ok(0)
    }
}

/// Adds the checksum to a row; returns false if it has one or is damaged.
fn stamp_row(conn: &Connection, table: TableNumber, rowid: i64) -> rusqlite::Result<bool> {
    let document_table = DocumentTable(table);
    let select = format!("SELECT {COLUMNS} FROM {document_table} WHERE number = ?1");
    let mut select = conn.prepare_cached(&select)?;
    let mut rows = select.query([rowid])?;
    let Some(row) = rows.next()? else {
        return Ok(false);
    };
    let row = StoredRow::of(row)?;
    if row.has_checksum() || row.verify(table).is_err() {
        return Ok(false);
    }
    let update = format!("UPDATE {document_table} SET checksum = ?2 WHERE number = ?1");
    conn.prepare_cached(&update)?
        .execute(params![rowid, row.computed_checksum(table)])?;
    Ok(true)
}
