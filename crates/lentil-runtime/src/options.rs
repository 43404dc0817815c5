use std::collections::HashMap;
use std::sync::Arc;

use lentil_call::Limits;
use lentil_store::{Clock, FileStore, MemoryFiles, Progress, SystemClock};

use crate::http::Secret;
use crate::memory::MemoryLimits;
use crate::server_paths::ServerPaths;
use crate::variables::Environment;

/// The progress of opening an application on a store.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum OpenProgress<'a> {
    /// The documents of a table are being checked against the schema.
    Checking {
        /// The table.
        table: &'a str,
        /// The number of documents that have been checked.
        done: u64,
    },
    /// An index is being built or dropped.
    Index(&'a Progress),
}

/// The options of a runtime. The defaults are for production.
pub struct RuntimeOptions {
    /// The source of the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids and randomness repeatable; `None` takes them from the operating system.
    pub seed: Option<u64>,
    /// The limits of one call.
    pub limits: Limits,
    /// Whether errors show internals, for development.
    pub dev: bool,
    /// The size of the query cache in bytes. A quarter of the memory limit is the maximum.
    pub cache_bytes: usize,
    /// The values of the secrets that the application declares.
    pub secrets: HashMap<String, Secret>,
    /// The environment of the process.
    pub environment: Environment,
    /// The store of files. The default keeps them in memory.
    pub files: Arc<dyn FileStore>,
    /// The scheme, host and port at which clients reach the server. The URLs of files begin with
    /// it.
    pub origin: String,
    /// The paths of the server around the runtime.
    pub server_paths: ServerPaths,
    /// The secret that signs upload URLs. `None` makes a random key, so that a restart invalidates
    /// earlier URLs.
    pub upload_secret: Option<Secret>,
    /// The limits of the memory that the server holds for clients.
    pub memory: MemoryLimits,
    /// Called with the progress of opening.
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
