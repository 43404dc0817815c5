use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use lentil_call::{CallSource, Error, FunctionKind, RequestId, Result, cut};
use lentil_values::Uuid;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The number of executions that are remembered.
const MAX_EXECUTIONS: usize = 1_000;
/// The bytes of remembered log lines and errors. A bound is needed, because functions may log the
/// arguments of clients.
const MAX_LOG_BYTES: usize = 8 << 20;
/// The longest error that is remembered.
const MAX_ERROR_BYTES: usize = 32 << 10;

/// One execution of a function or an HTTP action, as `npx convex logs` shows it.
#[derive(Clone, Debug)]
pub struct Execution {
    /// The position in the order of executions: `ended_ms`, but greater than the cursor before,
    /// even when the clock goes back.
    pub cursor_ms: f64,
    /// The time at which it ended, in milliseconds since the Unix epoch.
    pub ended_ms: f64,
    /// The path of the function, or the method and path of an HTTP action's route.
    pub identifier: Arc<str>,
    /// Query, mutation or action; `None` for an HTTP action.
    pub kind: Option<FunctionKind>,
    /// Its log lines.
    pub log_lines: Vec<String>,
    /// Its duration.
    pub duration: Duration,
    /// Its error, if it failed.
    pub error: Option<String>,
    /// Its id.
    pub id: ExecutionId,
    /// The execution that called it.
    pub parent: Option<ExecutionId>,
    /// The kind of its identity, in the words of Convex's log.
    pub identity: &'static str,
    /// Whether it got the result of another execution, from the cache or from one at the same time.
    pub is_cached: bool,
    source: Arc<CallSource>,
}

impl Execution {
    /// Returns the id of the request that caused it.
    pub fn request_id(&self) -> &RequestId {
        &self.source.request_id
    }

    /// Returns its caller, in the words of Convex's log.
    pub fn caller(&self) -> &'static str {
        match self.parent {
            Some(_) => "Action",
            None => self.source.caller.as_str(),
        }
    }

    fn bytes(&self) -> usize {
        let lines = self.log_lines.iter();
        let lines: usize = lines.map(|line| size_of::<String>() + line.len()).sum();
        lines + self.error.as_ref().map_or(0, String::len)
    }
}

/// The id of an execution. It prints as a UUID, as in Convex.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ExecutionId {
    /// A random number of the process.
    process: u64,
    number: u64,
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = u128::from(self.process) << 64 | u128::from(self.number);
        Uuid::from_random_bits(bits).fmt(f)
    }
}

/// The log of the latest executions, for `npx convex logs`.
pub struct ExecutionLog {
    remembered: Mutex<Remembered>,
    next: Notify,
    // The first half of each id, so that ids of a restarted server differ from earlier ones.
    process: u64,
    number: AtomicU64,
}

#[derive(Default)]
struct Remembered {
    executions: VecDeque<Execution>,
    bytes: usize,
}

/// The call that an execution served.
pub(crate) struct ExecutedCall<'a> {
    pub(crate) id: ExecutionId,
    pub(crate) parent: Option<ExecutionId>,
    pub(crate) identity: &'static str,
    pub(crate) source: &'a Arc<CallSource>,
}

/// The end of an execution.
pub(crate) struct Ended<'a, T> {
    pub(crate) identifier: Arc<str>,
    pub(crate) kind: Option<FunctionKind>,
    pub(crate) log_lines: Vec<String>,
    pub(crate) began: Instant,
    pub(crate) is_cached: bool,
    pub(crate) result: &'a Result<T>,
}

impl ExecutionLog {
    /// Returns an empty log. The ids of its executions contain the random number `process`.
    pub(crate) fn new(process: u64) -> ExecutionLog {
        ExecutionLog {
            remembered: Mutex::default(),
            next: Notify::new(),
            process,
            number: AtomicU64::new(0),
        }
    }

    pub(crate) fn next_id(&self) -> ExecutionId {
        ExecutionId {
            process: self.process,
            // Relaxed: the numbers only have to differ.
            number: self.number.fetch_add(1, Ordering::Relaxed),
        }
    }

