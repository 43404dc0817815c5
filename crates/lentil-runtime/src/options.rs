use std::collections::HashMap;
use std::sync::Arc;

use lentil_call::Limits;
use lentil_store::{Clock, FileStore, MemoryFiles, SystemClock};

use crate::http::Secret;
use crate::memory::MemoryLimits;
use crate::open::OpenProgress;
use crate::server_paths::ServerPaths;
use crate::variables::Environment;

/// How a runtime is set up; the defaults are for production.
pub struct RuntimeOptions {
    /// Where functions take the time from.
    pub clock: Arc<dyn Clock>,
    /// Makes ids and randomness repeatable; `None` takes them from the operating system.
    pub seed: Option<u64>,
    /// What one call may use.
    pub limits: Limits,
    /// Shows internals in errors, for development.
    pub dev: bool,
    /// Bytes of answers that the query cache keeps, at most a quarter of the memory limit.
    pub cache_bytes: usize,
    /// The values of the secrets that the application declares.
    pub secrets: HashMap<String, Secret>,
    /// The environment of the process.
    pub environment: Environment,
    /// Where the contents of files are kept; in memory, unless told otherwise.
    pub files: Arc<dyn FileStore>,
    /// What the URLs of files begin with: the scheme, host and port at which clients reach the server.
    pub origin: String,
    /// The paths of the server around the runtime.
    pub server_paths: ServerPaths,
    /// What upload URLs are signed with; `None` takes a random key, which a restart forgets.
    pub upload_secret: Option<Secret>,
    /// The limits of the memory that the server holds for clients.
    pub memory: MemoryLimits,
    /// Told how the check of documents and the building of indexes goes, at opening.
    pub progress: Box<dyn Fn(OpenProgress<'_>) + Send + Sync>,
}

impl Default for RuntimeOptions {
    fn default() -> RuntimeOptions {
        RuntimeOptions {
            clock: Arc::new(SystemClock),
            seed: None,
            limits: Limits::default(),
            dev: false,
            cache_bytes: 64 << 20,
            secrets: HashMap::new(),
            environment: Box::new(|name| std::env::var(name).ok()),
            files: Arc::new(MemoryFiles::new()),
            origin: "http://127.0.0.1:3210".to_owned(),
            server_paths: ServerPaths::default(),
            upload_secret: None,
            memory: MemoryLimits::default(),
            progress: Box::new(|_| ()),
        }
    }
}
