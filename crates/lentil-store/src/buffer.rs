//! The uncommitted writes of a transaction.
//!
//! Reads of the transaction merge the buffer with the store. For each written document the buffer
//! knows the state in the store and the current state. From both follows the *overlay* of each
//! index: the entries that the buffer adds to the index or hides in it.
//!
//! ```text
//! store          by_status:  (done, a)  (queued, b)  (queued, c)
//! writes         b: queued → done       d: inserted as queued
//! overlay        by_status:  (done, b) = b   (queued, b) = hidden   (queued, d) = d
//! a scan returns by_status:  (done, a)  (done, b)  (queued, c)  (queued, d)
//! ```
//!
//! A nested mutation is a savepoint: a position in the undo log, which keeps the state that each
//! write replaced. Rolling back restores these states, the latest first; releasing the savepoint
//! only forgets the position.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use lentil_values::{DocumentId, IndexKey, Interval, TableNumber};

use crate::catalog::Catalog;
use crate::document::StoredDocument;
use crate::error::StoreError;
use crate::index::{IndexRef, Order, Row};
use crate::store::Snapshot;
use crate::write_set::{DocumentWrite, KeyChange, WriteSet};

/// The writes of one transaction, with savepoints.
pub struct WriteBuffer {
    catalog: Arc<Catalog>,
    documents: BTreeMap<DocumentId, Written>,
    /// The overlays of the indexes that were read after the first write. Each is complete.
    overlays: BTreeMap<IndexRef, Overlay>,
    /// The state that each write since the first savepoint replaced, oldest first.
    undo_log: Vec<(DocumentId, Option<Written>)>,
    /// For each open savepoint the length of the undo log when it began.
    savepoints: Vec<usize>,
}

/// A written document: its state in the store and its current state.
#[derive(Debug)]
struct Written {
    old: Option<Arc<StoredDocument>>,
    new: Option<Arc<StoredDocument>>,
    keys: Vec<KeyChange>,
}

/// The entries that the buffer adds to an index or hides in it.
type Overlay = BTreeMap<IndexKey, OverlayEntry>;

/// One entry of an overlay.
#[derive(Clone, Debug)]
struct OverlayEntry {
    /// The current document; `None` if the entry is hidden.
    document: Option<Arc<StoredDocument>>,
    /// Whether the store has an entry with this key too.
    is_stored: bool,
}

impl WriteBuffer {
    /// Returns an empty buffer over a store with this catalog.
    pub fn new(catalog: Arc<Catalog>) -> WriteBuffer {
        WriteBuffer {
            catalog,
            documents: BTreeMap::new(),
            overlays: BTreeMap::new(),
            undo_log: Vec::new(),
            savepoints: Vec::new(),
        }
    }

    /// Begins a savepoint.
    pub fn begin_savepoint(&mut self) {
        self.savepoints.push(self.undo_log.len());
    }

    /// Ends the latest savepoint and keeps the writes since it.
    ///
    /// # Panics
    /// Without an open savepoint.
    pub fn release_savepoint(&mut self) {
        // The undo log stays, because a rollback to an outer savepoint needs these entries, too.
        self.savepoints.pop().expect("a savepoint is open");
    }

    /// Ends the latest savepoint and undoes the writes since it.
    ///
    /// # Panics
    /// Without an open savepoint.
    pub fn roll_back_savepoint(&mut self) {
        let savepoint = self.savepoints.pop().expect("a savepoint is open");
        debug_assert!(savepoint <= self.undo_log.len());
        while self.undo_log.len() > savepoint {
            let (id, before) = self.undo_log.pop().expect("the log is not empty");
            self.remove(id);
            if let Some(before) = before {
                self.insert(id, before);
            }
        }
    }

    /// Returns the buffered state of a document: `None` if it was not written, `Some(None)` if it
    /// was deleted.
    pub fn get(&self, id: DocumentId) -> Option<Option<&Arc<StoredDocument>>> {
        self.documents.get(&id).map(|written| written.new.as_ref())
    }

