use lentil::{ActionCtx, HttpRouter, Method, Request, Result};

async fn hello(_ctx: &ActionCtx, _request: Request) -> Result<String> {
    Ok("hello".to_owned())
}

fn main() {
    let _ = HttpRouter::new().route(Method::GET, "/", hello);
}
