use std::sync::Arc;
use std::time::Instant;

use http::uri::PathAndQuery;
use http::{Method, Request, Response, Uri};
use hyper::body::Incoming;
use lentil_runtime::Runtime;
use lentil_runtime::http::Body;
use tracing::Instrument;

use crate::body::{ToClient, from_client};
use crate::request_id::request_id;
use crate::{ServerOptions, api};

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
pub(crate) struct Service(Arc<Inner>);

struct Inner {
    runtime: Runtime,
    options: ServerOptions,
    origin: Origin,
}

impl Service {
    pub(crate) fn new(runtime: Runtime, options: ServerOptions, origin: Origin) -> Service {
        Service(Arc::new(Inner { runtime, options, origin }))
    }

    pub(crate) fn options(&self) -> &ServerOptions {
        &self.0.options
    }

    /// Answers a request, in a span of its own that leaves one line in the log.
    pub(crate) async fn answer(self, request: Request<Incoming>) -> Response<ToClient> {
        let request_id = request_id(request.headers());
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let span = tracing::info_span!("request", %method, path, request_id);
        let began = Instant::now();
        let response = self.0.route(request, &request_id).instrument(span.clone()).await;
        let duration_ms = began.elapsed().as_secs_f64() * 1e3;
        span.in_scope(|| tracing::info!(status = response.status().as_u16(), duration_ms, "answered"));
        response.map(ToClient::from)
    }
}

impl Inner {
    async fn route(&self, request: Request<Incoming>, request_id: &str) -> Response<Body> {
        let own = match self.origin {
            Origin::Main => api::answer(request.method(), request.uri().path(), &self.options),
            Origin::Site => None,
        };
        if let Some(response) = own {
            return response;
        }
        let mut request = request.map(|incoming| incoming);
        if self.origin == Origin::Main {
            strip_http(request.uri_mut());
        }
        let takes_body = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        let body = |incoming| if takes_body { from_client(incoming, &self.options) } else { Body::empty() };
        self.runtime.fetch(request.map(body), lentil_runtime::Identity::Anonymous, request_id).await
    }
}

/// `/http/api/job` is the application's `/api/job`.
fn strip_http(uri: &mut Uri) {
    let Some(rest) = uri.path_and_query().and_then(|target| target.as_str().strip_prefix("/http")) else { return };
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
