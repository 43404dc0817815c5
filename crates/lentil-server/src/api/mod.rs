//! The server's own paths: the Convex HTTP API, the sync WebSocket, and what tells of the server itself.

mod about;
mod admin;
mod cors;
mod error;
mod failure;
mod functions;
mod identity;
mod logs;
mod query_at;
mod range;
mod storage;
mod unsupported;

use std::net::IpAddr;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use lentil_protocol::FunctionRequest;
use lentil_protocol::sync::ClientEvent;
use lentil_runtime::http::Body;
use lentil_runtime::{CallSource, Caller, Excerpt, FunctionKind};

use about::About;
use admin::AdminEndpoint;
pub(crate) use error::ApiError;
pub(crate) use failure::{Audience, failure, shown_lines};
pub(crate) use identity::{admin, of_route, user};
pub(crate) use query_at::HeldSnapshots;

use crate::body::{FromClient, from_client};
use crate::connection::UpgradeSlot;
use crate::service::Server;
use crate::sync;

/// The largest body that `npx convex network-test` wants back, unless it tests the speed.
const MAX_ECHO_BYTES: usize = 4 << 20;

/// One of the server's own paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    About(About),
    Function(Option<FunctionKind>),
    Run(String),
    QueryTs,
    QueryAtTs,
    QueryBatch,
    Echo,
    DebugEvent,
    Admin(AdminEndpoint),
    Logs,
    Upload,
    File(String),
    Sync,
    /// An endpoint of Convex that this server does not have, with what to do instead.
    Unsupported(&'static str),
    /// A path below `/api/` that neither Convex nor the application has.
    Unknown,
}

impl Endpoint {
    fn of(path: &str) -> Option<Endpoint> {
        Some(match path {
            "/api/query" => Endpoint::Function(Some(FunctionKind::Query)),
            "/api/mutation" => Endpoint::Function(Some(FunctionKind::Mutation)),
            "/api/action" => Endpoint::Function(Some(FunctionKind::Action)),
            "/api/function" => Endpoint::Function(None),
            "/api/query_ts" => Endpoint::QueryTs,
            "/api/query_at_ts" => Endpoint::QueryAtTs,
            "/api/query_batch" => Endpoint::QueryBatch,
            "/echo" => Endpoint::Echo,
            "/api/debug_event" => Endpoint::DebugEvent,
            "/api/stream_function_logs" => Endpoint::Logs,
            "/api/sync" => Endpoint::Sync,
            _ => {
                return About::of(path)
                    .map(Endpoint::About)
                    .or_else(|| Endpoint::below(path));
            }
        })
    }

    fn below(path: &str) -> Option<Endpoint> {
        let rest = path.strip_prefix("/api/")?;
        if let Some(function) = rest.strip_prefix("run/") {
            return Some(Endpoint::Run(function.to_owned()));
        }
        if let Some(file) = rest.strip_prefix("storage/") {
            return Some(if file == "upload" {
                Endpoint::Upload
            } else {
                Endpoint::File(file.to_owned())
            });
        }
        let version = rest.strip_suffix("/sync");
        if version.is_some_and(identity::is_version) {
            return Some(Endpoint::Sync);
        }
        if let Some(endpoint) = AdminEndpoint::of(rest) {
            return Some(Endpoint::Admin(endpoint));
        }
        unsupported::advice(rest).map(Endpoint::Unsupported)
    }

    fn takes(&self, method: &Method) -> bool {
        match self {
            Endpoint::About(_) | Endpoint::File(_) => {
                matches!(*method, Method::GET | Method::HEAD)
            }
            Endpoint::Logs | Endpoint::Sync => *method == Method::GET,
            Endpoint::Admin(endpoint) => endpoint.takes(method),
            Endpoint::Unsupported(_) | Endpoint::Unknown => true,
            _ => *method == Method::POST,
        }
    }
}

/// The endpoint that a request is for; none where it is the application's to answer.
pub(crate) fn endpoint(server: &Server, request: &Parts) -> Option<Endpoint> {
    let path = request.uri.path();
    let router = server.runtime.router();
    match Endpoint::of(path) {
        // The root is the application's where it has a route for it.
        Some(Endpoint::About(About::Root)) if router.has(&request.method, path) => None,
        None if path.starts_with("/api/") && !router.has_path(path) => Some(Endpoint::Unknown),
        found => found,
    }
}

/// Answers the server's own paths, for the client at this address.
pub(crate) async fn answer(
    server: &Server,
    endpoint: Endpoint,
    client: IpAddr,
    request: Request<FromClient>,
    source: CallSource,
    slot: &UpgradeSlot,
) -> Response<Body> {
    if *request.method() == Method::OPTIONS {
        return cors::preflight(request.headers());
    }
    let headers = request.headers().clone();
    let answered = if endpoint.takes(request.method()) {
        let source = source.with_caller(Caller::HttpApi);
        dispatch(server, endpoint, client, request, source, slot).await
    } else {
        let message = format!("{} is not for {}", request.uri().path(), request.method());
        Err(ApiError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            message,
        ))
    };
    let mut response = answered.unwrap_or_else(|error| error.into_response());
    cors::allow(&headers, response.headers_mut());
    response
}

