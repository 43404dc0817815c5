use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use lentil_files::LocalFiles;
use lentil_runtime::HttpRouter;
use lentil_runtime::http::Secret;
use lentil_runtime::{Application, Functions, Limits, Runtime, RuntimeOptions};
use lentil_schema::Schema;
use lentil_sqlite::{SqliteOptions, SqliteStore};
use lentil_store::{FileStore, MemoryFiles, MemoryStore, Store};
use lentil_system::{Crons, System};
use tempfile::TempDir;

use crate::clock::TestClock;

/// The application and the options of a backend that is not open yet.
pub(crate) struct Setup {
    application: Application,
    crons: Crons,
    secrets: HashMap<String, Secret>,
    environment: HashMap<String, String>,
    pub(crate) seed: u64,
    pub(crate) limits: Limits,
    pub(crate) dev: bool,
    pub(crate) on_sqlite: bool,
}

/// An open backend.
pub(crate) struct Opened {
    pub(crate) runtime: Runtime,
    pub(crate) system: System,
    /// The folder of a store on disk. It is declared after the runtime, which uses it until its
    /// drop.
    _folder: Option<TempDir>,
}

impl Setup {
    pub(crate) fn new(schema: Schema) -> Setup {
        Setup {
            application: Application::new(schema),
            crons: Crons::new(),
            secrets: HashMap::new(),
            environment: HashMap::new(),
            seed: 0,
            limits: Limits::default(),
            // A failing test then shows the message of an internal error.
            dev: true,
            on_sqlite: false,
        }
    }

    pub(crate) fn functions(&mut self, functions: Functions) {
        // The builder methods of `Application` take it by value.
        self.application = mem::take(&mut self.application).functions(functions);
    }

    pub(crate) fn crons(&mut self, crons: Crons) {
        self.crons = mem::take(&mut self.crons).with(crons);
    }

    pub(crate) fn http(&mut self, router: HttpRouter) {
        self.application = mem::take(&mut self.application).http(router);
    }

    pub(crate) fn secret(&mut self, name: &str, value: &str) {
        self.application = mem::take(&mut self.application).secret(name);
        self.secrets.insert(name.to_owned(), Secret::new(value));
    }

    pub(crate) fn env(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Opens the application on a new store.
    pub(crate) async fn open(self, clock: &TestClock, files: &MemoryFiles) -> Opened {
        // Crons count from here: a test may advance the clock before its first call opens the
        // backend.
        let start_ms = clock.start_ms();
        let clock = Arc::new(clock.clone());
        let folder = self
            .on_sqlite
            .then(|| tempfile::tempdir().expect("a temporary folder can be made"));
        let store: Arc<dyn Store>;
        let file_store: Arc<dyn FileStore>;
        match &folder {
            None => {
                store = Arc::new(MemoryStore::new(Arc::clone(&clock) as _));
                file_store = Arc::new(files.clone());
            }
            Some(folder) => {
                let options = SqliteOptions {
                    clock: Arc::clone(&clock) as _,
                    ..SqliteOptions::default()
                };
                let opened = SqliteStore::open(folder.path(), options);
                store = Arc::new(opened.expect("a new store opens"));
                let opened = LocalFiles::open(&folder.path().join("files"));
                file_store = Arc::new(opened.expect("a new folder opens"));
            }
        }
        let system = System::new(&self.application, self.crons)
            .unwrap_or_else(|error| panic!("the crons are valid: {error}"));
        let environment = self.environment;
        let options = RuntimeOptions {
            clock,
            seed: Some(self.seed),
            limits: self.limits,
            secrets: self.secrets,
            dev: self.dev,
            environment: Box::new(move |name: &str| environment.get(name).cloned()),
            files: file_store,
            // As in production, a route that the server would hide is an error.
            server_paths: lentil_server::SERVER_PATHS,
            ..RuntimeOptions::default()
        };
        let runtime = Runtime::open(self.application, system.modules(), store, options)
            .await
            .unwrap_or_else(|error| panic!("the backend opens: {error}"));
        system
            .declare_crons(&runtime, start_ms)
            .await
            .unwrap_or_else(|error| panic!("the crons are declared: {error}"));
        Opened {
            runtime,
            system,
            _folder: folder,
        }
    }
}
