use std::sync::Arc;

use ::http::StatusCode;
use ::http::request::Parts;
use tokio::time::Instant;

use super::error_response::error_response;
use super::router::HttpAction;
use super::{Body, Request, Response};
use crate::call::Call;
use crate::executions::Ended;
use crate::run::{ToItsEnd, guard};
use crate::{ActionCtx, CallSource, Identity, Result, Runtime};

impl Runtime {
    /// Answers a request by the application's routes. It never fails: what goes wrong is an answer too.
    ///
    /// The action runs to its end: a client that hangs up loses the answer and not the work.
    /// The head is boxed, since it is handed on from future to future.
    pub async fn fetch(
        &self,
        parts: Box<Parts>,
        body: Body,
        identity: Identity,
        source: CallSource,
    ) -> ::http::Response<Body> {
        let path = parts.uri.path();
        let Some(route) = self.router().lookup(&parts.method, path) else {
            return Response::text(StatusCode::NOT_FOUND, format!("no route for {path}")).into();
        };
        let (name, action) = (Arc::clone(&route.name), Arc::clone(&route.action));
        let request = Request::new(parts, body, self.clone());
        let request_id = source.request_id().clone();
        let running = self
            .clone()
            .run_http(name, action, request, identity, source);
        match ToItsEnd::new(running).await {
            Ok(response) => response.into(),
            Err(error) => error_response(&error, &request_id, self.is_dev()).into(),
        }
    }

    async fn run_http(
        self,
        name: Arc<str>,
        action: HttpAction,
        request: Request,
        identity: Identity,
        source: CallSource,
    ) -> Result<Response> {
        let ctx = ActionCtx::new(Call::outermost(self.clone(), identity, source, &name));
        let (began, _charge) = (Instant::now(), request.charge());
        let result = guard(
            &name,
            began,
            self.limits().action_time,
            action(&ctx, request).as_mut(),
        )
        .await;
        if let Err(error) = &result {
            ctx.call().source.log_failure(&name, error);
        }
        self.record(
            ctx.call(),
            Ended::of(ctx.call(), name, None, began, &result),
        );
        result
    }
}
