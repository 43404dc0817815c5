//! The server's own paths: one table of path, methods, access and handler.
//!
//! Dispatch, the check of the admin key, and the paths that applications cannot route all derive
//! from [`ROUTES`]. A new endpoint is one row here and one handler in `api`.

use std::net::IpAddr;
use std::pin::Pin;

use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use lentil_runtime::HttpRouter;
use lentil_runtime::http::Body;
use lentil_runtime::{Excerpt, Identity, ServerPaths};

use crate::api::{ApiRequest, admin, files, functions, instance, logs, query_at_ts, websocket};
use crate::error::ApiError;
use crate::server::Server;
use crate::{client_version, cors, identity, unsupported};
use Access::{Admin, Anyone, Caller};
use Methods::{Get, GetHead, Post};
use Pattern::{Below, Exact, Versioned};

/// The paths that a runtime must know of the server around it.
pub const SERVER_PATHS: ServerPaths = ServerPaths {
    is_reserved,
    files: "/api/storage",
};

/// One of the server's own routes.
pub(crate) struct Route {
    pattern: Pattern,
    methods: Methods,
    access: Access,
    handler: Handler,
}

/// The paths of a route.
enum Pattern {
    /// Only this path.
    Exact(&'static str),
    /// Every path that begins with this one, which ends with `/`.
    Below(&'static str),
    /// `/api/<version>` followed by this path.
    Versioned(&'static str),
}

/// The methods of a route, besides `OPTIONS`.
#[derive(Clone, Copy)]
enum Methods {
    Get,
    GetHead,
    Post,
}

/// The callers that a route accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Every caller. The route does not read the identity.
    Anyone,
    /// Every caller whose credentials are valid, and callers without credentials.
    Caller,
    /// Only the administrator.
    Admin,
}

type Handler = for<'a> fn(ApiRequest<'a>) -> Responding<'a>;
type Responding<'a> = Pin<Box<dyn Future<Output = Result<Response<Body>, ApiError>> + Send + 'a>>;

macro_rules! routes {
    ($($pattern:ident($path:expr), $methods:ident, $access:ident, $handler:path;)*) => {
        &[$(Route {
            pattern: $pattern($path),
            methods: $methods,
            access: $access,
            handler: |request| Box::pin($handler(request)),
        }),*]
    };
}

/// All routes of the server. The first that matches a path is taken.
static ROUTES: &[Route] = routes! {
    Exact("/"),                                      GetHead, Anyone, instance::root;
    Exact("/version"),                               GetHead, Anyone, instance::version;
    Exact("/instance_version"),                      GetHead, Anyone, instance::version;
    Exact("/instance_name"),                         GetHead, Anyone, instance::name;
    Exact("/healthz"),                               GetHead, Anyone, instance::health;
    Exact("/echo"),                                  Post,    Anyone, instance::echo;

    Exact("/api/query"),                             Post,    Caller, functions::query;
    Exact("/api/mutation"),                          Post,    Caller, functions::mutation;
    Exact("/api/action"),                            Post,    Caller, functions::action;
    Exact("/api/function"),                          Post,    Admin,  functions::any;
    Below("/api/run/"),                              Post,    Caller, functions::run;
    Exact("/api/query_ts"),                          Post,    Anyone, query_at_ts::query_ts;
    Exact("/api/query_at_ts"),                       Post,    Caller, query_at_ts::query_at_ts;
    Exact("/api/query_batch"),                       Post,    Caller, query_at_ts::query_batch;

    Exact("/api/sync"),                              Get,     Anyone, websocket::upgrade;
    Versioned("/sync"),                              Get,     Anyone, websocket::upgrade;
    Exact("/api/debug_event"),                       Post,    Anyone, instance::debug_event;

    Exact("/api/storage/upload"),                    Post,    Anyone, files::upload;
    Below("/api/storage/"),                          GetHead, Anyone, files::download;

    Exact("/api/check_admin_key"),                   Get,     Admin,  admin::check_key;
    Exact("/api/stream_function_logs"),              Get,     Admin,  logs::stream;
    Exact("/api/shapes2"),                           Get,     Admin,  admin::shapes;
    Exact("/api/update_environment_variables"),      Post,    Admin,  admin::update_environment;
    Exact("/api/v1/update_environment_variables"),   Post,    Admin,  admin::update_environment;
    Exact("/api/v1/list_environment_variables"),     Get,     Admin,  admin::list_environment;
    Exact("/api/v1/deployment_info"),                Get,     Admin,  admin::deployment_info;
    Exact("/api/v1/get_canonical_urls"),             Get,     Admin,  admin::canonical_urls;
};

/// Folders that belong to the server beside its routes: the application's routes under `/http`, and
/// the versioned API, to which Convex adds endpoints.
const RESERVED_FOLDERS: [&str; 2] = ["/http/", "/api/v1/"];

/// The part of the server that responds to a request.
pub(crate) enum Target {
    Route(&'static Route),
    /// An endpoint of Convex that this server does not have, with advice on what to do instead.
    Unsupported(&'static str),
    /// A path below `/api/` that neither the server nor the application has.
    Unknown,
}

/// Finds the server's own target for a request. Without one, the application responds.
pub(crate) fn find(router: &HttpRouter, request: &Parts) -> Option<Target> {
    let path = request.uri.path();
    if path == "/" && router.has(&request.method, path) {
        return None;
    }
    if let Some(route) = ROUTES.iter().find(|route| route.pattern.matches(path)) {
        return Some(Target::Route(route));
    }
    let endpoint = path.strip_prefix("/api/")?;
    if let Some(advice) = unsupported::advice(endpoint) {
        return Some(Target::Unsupported(advice));
    }
    // An application may have routes below `/api/`, with any method.
    if router.has_path(path) {
        None
    } else {
        Some(Target::Unknown)
    }
}

/// Returns whether a path, or all paths below it, belong to the server, so that an application
/// cannot route it.
fn is_reserved(path: &str) -> bool {
    let is_at_or_below = |folder: &str| match path.strip_prefix(folder.trim_end_matches('/')) {
        Some(rest) => rest.is_empty() || rest.starts_with('/'),
        None => false,
    };
    let is_taken = |route: &Route| match route.pattern {
        // An application may have its own root.
        Exact("/") => false,
        Exact(own) | Below(own) => is_at_or_below(own),
        Versioned(_) => route.pattern.matches(path),
    };
    ROUTES.iter().any(is_taken)
        || RESERVED_FOLDERS.into_iter().any(is_at_or_below)
        || unsupported::paths().any(|own| is_at_or_below(&format!("/api/{own}")))
}

/// Responds to a request for one of the server's own paths.
pub(crate) async fn respond(target: Target, request: ApiRequest<'_>) -> Response<Body> {
    if request.parts.method == Method::OPTIONS {
        return cors::preflight(request.headers());
    }
    let origin = request.headers().get(header::ORIGIN).cloned();
    let responded = match target {
        Target::Route(route) => route.respond(request).await,
        Target::Unsupported(advice) => refuse_unsupported(&request, advice),
        Target::Unknown => refuse_unknown(&request),
    };
    let mut response = responded.unwrap_or_else(ApiError::into_response);
    cors::allow(origin, response.headers_mut());
    response
}

impl Route {
    async fn respond(&self, mut request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
        let parts = &request.parts;
        if !self.methods.contain(&parts.method) {
            return Ok(self.method_not_allowed(&request));
        }
        client_version::check(&parts.headers)?;
        let ApiRequest { server, client, .. } = request;
        request.identity = self
            .authorize(server, client, &parts.headers, &parts.uri)
            .await?;
        request.rest_at = self.pattern.rest_at();
        (self.handler)(request).await
    }

    /// Returns the caller if this route accepts it.
    async fn authorize(
        &self,
        server: &Server,
        client: IpAddr,
        headers: &HeaderMap,
        uri: &Uri,
    ) -> Result<Identity, ApiError> {
        if self.access == Anyone {
            return Ok(Identity::Anonymous);
        }
        let identity = identity::of_request(server, client, headers, uri).await?;
        if self.access == Admin {
            identity::require_admin(&identity)?;
        }
        Ok(identity)
    }

    fn method_not_allowed(&self, request: &ApiRequest<'_>) -> Response<Body> {
        let message = format!("{} is not for {}", request.path(), request.parts.method);
        let error = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message);
        let mut response = error.into_response();
        let allowed = HeaderValue::from_static(self.methods.allow());
        response.headers_mut().insert(header::ALLOW, allowed);
        response
    }
}

impl Pattern {
    fn matches(&self, path: &str) -> bool {
        match self {
            Exact(own) => path == *own,
            Below(folder) => path.starts_with(folder),
            Versioned(end) => path
                .strip_prefix("/api/")
                .and_then(|rest| rest.strip_suffix(end))
                .is_some_and(client_version::is_version),
        }
    }

