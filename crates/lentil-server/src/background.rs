//! The tasks that run beside the connections.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::connection::ConnectionRegistry;
use crate::server::Server;

const LEASE_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// The tasks of a server. Dropping this stops none of them.
pub(crate) struct BackgroundTasks {
    /// Closes connections whose next request head is late.
    connection_supervisor: JoinHandle<()>,
    /// Ends snapshot leases that have expired.
    leases: JoinHandle<()>,
    /// Does the work of the system's modules until the server shuts down.
    system_modules: JoinHandle<()>,
    /// Keeps the memory held for clients within its limits.
    memory_relief: JoinHandle<()>,
}

impl BackgroundTasks {
    /// Starts all tasks.
    pub(crate) fn start(
        server: &Arc<Server>,
        registry: &Arc<ConnectionRegistry>,
    ) -> BackgroundTasks {
        let head_timeout = server.options.head_timeout;
        let shutdown = server.shutdown.clone();
        let registry = Arc::clone(registry);
        let relieved = server.runtime.clone();
        let runtime = server.runtime.clone();
        let stop = server.shutdown.clone();
        BackgroundTasks {
            connection_supervisor: tokio::spawn(async move {
                registry.supervise(head_timeout, shutdown).await;
            }),
            leases: tokio::spawn(release_leases(Arc::clone(server))),
            system_modules: tokio::spawn(async move { runtime.run_modules(stop).await }),
            memory_relief: tokio::spawn(async move { relieved.relieve_memory().await }),
        }
    }

    /// Stops all tasks after the shutdown, and gives the scheduled functions that run until
    /// `deadline` to finish. The next start retries a scheduled mutation that did not; a scheduled action fails.
    pub(crate) async fn stop(mut self, deadline: Instant) {
        // The supervisor ends connections during the shutdown, so it stops only now.
        self.connection_supervisor.abort();
        self.leases.abort();
        let finished = tokio::time::timeout_at(deadline, &mut self.system_modules).await;
        if finished.is_err() {
            tracing::warn!("aborted scheduled functions that did not finish in time");
            self.system_modules.abort();
        }
        // Last, because the functions that finish may still exceed the memory limits.
        self.memory_relief.abort();
    }
}

/// Ends snapshot leases that have expired.
async fn release_leases(server: Arc<Server>) {
    loop {
        server.snapshot_leases.release_expired();
        tokio::time::sleep(LEASE_CHECK_INTERVAL).await;
    }
}