    /// Writes a document.
    ///
    /// `old` is the document as the transaction sees it now, `None` if there is none. `new` is
    /// `None` to delete it.
    pub fn put(&mut self, old: Option<Arc<StoredDocument>>, new: Option<Arc<StoredDocument>>) {
        let Some(id) = old.as_ref().or(new.as_ref()).map(|document| document.id) else {
            return;
        };
        let before = self.remove(id);
        // The first write knows the state in the store. A later one must keep it: the overlays
        // hide its index entries, and `into_write_set` compares it with the last state.
        let old = match &before {
            Some(written) => written.old.clone(),
            None => old,
        };
        // Without a savepoint only the whole buffer can be discarded, which needs no log.
        if !self.savepoints.is_empty() {
            self.undo_log.push((id, before));
        }

        let keys = key_changes(&self.catalog, old.as_deref(), new.as_deref());
        self.insert(id, Written { old, new, keys });
    }

    /// Removes a written document from the buffer, and its entries from the existing overlays.
    fn remove(&mut self, id: DocumentId) -> Option<Written> {
        let written = self.documents.remove(&id)?;
        for KeyChange { index, old, new } in &written.keys {
            if let Some(overlay) = self.overlays.get_mut(index) {
                for key in old.iter().chain(new) {
                    overlay.remove(key);
                }
            }
        }
        Some(written)
    }

    /// Inserts a document that is not in the buffer, and its entries into the existing overlays.
    fn insert(&mut self, id: DocumentId, written: Written) {
        for change in &written.keys {
            if let Some(overlay) = self.overlays.get_mut(&change.index) {
                add_entries(overlay, change, written.new.as_ref());
            }
        }
        let replaced = self.documents.insert(id, written);
        debug_assert!(replaced.is_none());
    }

    /// Returns the first `limit` entries of an index as the transaction sees it: the store's merged
    /// with the buffer's.
    ///
    /// # Errors
    /// The store's.
    pub async fn scan(
        &mut self,
        snapshot: &mut dyn Snapshot,
        index: IndexRef,
        interval: &Interval,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let overlay: BTreeMap<_, _> = self.overlay_in(index, interval).collect();
        // Each entry of the overlay hides at most one of the store's.
        let stored = snapshot
            .scan(index, interval, order, limit.saturating_add(overlay.len()))
            .await?;
        if overlay.is_empty() {
            return Ok(stored);
        }

        let visible = stored
            .into_iter()
            .filter(|row| !overlay.contains_key(&row.key));
        let written = overlay.iter().filter_map(|(key, entry)| {
            Some(Row {
                key: (*key).clone(),
                document: entry.document.clone()?,
            })
        });
        let mut rows: Vec<Row> = visible.chain(written).collect();
        rows.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        if order == Order::Desc {
            rows.reverse();
        }
        rows.truncate(limit);
        Ok(rows)
    }

    /// Counts the entries of an index within `interval` that the transaction sees, up to `limit`.
    ///
    /// # Errors
    /// The store's.
    pub async fn count(
        &mut self,
        snapshot: &mut dyn Snapshot,
        index: IndexRef,
        interval: &Interval,
        limit: usize,
    ) -> Result<usize, StoreError> {
        let mut hidden = 0;
        let mut added = 0;
        for (_, entry) in self.overlay_in(index, interval) {
            // The store counts hidden entries, too, so its limit below is higher by their number.
            hidden += usize::from(entry.is_stored && entry.document.is_none());
            added += usize::from(!entry.is_stored && entry.document.is_some());
        }
        let stored = snapshot
            .count(index, interval, limit.saturating_add(hidden))
            .await?;
        Ok(stored
            .saturating_sub(hidden)
            .saturating_add(added)
            .min(limit))
    }

