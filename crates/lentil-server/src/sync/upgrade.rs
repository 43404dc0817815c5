use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use lentil_runtime::http::Body;
use lentil_runtime::memory::Account;
use lentil_runtime::{CallSource, Caller};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::session::Session;
use super::socket::Socket;
use crate::api::ApiError;
use crate::connection::{ClientStream, UpgradeSlot};
use crate::peer::share_address;
use crate::service::Server;
use crate::shares::Share;

/// A connection that is a sync WebSocket from now on.
pub(crate) struct Upgrade {
    /// The client's address.
    pub(super) client: IpAddr,
    /// One of the WebSockets that the client may have.
    _share: Share<IpAddr>,
    /// Whether the client puts a transition together that comes in chunks.
    pub(super) takes_chunks: bool,
    /// The source of the client's calls.
    pub(super) source: CallSource,
}

/// Answers a request for the WebSocket.
pub(crate) fn accept(
    server: &Server,
    headers: &HeaderMap,
    path: &str,
    client: IpAddr,
    source: CallSource,
    slot: &UpgradeSlot,
) -> Result<Response<Body>, ApiError> {
    let has = |name: header::HeaderName, word: &str| {
        let values = headers
            .get_all(name)
            .into_iter()
            .filter_map(|value| value.to_str().ok());
        values
            .flat_map(|value| value.split(','))
            .any(|part| part.trim().eq_ignore_ascii_case(word))
    };
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let is_version_13 = headers
        .get(header::SEC_WEBSOCKET_VERSION)
        .is_some_and(|version| version == "13");
    let is_upgrade =
        has(header::CONNECTION, "upgrade") && has(header::UPGRADE, "websocket") && is_version_13;
    let Some(key) = key.filter(|_| is_upgrade) else {
        let message = "this is a WebSocket (version 13); connect to it with a Convex client";
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "WebSocketUpgradeRequired",
            message,
        ));
    };
    let share = server.shares.sockets.take(share_address(client));
    let share = share.ok_or_else(ApiError::too_many_connections)?;
    *slot.lock() = Some(Upgrade {
        client,
        _share: share,
        takes_chunks: takes_chunks(path),
        source: source.with_caller(Caller::SyncWorker),
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()))
        .expect("base64 is a header's value");
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

/// `/api/<npm version>/sync` from 1.28 on.
fn takes_chunks(path: &str) -> bool {
    let version = path
        .strip_prefix("/api/")
        .and_then(|rest| rest.strip_suffix("/sync"))
        .unwrap_or_default();
    let mut numbers = version
        .split(['.', '-', '+'])
        .map_while(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(1), Some(28))
}

/// Serves the connection as a WebSocket until its end. `read` has come behind the request already.
pub(crate) async fn serve(
    server: Arc<Server>,
    stream: ClientStream,
    read: Bytes,
    upgrade: Upgrade,
    account: Account,
) {
    let socket = Socket::new(stream, read, account.clone(), &server.progress);
    let session = Session::new(server, socket, account, &upgrade);
    let (socket, closing) = session.run().await;
    tracing::debug!(?closing, "a sync connection ends");
    socket.close(&closing).await;
}

#[cfg(test)]
mod tests {
    use super::takes_chunks;

    #[test]
    fn only_npm_from_1_28_on_takes_chunks() {
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
