use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lentil_runtime::{Backoff, Runtime};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::background::BackgroundTasks;
use crate::connection::{self, ConnectionRegistry};
use crate::options::ServerOptions;
use crate::peer::share_address;
use crate::server::Server;
use crate::service::{ListenerKind, Service};

/// The most refused connections that are open at one time.
const MAX_REFUSALS: usize = 64;
/// The pauses after a connection could not be accepted.
const ACCEPT_BACKOFF: Backoff = Backoff::new(Duration::from_millis(5), Duration::from_secs(1));

/// The sockets on which the server listens.
pub struct Listeners {
    /// Serves the server's own paths and the application's routes.
    pub main: TcpListener,
    /// Serves only the application's routes.
    pub site: Option<TcpListener>,
}

/// The result of a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// The number of connections that did not finish in time and were cut.
    pub cut: usize,
}

/// Serves until `shutdown` completes, then lets running requests finish within
/// [`ServerOptions::drain_timeout`].
pub async fn serve(
    listeners: Listeners,
    runtime: Runtime,
    options: ServerOptions,
    shutdown: impl Future<Output = ()>,
) -> Drained {
    let drain_timeout = options.drain_timeout;
    let shutdown_token = CancellationToken::new();
    let acceptor = Acceptor {
        slots: Arc::new(Semaphore::new(options.max_connections)),
        refusals: Arc::new(Semaphore::new(MAX_REFUSALS)),
        registry: Arc::default(),
        server: Arc::new(Server::new(runtime, options, shutdown_token.clone())),
    };
    let background = BackgroundTasks::start(&acceptor.server, &acceptor.registry);
    let main = acceptor.clone().accept(listeners.main, ListenerKind::Main);
    let mut accepting = vec![tokio::spawn(main)];
    if let Some(site) = listeners.site {
        accepting.push(tokio::spawn(acceptor.accept(site, ListenerKind::Site)));
    }

    shutdown.await;
    tracing::info!("shutting down: running requests finish, new ones are refused");
    shutdown_token.cancel();
    let deadline = Instant::now() + drain_timeout;
    let mut cut = 0;
    for accepting in accepting {
        // The accept loop ends immediately, and returns the connections that are still open.
        if let Ok(mut connections) = accepting.await {
            let finish = async { while connections.join_next().await.is_some() {} };
            let _ = tokio::time::timeout_at(deadline, finish).await;
            // Dropping the set aborts the tasks that are left in it.
            cut += connections.len();
        }
    }
    background.stop(deadline).await;
    if cut > 0 {
        tracing::warn!(cut, "cut connections that did not finish in time");
    }
    Drained { cut }
}

/// Accepts the connections of all listeners.
#[derive(Clone)]
struct Acceptor {
    server: Arc<Server>,
    registry: Arc<ConnectionRegistry>,
    /// Permits for open connections.
    slots: Arc<Semaphore>,
    /// Permits for refused connections whose client has not read the refusal.
    refusals: Arc<Semaphore>,
}

impl Acceptor {
    /// Accepts connections until the server shuts down. Returns the connections that are still
    /// open.
    async fn accept(self, listener: TcpListener, kind: ListenerKind) -> JoinSet<()> {
        let mut connections = JoinSet::new();
        loop {
            // Reaped before each accept, so that finished tasks do not pile up.
            while connections.try_join_next().is_some() {}
            let next = async {
                // Acquired before the accept, so that connections over the limit wait in the
                // kernel's queue.
                let slot = Arc::clone(&self.slots)
                    .acquire_owned()
                    .await
                    .expect("the semaphore is never closed");
                (slot, next_connection(&listener).await)
            };
            let (slot, (stream, peer)) = tokio::select! {
                next = next => next,
                () = self.server.shutdown.cancelled() => return connections,
            };

            let is_proxy = self.server.options.trusted_proxies.contains(peer.ip());
            let share = self
                .server
                .shares
                .connections
                .take(share_address(peer.ip()));
            if share.is_none() && !is_proxy {
                // A bounded number of refusals waits for its clients; the others are closed.
                if let Ok(refusal) = Arc::clone(&self.refusals).try_acquire_owned() {
                    connections.spawn(async move {
                        connection::refuse(stream).await;
                        drop((refusal, slot));
                    });
                }
                continue;
            }
            let service = Service::new(Arc::clone(&self.server), kind, peer);
            let registry = Arc::clone(&self.registry);
            connections.spawn(async move {
                connection::serve(stream, service, &registry).await;
                drop((share, slot));
            });
        }
    }
}

/// Accepts the next connection. If the system has no room for one, retries with exponential
/// back-off.
async fn next_connection(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let mut backoff = ACCEPT_BACKOFF;
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(backoff.next_pause()).await;
            }
        }
    }
}