    /// Returns the byte at which the variable end of a path begins.
    fn rest_at(&self) -> usize {
        match self {
            Below(folder) => folder.len(),
            Exact(_) | Versioned(_) => 0,
        }
    }
}

impl Methods {
    fn contain(self, method: &Method) -> bool {
        match self {
            Get => *method == Method::GET,
            GetHead => matches!(*method, Method::GET | Method::HEAD),
            Post => *method == Method::POST,
        }
    }

    /// Returns the value of the header `Allow`.
    fn allow(self) -> &'static str {
        match self {
            Get => "GET, OPTIONS",
            GetHead => "GET, HEAD, OPTIONS",
            Post => "POST, OPTIONS",
        }
    }
}

/// Refuses with 400: Convex's command line repeats a request after a 404, and after a 5xx if the
/// method is idempotent.
fn refuse_unsupported(
    request: &ApiRequest<'_>,
    advice: &'static str,
) -> Result<Response<Body>, ApiError> {
    client_version::check(request.headers())?;
    Err(ApiError::new(
        StatusCode::BAD_REQUEST,
        "NotSupported",
        advice,
    ))
}

/// Refuses with 404, or with 400 a Convex client, which would repeat the request after a 404.
fn refuse_unknown(request: &ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    client_version::check(request.headers())?;
    let status = if request.headers().contains_key("convex-client") {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::NOT_FOUND
    };
    let message = format!(
        "{} is neither an endpoint of this server nor a route of its application",
        Excerpt(request.path())
    );
    Err(ApiError::new(status, "UnknownEndpoint", message))
}

#[cfg(test)]
mod tests {
    use http::Request;
    use lentil_runtime::http::{Request as RouteRequest, Response as RouteResponse};
    use lentil_runtime::{ActionCtx, Result};
    use lentil_schema::Schema;
    use lentil_testing::TestBackend;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::options::ServerOptions;

