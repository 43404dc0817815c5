use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::code::Code;
use crate::error::Error;
use crate::log::{OneLine, cut};
use crate::source::{CallSource, Caller};

/// The longest message in a line of the log.
const MAX_LOGGED_BYTES: usize = 32 << 10;

impl CallSource {
    /// Logs the failure of a call, in one line.
    ///
    /// The receiver of a request calls this once, when everything that the request caused has
    /// ended. So an error that passes through several functions is logged once, and an error that a
    /// function handles is not logged.
    ///
    /// A call that was rejected for its name or its arguments is not a failure of the application.
    /// It is logged at the level `info`, or `debug` if there are many. The line does not contain
    /// the rejected value, because the log must not contain arguments.
    pub fn log_failure(&self, function: &str, error: &Error) {
        let request_id = &self.request_id;
        let code = error.code().as_str();
        let message = cut(without_value(error).to_owned(), MAX_LOGGED_BYTES);
        let causes = causes(error).map(|causes| cut(causes, MAX_LOGGED_BYTES));
        let causes = causes.as_deref().map(OneLine).map(tracing::field::display);
        // A scheduled function has no caller that receives its error.
        let is_rejected = is_shown_in_full(error) && self.caller != Caller::Scheduler;
        let error = OneLine(&message);
        if is_rejected && !REJECTED_CALLS.allows_line(Instant::now()) {
            tracing::debug!(%request_id, function, code, %error, causes, "a call was rejected");
        } else if is_rejected {
            tracing::info!(%request_id, function, code, %error, causes, "a call was rejected");
        } else {
            tracing::error!(%request_id, function, code, %error, causes, "a call failed");
        }
    }
}

/// Limits the lines about rejected calls, which anonymous clients can cause at no cost.
static REJECTED_CALLS: LineLimit = LineLimit(Mutex::new(None));

/// The time in which the lines of a [`LineLimit`] are counted.
const LINE_WINDOW: Duration = Duration::from_secs(10);
/// The most lines in a window. Further ones are logged at the level `debug`.
const MAX_LINES_PER_WINDOW: u32 = 100;

/// Limits the rate of lines in the log.
struct LineLimit(Mutex<Option<LineWindow>>);

struct LineWindow {
    began: Instant,
    lines: u32,
}

impl LineLimit {
    /// Counts a line. Returns whether it is within the limit.
    fn allows_line(&self, now: Instant) -> bool {
        let mut window = self.0.lock();
        match &mut *window {
            Some(window) if now - window.began < LINE_WINDOW => {
                window.lines += 1;
                window.lines <= MAX_LINES_PER_WINDOW
            }
            _ => {
                *window = Some(LineWindow {
                    began: now,
                    lines: 1,
                });
                true
            }
        }
    }
}

/// Returns whether every client receives the whole error.
fn is_shown_in_full(error: &Error) -> bool {
    error.is_rejected_call() || error.code().status().is_client_error()
}

/// Returns the message without the value that a validator rejected.
fn without_value(error: &Error) -> &str {
    let message = error.message();
    match error.code() {
        // Must agree with the texts of `lentil_values::ValidationError`, which end in the value.
        Code::ArgumentValidation | Code::ReturnsValidation | Code::SchemaEnforcement => message
            .split_once(", got ")
            .map_or(message, |(before, _)| before),
        _ => message,
    }
}

/// Returns the causes of an error, the nearest first, without repeated messages.
fn causes(error: &Error) -> Option<String> {
    let mut last = error.message().to_owned();
    let mut causes = Vec::new();
    let mut next = error.cause().map(|cause| cause as &dyn std::error::Error);
    while let Some(cause) = next {
        let text = cause.to_string();
        // A wrapper often has the text of the error that it wraps.
        if text != last {
            causes.push(text.clone());
            last = text;
        }
        next = cause.source();
    }
    (!causes.is_empty()).then(|| causes.join(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the outer one")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("the inner one")]
    struct Inner;

    #[test]
    fn causes_are_listed_from_the_nearest_on() {
        assert_eq!(causes(&Error::msg("alone")), None);
        assert_eq!(
            causes(&Error::from(Outer(Inner))).as_deref(),
            Some("the inner one")
        );
        assert_eq!(
            causes(&Error::internal(Outer(Inner)).in_context("while testing")).as_deref(),
            Some("the outer one: the inner one")
        );
    }

    #[test]
    fn lines_above_the_limit_are_not_allowed_until_the_next_window() {
        let limit = LineLimit(Mutex::new(None));
        let now = Instant::now();
        for _ in 0..MAX_LINES_PER_WINDOW {
            assert!(limit.allows_line(now));
        }
        assert!(!limit.allows_line(now + LINE_WINDOW / 2));
        assert!(limit.allows_line(now + LINE_WINDOW));
    }

    #[test]
    fn a_rejected_value_is_not_logged() {
        let message = "argument `password`: expected v.number(), got \"hunter2\"";
        let logged = |code| without_value(&Error::new(code, message)).to_owned();
        assert_eq!(
            logged(Code::ArgumentValidation),
            "argument `password`: expected v.number()"
        );
    }

    #[test]
    fn errors_shown_to_the_caller_are_not_server_failures() {
        let shown = [
            Error::new(Code::BadRequest, "no"),
            Error::new(Code::ArgumentValidation, "no").into_rejected_call(),
        ];
        assert!(shown.iter().all(is_shown_in_full));
        let hidden = [
            Code::ArgumentValidation,
            Code::Application,
            Code::Uncaught,
            Code::Panicked,
        ];
        assert!(
            !hidden
                .iter()
                .any(|code| is_shown_in_full(&Error::new(*code, "no")))
        );
    }
}
