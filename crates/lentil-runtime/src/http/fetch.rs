use std::fmt;
use std::sync::Arc;

use ::http::StatusCode;
use ::http::request::Parts;
use tokio::time::Instant;

use super::error_response::error_response;
use super::router::HttpAction;
use super::{Body, Request, Response};
use crate::call::Call;
use crate::run::{ToItsEnd, guard};
use crate::{ActionCtx, Error, Identity, Result, Runtime};

impl Runtime {
    /// Answers a request by the application's routes. It never fails: what goes wrong is an answer too.
    ///
    /// The action runs to its end: a client that hangs up loses the answer and not the work.
    /// The head is boxed, since it is handed on from future to future. `request_id` names the request in the log and
    /// in what a client is told of a failure.
    pub async fn fetch(
        &self,
        parts: Box<Parts>,
        body: Body,
        identity: Identity,
        request_id: impl fmt::Display,
    ) -> ::http::Response<Body> {
        let path = parts.uri.path();
        let Some(route) = self.router().lookup(&parts.method, path) else {
            return Response::text(StatusCode::NOT_FOUND, format!("no route for {path}")).into();
        };
        let (name, action) = (Arc::clone(&route.name), Arc::clone(&route.action));
        let request = Request::new(parts, body, self.clone());
        let running = self
            .clone()
            .run_http(Arc::clone(&name), action, request, identity);
        match ToItsEnd::new(running).await {
            Ok(response) => response.into(),
            Err(error) => {
                log_failure(&error, &name, &request_id);
                error_response(&error, &request_id, self.is_dev()).into()
            }
        }
    }

    async fn run_http(
        self,
        name: Arc<str>,
        action: HttpAction,
        request: Request,
        identity: Identity,
    ) -> Result<Response> {
        let ctx = ActionCtx::new(Call::outermost(self.clone(), identity));
        let (began, _charge) = (Instant::now(), request.charge());
        let result = guard(
            &name,
            began,
            self.limits().action_time,
            action(&ctx, request).as_mut(),
        )
        .await;
        self.record(name, None, &ctx.log, began, &result);
        result
    }
}

fn log_failure(error: &Error, route: &str, request_id: &dyn fmt::Display) {
    if error.code().status().is_server_error() {
        let cause = error.cause().map(tracing::field::display);
        tracing::error!(%request_id, route, code = error.code().as_str(), cause, "{}", error.message());
    }
}