    /// Returns a path of the route.
    fn example(route: &Route) -> String {
        match route.pattern {
            Exact(path) => path.to_owned(),
            Below(folder) => format!("{folder}x"),
            Versioned(end) => format!("/api/1.48.0{end}"),
        }
    }

    fn parts(method: Method, path: &str) -> Parts {
        let request = Request::builder().method(method).uri(path).body(());
        request.unwrap().into_parts().0
    }

    async fn respond(_: &ActionCtx, _: RouteRequest) -> Result<RouteResponse> {
        Ok(RouteResponse::default())
    }

    #[test]
    fn every_route_is_found_by_its_path() {
        let router = HttpRouter::new();
        for route in ROUTES {
            let path = example(route);
            let found = find(&router, &parts(Method::GET, &path));
            let Some(Target::Route(found)) = found else {
                panic!("{path} has no route");
            };
            assert!(std::ptr::eq(found, route), "{path} has another route");
        }
        for path in ["/api/1.48.0-alpha.1/sync", "/api/run/admin/jobs/list"] {
            let found = find(&router, &parts(Method::GET, path));
            assert!(matches!(found, Some(Target::Route(_))), "{path}");
        }
    }

    #[test]
    fn paths_outside_the_table_belong_to_the_application() {
        let router = HttpRouter::new().route(Method::GET, "/", respond).route(
            Method::GET,
            "/api/job",
            respond,
        );
        for path in ["/", "/api/job", "/api", "/versions", "/api/jobs/1"] {
            let found = find(&router, &parts(Method::GET, path));
            let is_unknown = matches!(found, Some(Target::Unknown));
            assert_eq!(is_unknown, path == "/api/jobs/1", "{path}");
            assert!(is_unknown || found.is_none(), "{path}");
        }
        let root = find(&router, &parts(Method::POST, "/"));
        assert!(matches!(root, Some(Target::Route(_))), "another method");
        let push = find(&router, &parts(Method::POST, "/api/deploy2/start_push"));
        assert!(matches!(push, Some(Target::Unsupported(_))));
    }

    #[test]
    fn every_path_of_the_server_is_reserved() {
        for route in ROUTES {
            let path = example(route);
            assert_eq!(is_reserved(&path), path != "/", "{path}");
        }
        for path in unsupported::paths() {
            assert!(is_reserved(&format!("/api/{path}")), "{path}");
        }
        for path in [
            "/http",
            "/http/x",
            "/api/query/x",
            "/api/storage",
            "/api/v1",
        ] {
            assert!(is_reserved(path), "{path}");
        }
        for path in [
            "/api/job",
            "/api/queryx",
            "/versions",
            "/api/x/sync",
            "/api",
        ] {
            assert!(!is_reserved(path), "{path}");
        }
        assert!(is_reserved(SERVER_PATHS.files));
    }

    #[tokio::test]
    async fn admin_routes_refuse_callers_without_the_key() {
        let runtime = TestBackend::new(Schema::new()).runtime().await.clone();
        let server = Server::new(runtime, ServerOptions::default(), CancellationToken::new());
        let client = IpAddr::from([127, 0, 0, 1]);
        for route in ROUTES {
            let path = example(route);
            let anonymous = parts(Method::GET, &path);
            let authorized = route
                .authorize(&server, client, &anonymous.headers, &anonymous.uri)
                .await;
            let code = authorized.err().map(|error| error.code);
            let expected = (route.access == Admin).then_some("BadDeployKey");
            assert_eq!(code, expected, "{path}");
        }
    }
}
