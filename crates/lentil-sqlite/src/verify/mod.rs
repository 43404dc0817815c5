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

mod view;

use std::sync::Weak;
use std::time::{Duration, Instant};

use lentil_store::StoreError;
use lentil_values::TableNumber;
use rusqlite::{Connection, params};

use self::view::{EntryKey, Finding, View};
use crate::checkpoint::Ticker;
use crate::connection::{self, run};
use crate::error::store_error;
use crate::maintain;
use crate::store::Shared;
use crate::tables::document_table::{COLUMNS, DocumentTable};
use crate::tables::row::StoredRow;

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

struct Pass<'s> {
    shared: &'s Shared,
    conn: Connection,
    found: Verification,
}

impl Pass<'_> {
    /// Reads in a snapshot.
    fn view<T>(
        &mut self,
        read: impl FnOnce(&mut View<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        run(&self.conn, "BEGIN").map_err(store_error)?;
        let read = View::new(&self.conn)
            .and_then(|mut view| read(&mut view).map(|read| (read, view.findings)));
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
            // The committer needs the writer to end the batch.
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
    let tree = DocumentTable(table);
    let mut select =
        conn.prepare_cached(&format!("SELECT {COLUMNS} FROM {tree} WHERE number = ?1"))?;
    let mut rows = select.query([number])?;
    let Some(row) = rows.next()? else {
        return Ok(false);
    };
    let stored = StoredRow::of(row)?;
    if stored.has_checksum() || stored.verify(table).is_err() {
        return Ok(false);
    }
    let update = format!("UPDATE {tree} SET checksum = ?2 WHERE number = ?1");
    conn.prepare_cached(&update)?
        .execute(params![number, stored.computed_checksum(table)])?;
    Ok(true)
}
