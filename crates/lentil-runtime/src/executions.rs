use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{Error, FunctionKind, Result};

/// How many executions are remembered.
const KEPT: usize = 1_000;

/// One run of a function or an HTTP action, as `npx convex logs` shows it.
#[derive(Clone, Debug)]
pub struct Execution {
    /// When it ended, in milliseconds since the Unix epoch; no two are equal.
    pub at_ms: f64,
    /// The function's path, or an HTTP action's route: its method and path.
    pub identifier: Arc<str>,
    /// Query, mutation or action; `None` for an HTTP action.
    pub kind: Option<FunctionKind>,
    /// What it logged.
    pub log_lines: Vec<String>,
    /// How long it took.
    pub duration: Duration,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// The latest executions, and those who wait for the next.
#[derive(Default)]
pub(crate) struct Executions {
    kept: Mutex<VecDeque<Execution>>,
    next: Notify,
}

impl Executions {
    pub(crate) fn record<T>(
        &self,
        now_ms: f64,
        identifier: Arc<str>,
        kind: Option<FunctionKind>,
        log_lines: Vec<String>,
        duration: Duration,
        result: &Result<T>,
    ) {
        let error = result.as_ref().err().map(Error::to_string);
        let mut kept = self.kept.lock();
        let at_ms = kept
            .back()
            .map_or(now_ms, |last| now_ms.max(last.at_ms.next_up()));
        kept.push_back(Execution {
            at_ms,
            identifier,
            kind,
            log_lines,
            duration,
            error,
        });
        if kept.len() > KEPT {
            kept.pop_front();
        }
        drop(kept);
        self.next.notify_waiters();
    }

    /// All that are remembered, the oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Execution>> {
        self.kept.lock().iter().cloned().map(Arc::new).collect()
    }

    /// Those after `at_ms`; waits for the first if there are none.
    pub(crate) async fn after(&self, at_ms: f64) -> Vec<Arc<Execution>> {
        loop {
            let next = self.next.notified();
            let found: Vec<_> = self
                .all()
                .into_iter()
                .filter(|run| run.at_ms > at_ms)
                .collect();
            if !found.is_empty() {
                return found;
            }
            next.await;
        }
    }
}