    /// Returns the entries of an index's overlay within `interval`.
    fn overlay_in<'b>(
        &'b mut self,
        index: IndexRef,
        interval: &Interval,
    ) -> impl Iterator<Item = (&'b IndexKey, &'b OverlayEntry)> + use<'b> {
        let may_have_entries = !self.documents.is_empty() && !interval.is_empty();
        let entries = may_have_entries.then(|| {
            let start = Bound::Included(IndexKey::from_bytes(interval.start.clone()));
            let end = match &interval.end {
                Some(end) => Bound::Excluded(IndexKey::from_bytes(end.clone())),
                None => Bound::Unbounded,
            };
            self.overlay(index).range((start, end))
        });
        entries.into_iter().flatten()
    }

    /// Returns an index's overlay. It is built when it is first needed, because most mutations read
    /// no index that they have written to.
    fn overlay(&mut self, index: IndexRef) -> &Overlay {
        let documents = &self.documents;
        self.overlays.entry(index).or_insert_with(|| {
            let mut overlay = Overlay::new();
            for written in documents.values() {
                for change in written.keys.iter().filter(|change| change.index == index) {
                    add_entries(&mut overlay, change, written.new.as_ref());
                }
            }
            overlay
        })
    }

    pub(crate) fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Returns the documents of a table that were written since the latest savepoint, or since the
    /// beginning if none is open: the state before, if there was one, and the current state.
    /// Deleted documents are left out.
    pub(crate) fn written_since_savepoint(
        &self,
        table: TableNumber,
    ) -> Vec<(Option<Arc<StoredDocument>>, Arc<StoredDocument>)> {
        let mut before: BTreeMap<DocumentId, Option<Arc<StoredDocument>>> = BTreeMap::new();
        match self.savepoints.last() {
            // Every document of the buffer was written since the beginning, over its state in the
            // store.
            None => {
                for (id, written) in &self.documents {
                    if id.table == table {
                        before.insert(*id, written.old.clone());
                    }
                }
            }
            Some(savepoint) => {
                for (id, replaced) in &self.undo_log[*savepoint..] {
                    // Only the first entry of a document has its state at the savepoint. The
                    // others are from later writes.
                    if id.table == table && !before.contains_key(id) {
                        let state = match replaced {
                            Some(written) => written.new.clone(),
                            None => self
                                .documents
                                .get(id)
                                .and_then(|written| written.old.clone()),
                        };
                        before.insert(*id, state);
                    }
                }
            }
        }

        let current = |id: &DocumentId| self.documents.get(id)?.new.clone();
        before
            .into_iter()
            .filter_map(|(id, before)| Some((before, current(&id)?)))
            .collect()
    }

    /// Returns all writes, each document once. Documents that are as they were in the store are
    /// left out.
    pub fn into_write_set(self) -> WriteSet {
        let changed = self
            .documents
            .into_iter()
            // Writing an unchanged document would invalidate its readers for nothing.
            .filter(|(_, written)| written.old != written.new);
        let write = |(id, Written { old, new, keys })| DocumentWrite { id, old, new, keys };
        WriteSet {
            writes: changed.map(write).collect(),
        }
    }
}

/// Adds a document's entries to an overlay: its entry in the store as hidden, then its current one,
/// which may have the same key.
fn add_entries(overlay: &mut Overlay, change: &KeyChange, document: Option<&Arc<StoredDocument>>) {
    if let Some(key) = &change.old {
        // Must come first: if the key did not change, the current entry replaces this one.
        let hidden = OverlayEntry {
            document: None,
            is_stored: true,
        };
        overlay.insert(key.clone(), hidden);
    }
    if let Some(key) = &change.new {
        let current = OverlayEntry {
            document: document.cloned(),
            is_stored: change.old == change.new,
        };
        overlay.insert(key.clone(), current);
    }
}

/// Returns a document's entry in each index of its table, before and after a write.
fn key_changes(
    catalog: &Catalog,
    old: Option<&StoredDocument>,
    new: Option<&StoredDocument>,
) -> Vec<KeyChange> {
    let keys = |document: Option<&StoredDocument>| {
        document.map_or_else(Vec::new, |document| catalog.keys_of(document))
    };
    let old = keys(old);
    let new = keys(new);
    // Both lists, unless empty, have the same indexes in the same order.
    let indexes: Vec<IndexRef> = if new.is_empty() { &old } else { &new }
        .iter()
        .map(|(index, _)| *index)
        .collect();

    let mut old = old.into_iter();
    let mut new = new.into_iter();
    let change = |index| KeyChange {
        index,
        old: old.next().map(|(_, key)| key),
        new: new.next().map(|(_, key)| key),
    };
    indexes.into_iter().map(change).collect()
}
