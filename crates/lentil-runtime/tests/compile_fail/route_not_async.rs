use lentil::{ActionCtx, HttpRouter, Method, Request, Response, Result, StatusCode};

fn hello(_ctx: &ActionCtx, _request: Request) -> Result<Response> {
    Ok(Response::text(StatusCode::OK, "hello"))
}

fn main() {
    let _ = HttpRouter::new().route(Method::GET, "/", hello);
}
