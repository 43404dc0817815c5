use std::collections::HashSet;

use parking_lot::Mutex;

/// The number of sentences that are remembered; then the set starts empty again.
const MAX_REMEMBERED: usize = 1_000;

/// The unreadable documents that background work has skipped. Each is logged once, not by every
/// scan.
#[derive(Default)]
pub struct SkippedDocuments(Mutex<HashSet<String>>);

impl SkippedDocuments {
    /// Logs why a document is skipped, unless that was logged before.
    pub fn log(&self, sentence: &str) {
        let mut logged = self.0.lock();
        if logged.contains(sentence) {
            return;
        }
        // Bounds the memory. The damaged documents are then logged a second time.
        if logged.len() >= MAX_REMEMBERED {
            logged.clear();
        }
        tracing::error!("skipping damaged data: {sentence}");
        logged.insert(sentence.to_owned());
    }
}
