//! Declaring tables and indexes, and building and dropping indexes in steps, each a SQLite transaction of its own.

use std::sync::Arc;

use lentil_store::{
    Catalog, IndexEntry, IndexId, IndexRef, IndexState, Progress, StoreError, TableDeclaration,
};
use lentil_values::{Interval, TableNumber};
use rusqlite::{Connection, params};

use crate::error::store_error;
use crate::group_commit::writer::Writer;
use crate::store::Shared;
use crate::tables::count::Count;
use crate::tables::documents;
use crate::tables::format;
use crate::tables::document_table::DocumentTable;
use crate::tables::index_entries;

impl Shared {
    /// Runs `work` on the connection that writes, on a thread that may wait, with the turn and no batch open.
    pub(crate) async fn alone<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Shared, &mut Writer) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = self.turn().await?;
        self.signal.close_batch();
        let mut writer = self.writer.lock().await;
        writer.end_empty_batch();
        let applied = writer.applied;
        drop(writer);
        self.published.wait(applied).await?;
        let shared = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&shared, &mut shared.writer.blocking_lock());
            drop(turn);
            done
        });
        done.await
            .map_err(|error| StoreError::Failed(error.to_string()))?
    }
}

pub(crate) fn declare(
    shared: &Shared,
    writer: &mut Writer,
    tables: &[TableDeclaration],
) -> Result<Arc<Catalog>, StoreError> {
    let catalog = shared.catalog();
    let next = Arc::new(catalog.declare(tables));
    if next != catalog {
        in_transaction(shared, writer, |conn| {
            format::write_catalog(conn, &next).map_err(store_error)
        })?;
        *shared.catalog.write() = Arc::clone(&next);
    }
    Ok(next)
}

pub(crate) fn step(
    shared: &Shared,
    writer: &mut Writer,
    batch: usize,
) -> Result<Option<Progress>, StoreError> {
    let catalog = shared.catalog();
    let Some(id) = catalog.next_unfinished() else {
        return Ok(None);
    };
    let (table, entry, index) = catalog.find_index(id).expect("the catalog named it");
    let (steps, is_finished) = in_transaction(shared, writer, |conn| {
        let of = |index| Steps::read(conn, id)?.map_or_else(|| Steps::begin(conn, index), Ok);
        let (steps, is_finished) = match index.state {
            IndexState::Building => build(
                conn,
                &catalog,
                entry.number,
                index,
                of(IndexRef::ById(entry.number))?,
                batch,
            )?,
            _ => remove(
                conn,
                index,
                of(IndexRef::Declared(entry.number, id))?,
                batch,
            )?,
        };
        if is_finished {
            format::delete_meta(conn, &steps_name(id)).map_err(store_error)?;
            format::write_catalog(conn, &catalog.finish(id)).map_err(store_error)?;
        } else {
            steps.write(conn, id)?;
        }
        Ok((steps, is_finished))
    })?;
    if is_finished {
        *shared.catalog.write() = Arc::new(catalog.finish(id));
    }
    let (done, total) = (
        steps.done,
        if is_finished {
            steps.done
        } else {
            steps.total.max(steps.done + 1)
        },
    );
    Ok(Some(Progress {
        table: table.to_owned(),
        index: index.name.clone(),
        state: index.state,
        done,
        total,
    }))
}

/// How far the building or dropping of an index has come.
struct Steps {
    /// Documents, or entries, that are done.
    done: u64,
    /// How many there were when it began.
    total: u64,
    /// The number of the document where building goes on.
    next: i64,
}

/// Where it is kept how far an index has come.
fn steps_name(id: IndexId) -> String {
    format!("steps {}", id.0)
}

impl Steps {
    /// Counts what there is to do.
    fn begin(conn: &Connection, index: IndexRef) -> Result<Steps, StoreError> {
        let total = Count {
            index,
            interval: Interval::all(),
            limit: usize::MAX,
        }
        .finish(conn)? as u64;
        Ok(Steps {
            done: 0,
            total,
            next: i64::MIN,
        })
    }

    fn read(conn: &Connection, id: IndexId) -> Result<Option<Steps>, StoreError> {
        let text: Option<String> = format::read_meta(conn, &steps_name(id)).map_err(store_error)?;
        Ok(text.and_then(|text| Steps::parse(&text)))
    }

    /// Reads `"<done> <total> <next>"`.
    fn parse(text: &str) -> Option<Steps> {
        let mut words = text.split(' ');
        let (done, total, next) = (words.next()?, words.next()?, words.next()?);
        Some(Steps {
            done: done.parse().ok()?,
            total: total.parse().ok()?,
            next: next.parse().ok()?,
        })
    }

    fn write(&self, conn: &Connection, id: IndexId) -> Result<(), StoreError> {
        let Steps { done, total, next } = self;
        format::write_meta(conn, &steps_name(id), format!("{done} {total} {next}"))
            .map_err(store_error)
    }
}

fn build(
    conn: &Connection,
    catalog: &Catalog,
    table: TableNumber,
    index: &IndexEntry,
    steps: Steps,
    batch: usize,
) -> Result<(Steps, bool), StoreError> {
    let own = IndexRef::Declared(table, index.id);
    let (mut done, mut next) = (steps.done, None);
    let Some(mut select) = DocumentTable(table).prepare(conn, &DocumentTable(table).walk_sql())? else {
        return Ok((steps, true));
    };
    let limit = i64::try_from(batch).unwrap_or(i64::MAX);
    let mut rows = select.query([steps.next, limit]).map_err(store_error)?;
    while let Some(row) = rows.next().map_err(store_error)? {
        let document = documents::read(conn, table, row)?.document;
        let keys = catalog.keys_of(&document);
        let key = keys
            .iter()
            .find(|(index, _)| *index == own)
            .map(|(_, key)| key);
        let key = key.expect("an index that is built is written");
        index_entries::insert_missing(conn, own, key.as_bytes()).map_err(store_error)?;
        next = row.get::<_, i64>(0).map_err(store_error)?.checked_add(1);
        done += 1;
    }
    let is_finished = done - steps.done < batch as u64;
    let next = next.unwrap_or(i64::MAX);
    Ok((
        Steps {
            done,
            next,
            ..steps
        },
        is_finished,
    ))
}

fn remove(
    conn: &Connection,
    index: &IndexEntry,
    steps: Steps,
    batch: usize,
) -> Result<(Steps, bool), StoreError> {
    let delete = "DELETE FROM _index_entries WHERE index_id = ?1 AND key IN
         (SELECT key FROM _index_entries WHERE index_id = ?1 LIMIT ?2)";
    let removed = conn
        .execute(delete, params![index.id.0, batch as i64])
        .map_err(store_error)?;
    Ok((
        Steps {
            done: steps.done + removed as u64,
            ..steps
        },
        removed < batch,
    ))
}

/// Does it in a transaction, which is durable when this returns.
pub(crate) fn in_transaction<T>(
    shared: &Shared,
    writer: &mut Writer,
    work: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let conn = writer.conn()?;
    conn.execute_batch("BEGIN IMMEDIATE").map_err(store_error)?;
    let done = work(conn).and_then(|done| {
        conn.execute_batch("COMMIT")
            .map_err(store_error)
            .map(|()| done)
    });
    // The catalog that comes next is not for snapshots from before.
    shared.frontier.renew();
    if done.is_err() && !conn.is_autocommit() {
        conn.execute_batch("ROLLBACK").map_err(store_error)?;
    }
    if done.is_ok() {
        let note = writer.note();
        writer.wal().make_durable(&note);
    }
    done
}
