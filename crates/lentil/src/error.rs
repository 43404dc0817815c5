use std::io;
use std::net::SocketAddr;

use lentil_runtime::OpenError;
use lentil_server::AuthConfigError;
use lentil_system::CronError;

use crate::secrets::SecretError;

/// An error that prevents the start, or stops the server. Each variant prints one sentence that
/// says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ServeError {
    #[error("{name}: {reason}")]
    Setting { name: &'static str, reason: String },
    #[error(
        "cannot listen on {address}: {io}; stop the program that uses it, or choose another with {flag}"
    )]
    Listen {
        address: SocketAddr,
        flag: &'static str,
        io: io::Error,
    },
    #[error(transparent)]
    Auth(AuthConfigError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Database(#[from] lentil_sqlite::OpenError),
    #[error(transparent)]
    Cron(#[from] CronError),
    #[error(transparent)]
    Application(#[from] OpenError),
    #[error("cannot store files: {0}")]
    Files(#[from] lentil_store::FileError),
    #[error(
        "{0} holds the files of another database; choose another prefix with --files, or, if this database was moved or \
         restored, copy the file `files-owner` from its old data folder"
    )]
    ForeignFiles(String),
    #[error("cannot close the store: {0}")]
    Close(lentil_store::StoreError),
    #[error("{0}")]
    System(#[from] io::Error),
}
