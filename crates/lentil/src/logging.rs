use std::backtrace::{Backtrace, BacktraceStatus};
use std::io;
use std::panic::{self, PanicHookInfo};

use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;
use crate::serve::ServeError;

/// Sends the log to standard error: standard output is the first screen's.
pub(crate) fn init(filter: &str, format: LogFormat) -> Result<(), ServeError> {
    // Each request to S3 that is sent again is a line; they are for those who ask, `object_store=info`.
    let filter = EnvFilter::try_new(format!("object_store=warn,{filter}")).map_err(|error| {
        ServeError::Setting {
            name: "--log",
            reason: error.to_string(),
        }
    })?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // It would report a full disk to standard error, and panic when that is there too.
        .log_internal_errors(false)
        .with_writer(io::stderr);
    let installed = match format {
        LogFormat::Text => subscriber
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
    // A program that has set up its own log before keeps it.
    drop(installed);
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Logs a panic and its place in one line. The default hook would write the message unescaped, with the line breaks of a
/// client's argument. The call that fails with it logs another line.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(tracing::field::display);
    let message = panic.payload_as_str().unwrap_or("no message");
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured)
        .then(|| tracing::field::debug(backtrace.to_string()));
    tracing::error!(parent: None, location, backtrace, "a panic: {}", message.escape_debug());
}
