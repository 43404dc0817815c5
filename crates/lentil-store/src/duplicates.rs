//! The search for documents that keep an index from becoming unique.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use lentil_values::{DocumentId, FieldPath, Interval, TableNumber};

use crate::batches::Batches;
use crate::error::StoreError;
use crate::index::{IndexRef, Order};
use crate::store::Snapshot;
use crate::unique::UniqueViolation;
use crate::unique::key_prefix;

/// The number of documents that are read at once.
const BATCH_SIZE: usize = 1_000;

/// Finds up to `limit` documents of a table that duplicate an older one in all these fields, each
/// with the oldest such document. The index over the fields need not exist yet.
///
/// Calls `progress` with the number of documents that were read. The search keeps eight bytes for
/// each document, a hash of its fields. If it finds duplicates, it reads the table a second time.
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
    let oldest_first = || {
        let index = IndexRef::ByCreationTime(number);
        Batches::new(index, Interval::all(), Order::Asc, BATCH_SIZE)
    };

    // Two documents of one hash may differ. The second pass compares the fields.
    let hashes = RandomState::new();
    let mut seen = HashSet::new();
    let mut repeated = Vec::new();
    let mut batches = oldest_first();
    let mut done = 0;
    while repeated.len() < limit
        && let Some(rows) = batches.next(snapshot).await?
    {
        done += rows.len() as u64;
        for row in rows {
            if !seen.insert(hashes.hash_one(key_prefix(fields, &row.document))) {
                repeated.push(row.document);
            }
        }
        progress(done);
    }
    // The hashes of a large table are freed before the second pass.
    drop(seen);
    repeated.truncate(limit);

    let prefixes: Vec<Vec<u8>> = repeated
        .iter()
        .map(|document| key_prefix(fields, document))
        .collect();
    let mut oldest: Vec<Option<DocumentId>> = vec![None; repeated.len()];
    let mut batches = oldest_first();
    while oldest.contains(&None)
        && let Some(rows) = batches.next(snapshot).await?
    {
        for document in rows.into_iter().map(|row| row.document) {
            let prefix = key_prefix(fields, &document);
            for (at, other) in repeated.iter().enumerate() {
                // The batches come oldest first, so that the first match is the oldest.
                if oldest[at].is_none() && prefixes[at] == prefix && document.id != other.id {
                    oldest[at] = Some(document.id);
                }
            }
        }
    }

    let pairs = repeated.iter().zip(oldest);
    Ok(pairs
        // A document whose hash only collided has no older duplicate.
        .filter_map(|(document, oldest)| {
            Some(UniqueViolation::new(name, index, fields, document, oldest?))
        })
        .collect())
}
