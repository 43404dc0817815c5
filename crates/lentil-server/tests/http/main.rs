//! The server over real sockets, with limits that tests reach quickly.

mod bodies;
mod connections;
mod http2;
mod shares;
mod shutdown;

use std::net::SocketAddr;
use std::time::Duration;

use lentil::{ActionCtx, HttpRouter, Method, Request, Response, Result, Schema, StatusCode};
use lentil_server::{Drained, Listeners, ServerOptions, serve};
use lentil_testing::TestBackend;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

async fn hello(_ctx: &ActionCtx, _request: Request) -> Result<Response> {
    Ok(Response::text(StatusCode::OK, "hello"))
}

/// The size of a response that exceeds all socket buffers.
const BIG_BYTES: usize = 8 << 20;

async fn big(_ctx: &ActionCtx, _request: Request) -> Result<Response> {
    Ok(Response::text(StatusCode::OK, "x".repeat(BIG_BYTES)))
}

async fn repeat(_ctx: &ActionCtx, request: Request) -> Result<Response> {
    Ok(Response::text(StatusCode::OK, request.text().await?))
}

/// A server on a free port.
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Drained>,
}

async fn start(router: HttpRouter, options: ServerOptions) -> Running {
    let t = TestBackend::new(Schema::new()).http(router);
    let runtime = t.runtime().await.clone();
    let main = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = main.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async { stopped.await.unwrap_or_default() };
    let served = tokio::spawn(serve(
        Listeners { main, site: None },
        runtime,
        options,
        shutdown,
    ));
    Running {
        address,
        stop,
        served,
    }
}

fn routes() -> HttpRouter {
    HttpRouter::new()
        .route(Method::GET, "/hello", hello)
        .route(Method::GET, "/big", big)
        .route(Method::POST, "/repeat", repeat)
}

/// Limits that a slow client reaches immediately.
fn impatient() -> ServerOptions {
    let short = Duration::from_millis(150);
    ServerOptions {
        head_timeout: short,
        first_byte_timeout: short,
        progress_timeout: short,
        ..ServerOptions::default()
    }
}

async fn connect(running: &Running) -> TcpStream {
    TcpStream::connect(running.address).await.unwrap()
}

/// Reads until the server hangs up.
async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut text)).await;
    // A reset ends the connection too.
    drop(read.expect("the server hangs up"));
    String::from_utf8_lossy(&text).into_owned()
}

async fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 4096];
    let read = stream.read(&mut buffer).await.unwrap();
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

const HELLO: &str = "GET /hello HTTP/1.1\r\nhost: test\r\n\r\n";

/// Allows one connection at a time.
fn alone(options: ServerOptions) -> ServerOptions {
    ServerOptions {
        max_connections: 1,
        ..options
    }
}
