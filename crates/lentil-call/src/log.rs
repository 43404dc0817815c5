use std::fmt::{self, Display};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::limits::Limits;
use crate::source::CallSource;

/// The level of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// `console.debug`
    Debug,
    /// `console.info`
    Info,
    /// `console.log`
    Log,
    /// `console.warn`
    Warn,
    /// `console.error`
    Error,
}

impl LogLevel {
    fn as_str(self) -> &'static str {
        match self {
            LogLevel::Debug => "DEBUG",
            LogLevel::Info => "INFO",
            LogLevel::Log => "LOG",
            LogLevel::Warn => "WARN",
            LogLevel::Error => "ERROR",
        }
    }
}

/// The log of a call, `ctx.log`, which nested calls share.
///
/// The lines appear in the server's log, at their level and with the function and the request's id.
/// `npx convex logs` and clients that may see internal errors receive them as `[LEVEL] text`.
/// [`Limits::log_lines`] and [`Limits::log_line_bytes`] limit their number and length.
///
/// ```
/// # use lentil_call::Log;
/// fn report(log: &Log, empty_rows: usize) {
///     log.info("the import begins");
///     log.warn(format!("{empty_rows} rows are empty"));
/// }
/// ```
#[derive(Clone)]
pub struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    max_lines: usize,
    max_bytes: usize,
    source: Arc<CallSource>,
    /// The function or route that writes the lines.
    function: Arc<str>,
}

impl Log {
    /// Returns an empty log for the calls of one request.
    pub fn new(limits: &Limits, source: &Arc<CallSource>, function: &Arc<str>) -> Log {
        Log {
            lines: Arc::default(),
            max_lines: limits.log_lines,
            max_bytes: limits.log_line_bytes,
            source: Arc::clone(source),
            function: Arc::clone(function),
        }
    }

    /// Returns the same log for a nested call of this function.
    pub fn of(&self, function: &Arc<str>) -> Log {
        Log {
            function: Arc::clone(function),
            ..self.clone()
        }
    }

    /// Returns the function or route that writes the lines.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// Writes a line of level `DEBUG`.
    pub fn debug(&self, text: impl Display) {
        self.write(LogLevel::Debug, &text);
    }

    /// Writes a line of level `INFO`.
    pub fn info(&self, text: impl Display) {
        self.write(LogLevel::Info, &text);
    }

    /// Writes a line of level `LOG`, as `console.log` does.
    pub fn log(&self, text: impl Display) {
        self.write(LogLevel::Log, &text);
    }

    /// Writes a line of level `WARN`.
    pub fn warn(&self, text: impl Display) {
        self.write(LogLevel::Warn, &text);
    }

    /// Writes a line of level `ERROR`.
    pub fn error(&self, text: impl Display) {
        self.write(LogLevel::Error, &text);
    }

    // `dyn`, so that this code is compiled once and not for each type of text.
    fn write(&self, level: LogLevel, text: &dyn Display) {
        let text = cut(text.to_string(), self.max_bytes);
        if self.add(|| format!("[{}] {text}", level.as_str())) {
            self.trace(level, &text);
        }
    }

    /// Adds a line unless the limit is reached. Returns whether it added the line.
    fn add(&self, line: impl FnOnce() -> String) -> bool {
        let mut lines = self.lines.lock();
        // The lock also covers the push: nested calls write to the same list.
        let has_room = lines.len() < self.max_lines;
        if has_room {
            lines.push(line());
        } else if lines.len() == self.max_lines {
            // This note makes the list longer than the limit, so it is added only once.
            let count = self.max_lines;
            lines.push(format!(
                "[WARN] more than {count} log lines; the rest is left out"
            ));
        }
        has_room
    }

    /// Writes a line to the server's log too, under the request's id.
    fn trace(&self, level: LogLevel, text: &str) {
        let (function, request_id, text) =
            (&*self.function, &self.source.request_id, OneLine(text));
        match level {
            LogLevel::Debug => tracing::debug!(function, %request_id, "{text}"),
            // `tracing` has no level for `console.log`.
            LogLevel::Info | LogLevel::Log => tracing::info!(function, %request_id, "{text}"),
            LogLevel::Warn => tracing::warn!(function, %request_id, "{text}"),
            LogLevel::Error => tracing::error!(function, %request_id, "{text}"),
        }
    }

    /// Adds the lines of another call's log.
    pub fn extend(&self, lines: &[String]) {
        for line in lines {
            self.add(|| line.clone());
        }
    }

    /// Returns the lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().clone()
    }
}

/// Displays a text with escaped control characters, so that a client cannot forge a line of the
/// log.
pub(crate) struct OneLine<'a>(pub(crate) &'a str);

impl Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(char::is_control) {
            let (before, from) = rest.split_at(at);
            let control = from.chars().next().unwrap_or_default();
            write!(f, "{before}{}", control.escape_default())?;
            rest = &from[control.len_utf8()..];
        }
        f.write_str(rest)
    }
}

/// Returns a text of at most `max_bytes` bytes, with a note if it was longer.
pub fn cut(mut line: String, max_bytes: usize) -> String {
    if line.len() > max_bytes {
        line.truncate(line.floor_char_boundary(max_bytes));
        line.push_str(" (cut: too long)");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request_id::RequestId;
    use crate::source::Caller;

    fn log(limits: &Limits) -> Log {
        let source = CallSource::new(Caller::Tester, RequestId::made(1));
        Log::new(limits, &Arc::new(source), &"a:b".into())
    }

    #[test]
    fn lines_over_the_limit_are_counted_in_a_note() {
        let limits = Limits {
            log_lines: 2,
            ..Limits::default()
        };
        let log = log(&limits);
        for i in 0..5 {
            log.log(i);
        }
        assert_eq!(
            log.lines(),
            [
                "[LOG] 0",
                "[LOG] 1",
                "[WARN] more than 2 log lines; the rest is left out"
            ]
        );
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let limits = Limits {
            log_line_bytes: 3,
            ..Limits::default()
        };
        let log = log(&limits);
        log.warn("éé");
        assert_eq!(log.lines(), ["[WARN] é (cut: too long)"]);
    }

    #[test]
    fn control_characters_are_escaped() {
        let text = "é\n2026 ERROR \u{1b}[31m\r\u{85}";
        let expected = "é\\n2026 ERROR \\u{1b}[31m\\r\\u{85}";
        assert_eq!(OneLine(text).to_string(), expected);
    }
}
