use std::cmp::Ordering;

use lentil_store::{IndexRef, Order, StoreError, StoredDocument};
use lentil_values::{DocumentId, IndexKey, Interval};
use rusqlite::{Connection, Row, Rows};

use super::document_table::{COLUMNS, DocumentTable};
use super::documents::{self, Documents, FoundDocument};
use super::rowid::{creation_time_key, id_key, id_prefix, keys_of};
use super::rowid_range::rowid_range;
use super::{damage, foreign, index_entries};
use crate::error::store_error;

/// The part of a scan that is read on the calling thread. The rest is read on a blocking thread.
const INLINE_BUDGET: Budget = Budget {
    rows: 128,
    bytes: 256 << 10,
};

/// A scan of the first `limit` entries of an index in an interval.
#[derive(Clone)]
pub(crate) struct Scan {
    pub(crate) index: IndexRef,
    pub(crate) interval: Interval,
    pub(crate) order: Order,
    pub(crate) limit: usize,
}

/// The first rows of a scan, and the scan of the remaining ones.
pub(crate) struct Scanned {
    pub(crate) rows: Vec<lentil_store::Row>,
    pub(crate) rest: Option<Scan>,
}

impl Scan {
    /// Reads up to [`INLINE_BUDGET`], which takes no longer than changing threads.
    pub(crate) fn begin(self, conn: &Connection) -> Result<Scanned, StoreError> {
        let read = self.read(conn, INLINE_BUDGET)?;
        let is_cut = read.rows.len() < self.limit && read.is_full();
        let rest = if is_cut { self.after(&read.rows) } else { None };
        Ok(Scanned {
            rows: read.rows,
            rest,
        })
    }

    /// Reads all rows.
    pub(crate) fn finish(&self, conn: &Connection) -> Result<Vec<lentil_store::Row>, StoreError> {
        Ok(self.read(conn, Budget::UNLIMITED)?.rows)
    }

    /// Returns the scan of the entries after these rows.
    fn after(mut self, rows: &[lentil_store::Row]) -> Option<Scan> {
        let last = rows.last()?;
        self.limit -= rows.len();
        self.order.advance(&mut self.interval, &last.key);
        Some(self)
    }

    fn read(&self, conn: &Connection, budget: Budget) -> Result<ReadRows, StoreError> {
        let mut read = ReadRows {
            rows: Vec::new(),
            bytes: 0,
            limit: self.limit,
            budget,
        };
        if self.limit > 0 && !self.interval.is_empty() {
            match self.index {
                IndexRef::Declared(..) => self.read_declared(conn, &mut read)?,
                _ => self.read_system(conn, &mut read)?,
            }
        }
        Ok(read)
    }

    /// Reads the entries of a declared index, and the document of each.
    fn read_declared(&self, conn: &Connection, read: &mut ReadRows) -> Result<(), StoreError> {
        let mut documents = None;
        let select = index_entries::select_sql(self.order, &self.interval);
        let mut entries = conn.prepare_cached(select).map_err(store_error)?;
        let mut entries =
            index_entries::query(&mut entries, self.index, &self.interval).map_err(store_error)?;
        while !read.is_full()
            && let Some(entry) = entries.next().map_err(store_error)?
        {
            let key = IndexKey::from_bytes(entry_bytes(entry)?.to_vec());
            let id = DocumentId {
                table: self.index.table(),
                internal: key.id().ok_or_else(malformed_entry)?,
            };
            let missing = || damage::of_missing(conn, self.index, id);
            // Prepared with the first entry, because many scans find none.
            let documents = match &mut documents {
                Some(documents) => documents,
                None => documents.insert(Documents::of(conn, id.table)?.ok_or_else(missing)?),
            };
            let found = documents
                .get(id)
                .and_then(|found| found.ok_or_else(missing))
                .map_err(|error| damage::with_entries(error, Interval::prefix(key.as_bytes())))?;
            read.push(key, found);
        }
        Ok(())
    }

