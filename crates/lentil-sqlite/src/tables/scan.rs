//! Reading a stretch of an index.

use std::cmp::Ordering;

use lentil_store::{IndexRef, Order, StoreError, StoredDocument};
use lentil_values::{DocumentId, IndexKey, Interval};
use rusqlite::{Connection, Row, Rows, Statement, params};

use crate::error::store_error;
use crate::tables::damage;
use crate::tables::documents::{self, COLUMNS, Documents, Tree};
use crate::tables::foreign::{self, index_number};
use crate::tables::rowid::{id_key, id_prefix, keys_of, numbers, time_key};

/// What is read where it is asked for; more than that is read on a thread that may wait.
const INLINE: Budget = Budget {
    rows: 128,
    bytes: 256 << 10,
};

/// The first `limit` entries of an index in an interval.
#[derive(Clone)]
pub(crate) struct Scan {
    pub(crate) index: IndexRef,
    pub(crate) interval: Interval,
    pub(crate) order: Order,
    pub(crate) limit: usize,
}

/// The beginning of a scan, and what is left of it.
pub(crate) struct Scanned {
    pub(crate) rows: Vec<lentil_store::Row>,
    pub(crate) rest: Option<Scan>,
}

/// How much a scan reads at most before it pauses.
#[derive(Clone, Copy)]
struct Budget {
    rows: usize,
    bytes: usize,
}

impl Scan {
    /// Reads as much as takes no longer than a change of threads.
    pub(crate) fn begin(self, conn: &Connection) -> Result<Scanned, StoreError> {
        let (rows, is_cut) = self.read(conn, INLINE)?;
        let rest = if is_cut { self.after(&rows) } else { None };
        Ok(Scanned { rows, rest })
    }

    /// Reads all of it.
    pub(crate) fn finish(&self, conn: &Connection) -> Result<Vec<lentil_store::Row>, StoreError> {
        Ok(self
            .read(
                conn,
                Budget {
                    rows: usize::MAX,
                    bytes: usize::MAX,
                },
            )?
            .0)
    }

    /// What is left after these rows.
    fn after(mut self, rows: &[lentil_store::Row]) -> Option<Scan> {
        let last = rows.last()?.key.as_bytes();
        self.limit -= rows.len();
        match self.order {
            Order::Asc => self.interval.start = [last, &[0]].concat(),
            Order::Desc => self.interval.end = Some(last.to_vec()),
        }
        Some(self)
    }

    /// The rows, and whether the budget cut them short.
    fn read(
        &self,
        conn: &Connection,
        budget: Budget,
    ) -> Result<(Vec<lentil_store::Row>, bool), StoreError> {
        let mut found = Found {
            rows: Vec::new(),
            bytes: 0,
            limit: self.limit,
            budget,
        };
        if self.limit > 0 && !self.interval.is_empty() {
            match self.index {
                IndexRef::Declared(..) => self.read_entries(conn, &mut found)?,
                _ => self.read_documents(conn, &mut found)?,
            }
        }
        let is_cut = found.rows.len() < self.limit && found.is_full();
        Ok((found.rows, is_cut))
    }

    /// Reads the entries, and with each the document it leads to.
    fn read_entries(&self, conn: &Connection, found: &mut Found) -> Result<(), StoreError> {
        let mut documents = None;
        let mut entries = conn
            .prepare_cached(entries_sql(self.order, self.interval.end.is_some()))
            .map_err(store_error)?;
        let mut entries =
            query_entries(&mut entries, self.index, &self.interval).map_err(store_error)?;
        while !found.is_full()
            && let Some(entry) = entries.next().map_err(store_error)?
        {
            let key = IndexKey::from_bytes(entry_of(entry)?.to_vec());
            let id = DocumentId {
                table: self.index.table(),
                internal: key.id().ok_or_else(malformed_entry)?,
            };
            let missing = || damage::of_missing(conn, self.index, id);
            let documents = match &mut documents {
                Some(documents) => documents,
                None => documents.insert(Documents::of(conn, id.table)?.ok_or_else(missing)?),
            };
            let document = documents
                .get(id)
                .and_then(|found| found.ok_or_else(missing))
                .map_err(|error| damage::with_entries(error, Interval::prefix(key.as_bytes())))?;
            found.push(key, document);
        }
        Ok(())
    }

