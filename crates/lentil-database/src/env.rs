use std::sync::Arc;

use lentil_call::{Limits, Seeds};
use lentil_store::Clock;
use lentil_values::{DocumentId, InternalId, TableNumber};

use crate::creation_times::CreationTimes;
use crate::large_reads::LargeReads;
use crate::skipped_documents::SkippedDocuments;
use crate::tables::Tables;

/// Everything that transactions need beside the store: limits, tables, time and ids.
pub struct DatabaseEnv {
    /// The limits of one call.
    pub limits: Limits,
    /// The tables of the application and of the system.
    pub tables: Tables,
    /// The permits of queries that read much.
    pub large_reads: LargeReads,
    /// The source of the time.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub seeds: Seeds,
    /// The source of `_creationTime`s.
    pub creation_times: CreationTimes,
    /// The damaged documents that were skipped and logged.
    pub skipped_documents: SkippedDocuments,
}

impl DatabaseEnv {
    /// Returns the current time, in milliseconds since the Unix epoch, with a fraction.
    pub fn now_ms(&self) -> f64 {
        self.clock.now().as_millis()
    }

    /// Returns a new id for a table, with the `_creationTime` that it encodes.
    pub fn new_id(&self, table: TableNumber, now_ms: f64) -> (DocumentId, f64) {
        let creation_time = self.creation_times.next(now_ms);
        let internal = InternalId::at(creation_time, self.seeds.next_u64());
        (DocumentId { table, internal }, creation_time)
    }
}