    /// Reads `by_id` or `by_creation_time`: merges the native and the foreign documents by their
    /// keys.
    fn read_system(&self, conn: &Connection, read: &mut ReadRows) -> Result<(), StoreError> {
        let table = DocumentTable(self.index.table());
        let direction = match self.order {
            Order::Asc => "ASC",
            Order::Desc => "DESC",
        };
        let select = format!(
            "SELECT {COLUMNS} FROM {table} WHERE number BETWEEN ?1 AND ?2 \
             ORDER BY number {direction}"
        );
        let Some(mut natives) = table.prepare(conn, &select)? else {
            return Ok(());
        };
        let rowids = rowid_range(conn, self.index, &self.interval)?;
        let mut natives = natives
            .query([rowids.start(), rowids.end()])
            .map_err(store_error)?;

        let entries = foreign::interval_of_entries(self.index, &self.interval);
        let select = index_entries::select_sql(self.order, &entries);
        let mut foreigns = conn.prepare_cached(select).map_err(store_error)?;
        let mut foreigns =
            index_entries::query(&mut foreigns, self.index, &entries).map_err(store_error)?;

        let mut native = natives.next().map_err(store_error)?;
        let mut foreign = next_foreign(&mut foreigns)?;
        while !read.is_full() {
            let is_native_next = match (native, &foreign) {
                (Some(row), Some((key, _))) => {
                    self.is_below(conn, row, key)? == (self.order == Order::Asc)
                }
                (native, _) => native.is_some(),
            };
            if let Some(row) = native.filter(|_| is_native_next) {
                let found = self.read_native(conn, row)?;
                read.push(self.key_of(&found.document), found);
                native = natives.next().map_err(store_error)?;
            } else if let Some((key, rowid)) = foreign {
                let found = self.read_foreign(conn, &key, rowid).map_err(|error| {
                    damage::with_entries(error, Interval::prefix(key.as_bytes()))
                })?;
                read.push(key, found);
                foreign = next_foreign(&mut foreigns)?;
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Returns whether the key of a native document is below a foreign document's key.
    fn is_below(
        &self,
        conn: &Connection,
        row: &Row<'_>,
        key: &IndexKey,
    ) -> Result<bool, StoreError> {
        // The rowid decides in most cases: it encodes the creation time and the beginning of the
        // id.
        let prefix = id_prefix(row.get(0).map_err(store_error)?);
        let tag = usize::from(matches!(self.index, IndexRef::ByCreationTime(_)));
        match prefix[..].cmp(&key.as_bytes()[tag..tag + 8]) {
            Ordering::Equal => {
                let document = self.read_native(conn, row)?.document;
                Ok(self.key_of(&document) < *key)
            }
            order => Ok(order.is_lt()),
        }
    }

    fn read_native(&self, conn: &Connection, row: &Row<'_>) -> Result<FoundDocument, StoreError> {
        documents::read(conn, self.index.table(), row).map_err(|error| match row.get(0) {
            Ok(rowid) => damage::with_entries(error, keys_of(self.index, rowid)),
            Err(_) => error,
        })
    }

    /// Reads the foreign document of an entry.
    fn read_foreign(
        &self,
        conn: &Connection,
        key: &IndexKey,
        rowid: i64,
    ) -> Result<FoundDocument, StoreError> {
        let id = DocumentId {
            table: self.index.table(),
            internal: key.id().ok_or_else(malformed_entry)?,
        };
        let found = match Documents::of(conn, id.table)? {
            Some(mut documents) => documents.at(rowid)?,
            None => None,
        };
        match found {
            Some(found) if found.document.id == id => Ok(found),
            _ => Err(damage::of_missing(conn, self.index, id)),
        }
    }

    /// Returns a document's key in the scanned index, which is `by_id` or `by_creation_time`.
    fn key_of(&self, document: &StoredDocument) -> IndexKey {
        match self.index {
            IndexRef::ByCreationTime(_) => creation_time_key(document),
            _ => id_key(document),
        }
    }
}

/// Returns the key and the rowid of the next foreign document.
fn next_foreign(entries: &mut Rows<'_>) -> Result<Option<(IndexKey, i64)>, StoreError> {
    match entries.next().map_err(store_error)? {
        Some(entry) => {
            let entry = foreign::split_entry(entry_bytes(entry)?);
            entry.ok_or_else(malformed_entry).map(Some)
        }
        None => Ok(None),
    }
}

fn entry_bytes<'r>(row: &'r Row<'_>) -> Result<&'r [u8], StoreError> {
    let entry = row.get_ref(0).map_err(store_error)?;
    entry.as_blob().map_err(|_| malformed_entry())
}

fn malformed_entry() -> StoreError {
    StoreError::Corrupt(
        "an index entry is malformed; restore a backup of the data folder".to_owned(),
    )
}

/// The most that a scan reads before it pauses.
#[derive(Clone, Copy)]
struct Budget {
    rows: usize,
    bytes: usize,
}

impl Budget {
    const UNLIMITED: Budget = Budget {
        rows: usize::MAX,
        bytes: usize::MAX,
    };
}

/// The rows that a scan has read.
struct ReadRows {
    rows: Vec<lentil_store::Row>,
    bytes: usize,
    limit: usize,
    budget: Budget,
}

impl ReadRows {
    fn push(&mut self, key: IndexKey, found: FoundDocument) {
        self.bytes += found.bytes;
        self.rows.push(lentil_store::Row {
            key,
            document: found.document,
        });
    }

    /// Returns whether the limit or the budget is reached.
    fn is_full(&self) -> bool {
        self.rows.len() >= self.limit.min(self.budget.rows) || self.bytes >= self.budget.bytes
    }
}
