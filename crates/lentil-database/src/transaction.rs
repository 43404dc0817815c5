use std::mem;
use std::sync::Arc;

use hashbrown::HashMap;
use lentil_call::{Code, Error, Result, store_error};
use lentil_store::conflict::ReadSet;
use lentil_store::{
    Catalog, IndexRef, Order, Row, Snapshot, StoreError, StoredDocument, WriteBuffer, WriteSet,
};
use lentil_values::{DocumentId, Interval, successor};

use crate::env::DatabaseEnv;
use crate::journal::Journal;
use crate::large_reads::{BYTES_WITHOUT_PERMIT, ROWS_WITHOUT_PERMIT, ReadBudget};
use crate::usage::{ReadsLeft, Usage, Written};

/// The transaction of a query or a mutation: its snapshot, its buffered writes, its read set and
/// its use of limits.
///
/// A nested call borrows its caller's transaction. So a call and all calls in it have one snapshot,
/// one read set and one count of limits. A nested mutation is a savepoint.
pub struct Transaction {
    view: View,
    env: Arc<DatabaseEnv>,
    /// The time at which the call began, in milliseconds with a fraction. `ctx.now()` returns the
    /// whole milliseconds.
    pub now_ms: f64,
    usage: Usage,
    read_budget: ReadBudget,
    pub(crate) journal: Journal,
    /// The writes counted at each open savepoint, the innermost last.
    savepoints: Vec<Written>,
    /// Whether the store has reported a conflict.
    has_conflict: bool,
}

/// The parts of a query's transaction after the query.
pub struct FinishedQuery {
    /// The snapshot, for another query.
    pub snapshot: Box<dyn Snapshot>,
    /// The intervals that the query read.
    pub read_set: ReadSet,
    /// The end of the page that it read.
    pub journal: Journal,
    /// The permit that it took, or `Exceeded` if it must execute again with a permit.
    pub read_budget: ReadBudget,
}

enum View {
    Query {
        snapshot: Box<dyn Snapshot>,
        read_set: ReadSet,
    },
    Mutation {
        transaction: Box<dyn lentil_store::Transaction>,
        buffer: WriteBuffer,
        /// The documents read from the store. A mutation often writes a document that it has read,
        /// which is then not read again.
        read: HashMap<DocumentId, Arc<StoredDocument>>,
    },
}

impl Transaction {
    /// Returns the transaction of a query.
    pub fn query(
        env: Arc<DatabaseEnv>,
        snapshot: Box<dyn Snapshot>,
        journal: Journal,
        read_budget: ReadBudget,
    ) -> Transaction {
        let view = View::Query {
            snapshot,
            read_set: ReadSet::default(),
        };
        Transaction::over(view, env, journal, read_budget)
    }

    /// Returns the transaction of a mutation; `catalog` is the store's.
    pub fn mutation(
        env: Arc<DatabaseEnv>,
        transaction: Box<dyn lentil_store::Transaction>,
        catalog: Arc<Catalog>,
    ) -> Transaction {
        let buffer = WriteBuffer::new(catalog);
        let view = View::Mutation {
            transaction,
            buffer,
            read: HashMap::default(),
        };
        Transaction::over(view, env, Journal::default(), ReadBudget::Unlimited)
    }

    fn over(
        view: View,
        env: Arc<DatabaseEnv>,
        journal: Journal,
        read_budget: ReadBudget,
    ) -> Transaction {
        // Read once, so that all calls in the transaction see the same time.
        let now_ms = env.now_ms();
        Transaction {
            view,
            env,
            now_ms,
            usage: Usage::default(),
            read_budget,
            journal,
            savepoints: Vec::new(),
            has_conflict: false,
        }
    }

    /// Returns the limits, tables and sources of time and ids.
    pub fn env(&self) -> &Arc<DatabaseEnv> {
        &self.env
    }

