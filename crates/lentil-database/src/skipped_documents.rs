use std::collections::HashSet;

use lentil_store::DamagedDocument;
use parking_lot::Mutex;

/// The number of documents that are remembered; then the list starts again.
const MAX_REMEMBERED: usize = 1_000;

/// The damaged documents that the system has skipped. Each is logged once, not by every scan.
#[derive(Default)]
pub struct SkippedDocuments(Mutex<HashSet<String>>);

impl SkippedDocuments {
    /// Logs that a document is skipped, unless that was logged.
    pub fn log(&self, damaged: &DamagedDocument) {
        let sentence = damaged.to_string();
        let mut logged = self.0.lock();
        if logged.len() >= MAX_REMEMBERED {
            logged.clear();
        }
        if !logged.contains(&sentence) {
            tracing::error!("skipping damaged data: {sentence}");
            logged.insert(sentence);
        }
    }
}
