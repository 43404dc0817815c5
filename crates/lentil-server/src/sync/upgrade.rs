use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use data_encoding::BASE64;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header};
use lentil_runtime::http::Body;
use lentil_runtime::memory::Account;
use lentil_runtime::{CallSource, Caller};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::session::{Session, SyncClient};
use super::socket::Socket;
use crate::error::ApiError;
use crate::peer::share_address;
use crate::server::Server;
use crate::shares::Share;

/// The number of bytes in a `Sec-WebSocket-Key` (RFC 6455, section 4.1).
const KEY_BYTES: usize = 16;

/// The first npm version whose client assembles transitions from chunks.
const FIRST_CHUNKS_VERSION: (u32, u32) = (1, 28);

/// The place where a request with the response 101 leaves its upgrade for the connection.
pub(crate) type UpgradeSlot = Mutex<Option<Upgrade>>;

/// The beginning of a sync WebSocket on a connection.
pub(crate) struct Upgrade {
    client: SyncClient,
    /// One of the WebSockets that the client may have. The connection returns it when it ends.
    share: Share<IpAddr>,
}

/// Responds to a request for the WebSocket, and leaves the upgrade in `slot`.
pub(crate) fn accept(
    server: &Server,
    request: &Parts,
    address: IpAddr,
    source: CallSource,
    slot: &UpgradeSlot,
) -> Result<Response<Body>, ApiError> {
    let Some(key) = handshake_key(request) else {
        let message = "this is a WebSocket (version 13); connect to it with a Convex client";
        return Err(ApiError::bad_request("WebSocketUpgradeRequired", message));
    };
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
        .expect("base64 is a valid header value");
    let share = server.shares.sockets.take(share_address(address));
    let share = share.ok_or_else(ApiError::too_many_connections)?;
    *slot.lock() = Some(Upgrade {
        client: SyncClient {
            address,
            source: source.with_caller(Caller::SyncWorker),
            takes_chunks: takes_chunks(request.uri.path()),
        },
        share,
    });

    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// Returns the key of a request that is a complete handshake (RFC 6455, section 4.2.1).
fn handshake_key(request: &Parts) -> Option<&HeaderValue> {
    let headers = &request.headers;
    let is_handshake = request.version == Version::HTTP_11
        && lists(headers, header::CONNECTION, "upgrade")
        && lists(headers, header::UPGRADE, "websocket")
        && headers
            .get(header::SEC_WEBSOCKET_VERSION)
            .is_some_and(|version| version == "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?;
    let decoded = BASE64.decode(key.as_bytes()).ok()?;
    (is_handshake && decoded.len() == KEY_BYTES).then_some(key)
}

/// Returns whether a comma-separated header has this element.
fn lists(headers: &HeaderMap, name: HeaderName, element: &str) -> bool {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|found| found.trim().eq_ignore_ascii_case(element))
}

/// Returns whether the client at this path assembles transitions from chunks.
fn takes_chunks(path: &str) -> bool {
    let version = path
        .strip_prefix("/api/")
        .and_then(|rest| rest.strip_suffix("/sync"))
        .unwrap_or_default();
    let mut numbers = version
        .split(['.', '-', '+'])
        .map_while(|part| part.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => (major, minor) >= FIRST_CHUNKS_VERSION,
        _ => false,
    }
}

/// Serves a connection as a WebSocket until its end. `read` are the bytes that followed the
/// request.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    server: Arc<Server>,
    stream: S,
    read: Bytes,
    upgrade: Upgrade,
    account: Account,
) {
    let socket = Socket::new(stream, read, account.clone(), &server.progress);
    let Upgrade { client, share } = upgrade;
    let session = Session::new(server, socket, account, client);
    let (socket, reason) = session.run().await;
    tracing::debug!(?reason, "a sync connection ended");
    socket.close(&reason).await;
    // Last, because a connection that is closing still takes a place.
    drop(share);
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn handshake() -> http::request::Builder {
        Request::builder()
            .header(header::CONNECTION, "keep-alive, Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
    }

    fn is_handshake(request: http::request::Builder) -> bool {
        handshake_key(&request.body(()).unwrap().into_parts().0).is_some()
    }

    #[test]
    fn a_handshake_needs_http_1_1_and_a_key_of_sixteen_bytes() {
        const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
        let with_key = |key: &str| handshake().header(header::SEC_WEBSOCKET_KEY, key);
        assert!(is_handshake(with_key(KEY)));
        assert!(!is_handshake(handshake()), "no key");
        for key in ["", "x", "dGhlIHNhbXBsZQ==", "dGhlIHNhbXBsZSBub25jZQ"] {
            assert!(!is_handshake(with_key(key)), "{key}");
        }
        for version in [Version::HTTP_10, Version::HTTP_2] {
            assert!(!is_handshake(with_key(KEY).version(version)), "{version:?}");
        }
    }

    #[test]
    fn npm_clients_from_1_28_take_chunks() {
        for (path, takes) in [
            ("/api/1.48.0/sync", true),
            ("/api/1.28.0-alpha.1/sync", true),
            ("/api/2.0.0/sync", true),
            ("/api/1.27.9/sync", false),
            ("/api/0.99.0/sync", false),
            ("/api/sync", false),
        ] {
            assert_eq!(takes_chunks(path), takes, "{path}");
        }
    }
}
