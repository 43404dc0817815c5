//! The tasks that run beside the connections.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::connection::ConnectionRegistry;
use crate::server::Server;

/// The tasks of a server. Dropping this stops none of them.
pub(crate) struct BackgroundTasks {
    /// Closes connections whose next request head is late.
    connection_supervisor: JoinHandle<()>,
    /// Executes scheduled functions and crons until the server shuts down.
    scheduler: JoinHandle<()>,
    /// Deletes old records and snapshot leases.
    housekeeping: JoinHandle<()>,
    /// Removes contents that no file document references.
    file_sweep: JoinHandle<()>,
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
        let runtime = server.runtime.clone();
        BackgroundTasks {
            connection_supervisor: tokio::spawn(async move {
                registry.supervise(head_timeout, shutdown).await;
            }),
            scheduler: tokio::spawn(run_scheduler(Arc::clone(server))),
            housekeeping: tokio::spawn(housekeeping(Arc::clone(server))),
            file_sweep: tokio::spawn(sweep_files(Arc::clone(server))),
            memory_relief: tokio::spawn(async move { runtime.relieve_memory().await }),
        }
    }

    /// Stops all tasks after the shutdown, and gives the scheduler's running functions `timeout` to
    /// finish. The next start retries a scheduled mutation that did not; a scheduled action fails.
    pub(crate) async fn stop(mut self, timeout: Duration) {
        // The supervisor ends connections during the shutdown, so it stops only now.
        self.connection_supervisor.abort();
        self.housekeeping.abort();
        let finished = tokio::time::timeout(timeout, &mut self.scheduler).await;
        if finished.is_err() {
            tracing::warn!("aborted scheduled functions that did not finish in time");
            self.scheduler.abort();
        }
        self.file_sweep.abort();
        self.memory_relief.abort();
    }
}

async fn run_scheduler(server: Arc<Server>) {
    let shutdown = server.shutdown.cancelled();
    server.runtime.run_scheduler(shutdown).await;
}

/// Ends old snapshot leases, and deletes old records of sessions and scheduled functions.
async fn housekeeping(server: Arc<Server>) {
    const INTERVAL: Duration = Duration::from_secs(10);
    const INTERVALS_PER_HOUR: u64 = 360;
    let runtime = &server.runtime;
    let began = Instant::now();
    let began_ms = runtime.now_ms();
    // Records are first deleted after an hour. Until then the operator can set a clock that was
    // wrong at boot.
    for interval in 1_u64.. {
        server.snapshot_leases.release_expired();
        if interval.is_multiple_of(INTERVALS_PER_HOUR) {
            // If the wall clock jumped ahead, the monotonic clock shows the time that has passed.
            let elapsed_ms = began.elapsed().as_secs_f64() * 1e3;
            let now_ms = runtime.now_ms().min(began_ms + elapsed_ms);
            if let Err(error) = runtime.prune_sessions(now_ms).await {
                tracing::warn!(%error, "failed to delete old records of sessions");
            }
            if let Err(error) = runtime.prune_jobs(now_ms).await {
                tracing::warn!(%error, "failed to delete old records of scheduled functions");
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Removes the contents that a crash left without a file document.
async fn sweep_files(server: Arc<Server>) {
    match server.runtime.files().sweep().await {
        Ok(0) => {}
        Ok(removed) => {
            tracing::info!(removed, "removed contents that no file document references");
        }
        Err(error) => tracing::warn!(%error, "failed to list the contents of files"),
    }
}

#[cfg(test)]
mod tests {
    use lentil_runtime::{FunctionCall, FunctionPath, Functions, Identity, MutationCtx, Object};
    use lentil_runtime::{Result, SessionRequest, Uuid};
    use lentil_schema::Schema;
    use lentil_testing::TestBackend;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::options::ServerOptions;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    async fn no_op(_: &mut MutationCtx, (): ()) -> Result<()> {
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn clock_that_jumps_ahead_deletes_no_session_records() {
        let functions = Functions::in_module("test").mutation("noOp", no_op);
        let t = TestBackend::new(Schema::new()).functions(functions);
        let runtime = t.runtime().await;
        let path = FunctionPath::parse("test:noOp").unwrap();
        let session_id = Uuid::from_random_bits(1);
        let mut call = FunctionCall::new(path, Object::new(), Identity::Anonymous);
        call.request = Some(SessionRequest {
            session_id,
            request_id: 0,
        });
        assert!(runtime.call(call, None).await.result.is_ok());
        let options = ServerOptions::default();
        let server = Server::new(runtime.clone(), options, CancellationToken::new());
        let task = tokio::spawn(housekeeping(Arc::new(server)));
        let has_record = async || runtime.session_bytes(session_id, 1 << 10).await.unwrap() > 0;
        tokio::time::sleep(Duration::from_secs(1)).await;
        t.advance(30 * DAY);
        tokio::time::sleep(DAY).await;
        assert!(has_record().await, "only a day has passed");
        tokio::time::sleep(14 * DAY).await;
        assert!(!has_record().await);
        task.abort();
    }
}
