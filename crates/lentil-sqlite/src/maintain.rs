//! Declaring tables and indexes, and building and dropping indexes in steps, each a SQLite transaction of its own.

use std::sync::Arc;

use lentil_store::{Catalog, IndexEntry, IndexId, IndexRef, IndexState, Order, Progress, StoreError, TableDeclaration};
use lentil_values::{Interval, TableNumber};
use rusqlite::{Connection, params};

use crate::entries::by_id;
use crate::error::store_error;
use crate::format;
use crate::scan::Scan;
use crate::store::Shared;

impl Shared {
    /// Runs `work` on the connection that writes, on a thread that may wait, with the turn and no batch open.
    pub(crate) async fn alone<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Shared, &Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = self.turn().await?;
        self.signal.close_batch();
        let applied = self.writer.lock().await.applied;
        self.wait_published(applied).await?;
        let shared = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&shared, shared.writer.blocking_lock().conn()?);
            drop(turn);
            done
        });
        done.await.map_err(|error| StoreError::Failed(error.to_string()))?
    }
}

pub(crate) fn declare(
    shared: &Shared,
    conn: &Connection,
    tables: &[TableDeclaration],
) -> Result<Arc<Catalog>, StoreError> {
    let catalog = shared.catalog();
    let next = Arc::new(catalog.declare(tables));
    if next != catalog {
        in_transaction(conn, |conn| format::write_catalog(conn, &next).map_err(store_error))?;
        *shared.catalog.write() = Arc::clone(&next);
    }
    Ok(next)
}

pub(crate) fn step(shared: &Shared, conn: &Connection, batch: usize) -> Result<Option<Progress>, StoreError> {
    let catalog = shared.catalog();
    let Some(id) = catalog.next_unfinished() else { return Ok(None) };
    let (table, entry, index) = catalog.find_index(id).expect("the catalog named it");
    let (done, total) = in_transaction(conn, |conn| {
        let (done, total) = match index.state {
            IndexState::Building => build(conn, &catalog, entry.number, index, batch)?,
            _ => remove(conn, index, batch)?,
        };
        if done >= total {
            format::delete_meta(conn, &built_name(id)).map_err(store_error)?;
            format::write_catalog(conn, &catalog.finish(id)).map_err(store_error)?;
        }
        Ok((done, total))
    })?;
    if done >= total {
        *shared.catalog.write() = Arc::new(catalog.finish(id));
    }
    Ok(Some(Progress { table: table.to_owned(), index: index.name.clone(), state: index.state, done, total }))
}

/// Where it is kept how far building an index has come: documents, and the last of their ids in hexadecimal.
fn built_name(id: IndexId) -> String {
    format!("built {}", id.0)
}

fn build(
    conn: &Connection,
    catalog: &Catalog,
    table: TableNumber,
    index: &IndexEntry,
    batch: usize,
) -> Result<(u64, u64), StoreError> {
    let built = format::read_meta(conn, &built_name(index.id)).map_err(store_error)?.unwrap_or_default();
    let (done, after) = read_built(&built);
    let interval = Interval { start: after, end: None };
    let documents = Scan { index: IndexRef::ById(table), interval, order: Order::Asc, limit: batch };
    let rows = documents.finish(conn)?;
    let own = IndexRef::Declared(index.id);
    for row in &rows {
        let keys = catalog.keys_of(&row.document);
        let key = keys.iter().find(|(index, _)| *index == own).map(|(_, key)| key);
        let key = key.expect("an index that is built is written");
        // A document that was written since the building began has its entry.
        let insert = "INSERT OR IGNORE INTO _index_entries (index_id, key, document)
             SELECT ?1, ?2, document FROM _index_entries WHERE index_id = ?3 AND key = ?4";
        let entry = params![index.id.0, key.as_bytes(), by_id(table), row.key.as_bytes()];
        conn.prepare_cached(insert).and_then(|mut insert| insert.execute(entry)).map_err(store_error)?;
    }
    let done = done + rows.len() as u64;
    let Some(last) = rows.last().filter(|_| rows.len() == batch) else { return Ok((done, done)) };
    let id: String = last.key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format::write_meta(conn, &built_name(index.id), format!("{done} {id}")).map_err(store_error)?;
    let count = "SELECT count(*) FROM _index_entries WHERE index_id = ?1";
    let total: i64 = conn.query_row(count, params![by_id(table)], |row| row.get(0)).map_err(store_error)?;
    Ok((done, (total as u64).max(done + 1)))
}

/// Reads `"<documents> <id in hexadecimal>"`: how many are done, and the least id after the last.
fn read_built(text: &str) -> (u64, Vec<u8>) {
    let Some((done, id)) = text.split_once(' ') else { return (0, Vec::new()) };
    let byte = |at: usize| u8::from_str_radix(id.get(at..at + 2)?, 16).ok();
    let id: Option<Vec<u8>> = (0..id.len()).step_by(2).map(byte).collect();
    match (done.parse(), id) {
        (Ok(done), Some(id)) => (done, [&id[..], &[0]].concat()),
        _ => (0, Vec::new()),
    }
}

fn remove(conn: &Connection, index: &IndexEntry, batch: usize) -> Result<(u64, u64), StoreError> {
    let delete = "DELETE FROM _index_entries WHERE index_id = ?1 AND key IN
         (SELECT key FROM _index_entries WHERE index_id = ?1 LIMIT ?2)";
    let removed = conn.execute(delete, params![index.id.0, batch as i64]).map_err(store_error)? as u64;
    let count = "SELECT count(*) FROM _index_entries WHERE index_id = ?1";
    let left: i64 = conn.query_row(count, params![index.id.0], |row| row.get(0)).map_err(store_error)?;
    Ok((removed, removed + left as u64))
}

fn in_transaction<T>(
    conn: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    conn.execute_batch("BEGIN IMMEDIATE").map_err(store_error)?;
    let done = work(conn).and_then(|done| conn.execute_batch("COMMIT").map_err(store_error).map(|()| done));
    if done.is_err() && !conn.is_autocommit() {
        conn.execute_batch("ROLLBACK").map_err(store_error)?;
    }
    done
}
