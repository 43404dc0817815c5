use std::sync::Arc;

use lentil_runtime::Runtime;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::auth::Authenticator;
use crate::client_events::ClientEvents;
use crate::failed_keys::FailedKeys;
use crate::options::ServerOptions;
use crate::progress::ProgressRule;
use crate::shares::ClientShares;
use crate::snapshot_leases::SnapshotLeases;

/// The state that all listeners, connections and requests share.
pub(crate) struct Server {
    pub(crate) runtime: Runtime,
    pub(crate) options: ServerOptions,
    pub(crate) authenticator: Authenticator,
    pub(crate) failed_keys: FailedKeys,
    pub(crate) snapshot_leases: SnapshotLeases,
    /// The limits of slow clients.
    pub(crate) progress: Arc<ProgressRule>,
    pub(crate) client_events: ClientEvents,
    /// Permits to store the bytes of an upload.
    pub(crate) uploads: Arc<Semaphore>,
    pub(crate) shares: ClientShares,
    /// Cancelled when the server shuts down.
    pub(crate) shutdown: CancellationToken,
}

impl Server {
    pub(crate) fn new(
        runtime: Runtime,
        options: ServerOptions,
        shutdown: CancellationToken,
    ) -> Server {
        let clock = runtime.clone();
        let authenticator = Authenticator::new(options.auth.clone(), move || clock.now_ms());
        let progress = ProgressRule {
            timeout: options.progress_timeout,
            grace: options.progress_grace,
            min_rate: f64::from(options.min_bytes_per_second),
            shutdown: shutdown.clone(),
        };
        Server {
            authenticator,
            failed_keys: FailedKeys::default(),
            snapshot_leases: SnapshotLeases::new(runtime.store().published()),
            progress: Arc::new(progress),
            client_events: ClientEvents::default(),
            uploads: Arc::new(Semaphore::new(options.max_uploads)),
            shares: ClientShares::new(&options),
            shutdown,
            runtime,
            options,
        }
    }
}
