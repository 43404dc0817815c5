use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lentil_runtime::Runtime;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::ServerOptions;
use crate::connection;
use crate::peer::share_address;
use crate::service::{Origin, Server, Service};

/// Where the server listens.
pub struct Listeners {
    /// The server's own paths and the application's routes.
    pub main: TcpListener,
    /// The application's routes alone.
    pub site: Option<TcpListener>,
}

/// How the server came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that did not finish in time and were cut.
    pub cut: usize,
}

/// Serves until `shutdown`, then lets running requests finish, within [`ServerOptions::drain_time`].
pub async fn serve(
    listeners: Listeners,
    runtime: Runtime,
    options: ServerOptions,
    shutdown: impl Future<Output = ()>,
) -> Drained {
    let shutting_down = CancellationToken::new();
    let slots = Arc::new(Semaphore::new(options.max_connections));
    let server = Arc::new(Server::new(runtime, options.clone(), shutting_down.clone()));
    let keeping = tokio::spawn(keep_house(Arc::clone(&server)));
    let mut scheduling = tokio::spawn(run_scheduler(Arc::clone(&server)));
    let sweeping = tokio::spawn(sweep_files(Arc::clone(&server)));
    let supervising = tokio::spawn(supervise_connections(Arc::clone(&server)));
    let relieving = tokio::spawn(relieve_memory(Arc::clone(&server)));
    let accept = |listener, origin| {
        tokio::spawn(accept(
            listener,
            Arc::clone(&server),
            origin,
            Arc::clone(&slots),
        ))
    };
    let main = accept(listeners.main, Origin::Main);
    let site = listeners.site.map(|site| accept(site, Origin::Site));
    shutdown.await;
    tracing::info!("stopping: running requests finish, new ones are refused");
    shutting_down.cancel();
    let mut cut = 0;
    for accepting in [Some(main), site].into_iter().flatten() {
        // The accept loop ends at once, with the connections that are still open.
        if let Ok(mut connections) = accepting.await {
            let finish = async { while connections.join_next().await.is_some() {} };
            let _ = tokio::time::timeout(options.drain_time, finish).await;
            cut += connections.len();
        }
    }
    supervising.abort();
    keeping.abort();
    // What has not finished by now is tried again at the next start, or has failed if it is an action.
    if tokio::time::timeout(options.drain_time, &mut scheduling)
        .await
        .is_err()
    {
        scheduling.abort();
    }
    sweeping.abort();
    relieving.abort();
    if cut > 0 {
        tracing::warn!(cut, "connections did not finish in time and were cut");
    }
    Drained { cut }
}

/// Lets go, now and then, of what has been kept long enough.
async fn keep_house(server: Arc<Server>) {
    const TICK: Duration = Duration::from_secs(10);
    const TICKS_AN_HOUR: u64 = 360;
    let (runtime, began) = (&server.runtime, Instant::now());
    let began_ms = runtime.now_ms();
    // The first hour is left to set a clock that is wrong at boot.
    for tick in 1_u64.. {
        server.held.release();
        if tick.is_multiple_of(TICKS_AN_HOUR) {
            // A wall clock that jumps ahead does not make records old.
            let now_ms = runtime
                .now_ms()
                .min(began_ms + began.elapsed().as_secs_f64() * 1e3);
            let pruned = [
                runtime.prune_sessions(now_ms).await,
                runtime.prune_jobs(now_ms).await,
            ];
            for error in pruned.iter().filter_map(|pruned| pruned.as_ref().err()) {
                tracing::warn!(%error, "old records could not be deleted");
            }
        }
        tokio::time::sleep(TICK).await;
    }
}

/// Runs what is scheduled until the server drains.
async fn run_scheduler(server: Arc<Server>) {
    let shutdown = server.shutdown.cancelled();
    server.runtime.run_scheduler(shutdown).await;
}

