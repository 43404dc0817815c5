//! A client's connection: the protocol that it speaks, and the time that each step may take.
//!
//! ```text
//! TcpStream ─► ClientStream ─► http1 ─► lingering_close
//!                   │            └────► sync (WebSocket)
//!                   └────────► http2
//! ```

mod http1;
mod http2;
mod lingering_close;
mod memory;
mod refusal;
mod registry;
mod response_body;
mod state;
mod stream;
mod streams;
mod tcp;

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) use refusal::refuse;
pub(crate) use registry::ConnectionRegistry;

use crate::service::Service;
use state::ConnectionState;
use stream::{ClientStream, Protocol};

/// Serves one connection until it ends or the server shuts down.
pub(crate) async fn serve(tcp: TcpStream, service: Service, registry: &Arc<ConnectionRegistry>) {
    let server = Arc::clone(service.server());
    let state = Arc::new(ConnectionState::default());
    let mut stream = ClientStream::new(tcp, &server.progress, &state);
    let protocol = tokio::select! {
        detected = timeout(server.options.first_byte_timeout, stream.detect_protocol()) => detected,
        // The client has sent no request, so it expects no response.
        () = server.shutdown.cancelled() => return,
    };
    match protocol {
        Ok(Ok(Protocol::Http1)) => http1::serve(stream, service, registry).await,
        // Boxed, so that connections of HTTP/1 do not carry the size of this future.
        Ok(Ok(Protocol::Http2)) => Box::pin(http2::serve(stream, service)).await,
        // The client hung up or sent too little in time, so it expects no response.
        Ok(Err(_)) | Err(_) => {}
    }
}
