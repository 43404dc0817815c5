use std::sync::Arc;

use ::http::StatusCode;
use ::http::request::Parts;
use lentil_call::{CallSource, Identity, Result};
use tokio::time::Instant;

use crate::engine::{Call, Engine};
use crate::http::{Body, Request, Response, error_response};
use crate::router::{HttpAction, HttpRouter};
use crate::run::{RunToCompletion, run_with_timeout};

/// Runs the action that a request is routed to, to completion, and returns its response or one for
/// its error.
pub(crate) async fn fetch(
    engine: &Engine,
    router: &HttpRouter,
    parts: Box<Parts>,
    body: Body,
    identity: Identity,
    source: CallSource,
) -> ::http::Response<Body> {
    let path = parts.uri.path();
    let Some(route) = router.lookup(&parts.method, path) else {
        return Response::text(StatusCode::NOT_FOUND, format!("no route for {path}")).into();
    };
    // Copies, because the action may outlive this future, which borrows the router.
    let name = Arc::clone(&route.name);
    let action = Arc::clone(&route.action);
    let request = Request::new(parts, body, Arc::clone(engine.database()));
    let request_id = source.request_id.clone();
    let call = Call::outermost(engine.clone(), identity, source, &name);
    match RunToCompletion::new(run_action(name, action, request, call)).await {
        Ok(response) => response.into(),
        Err(error) => error_response(&error, &request_id, engine.parts().dev).into(),
    }
}

async fn run_action(
    name: Arc<str>,
    action: HttpAction,
    request: Request,
    call: Call,
) -> Result<Response> {
    let began = Instant::now();
    // The request's memory stays charged until the action has ended.
    let _charge = request.charge();
    let call = Arc::new(call);
    let limit = call.engine.limits().action_time;
    let mut running = action(Arc::clone(&call), request);
    let result = run_with_timeout(&name, began, limit, running.as_mut()).await;
    // After a timeout, the action must not continue to hold what it uses.
    drop(running);
    if let Err(error) = &result {
        call.source.log_failure(&name, error);
    }
    let ended = call.ended(name, None, began, &result);
    call.engine.record(&call, ended);
    result
}
