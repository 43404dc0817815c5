//! What a mutation has written and not yet committed.
//!
//! The buffer lies over the store's transaction like a sheet of glass: reads look at the sheet first and through it
//! at the store. It knows each written document's state in the store and its state now, and from both what every
//! index looks like:
//!
//! ```text
//! store        by_status:  (done, a)  (queued, b)  (queued, c)
//! buffer       b: queued → done       d: inserted as queued
//! on the sheet by_status:  (done, b) = b   (queued, b) = hidden   (queued, d) = d
//! a scan sees  by_status:  (done, a)  (done, b)  (queued, c)  (queued, d)
//! ```
//!
//! A nested mutation is a layer: a mark in the list of what each write replaced. To discard the layer is to put
//! back what was written over since the mark; to keep it is to forget the mark.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use lentil_values::{DocumentId, IndexKey, Interval, TableNumber};

use crate::{
    Catalog, DocumentWrite, IndexRef, KeyChange, Order, Row, Snapshot, StoreError, StoredDocument,
    WriteSet,
};

/// The writes of one transaction, in layers.
pub struct WriteBuffer {
    catalog: Arc<Catalog>,
    documents: BTreeMap<DocumentId, Written>,
    /// The sheets of the indexes that were read since something was written; each is whole.
    sheets: BTreeMap<IndexRef, Sheet>,
    /// What each write since the first mark replaced, oldest first.
    replaced: Vec<(DocumentId, Option<Written>)>,
    marks: Vec<usize>,
}

/// A written document: as the store has it, and as it is now.
#[derive(Debug)]
struct Written {
    old: Option<Arc<StoredDocument>>,
    new: Option<Arc<StoredDocument>>,
    keys: Vec<KeyChange>,
}

/// An index's entries as the buffer has them.
type Sheet = BTreeMap<IndexKey, Entry>;

/// An index entry: its document as it is now, and whether the store has such an entry, which is hidden.
#[derive(Clone, Debug)]
struct Entry {
    document: Option<Arc<StoredDocument>>,
    is_stored: bool,
}

