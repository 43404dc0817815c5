use std::backtrace::{Backtrace, BacktraceStatus};
use std::io;
use std::panic::{self, PanicHookInfo};

use tracing_subscriber::EnvFilter;

use crate::error::ServeError;
use crate::settings::LogFormat;

/// Sends the log to standard error. Standard output carries only the startup banner.
pub(crate) fn init(filter: &str, format: LogFormat) -> Result<(), ServeError> {
    // At `info`, object_store logs each retry of a request to S3. `--log object_store=info` shows
    // them.
    let filter = EnvFilter::try_new(format!("object_store=warn,{filter}")).map_err(|error| {
        ServeError::Setting {
            name: "--log",
            reason: error.to_string(),
        }
    })?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Otherwise the subscriber would report a full disk on standard error, and panic if that is
        // on the same disk.
        .log_internal_errors(false)
        .with_writer(io::stderr);
    let installed = match format {
        LogFormat::Text => subscriber
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
    // Fails if the program has installed its own subscriber, which then stays in place.
    drop(installed);
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Logs a panic and its location in one line. The default hook would not escape the message, which
/// can contain line breaks from a client's argument. The call that fails with the panic logs
/// another line.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(tracing::field::display);
    let message = panic.payload_as_str().unwrap_or("no message");
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured)
        .then(|| tracing::field::debug(backtrace.to_string()));
    tracing::error!(parent: None, location, backtrace, "a panic: {}", message.escape_debug());
}