/// Closes connections whose next request does not arrive in time.
async fn supervise_connections(server: Arc<Server>) {
    let (timeout, shutdown) = (server.options.head_time, server.shutdown.clone());
    server.connections.supervise(timeout, shutdown).await;
}

/// Keeps the memory held for clients within its limits.
async fn relieve_memory(server: Arc<Server>) {
    server.runtime.relieve_memory().await;
}

/// Removes what a crash has left of files that nobody was told of.
async fn sweep_files(server: Arc<Server>) {
    match server.runtime.sweep_files().await {
        Ok(0) => {}
        Ok(removed) => tracing::info!(
            removed,
            "contents of files that no document names were removed"
        ),
        Err(error) => tracing::warn!(%error, "the contents of files could not be listed"),
    }
}

/// Refused connections that are open at the same time.
const MAX_REFUSALS: usize = 64;

/// Accepts connections until the server drains; returns those that are still open.
async fn accept(
    listener: TcpListener,
    server: Arc<Server>,
    origin: Origin,
    slots: Arc<Semaphore>,
) -> JoinSet<()> {
    let mut connections = JoinSet::new();
    let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
    loop {
        // Before anything else, so that tasks which have ended do not pile up while connections are refused.
        while connections.try_join_next().is_some() {}
        let next = async {
            let slot = Arc::clone(&slots)
                .acquire_owned()
                .await
                .expect("the slots are never closed");
            (slot, next_connection(&listener).await)
        };
        let (slot, (stream, peer)) = tokio::select! {
            next = next => next,
            () = server.shutdown.cancelled() => return connections,
        };
        let is_proxy = server.options.trusted_proxies.contains(peer.ip());
        let share = server.shares.connections.take(share_address(peer.ip()));
        if share.is_none() && !is_proxy {
            // Only a few wait until the client has read why, so that refusals take no places from others.
            if let Ok(refusal) = Arc::clone(&refusals).try_acquire_owned() {
                connections.spawn(async move {
                    connection::refuse(stream).await;
                    drop((refusal, slot));
                });
            }
            continue;
        }
        let service = Service::new(Arc::clone(&server), origin, peer);
        connections.spawn(async move {
            connection::serve(stream, service).await;
            drop((share, slot));
        });
    }
}

/// The next connection; when the system has no room for one, tries again, ever more slowly.
async fn next_connection(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut back_off = Duration::from_millis(5);
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(back_off).await;
                back_off = (back_off * 2).min(Duration::from_secs(1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use lentil_runtime::{FunctionCall, FunctionPath, Functions, Identity, MutationCtx, Object};
    use lentil_runtime::{Result, SessionRequest, Uuid};
    use lentil_schema::Schema;
    use lentil_testing::TestBackend;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    async fn nothing(_: &mut MutationCtx, (): ()) -> Result<()> {
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_jumps_ahead_deletes_no_recorded_answers() {
        let functions = Functions::in_module("test").mutation("nothing", nothing);
        let t = TestBackend::new(Schema::new()).functions(functions);
        let runtime = t.runtime().await;
        let path = FunctionPath::parse("test:nothing").unwrap();
        let session_id = Uuid::from_random_bits(1);
        let mut call = FunctionCall::new(path, Object::new(), Identity::Anonymous);
        call.request = Some(SessionRequest {
            session_id,
            request_id: 0,
        });
        assert!(runtime.call(call, None).await.result.is_ok());
        let options = ServerOptions::default();
        let server = Server::new(runtime.clone(), options, CancellationToken::new());
        let keeping = tokio::spawn(keep_house(Arc::new(server)));
        let kept = async || runtime.session_bytes(session_id, 1 << 10).await.unwrap() > 0;
        tokio::time::sleep(Duration::from_secs(1)).await;
        t.advance(30 * DAY);
        tokio::time::sleep(DAY).await;
        assert!(kept().await, "only a day has passed");
        tokio::time::sleep(14 * DAY).await;
        assert!(!kept().await);
        keeping.abort();
    }
}
