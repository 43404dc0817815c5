//! What stands in the way of an index becoming unique.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use lentil_values::{DocumentId, FieldPath, Interval, TableNumber};

use crate::unique::prefix;
use crate::{IndexRef, Order, Snapshot, StoreError, StoredDocument, UniqueViolation};

/// Documents read at once.
const BATCH: usize = 1_000;

/// The first documents of a table, at most `limit`, that are equal to an older one in all these fields, each with the
/// oldest such: what refuses that an index over the fields, which need not exist yet, be unique.
///
/// Tells `progress` how many documents it has read. It keeps eight bytes of each, whatever the size of the fields,
/// and reads the table once more if it comes to know two by the same.
///
/// # Errors
/// The store's.
pub async fn find_duplicates(
    snapshot: &mut dyn Snapshot,
    (name, number): (&str, TableNumber),
    (index, fields): (&str, &[FieldPath]),
    limit: usize,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<UniqueViolation>, StoreError> {
    let hashes = RandomState::new();
    let (mut seen, mut repeated) = (HashSet::new(), Vec::new());
    let mut walk = Walk {
        number,
        rest: Interval::all(),
        is_done: false,
    };
    let mut done = 0;
    while let Some(documents) = walk
        .next(snapshot)
        .await?
        .filter(|_| repeated.len() < limit)
    {
        done += documents.len() as u64;
        repeated.extend(
            documents
                .into_iter()
                .filter(|document| !seen.insert(hashes.hash_one(prefix(fields, document)))),
        );
        progress(done);
    }
    drop(seen);
    repeated.truncate(limit);
    let mut oldest: Vec<Option<DocumentId>> = vec![None; repeated.len()];
    let prefixes: Vec<Vec<u8>> = repeated
        .iter()
        .map(|document| prefix(fields, document))
        .collect();
    let mut walk = Walk {
        number,
        rest: Interval::all(),
        is_done: repeated.is_empty(),
    };
    while let Some(documents) = walk.next(snapshot).await? {
        for document in documents {
            let own = prefix(fields, &document);
            for (at, _) in prefixes
                .iter()
                .enumerate()
                .filter(|(_, prefix)| **prefix == own)
            {
                if oldest[at].is_none() && document.id != repeated[at].id {
                    oldest[at] = Some(document.id);
                }
            }
        }
        walk.is_done |= oldest.iter().all(Option::is_some);
    }
    let pairs = repeated
        .iter()
        .zip(oldest)
        .filter_map(|(document, oldest)| Some((document, oldest?)));
    Ok(pairs
        .map(|(document, oldest)| UniqueViolation::new(name, index, fields, document, oldest))
        .collect())
}

/// A table's documents, batch after batch, oldest first.
struct Walk {
    number: TableNumber,
    rest: Interval,
    is_done: bool,
}

impl Walk {
    async fn next(
        &mut self,
        snapshot: &mut dyn Snapshot,
    ) -> Result<Option<Vec<Arc<StoredDocument>>>, StoreError> {
        if self.is_done {
            return Ok(None);
        }
        let rows = snapshot
            .scan(
                IndexRef::ByCreationTime(self.number),
                &self.rest,
                Order::Asc,
                BATCH,
            )
            .await?;
        match rows.last().filter(|_| rows.len() == BATCH) {
            Some(last) => self.rest.start = [last.key.as_bytes(), &[0]].concat(),
            None => self.is_done = true,
        }
        Ok(Some(rows.into_iter().map(|row| row.document).collect()))
    }
}