async fn dispatch(
    server: &Server,
    endpoint: Endpoint,
    client: IpAddr,
    request: Request<FromClient>,
    source: CallSource,
    slot: &UpgradeSlot,
) -> Result<Response<Body>, ApiError> {
    identity::check_client(request.headers())?;
    let (headers, uri) = (request.headers().clone(), request.uri().clone());
    let caller = identity::of_request(server, client, &headers, &uri);
    match endpoint {
        Endpoint::About(about) => Ok(text(StatusCode::OK, about.text(&server.options))),
        Endpoint::Echo => echo(server, request).await,
        Endpoint::DebugEvent => {
            // The only such event that clients send; its body says nothing more.
            server.client_events.record(ClientEvent::LongDisconnect);
            Ok(text(StatusCode::OK, String::new()))
        }
        Endpoint::Function(kind) => {
            let caller = caller.await?;
            if kind.is_none() {
                identity::must_be_admin(&caller)?;
            }
            let body = functions::read_body(server, request).await?;
            functions::call(server, caller, body.parse()?, kind, source).await
        }
        Endpoint::Run(path) => {
            let caller = caller.await?;
            let body = functions::read_body(server, request).await?;
            let path = functions::run_path(&path)?;
            let (request, charge) = body.parse()?;
            let call = FunctionRequest { path, ..request };
            functions::call(server, caller, (call, charge), None, source).await
        }
        Endpoint::QueryTs => query_at::query_ts(server, source.request_id()).await,
        Endpoint::QueryAtTs => {
            let caller = caller.await?;
            let body = functions::read_body(server, request).await?;
            query_at::query_at_ts(server, caller, body.parse()?, source).await
        }
        Endpoint::QueryBatch => {
            let caller = caller.await?;
            let body = functions::read_body(server, request).await?;
            query_at::query_batch(server, caller, &body, source).await
        }
        Endpoint::Admin(endpoint) => {
            identity::must_be_admin(&caller.await?)?;
            admin::answer(server, endpoint, request, source.request_id()).await
        }
        Endpoint::Logs => {
            identity::must_be_admin(&caller.await?)?;
            logs::stream(server, uri.query(), &headers).await
        }
        Endpoint::Upload => storage::upload(server, client, request, &source).await,
        Endpoint::File(url_id) => {
            storage::download(server, request.method(), &url_id, &headers, &source).await
        }
        Endpoint::Sync => sync::accept(server, &headers, uri.path(), client, source, slot),
        // Convex's command line asks again after a 404 and, for idempotent methods, a 5xx.
        Endpoint::Unsupported(advice) => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "NotSupported",
            advice,
        )),
        Endpoint::Unknown => Err(unknown(&headers, uri.path())),
    }
}

/// Sends the body back.
async fn echo(server: &Server, request: Request<FromClient>) -> Result<Response<Body>, ApiError> {
    let body = from_client(request.into_body(), &server.progress, MAX_ECHO_BYTES);
    let body = body.bytes().await?;
    Ok(Response::new(Body::from(body)))
}

/// The answer to a client that is evicted: all clients together hold too much memory, and this one the most.
pub(crate) fn short_of_memory() -> Response<Body> {
    let message =
        "the server is short of memory, and this connection holds the most; try again later";
    let code = "TooManyConcurrentRequests";
    let mut response =
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, code, message).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Returns the error for an unknown path below `/api/`.
fn unknown(headers: &HeaderMap, path: &str) -> ApiError {
    // Convex's command line asks again for half a minute after a 404.
    let status = if headers.contains_key("convex-client") {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::NOT_FOUND
    };
    let message = format!(
        "{} is neither an endpoint of this server nor a route of its application",
        Excerpt(path)
    );
    ApiError::new(status, "UnknownEndpoint", message)
}

/// A plain answer.
pub(crate) fn text(status: StatusCode, text: String) -> Response<Body> {
    with_type(status, "text/plain; charset=utf-8", text)
}

/// JSON.
fn json(status: StatusCode, json: String) -> Response<Body> {
    with_type(status, "application/json", json)
}

fn with_type(status: StatusCode, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_own_paths_are_known_and_no_others() {
        assert_eq!(
            Endpoint::of("/api/run/admin/jobs/list"),
            Some(Endpoint::Run("admin/jobs/list".into()))
        );
        for path in ["/api/sync", "/api/1.48.0/sync", "/api/1.48.0-alpha.1/sync"] {
            assert_eq!(Endpoint::of(path), Some(Endpoint::Sync), "{path}");
        }
        for path in [
            "/api/job",
            "/api/x/sync",
            "/api",
            "/api/queries",
            "/versions",
        ] {
            assert_eq!(Endpoint::of(path), None, "{path}");
        }
        assert!(matches!(
            Endpoint::of("/api/deploy2/start_push"),
            Some(Endpoint::Unsupported(_))
        ));
    }
}