    /// Counts an index range that is about to be read.
    pub(crate) fn count_range(&mut self) -> Result<()> {
        self.usage.read_range(&self.env.limits)
    }

    /// Returns how many documents and bytes may still be read.
    pub(crate) fn reads_left(&self) -> ReadsLeft {
        self.usage.reads_left(&self.env.limits)
    }

    /// Counts a function that is about to be scheduled or canceled.
    ///
    /// # Errors
    /// When more functions are scheduled than one mutation may.
    pub fn count_scheduled(&mut self) -> Result<()> {
        self.usage.schedule(&self.env.limits)
    }

    /// Makes a savepoint, at the beginning of a nested mutation.
    pub fn push_savepoint(&mut self) {
        self.savepoints.push(self.usage.written());
        self.buffer().begin_savepoint();
    }

    /// Removes the innermost savepoint and keeps the writes since.
    pub fn release_savepoint(&mut self) {
        self.savepoints.pop();
        self.buffer().release_savepoint();
    }

    /// Rolls back to the innermost savepoint. The discarded writes no longer count against the
    /// limits.
    pub fn roll_back_to_savepoint(&mut self) {
        let written = self
            .savepoints
            .pop()
            .expect("each rollback has its savepoint");
        self.usage.roll_back_to(written);
        self.buffer().roll_back_savepoint();
    }

    /// Returns whether the store has reported a conflict. Then the transaction cannot commit, and
    /// the function runs again.
    pub fn has_conflict(&self) -> bool {
        self.has_conflict
    }

    /// Returns the read set of a query; `None` for a mutation, whose reads the store records.
    pub fn read_set(&mut self) -> Option<&mut ReadSet> {
        match &mut self.view {
            View::Query { read_set, .. } => Some(read_set),
            View::Mutation { .. } => None,
        }
    }

    /// Reads a document, and counts it against the function's limits.
    pub async fn get(&mut self, id: DocumentId) -> Result<Option<Arc<StoredDocument>>> {
        self.usage.read_range(&self.env.limits)?;
        let found = self.get_uncounted(id).await?;
        if let Some(document) = &found {
            self.charge_document(document)?;
        }
        Ok(found)
    }

    /// Reads a document without counting it against the function's limits.
    pub async fn get_uncounted(&mut self, id: DocumentId) -> Result<Option<Arc<StoredDocument>>> {
        let found = match &mut self.view {
            View::Query { snapshot, read_set } => {
                // Before the read: a query that finds no document, or fails, depends on the
                // document, too.
                read_set.add(
                    IndexRef::ById(id.table),
                    Interval::prefix(id.internal.as_bytes()),
                );
                snapshot.get(id).await
            }
            View::Mutation {
                transaction,
                buffer,
                read,
                // The buffer comes first, because it has the later state.
            } => match (buffer.get(id), read.get(&id)) {
                (Some(written), _) => Ok(written.cloned()),
                (None, Some(document)) => Ok(Some(Arc::clone(document))),
                (None, None) => {
                    let found = transaction.get(id).await;
                    if let Ok(Some(document)) = &found {
                        read.insert(id, Arc::clone(document));
                    }
                    found
                }
            },
        };
        self.check_conflict(found)
    }

