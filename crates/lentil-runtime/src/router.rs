use std::collections::BTreeMap;
use std::sync::Arc;

use ::http::Method;
use lentil_call::Result;

use crate::context::ActionCtx;
use crate::engine::{BoxFuture, Call};
use crate::handler::{ActionHandler, ActionHandlerOn};
use crate::http::{Request, Response};

/// The handler of an HTTP action, without its types.
pub(crate) type HttpAction =
    Arc<dyn Fn(Arc<Call>, Request) -> BoxFuture<'static, Result<Response>> + Send + Sync>;

/// The HTTP routes of an application: an HTTP action for a method and a path or path prefix.
///
/// An exact path takes precedence over a prefix, and a longer prefix over a shorter one. The `GET`
/// route serves `HEAD`. Any other request gets a 404.
///
/// ```
/// use lentil::{ActionCtx, HttpRouter, Method, Request, Response, Result, StatusCode};
///
/// async fn hello(_ctx: &ActionCtx, request: Request) -> Result<Response> {
///     let name = request.query("name").unwrap_or_else(|| "world".to_owned());
///     Ok(Response::text(StatusCode::OK, format!("Hello, {name}!")))
/// }
///
/// let router = HttpRouter::new()
///     .route(Method::GET, "/hello", hello)
///     .prefix(Method::GET, "/hello/", hello);
/// ```
#[derive(Default)]
pub struct HttpRouter {
    routes: Vec<Route>,
    /// The indexes of the routes of each exact path.
    exact: BTreeMap<String, Vec<usize>>,
}

pub(crate) struct Route {
    method: Method,
    path: String,
    is_prefix: bool,
    /// The method and the path; a prefix ends with `*`.
    pub(crate) name: Arc<str>,
    pub(crate) action: HttpAction,
}

/// An invalid route.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RouterError {
    /// The path is relative: begin it with `/`.
    #[error("the path `{0}` does not begin with `/`")]
    Relative(String),
    /// The prefix is not a folder: begin and end it with `/`.
    #[error("the path prefix `{0}` does not begin and end with `/`")]
    Prefix(String),
    /// Two routes are equal: remove one.
    #[error("there are two routes for {0} {1}")]
    Duplicate(Method, String),
    /// The method has no routes: use another.
    #[error(
        "{0} {1}: routes are for GET, POST, PUT, PATCH, DELETE and OPTIONS; GET routes serve HEAD"
    )]
    Method(Method, String),
    /// The server uses the path itself: choose another.
    #[error("the server uses the path `{0}` itself: choose another")]
    Reserved(String),
}

impl HttpRouter {
    /// Returns no routes.
    pub fn new() -> HttpRouter {
        HttpRouter::default()
    }

    /// Routes a method and a path to an HTTP action:
    /// `async fn(ctx: &ActionCtx, request: Request) -> Result<Response>`.
    #[must_use]
    pub fn route<M, F>(self, method: Method, path: &str, action: F) -> HttpRouter
    where
        F: ActionHandler<ActionCtx, Request, M, Returns = Response> + Send + Sync,
        for<'a> <F as ActionHandlerOn<'a, ActionCtx, Request, M>>::Future: Send,
    {
        self.add(method, path, false, action)
    }

    /// Routes a method and every path below a prefix, which begins and ends with `/`.
    #[must_use]
    pub fn prefix<M, F>(self, method: Method, prefix: &str, action: F) -> HttpRouter
    where
        F: ActionHandler<ActionCtx, Request, M, Returns = Response> + Send + Sync,
        for<'a> <F as ActionHandlerOn<'a, ActionCtx, Request, M>>::Future: Send,
    {
        self.add(method, prefix, true, action)
    }

    fn add<M, F>(mut self, method: Method, path: &str, is_prefix: bool, action: F) -> HttpRouter
    where
        F: ActionHandler<ActionCtx, Request, M, Returns = Response> + Send + Sync,
        for<'a> <F as ActionHandlerOn<'a, ActionCtx, Request, M>>::Future: Send,
    {
        let action = Arc::new(action);
        let action: HttpAction = Arc::new(move |call, request| {
            let action = Arc::clone(&action);
            Box::pin(async move {
                let ctx = ActionCtx::new(call);
                action.call(&ctx, request).await
            })
        });
        if !is_prefix {
            self.exact
                .entry(path.to_owned())
                .or_default()
                .push(self.routes.len());
        }
        let name = format!("{method} {path}{}", if is_prefix { "*" } else { "" }).into();
        self.routes.push(Route {
            method,
            path: path.to_owned(),
            is_prefix,
            name,
            action,
        });
        self
    }