    pub(crate) fn record<T>(&self, now_ms: f64, call: ExecutedCall<'_>, ended: Ended<'_, T>) {
        let error = ended.result.as_ref().err().map(Error::to_string);
        let error = error.map(|error| cut(error, MAX_ERROR_BYTES));
        let duration = ended.began.elapsed();

        let mut remembered = self.remembered.lock();
        let cursor_ms = remembered.next_cursor(now_ms);
        remembered.push(Execution {
            cursor_ms,
            ended_ms: now_ms,
            identifier: ended.identifier,
            kind: ended.kind,
            log_lines: ended.log_lines,
            duration,
            error,
            id: call.id,
            parent: call.parent,
            identity: call.identity,
            is_cached: ended.is_cached,
            source: Arc::clone(call.source),
        });
        drop(remembered);
        // Notified without the lock, because each woken reader takes it at once.
        self.next.notify_waiters();
    }

    /// Returns all remembered executions, at most a thousand, the oldest first.
    pub fn all(&self) -> Vec<Execution> {
        self.after_now(f64::NEG_INFINITY)
    }

    /// Returns the executions after [`Execution::cursor_ms`], the oldest first. Waits for the next
    /// if there are none.
    pub async fn after(&self, cursor_ms: f64) -> Vec<Execution> {
        loop {
            // Created before the search, so that an execution that is recorded in between wakes
            // this task.
            let next = self.next.notified();
            let found = self.after_now(cursor_ms);
            if !found.is_empty() {
                return found;
            }
            next.await;
        }
    }

    fn after_now(&self, cursor_ms: f64) -> Vec<Execution> {
        let remembered = self.remembered.lock();
        let later = remembered
            .executions
            .iter()
            .filter(|execution| execution.cursor_ms > cursor_ms);
        later.cloned().collect()
    }
}

impl Remembered {
    /// Returns the cursor of an execution that ended now: later than every other, also when the
    /// clock goes back.
    fn next_cursor(&self, now_ms: f64) -> f64 {
        match self.executions.back() {
            // Readers ask for the executions after a cursor, so two equal cursors would hide one of
            // them.
            Some(last) => now_ms.max(last.cursor_ms.next_up()),
            None => now_ms,
        }
    }

    // Inlined, so that the execution is made in its place.
    #[inline]
    fn push(&mut self, execution: Execution) {
        self.bytes += execution.bytes();
        self.executions.push_back(execution);
        while self.executions.len() > MAX_EXECUTIONS || self.bytes > MAX_LOG_BYTES {
            let Some(oldest) = self.executions.pop_front() else {
                return;
            };
            self.bytes -= oldest.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lentil_call::Caller;

    fn execution(log_lines: Vec<String>) -> Execution {
        let source = CallSource::new(Caller::Tester, RequestId::made(1));
        Execution {
            cursor_ms: 0.0,
            ended_ms: 0.0,
            identifier: "a:b".into(),
            kind: None,
            log_lines,
            duration: Duration::ZERO,
            error: None,
            id: ExecutionId::default(),
            parent: None,
            identity: "unknown",
            is_cached: false,
            source: Arc::new(source),
        }
    }

    #[test]
    fn the_execution_log_is_bounded_and_keeps_the_latest() {
        let mut remembered = Remembered::default();
        let mut push = |log_lines| {
            let cursor_ms = remembered.next_cursor(0.0);
            remembered.push(Execution {
                cursor_ms,
                ..execution(log_lines)
            });
            remembered.executions.len()
        };
        for _ in 0..2 * MAX_EXECUTIONS {
            push(Vec::new());
        }
        assert_eq!(push(Vec::new()), MAX_EXECUTIONS);
        for _ in 0..100 {
            push(vec!["x".repeat(1 << 20)]);
        }
        assert_eq!(remembered.executions.len(), 7);
        let bytes: usize = remembered.executions.iter().map(Execution::bytes).sum();
        assert_eq!(remembered.bytes, bytes);
        let is_later = |a: &Execution, b: &Execution| a.cursor_ms < b.cursor_ms;
        assert!(
            remembered
                .executions
                .iter()
                .is_sorted_by(|a, b| is_later(a, b))
        );
    }
}
