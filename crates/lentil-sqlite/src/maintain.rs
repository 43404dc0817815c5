//! Declares tables and indexes, and builds and drops indexes in steps. Each step is a separate
//! SQLite transaction.

use std::sync::Arc;

use lentil_store::{
    Catalog, IndexEntry, IndexId, IndexRef, IndexState, Progress, StoreError, TableDeclaration,
};
use lentil_values::{Interval, TableNumber};
use rusqlite::{Connection, params};

use crate::catalog::CurrentCatalog;
use crate::error::{failed_task, store_error};
use crate::group_commit::{GroupCommit, Writer};
use crate::tables::count::Count;
use crate::tables::document_table::DocumentTable;
use crate::tables::{documents, format, index_entries};

/// Runs `work` on a blocking thread, under the write lock and without an open batch.
pub(crate) async fn exclusively<T: Send + 'static>(
    group_commit: &Arc<GroupCommit>,
    work: impl FnOnce(&mut Writer) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let permit = group_commit.write_lock.acquire().await?;
    group_commit.close_batch();
    // The committer may be waiting for this lock too. A batch without commits ends here, the
    // committer ends any other, and `wait` returns after that.
    let mut writer = group_commit.writer.lock().await;
    writer.end_empty_batch();
    let applied = writer.applied();
    drop(writer);
    group_commit.published.wait(applied).await?;

    let group_commit = Arc::clone(group_commit);
    let done = tokio::task::spawn_blocking(move || {
        let result = work(&mut group_commit.writer.blocking_lock());
        // Moves the permit here: a caller that is dropped must not release the write lock during
        // the work.
        drop(permit);
        result
    });
    done.await.map_err(failed_task)?
}

/// Makes the declared tables and indexes exist; returns the new catalog.
pub(crate) fn declare(
    writer: &mut Writer,
    catalog: &CurrentCatalog,
    tables: &[TableDeclaration],
) -> Result<Arc<Catalog>, StoreError> {
    let current = catalog.get();
    let next = Arc::new(current.declare(tables));
    if next != current {
        // Durable first: a mutation may rely on the catalog as soon as it is set.
        writer.in_transaction(|conn| format::write_catalog(conn, &next).map_err(store_error))?;
        catalog.set(Arc::clone(&next));
    }
    Ok(next)
}

/// Builds or drops about `batch` entries of the next unfinished index. Returns `None` if there is
/// no such index.
pub(crate) fn step(
    writer: &mut Writer,
    current: &CurrentCatalog,
    batch: usize,
) -> Result<Option<Progress>, StoreError> {
    let catalog = current.get();
    let Some(id) = catalog.next_unfinished() else {
        return Ok(None);
    };
    let (name, table, index) = catalog
        .find_index(id)
        .expect("the catalog has the index that it names");
    let step = writer.in_transaction(|conn| {
        let step = match index.state {
            IndexState::Building => build(conn, &catalog, table.number, index, batch)?,
            _ => remove(conn, table.number, index, batch)?,
        };
        if step.is_finished {
            format::delete_meta(conn, &steps_name(id)).map_err(store_error)?;
            format::write_catalog(conn, &catalog.finish(id)).map_err(store_error)?;
        } else {
            step.steps.write(conn, id)?;
        }
        Ok(step)
    })?;
    if step.is_finished {
        current.set(Arc::new(catalog.finish(id)));
    }

    let Steps { done, total, .. } = step.steps;
    Ok(Some(Progress {
        table: name.to_owned(),
        index: index.name.clone(),
        state: index.state,
        done,
        // The table may have grown since `total` was counted.
        total: if step.is_finished {
            done
        } else {
            total.max(done + 1)
        },
    }))
}

/// The progress of building or dropping an index, stored between two steps.
struct Steps {
    /// The number of documents or entries done.
    done: u64,
    /// The number of documents or entries when the first step began.
    total: u64,
    /// The rowid at which building continues.
    next: i64,
}

/// The result of one step.
struct BuildStep {
    steps: Steps,
    is_finished: bool,
}

/// Returns the name under which the progress of an index is stored.
fn steps_name(id: IndexId) -> String {
    format!("steps {}", id.0)
}

impl Steps {
    /// Reads the progress of an index. In the first step it counts the entries of `counted`, which
    /// are to be done.
    fn read_or_count(
        conn: &Connection,
        id: IndexId,
        counted: IndexRef,
    ) -> Result<Steps, StoreError> {
        let text: Option<String> = format::read_meta(conn, &steps_name(id)).map_err(store_error)?;
        if let Some(steps) = text.as_deref().and_then(Steps::parse) {
            return Ok(steps);
        }
        let count = Count {
            index: counted,
            interval: Interval::all(),
            limit: usize::MAX,
        };
        Ok(Steps {
            done: 0,
            total: count.finish(conn)? as u64,
            next: i64::MIN,
        })
    }

    /// Reads `"<done> <total> <next>"`.
    fn parse(text: &str) -> Option<Steps> {
        let mut words = text.split(' ');
        Some(Steps {
            done: words.next()?.parse().ok()?,
            total: words.next()?.parse().ok()?,
            next: words.next()?.parse().ok()?,
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
    batch: usize,
) -> Result<BuildStep, StoreError> {
    let mut steps = Steps::read_or_count(conn, index.id, IndexRef::ById(table))?;
    let own = IndexRef::Declared(table, index.id);
    let document_table = DocumentTable(table);
    let Some(mut select) = document_table.prepare(conn, &document_table.walk_sql())? else {
        return Ok(BuildStep {
            steps,
            is_finished: true,
        });
    };
    let limit = i64::try_from(batch).unwrap_or(i64::MAX);
    let mut rows = select.query([steps.next, limit]).map_err(store_error)?;
    let mut read = 0;
    while let Some(row) = rows.next().map_err(store_error)? {
        let document = documents::read(conn, table, row)?.document;
        let keys = catalog.keys_of(&document);
        let (_, key) = keys
            .iter()
            .find(|(index, _)| *index == own)
            .expect("the catalog gives a key for every index that is being built");
        // Mutations write to an index that is being built, so the entry may exist.
        index_entries::insert_missing(conn, own, key.as_bytes()).map_err(store_error)?;
        let rowid: i64 = row.get(0).map_err(store_error)?;
        steps.next = rowid.saturating_add(1);
        read += 1;
    }
    steps.done += read as u64;
    Ok(BuildStep {
        steps,
        is_finished: read < batch,
    })
}

fn remove(
    conn: &Connection,
    table: TableNumber,
    index: &IndexEntry,
    batch: usize,
) -> Result<BuildStep, StoreError> {
    let own = IndexRef::Declared(table, index.id);
    let mut steps = Steps::read_or_count(conn, index.id, own)?;
    let delete = "DELETE FROM _index_entries WHERE index_id = ?1 AND key IN
         (SELECT key FROM _index_entries WHERE index_id = ?1 LIMIT ?2)";
    let removed = conn
        .execute(delete, params![index.id.0, batch as i64])
        .map_err(store_error)?;
    steps.done += removed as u64;
    Ok(BuildStep {
        steps,
        is_finished: removed < batch,
    })
}