    /// Reads the documents of `by_id` or `by_creation_time`: the native ones and the foreign ones, merged by their
    /// keys.
    fn read_documents(&self, conn: &Connection, found: &mut Found) -> Result<(), StoreError> {
        let table = self.index.table();
        let direction = match self.order {
            Order::Asc => "ASC",
            Order::Desc => "DESC",
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM {} WHERE number BETWEEN ?1 AND ?2 ORDER BY number {direction}",
            Tree(table)
        );
        let Some(mut natives) = documents::prepare(conn, table, &sql)? else {
            return Ok(());
        };
        let numbers = numbers(conn, self.index, &self.interval)?;
        let mut natives = natives
            .query([numbers.start(), numbers.end()])
            .map_err(store_error)?;
        let entries = foreign::interval_of_entries(self.index, &self.interval);
        let mut foreigns = conn
            .prepare_cached(entries_sql(self.order, entries.end.is_some()))
            .map_err(store_error)?;
        let mut foreigns =
            query_entries(&mut foreigns, self.index, &entries).map_err(store_error)?;
        let mut native = natives.next().map_err(store_error)?;
        let mut foreign = next_foreign(&mut foreigns)?;
        while !found.is_full() {
            let takes_native = match (native, &foreign) {
                (Some(row), Some((key, _))) => {
                    self.is_below(conn, row, key)? == (self.order == Order::Asc)
                }
                (native, _) => native.is_some(),
            };
            if let Some(row) = native.filter(|_| takes_native) {
                let document = self.read_native(conn, row)?;
                found.push(self.key_of(&document.document), document);
                native = natives.next().map_err(store_error)?;
            } else if let Some((key, number)) = foreign {
                let document = read_foreign(conn, self.index, &key, number).map_err(|error| {
                    damage::with_entries(error, Interval::prefix(key.as_bytes()))
                })?;
                found.push(key, document);
                foreign = next_foreign(&mut foreigns)?;
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Returns whether the key of a native document is below this key of another.
    fn is_below(
        &self,
        conn: &Connection,
        row: &Row<'_>,
        key: &IndexKey,
    ) -> Result<bool, StoreError> {
        // Most often the number alone decides: it encodes the time and the beginning of the id.
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

    fn read_native(
        &self,
        conn: &Connection,
        row: &Row<'_>,
    ) -> Result<documents::Found, StoreError> {
        documents::read(conn, self.index.table(), row).map_err(|error| match row.get(0) {
            Ok(number) => damage::with_entries(error, keys_of(self.index, number)),
            Err(_) => error,
        })
    }

    /// A document's key in the scanned index, `by_id` or `by_creation_time`.
    fn key_of(&self, document: &StoredDocument) -> IndexKey {
        match self.index {
            IndexRef::ByCreationTime(_) => time_key(document),
            _ => id_key(document),
        }
    }
}

/// The next foreign document's key and number.
fn next_foreign(entries: &mut Rows<'_>) -> Result<Option<(IndexKey, i64)>, StoreError> {
    match entries.next().map_err(store_error)? {
        Some(entry) => {
            let entry = foreign::split(entry_of(entry)?);
            entry.ok_or_else(malformed_entry).map(Some)
        }
        None => Ok(None),
    }
}

/// The document of a foreign document's entry.
fn read_foreign(
    conn: &Connection,
    index: IndexRef,
    key: &IndexKey,
    number: i64,
) -> Result<documents::Found, StoreError> {
    let id = DocumentId {
        table: index.table(),
        internal: key.id().ok_or_else(malformed_entry)?,
    };
    let found = match Documents::of(conn, id.table)? {
        Some(mut documents) => documents.at(number)?,
        None => None,
    };
    found
        .filter(|found| found.document.id == id)
        .ok_or_else(|| damage::of_missing(conn, index, id))
}

/// The bytes of an entry.
fn entry_of<'r>(row: &'r Row<'_>) -> Result<&'r [u8], StoreError> {
    let entry = row.get_ref(0).map_err(store_error)?;
    entry.as_blob().map_err(|_| malformed_entry())
}

fn malformed_entry() -> StoreError {
    StoreError::Corrupt(
        "an index entry is malformed; restore a backup of the data folder".to_owned(),
    )
}

/// What a scan has found so far.
struct Found {
    rows: Vec<lentil_store::Row>,
    bytes: usize,
    limit: usize,
    budget: Budget,
}

impl Found {
    fn push(&mut self, key: IndexKey, found: documents::Found) {
        self.bytes += found.bytes;
        self.rows.push(lentil_store::Row {
            key,
            document: found.document,
        });
    }

    /// Returns whether these are all that are wanted, or as many as the budget is for.
    fn is_full(&self) -> bool {
        self.rows.len() >= self.limit.min(self.budget.rows) || self.bytes >= self.budget.bytes
    }
}

/// Runs [`entries_sql`].
fn query_entries<'s>(
    statement: &'s mut Statement<'_>,
    index: IndexRef,
    Interval { start, end }: &Interval,
) -> rusqlite::Result<Rows<'s>> {
    let index = index_number(index);
    match end {
        Some(end) => statement.query(params![index, start, end]),
        None => statement.query(params![index, start]),
    }
}

/// The keys of an index: `?1` is the index, `?2` the interval's start and `?3` its end.
fn entries_sql(order: Order, has_end: bool) -> &'static str {
    match (order, has_end) {
        (Order::Asc, false) => {
            "SELECT key FROM _index_entries WHERE index_id = ?1 AND key >= ?2 ORDER BY key"
        }
        (Order::Asc, true) => {
            "SELECT key FROM _index_entries WHERE index_id = ?1 AND key >= ?2 AND key < ?3 ORDER BY key"
        }
        (Order::Desc, false) => {
            "SELECT key FROM _index_entries WHERE index_id = ?1 AND key >= ?2 ORDER BY key DESC"
        }
        (Order::Desc, true) => {
            "SELECT key FROM _index_entries WHERE index_id = ?1 AND key >= ?2 AND key < ?3 ORDER BY key DESC"
        }
    }
}