    /// Checks that the routes are valid and distinct. `is_reserved` returns whether the server uses
    /// a path itself.
    ///
    /// # Errors
    /// The error of the first invalid route.
    pub fn check(&self, is_reserved: fn(&str) -> bool) -> Result<(), RouterError> {
        for (at, route) in self.routes.iter().enumerate() {
            let path = route.path.clone();
            if !path.starts_with('/') {
                return Err(RouterError::Relative(path));
            }
            if route.is_prefix && !path.ends_with('/') {
                return Err(RouterError::Prefix(path));
            }
            if !ROUTED.contains(&route.method) {
                return Err(RouterError::Method(route.method.clone(), path));
            }
            if is_reserved(&path) {
                return Err(RouterError::Reserved(path));
            }
            let is_same = |other: &Route| {
                (&other.method, &other.path, other.is_prefix)
                    == (&route.method, &path, route.is_prefix)
            };
            if self.routes[..at].iter().any(is_same) {
                return Err(RouterError::Duplicate(route.method.clone(), path));
            }
        }
        Ok(())
    }

    /// Returns the route for a method and a path.
    pub(crate) fn lookup(&self, method: &Method, path: &str) -> Option<&Route> {
        let method = if method == Method::HEAD {
            &Method::GET
        } else {
            method
        };
        let mut exact = self
            .exact
            .get(path)
            .into_iter()
            .flatten()
            .map(|at| &self.routes[*at]);
        exact.find(|route| route.method == *method).or_else(|| {
            let prefixes = self
                .routes
                .iter()
                .filter(|route| route.is_prefix && route.method == *method);
            prefixes
                .filter(|route| path.starts_with(&route.path))
                .max_by_key(|route| route.path.len())
        })
    }

    /// Returns whether a method and a path are routed.
    pub fn has(&self, method: &Method, path: &str) -> bool {
        self.lookup(method, path).is_some()
    }

    /// Returns whether a path is routed for any method.
    pub fn has_path(&self, path: &str) -> bool {
        ROUTED.iter().any(|method| self.has(method, path))
    }

    /// Returns the method and path of each route. A prefix ends with `*`.
    pub(crate) fn listed(&self) -> impl Iterator<Item = (String, String)> {
        self.routes.iter().map(|route| {
            let rest = if route.is_prefix { "*" } else { "" };
            (route.method.to_string(), format!("{}{rest}", route.path))
        })
    }

    /// Returns whether there are no routes.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }
}

// The methods that a route of Convex's `httpRouter` accepts.
const ROUTED: [Method; 6] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::StatusCode;

    async fn respond(_ctx: &ActionCtx, _request: Request) -> Result<Response> {
        Ok(Response::empty(StatusCode::OK))
    }

    fn finds(router: &HttpRouter, method: Method, path: &str) -> Option<usize> {
        let found = router.lookup(&method, path)?;
        router
            .routes
            .iter()
            .position(|route| std::ptr::eq(route, found))
    }

    #[test]
    fn the_closest_route_answers() {
        let router = HttpRouter::new()
            .prefix(Method::GET, "/a/", respond)
            .prefix(Method::GET, "/a/b/", respond)
            .route(Method::GET, "/a/b/c", respond)
            .route(Method::POST, "/a", respond);
        assert!(router.check(|_| false).is_ok());
        assert_eq!(finds(&router, Method::GET, "/a/b/c"), Some(2));
        assert_eq!(finds(&router, Method::HEAD, "/a/b/c"), Some(2));
        assert_eq!(finds(&router, Method::GET, "/a/b/c/"), Some(1));
        assert_eq!(finds(&router, Method::GET, "/a/x"), Some(0));
        assert_eq!(finds(&router, Method::GET, "/a/"), Some(0));
        assert_eq!(finds(&router, Method::GET, "/a"), None);
        assert_eq!(finds(&router, Method::POST, "/a/b/c"), None);
        assert!(router.has_path("/a") && router.has_path("/a/x") && !router.has_path("/b"));
    }

    #[test]
    fn routes_that_make_no_sense_are_refused() {
        let refusal = |router: HttpRouter| router.check(|_| false).unwrap_err();
        let route = |method, path| HttpRouter::new().route(method, path, respond);
        assert!(matches!(
            refusal(route(Method::GET, "a")),
            RouterError::Relative(_)
        ));
        assert!(matches!(
            refusal(route(Method::HEAD, "/a")),
            RouterError::Method(..)
        ));
        assert!(matches!(
            refusal(HttpRouter::new().prefix(Method::GET, "/a", respond)),
            RouterError::Prefix(_)
        ));
        assert!(matches!(
            refusal(route(Method::GET, "/a").route(Method::GET, "/a", respond)),
            RouterError::Duplicate(..)
        ));
        let own = route(Method::GET, "/version").check(|path| path == "/version");
        assert!(matches!(own, Err(RouterError::Reserved(_))));
    }
}
