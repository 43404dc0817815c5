use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use lentil_runtime::http::Body;
use lentil_runtime::{CallSource, Caller, Runtime};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::api::{self, ApiError, HeldSnapshots};
use crate::body::{FromClient, from_client};
use crate::connection::{ConnectionRegistry, UpgradeSlot};
use crate::failed_keys::FailedKeys;
use crate::progress::ProgressRule;
use crate::shares::ClientShares;
use crate::sync::ClientEvents;
use crate::{Authenticator, ServerOptions, host, request_id};

/// What a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The server's own paths, and the application's routes at `/…` and under `/http/…`.
    Main,
    /// The application's routes alone.
    Site,
}

/// Answers one listener's requests.
#[derive(Clone)]
pub(crate) struct Service {
    server: Arc<Server>,
    origin: Origin,
    peer: SocketAddr,
}

/// What all listeners share.
pub(crate) struct Server {
    pub(crate) runtime: Runtime,
    pub(crate) options: ServerOptions,
    pub(crate) authenticator: Authenticator,
    pub(crate) failed_keys: FailedKeys,
    pub(crate) held: HeldSnapshots,
    pub(crate) connections: Arc<ConnectionRegistry>,
    /// The limits of slow clients.
    pub(crate) progress: Arc<ProgressRule>,
    pub(crate) client_events: ClientEvents,
    /// Uploads whose bytes may be stored at the same time.
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
        let uploads = Arc::new(Semaphore::new(options.max_uploads));
        let shares = ClientShares::new(&options);
        let held = HeldSnapshots::of(&runtime);
        let progress = Arc::new(ProgressRule {
            timeout: options.progress_timeout,
            grace: options.progress_grace,
            min_rate: f64::from(options.min_bytes_per_second),
            shutdown: shutdown.clone(),
        });
        Server {
            runtime,
            options,
            authenticator,
            failed_keys: FailedKeys::default(),
            held,
            connections: Arc::default(),
            progress,
            client_events: ClientEvents::default(),
            uploads,
            shares,
            shutdown,
        }
    }
}

impl Service {
    /// Answers the requests of the connection from `peer`.
    pub(crate) fn new(server: Arc<Server>, origin: Origin, peer: SocketAddr) -> Service {
        Service {
            server,
            origin,
            peer,
        }
    }

    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    pub(crate) fn options(&self) -> &ServerOptions {
        &self.server.options
    }

    /// The address of the client that has sent these headers.
    pub(crate) fn client_address(&self, headers: &HeaderMap) -> IpAddr {
        let proxies = &self.options().trusted_proxies;
        proxies.client_address(self.peer, headers)
    }

    /// Answers a request, in a span of its own; at the level `debug` it leaves a line in the log.
    ///
    /// A request for the sync WebSocket is answered by leaving word in `slot`.
    pub(crate) async fn answer(
        &self,
        parts: Box<Parts>,
        body: FromClient,
        slot: &UpgradeSlot,
    ) -> Response<Body> {
        let account = body.account.clone();
        account.memory().room().await;
        tokio::select! {
            biased;
            response = self.answer_in_span(parts, body, slot) => response,
            () = account.evicted() => api::short_of_memory(),
        }
    }

    async fn answer_in_span(
        &self,
        parts: Box<Parts>,
        incoming: FromClient,
        slot: &UpgradeSlot,
    ) -> Response<Body> {
        if let Err(message) = host::check(&parts) {
            return misdirected(message);
        }
        let client = self.client_address(&parts.headers);
        let source = self.source(client, &parts);
        let (method, path) = (&parts.method, parts.uri.path());
        let span =
            tracing::debug_span!("request", %method, path, request_id = %source.request_id());
        if span.is_disabled() {
            return self.route(parts, incoming, client, source, slot).await;
        }
        let began = Instant::now();
        let response = Box::pin(self.route(parts, incoming, client, source, slot))
            .instrument(span.clone())
            .await;
        let duration_ms = began.elapsed().as_secs_f64() * 1e3;
        span.in_scope(|| {
            tracing::debug!(status = response.status().as_u16(), duration_ms, "answered")
        });
        response
    }

    /// Returns the source of the calls that the request makes.
    fn source(&self, client: IpAddr, parts: &Parts) -> CallSource {
        let request_id = request_id::of_request(&parts.headers, &self.server.runtime);
        let user_agent = parts.headers.get(header::USER_AGENT).cloned();
        CallSource::new(Caller::HttpEndpoint, request_id).with_peer(Some(client), user_agent)
    }

    async fn route(
        &self,
        mut parts: Box<Parts>,
        incoming: FromClient,
        client: IpAddr,
        source: CallSource,
        slot: &UpgradeSlot,
    ) -> Response<Body> {
        if self.origin == Origin::Main {
            if let Some(endpoint) = api::endpoint(&self.server, &parts) {
                let request = Request::from_parts(*parts, incoming);
                // Apart, so that the application's requests do not carry the room that these need.
                return Box::pin(api::answer(
                    &self.server,
                    endpoint,
                    client,
                    request,
                    source,
                    slot,
                ))
                .await;
            }
            strip_http(&mut parts.uri);
        }
        let identity = api::of_route(&self.server, client, &parts.headers).await;
        let takes_body = !matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
        let body = if takes_body {
            from_client(
                incoming,
                &self.server.progress,
                self.options().max_body_bytes,
            )
        } else {
            Body::empty()
        };
        let runtime = &self.server.runtime;
        runtime.fetch(parts, body, identity, source).await
    }
}

/// The response to a request that does not say which host it is for; the connection ends with it.
fn misdirected(message: &'static str) -> Response<Body> {
    let mut response =
        ApiError::new(StatusCode::BAD_REQUEST, "InvalidHost", message).into_response();
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

/// `/http/api/job` is the application's `/api/job`.
fn strip_http(uri: &mut Uri) {
    let Some(rest) = uri
        .path_and_query()
        .and_then(|target| target.as_str().strip_prefix("/http"))
    else {
        return;
    };
    if !rest.starts_with('/') {
        return;
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = rest.parse::<PathAndQuery>().ok();
    if let Ok(stripped) = Uri::from_parts(parts) {
        *uri = stripped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_http_prefix_is_stripped_and_nothing_else() {
        let stripped = |uri: &str| {
            let mut uri = uri.parse().unwrap();
            strip_http(&mut uri);
            uri.to_string()
        };
        assert_eq!(stripped("/http/api/job?id=1"), "/api/job?id=1");
        assert_eq!(stripped("http://host/http/a"), "http://host/a");
        assert_eq!(stripped("/httpx/a"), "/httpx/a");
        assert_eq!(stripped("/http"), "/http");
        assert_eq!(stripped("/a/http/b"), "/a/http/b");
    }
}