    /// Reads up to `limit` rows. If there may be more, the read set gets the interval up to the
    /// last row only.
    pub async fn scan(
        &mut self,
        index: IndexRef,
        interval: &Interval,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>> {
        let rows = self.fetch(index, interval, order, limit).await?;
        // A short result means that the interval ends, so the scan has read all of it.
        let last = rows.last().filter(|_| rows.len() == limit);
        self.record_interval(index, covered(interval, order, last));
        for row in &rows {
            self.charge_document(&row.document)?;
        }
        Ok(rows)
    }

    /// Fetches up to `limit` rows without counting them as read.
    ///
    /// The caller calls [`Transaction::record_interval`] and [`Transaction::charge_document`] for
    /// the rows that it uses.
    pub async fn fetch(
        &mut self,
        index: IndexRef,
        interval: &Interval,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>> {
        let rows = match &mut self.view {
            View::Query { snapshot, .. } => snapshot.scan(index, interval, order, limit).await,
            View::Mutation {
                transaction,
                buffer,
                ..
            } => {
                buffer
                    .scan(&mut **transaction, index, interval, order, limit)
                    .await
            }
        };
        // A failure is a result as well: a live query must execute again when the interval
        // changes.
        if rows.is_err() {
            self.record_interval(index, interval.clone());
        }
        let rows = self.check_conflict(rows)?;
        if let View::Mutation { buffer, read, .. } = &mut self.view {
            // Buffered writes are not remembered, because a rollback may discard them.
            let stored = rows
                .iter()
                .filter(|row| buffer.get(row.document.id).is_none());
            read.extend(stored.map(|row| (row.document.id, Arc::clone(&row.document))));
        }
        Ok(rows)
    }

    /// Adds an interval to the read set of a query; a mutation's reads are recorded by its store.
    pub fn record_interval(&mut self, index: IndexRef, interval: Interval) {
        if let View::Query { read_set, .. } = &mut self.view {
            read_set.add(index, interval);
        }
    }

    /// Counts a document that was read against the limits.
    pub fn charge_document(&mut self, document: &StoredDocument) -> Result<()> {
        self.usage
            .read_document(size_of(document), &self.env.limits)?;
        if self.usage.bytes_read() > BYTES_WITHOUT_PERMIT {
            self.permit_large_reads()?;
        }
        Ok(())
    }

    /// Takes a permit, or fails, because the query has read more than it may without a permit.
    #[cold]
    fn permit_large_reads(&mut self) -> Result<()> {
        self.read_budget = match mem::replace(&mut self.read_budget, ReadBudget::Exceeded) {
            ReadBudget::Small => match self.env.large_reads.try_acquire() {
                Some(permit) => ReadBudget::Permitted(permit),
                None => ReadBudget::Exceeded,
            },
            ReadBudget::Fetching(permit) => ReadBudget::Permitted(permit),
            budget => budget,
        };
        match self.read_budget {
            ReadBudget::Exceeded => Err(Error::new(
                Code::Overloaded,
                "too many large queries execute now; this one executes again when another ends",
            )),
            _ => Ok(()),
        }
    }

    /// Returns how many of `rows` may be fetched at once.
    ///
    /// The size of a chunk is known only when it is in memory. So a chunk of more than
    /// [`ROWS_WITHOUT_PERMIT`] rows needs a permit; if none is free, the chunk is short.
    pub(crate) fn begin_fetch(&mut self, rows: usize) -> usize {
        if rows <= ROWS_WITHOUT_PERMIT || !matches!(self.read_budget, ReadBudget::Small) {
            return rows;
        }
        match self.env.large_reads.try_acquire() {
            Some(permit) => {
                self.read_budget = ReadBudget::Fetching(permit);
                rows
            }
            None => ROWS_WITHOUT_PERMIT,
        }
    }

    /// Releases the permit of a fetch if the query has not needed it for more than 1 MiB.
    pub(crate) fn end_fetch(&mut self) {
        if matches!(self.read_budget, ReadBudget::Fetching(_)) {
            self.read_budget = ReadBudget::Small;
        }
    }

    /// Counts the entries of an index in an interval. The read depends on the entries, not on their
    /// documents.
    pub async fn count(&mut self, index: IndexRef, interval: &Interval) -> Result<usize> {
        // One entry more than the limit allows, so that exceeding the limit is an error and not a
        // wrong count.
        let limit = self.usage.entries_left(&self.env.limits).saturating_add(1);
        let counted = match &mut self.view {
            View::Query { snapshot, .. } => snapshot.count(index, interval, limit).await,
            View::Mutation {
                transaction,
                buffer,
                ..
            } => {
                buffer
                    .count(&mut **transaction, index, interval, limit)
                    .await
            }
        };
        let counted = self.check_conflict(counted)?;
        if let View::Query { read_set, .. } = &mut self.view {
            read_set.add_counted(index, interval.clone());
        }
        self.usage.count_entries(counted, &self.env.limits)?;
        Ok(counted)
    }

    /// Checks the writes since the innermost savepoint, or all writes, against the unique indexes.
    ///
    /// It is called at the end of a mutation, because only the final documents count: a key may be
    /// taken and freed again.
    ///
    /// # Errors
    /// [`lentil_call::Code::UniqueIndexViolation`] when two documents are equal in a unique index.
    pub async fn check_unique(&mut self) -> Result<()> {
        let View::Mutation {
            transaction,
            buffer,
            ..
        } = &mut self.view
        else {
            return Ok(());
        };
        let found = buffer.find_duplicate(&mut **transaction).await;
        match self.check_conflict(found)? {
            Some(violation) => Err(Error::unique_violation(violation)),
            None => Ok(()),
        }
    }

    fn check_conflict<T>(&mut self, read: Result<T, StoreError>) -> Result<T> {
        // Remembered here, because the function may handle the error and continue.
        self.has_conflict |= matches!(read, Err(StoreError::Conflict));
        read.map_err(store_error)
    }

    /// Counts a write against the limits and buffers it; `call` names the operation in errors.
    pub(crate) fn write(
        &mut self,
        call: &str,
        bytes: usize,
        old: Option<Arc<StoredDocument>>,
        new: Option<Arc<StoredDocument>>,
    ) -> Result<()> {
        self.usage
            .write_document(bytes, &self.env.limits)
            .map_err(|error| error.in_context(call))?;
        self.buffer().put(old, new);
        Ok(())
    }

    /// Returns the write buffer of a mutation.
    pub fn buffer(&mut self) -> &mut WriteBuffer {
        match &mut self.view {
            View::Mutation { buffer, .. } => buffer,
            View::Query { .. } => unreachable!("only a mutation's context has a writer"),
        }
    }

    /// Returns the parts of a query's transaction.
    pub fn into_query(self) -> FinishedQuery {
        match self.view {
            View::Query { snapshot, read_set } => FinishedQuery {
                snapshot,
                read_set,
                journal: self.journal,
                read_budget: self.read_budget,
            },
            View::Mutation { .. } => unreachable!("a query has the transaction of a query"),
        }
    }

    /// Returns the store's transaction, and the writes to commit.
    pub fn into_mutation(self) -> (Box<dyn lentil_store::Transaction>, WriteSet) {
        match self.view {
            View::Mutation {
                transaction,
                buffer,
                ..
            } => (transaction, buffer.into_write_set()),
            View::Query { .. } => unreachable!("a mutation has the transaction of a mutation"),
        }
    }
}

/// Returns the part of `interval` that a scan has read: up to its last row if there may be more,
/// otherwise all of it.
pub(crate) fn covered(interval: &Interval, order: Order, last: Option<&Row>) -> Interval {
    let Some(last) = last else {
        return interval.clone();
    };
    match order {
        Order::Asc => Interval {
            start: interval.start.clone(),
            end: Some(successor(last.key.as_bytes())),
        },
        Order::Desc => Interval {
            start: last.key.as_bytes().to_vec(),
            end: interval.end.clone(),
        },
    }
}

/// Returns the size of a document as limits count it: its fields and the two system fields.
pub(crate) fn size_of(document: &StoredDocument) -> usize {
    // A field counts its name and 1. An `_id` usually has 32 characters, and a string counts 2
    // more.
    const SYSTEM_FIELDS: usize = "_id".len() + 1 + 34 + "_creationTime".len() + 1 + 9;
    document.fields.size() + SYSTEM_FIELDS
}
