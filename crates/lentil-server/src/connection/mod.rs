//! A client's connection: which protocol it speaks, and how long it may take.
//!
//! ```text
//! TcpStream ─► ClientStream ─► http1 ─► linger
//!                   │            └────► sync (WebSocket)
//!                   └────────► http2
//! ```

mod http1;
mod http2;
mod linger;
mod memory;
mod refusal;
mod registry;
mod state;
mod stream;
mod tcp;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::net::TcpStream;

pub(crate) use http2::StreamState;
pub(crate) use refusal::refuse;
pub(crate) use registry::ConnectionRegistry;
pub(crate) use state::InFlightRequest;
pub(crate) use stream::ClientStream;

use crate::service::Service;
use crate::sync::Upgrade;
use state::ConnectionState;

/// The place where a request that was answered 101 leaves the protocol that the connection speaks from then on.
pub(crate) type UpgradeSlot = Mutex<Option<Upgrade>>;

/// Serves one connection until its end, or until the server shuts down.
pub(crate) async fn serve(tcp: TcpStream, service: Service) {
    let server = Arc::clone(service.server());
    let state = Arc::new(ConnectionState::default());
    let mut stream = ClientStream::new(tcp, &server.progress, &state);
    let first_byte_time = server.options.first_byte_time;
    let is_http2 = tokio::select! {
        is_http2 = tokio::time::timeout(first_byte_time, stream.speaks_http2()) => is_http2,
        // Nothing was asked, so nothing is answered.
        () = server.shutdown.cancelled() => return,
    };
    match is_http2 {
        Ok(Ok(true)) => Box::pin(http2::serve(stream, service)).await,
        Ok(Ok(false)) => http1::serve(stream, service).await,
        // The client has hung up or never sent a byte, so no response is expected.
        Ok(Err(_)) | Err(_) => {}
    }
}
