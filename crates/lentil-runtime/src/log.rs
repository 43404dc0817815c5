use std::fmt::Display;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::Limits;

/// How important a log line is; printed as Convex prints it.
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

/// The log lines of one call, `ctx.log`: shown to its client, and in the server's log.
///
/// The lines of nested calls stand among their caller's. A line reads `[LEVEL] text`; over the limits of
/// [`Limits::log_lines`] and [`Limits::log_line_bytes`] lines are cut and left out.
#[derive(Clone)]
pub struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    max_lines: usize,
    max_bytes: usize,
}

impl Log {
    pub(crate) fn new(limits: &Limits) -> Log {
        Log {
            lines: Arc::default(),
            max_lines: limits.log_lines,
            max_bytes: limits.log_line_bytes,
        }
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

    fn write(&self, level: LogLevel, text: &dyn Display) {
        let mut lines = self.lines.lock();
        if lines.len() < self.max_lines {
            lines.push(cut(format!("[{}] {text}", level.as_str()), self.max_bytes));
        } else if lines.len() == self.max_lines {
            lines.push(format!(
                "[WARN] more than {} log lines; the rest is left out",
                self.max_lines
            ));
        }
    }

    pub(crate) fn extend(&self, lines: &[String]) {
        self.lines.lock().extend_from_slice(lines);
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().clone()
    }
}

fn cut(mut line: String, max_bytes: usize) -> String {
    if line.len() > max_bytes {
        line.truncate(line.floor_char_boundary(max_bytes));
        line.push_str(" (cut: too long)");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_over_the_limit_are_left_out_and_said_to_be() {
        let limits = Limits {
            log_lines: 2,
            ..Limits::default()
        };
        let log = Log::new(&limits);
        (0..5).for_each(|i| log.log(i));
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
            log_line_bytes: 10,
            ..Limits::default()
        };
        let log = Log::new(&limits);
        log.warn("éé");
        assert_eq!(log.lines(), ["[WARN] é (cut: too long)"]);
    }
}