impl WriteBuffer {
    /// An empty buffer over a store with this catalog.
    pub fn new(catalog: Arc<Catalog>) -> WriteBuffer {
        let (documents, sheets) = (BTreeMap::new(), BTreeMap::new());
        WriteBuffer {
            catalog,
            documents,
            sheets,
            replaced: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// Begins a layer.
    pub fn begin_savepoint(&mut self) {
        self.marks.push(self.replaced.len());
    }

    /// Ends the latest layer and keeps what it wrote.
    ///
    /// # Panics
    /// Without a layer.
    pub fn release_savepoint(&mut self) {
        self.marks.pop().expect("a layer was begun");
    }

    /// Ends the latest layer and undoes what it wrote.
    ///
    /// # Panics
    /// Without a layer.
    pub fn roll_back_savepoint(&mut self) {
        let mark = self.marks.pop().expect("a layer was begun");
        while self.replaced.len() > mark {
            let (id, before) = self.replaced.pop().expect("it is longer than the mark");
            self.take(id);
            before.into_iter().for_each(|before| self.set(id, before));
        }
    }

    /// The document as the buffer has it: `None` when it was not written, `Some(None)` when it was deleted.
    pub fn get(&self, id: DocumentId) -> Option<Option<&Arc<StoredDocument>>> {
        self.documents.get(&id).map(|written| written.new.as_ref())
    }

    /// Writes a document: `old` is as the transaction sees it now, `None` if it is new; `new` is `None` to delete.
    pub fn put(&mut self, old: Option<Arc<StoredDocument>>, new: Option<Arc<StoredDocument>>) {
        let Some(id) = old.as_ref().or(new.as_ref()).map(|document| document.id) else {
            return;
        };
        let before = self.take(id);
        let old = before.as_ref().map_or(old, |written| written.old.clone());
        if !self.marks.is_empty() {
            self.replaced.push((id, before));
        }
        let keys = key_changes(&self.catalog, old.as_deref(), new.as_deref());
        self.set(id, Written { old, new, keys });
    }

    /// Takes a written document out, and its entries off the sheets that there are.
    fn take(&mut self, id: DocumentId) -> Option<Written> {
        let written = self.documents.remove(&id)?;
        for KeyChange { index, old, new } in &written.keys {
            let Some(sheet) = self.sheets.get_mut(index) else {
                continue;
            };
            old.iter()
                .chain(new)
                .for_each(|key| drop(sheet.remove(key)));
        }
        Some(written)
    }

    /// Puts a document in that is not there, and its entries on the sheets that there are.
    fn set(&mut self, id: DocumentId, written: Written) {
        for change in &written.keys {
            if let Some(sheet) = self.sheets.get_mut(&change.index) {
                enter(sheet, change, written.new.as_ref());
            }
        }
        self.documents.insert(id, written);
    }

    /// The first `limit` entries of an index as the transaction sees it, the store's and the buffer's merged.
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
        let sheet: BTreeMap<_, _> = self.sheet_in(index, interval).collect();
        // Each entry of the buffer hides at most one of the store's.
        let stored = snapshot
            .scan(index, interval, order, limit.saturating_add(sheet.len()))
            .await?;
        if sheet.is_empty() {
            return Ok(stored);
        }
        let visible = stored
            .into_iter()
            .filter(|row| !sheet.contains_key(&row.key));
        let written = sheet.iter().filter_map(|(key, entry)| {
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

    /// How many entries of an index the transaction sees within `interval`, counted no further than `limit`.
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
        let (mut hidden, mut added) = (0, 0);
        for (_, entry) in self.sheet_in(index, interval) {
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

    fn sheet_in<'b>(
        &'b mut self,
        index: IndexRef,
        interval: &Interval,
    ) -> impl Iterator<Item = (&'b IndexKey, &'b Entry)> + use<'b> {
        let is_read = !self.documents.is_empty() && !interval.is_empty();
        let entries = is_read.then(|| {
            let start = IndexKey::from_bytes(interval.start.clone());
            let end = interval.end.clone().map(IndexKey::from_bytes);
            self.sheet(index).range((
                Bound::Included(start),
                end.map_or(Bound::Unbounded, Bound::Excluded),
            ))
        });
        entries.into_iter().flatten()
    }

    /// An index's sheet, laid out if it is not yet: most mutations read no index that they have written to.
    fn sheet(&mut self, index: IndexRef) -> &Sheet {
        let documents = &self.documents;
        self.sheets.entry(index).or_insert_with(|| {
            let mut sheet = Sheet::new();
            for written in documents.values() {
                let own = written.keys.iter().filter(|change| change.index == index);
                own.for_each(|change| enter(&mut sheet, change, written.new.as_ref()));
            }
            sheet
        })
    }

    pub(crate) fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// What was written to a table since the latest layer began, or, without layers, at all: each document as it was
    /// before, if it was there, and as it is now, if it still is.
    pub(crate) fn latest(
        &self,
        table: TableNumber,
    ) -> Vec<(Option<Arc<StoredDocument>>, Arc<StoredDocument>)> {
        let mut before: BTreeMap<DocumentId, Option<Arc<StoredDocument>>> = BTreeMap::new();
        match self.marks.last() {
            None => {
                let own = self.documents.iter().filter(|(id, _)| id.table == table);
                before.extend(own.map(|(id, written)| (*id, written.old.clone())));
            }
            Some(mark) => {
                for (id, replaced) in self.replaced[*mark..]
                    .iter()
                    .filter(|(id, _)| id.table == table)
                {
                    let stored = || {
                        self.documents
                            .get(id)
                            .and_then(|written| written.old.clone())
                    };
                    let replaced = replaced
                        .as_ref()
                        .map_or_else(stored, |written| written.new.clone());
                    before.entry(*id).or_insert(replaced);
                }
            }
        }
        let now = |id: &DocumentId| {
            self.documents
                .get(id)
                .and_then(|written| written.new.clone())
        };
        before
            .into_iter()
            .filter_map(|(id, before)| Some((before, now(&id)?)))
            .collect()
    }

    /// Everything written, each document once; what is in the end as it was is left out.
    pub fn into_write_set(self) -> WriteSet {
        let changed = self
            .documents
            .into_iter()
            .filter(|(_, written)| written.old != written.new);
        let write = |(id, Written { old, new, keys })| DocumentWrite { id, old, new, keys };
        WriteSet {
            writes: changed.map(write).collect(),
        }
    }
}

/// Puts a document's entries on a sheet: the store's hidden, its own over them.
fn enter(
    sheet: &mut Sheet,
    KeyChange { old, new, .. }: &KeyChange,
    document: Option<&Arc<StoredDocument>>,
) {
    if let Some(key) = old {
        sheet.insert(
            key.clone(),
            Entry {
                document: None,
                is_stored: true,
            },
        );
    }
    if let Some(key) = new {
        sheet.insert(
            key.clone(),
            Entry {
                document: document.cloned(),
                is_stored: old == new,
            },
        );
    }
}

/// A document's entries before and after, index by index.
fn key_changes(
    catalog: &Catalog,
    old: Option<&StoredDocument>,
    new: Option<&StoredDocument>,
) -> Vec<KeyChange> {
    let keys =
        |document: Option<&StoredDocument>| document.map(|document| catalog.keys_of(document));
    let (old, new) = (keys(old).unwrap_or_default(), keys(new).unwrap_or_default());
    let indexes: Vec<IndexRef> = if new.is_empty() { &old } else { &new }
        .iter()
        .map(|(index, _)| *index)
        .collect();
    let (mut old, mut new) = (old.into_iter(), new.into_iter());
    let change = |index| KeyChange {
        index,
        old: old.next().map(|(_, key)| key),
        new: new.next().map(|(_, key)| key),
    };
    indexes.into_iter().map(change).collect()
}
