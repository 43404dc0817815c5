use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use lentil_runtime::http::Body;
use lentil_runtime::{CallSource, Caller, RequestId};
use tracing::Instrument;

use crate::api::ApiRequest;
use crate::error::ApiError;
use crate::request_body::RequestBody;
use crate::server::Server;
use crate::sync::UpgradeSlot;
use crate::{host, identity, routes, uri};

const REQUEST_ID: HeaderName = HeaderName::from_static("convex-request-id");

/// The paths that a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListenerKind {
    /// The server's own paths, and the application's routes at `/…` and `/http/…`.
    Main,
    /// Only the application's routes.
    Site,
}

/// Responds to the requests of one connection.
#[derive(Clone)]
pub(crate) struct Service {
    server: Arc<Server>,
    listener: ListenerKind,
    peer: SocketAddr,
}

impl Service {
    /// Returns the service of a connection from `peer`.
    pub(crate) fn new(server: Arc<Server>, listener: ListenerKind, peer: SocketAddr) -> Service {
        Service {
            server,
            listener,
            peer,
        }
    }

    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Responds to a request. A request for the sync WebSocket leaves its upgrade in `slot`.
    pub(crate) async fn respond(
        &self,
        parts: Box<Parts>,
        body: RequestBody,
        slot: &UpgradeSlot,
    ) -> Response<Body> {
        let account = body.account.clone();
        account.memory().room().await;
        tokio::select! {
            // A response that is ready is sent even if the client has just been evicted.
            biased;
            response = self.respond_in_span(parts, body, slot) => response,
            () = account.evicted() => short_of_memory(),
        }
    }

    /// Responds within a tracing span, and logs the response at the level `debug`.
    async fn respond_in_span(
        &self,
        parts: Box<Parts>,
        body: RequestBody,
        slot: &UpgradeSlot,
    ) -> Response<Body> {
        if let Err(message) = host::check(&parts) {
            return invalid_host(message);
        }
        let client = self.client_address(&parts.headers);
        let source = self.source(client, &parts.headers);
        let span = tracing::debug_span!(
            "request",
            method = %parts.method,
            path = parts.uri.path(),
            request_id = %source.request_id
        );
        // The usual case, which pays neither for the box nor for the clock.
        if span.is_disabled() {
            return self.dispatch(parts, body, client, source, slot).await;
        }

        let began = Instant::now();
        let response = Box::pin(self.dispatch(parts, body, client, source, slot))
            .instrument(span.clone())
            .await;
        let duration_ms = began.elapsed().as_secs_f64() * 1e3;
        span.in_scope(|| {
            let status = response.status().as_u16();
            tracing::debug!(status, duration_ms, "sent the response");
        });
        response
    }

    /// Hands a request to one of the server's own routes, or to the application.
    async fn dispatch(
        &self,
        mut parts: Box<Parts>,
        body: RequestBody,
        client: IpAddr,
        source: CallSource,
        slot: &UpgradeSlot,
    ) -> Response<Body> {
        let server = &*self.server;
        if self.listener == ListenerKind::Main {
            if let Some(target) = routes::find(server.runtime.router(), &parts) {
                let request = ApiRequest::new(server, parts, body, client, source, slot);
                // Boxed, so that the application's requests do not carry the size of these futures.
                return Box::pin(routes::respond(target, request)).await;
            }
            uri::strip_http(&mut parts.uri);
        }

        let identity = identity::of_route(server, client, &parts.headers).await;
        let has_body = !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let body = if has_body {
            body.into_body(&server.progress, server.options.max_body_bytes)
        } else {
            Body::empty()
        };
        server.runtime.fetch(parts, body, identity, source).await
    }

    /// Returns the address of the client that sent these headers.
    fn client_address(&self, headers: &HeaderMap) -> IpAddr {
        let proxies = &self.server.options.trusted_proxies;
        proxies.client_address(self.peer, headers)
    }

    /// Returns the source of the calls that a request makes.
    fn source(&self, client: IpAddr, headers: &HeaderMap) -> CallSource {
        let user_agent = headers.get(header::USER_AGENT).cloned();
        let request_id = self.request_id(headers);
        CallSource::new(Caller::HttpEndpoint, request_id).with_peer(Some(client), user_agent)
    }

    /// Returns the client's own request id if it sent a valid one, otherwise a new one.
    fn request_id(&self, headers: &HeaderMap) -> RequestId {
        headers
            .get(REQUEST_ID)
            .and_then(|id| id.to_str().ok())
            .and_then(RequestId::given)
            .unwrap_or_else(|| self.server.runtime.new_request_id())
    }
}

/// Builds the response to a request that does not name its host. It ends the connection.
fn invalid_host(message: &'static str) -> Response<Body> {
    closing(ApiError::new(
        StatusCode::BAD_REQUEST,
        "InvalidHost",
        message,
    ))
}

/// Builds the response to a client that is evicted because it holds the most memory. It ends the
/// connection.
fn short_of_memory() -> Response<Body> {
    let message =
        "the server is short of memory, and this connection holds the most; try again later";
    closing(ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "TooManyConcurrentRequests",
        message,
    ))
}

/// Builds a response that ends the connection.
fn closing(error: ApiError) -> Response<Body> {
    let mut response = error.into_response();
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}
