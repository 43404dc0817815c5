//! The server over real sockets, with limits short enough to be met.

mod http2;
mod shares;
mod shutdown;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lentil::{ActionCtx, Body, HttpRouter, Method, Request, Response, Result, Schema, StatusCode};
use lentil_server::{Drained, Listeners, ServerOptions, serve};
use lentil_testing::TestBackend;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

async fn hello(_ctx: &ActionCtx, _request: Request) -> Result<Response> {
    Ok(Response::text(StatusCode::OK, "hello"))
}

/// The size of a response that no socket's buffers take.
const BIG_BYTES: usize = 8 << 20;

async fn big(_ctx: &ActionCtx, _request: Request) -> Result<Response> {
    Ok(Response::text(StatusCode::OK, "x".repeat(BIG_BYTES)))
}

async fn repeat(_ctx: &ActionCtx, request: Request) -> Result<Response> {
    Ok(Response::text(StatusCode::OK, request.text().await?))
}

/// A server on a free port, to be stopped and waited for.
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

/// Limits that a slow client meets at once.
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

/// Everything that comes until the server hangs up.
async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut text)).await;
    // A reset is a hang-up too.
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

#[tokio::test]
async fn a_connection_is_kept_and_requests_may_follow_each_other_closely() {
    let running = start(routes(), ServerOptions::default()).await;
    let mut stream = connect(&running).await;
    for _ in 0..3 {
        assert!(ask(&mut stream, HELLO).await.ends_with("\r\n\r\nhello"));
    }
    let closing =
        format!("{HELLO}{HELLO}GET /hello HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(closing.as_bytes()).await.unwrap();
    assert_eq!(rest(&mut stream).await.matches("hello").count(), 3);
}

#[tokio::test]
async fn whoever_says_nothing_or_half_a_head_is_hung_up_on() {
    let running = start(routes(), impatient()).await;
    for beginning in ["", "P", "PRI * HTTP/2.0", "GET /hello HTTP/1.1\r\nho"] {
        let mut slow = connect(&running).await;
        slow.write_all(beginning.as_bytes()).await.unwrap();
        assert!(!rest(&mut slow).await.contains("200 OK"), "{beginning:?}");
    }
    assert!(
        ask(&mut connect(&running).await, HELLO)
            .await
            .contains("200 OK")
    );
}

#[tokio::test]
async fn an_answer_may_take_longer_than_a_head_and_whoever_then_says_nothing_is_hung_up_on() {
    const LONG: Duration = Duration::from_millis(400);
    async fn slow(_ctx: &ActionCtx, _request: Request) -> Result<Response> {
        tokio::time::sleep(LONG).await;
        let late = futures_util::stream::once(async {
            tokio::time::sleep(LONG).await;
            Ok("late".into())
        });
        Ok(http::Response::new(Body::from_stream(late)).into())
    }
    let running = start(
        HttpRouter::new().route(Method::GET, "/slow", slow),
        impatient(),
    )
    .await;
    let mut stream = connect(&running).await;
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nhost: test\r\n\r\n")
        .await
        .unwrap();
    let answer = rest(&mut stream).await;
    assert!(
        answer.contains("200 OK") && answer.contains("late"),
        "{answer}"
    );
}

/// One connection at a time: a second is served once the first has ended.
fn alone(options: ServerOptions) -> ServerOptions {
    ServerOptions {
        max_connections: 1,
        ..options
    }
}

#[tokio::test]
async fn a_response_that_is_taken_slowly_arrives_whole() {
    let options = ServerOptions {
        progress_timeout: Duration::from_secs(10),
        ..impatient()
    };
    let running = start(routes(), options).await;
    let mut slow = connect(&running).await;
    slow.write_all(b"GET /big HTTP/1.1\r\nhost: test\r\n\r\n")
        .await
        .unwrap();
    let mut received = 0;
    let mut buffer = vec![0; 200_000];
    // Reading takes several times as long as a head may.
    while received < BIG_BYTES {
        let read = slow.read(&mut buffer).await.unwrap();
        assert_ne!(read, 0, "the server hangs up after {received} bytes");
        received += read;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_a_response_is_cut() {
    let options = ServerOptions {
        progress_timeout: Duration::from_millis(300),
        ..ServerOptions::default()
    };
    let running = start(routes(), alone(options)).await;
    let mut deaf = connect(&running).await;
    deaf.write_all(b"GET /big HTTP/1.1\r\nhost: test\r\n\r\n")
        .await
        .unwrap();
    let mut next = connect(&running).await;
    assert!(ask(&mut next, HELLO).await.ends_with("hello"));
    assert!(rest(&mut deaf).await.len() < BIG_BYTES);
}

#[tokio::test]
async fn a_function_that_is_slow_to_read_a_body_does_not_make_its_client_late() {
    async fn hesitate(_ctx: &ActionCtx, request: Request) -> Result<Response> {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        Ok(Response::text(StatusCode::OK, request.text().await?))
    }
    let options = ServerOptions {
        progress_timeout: Duration::from_millis(700),
        progress_grace: Duration::from_millis(700),
        ..ServerOptions::default()
    };
    let routes = HttpRouter::new().route(Method::POST, "/hesitate", hesitate);
    let running = start(routes, options).await;
    let mut stream = connect(&running).await;
    let body = "x".repeat(300_000);
    let request = format!(
        "POST /hesitate HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: 300000\r\n\r\n{body}"
    );
    let (mut reader, mut writer) = stream.split();
    let mut answer = String::new();
    let (written, read) = tokio::join!(
        writer.write_all(request.as_bytes()),
        reader.read_to_string(&mut answer)
    );
    written.and(read.map(drop)).unwrap();
    assert!(answer.ends_with(&body));
}

#[tokio::test]
async fn a_client_that_hangs_up_after_one_byte_leaves_its_place_at_once() {
    let running = start(routes(), alone(ServerOptions::default())).await;
    let mut first = connect(&running).await;
    first.write_all(b"P").await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    drop(first);
    let answered = async { ask(&mut connect(&running).await, HELLO).await };
    let answered = tokio::time::timeout(Duration::from_secs(5), answered).await;
    assert!(answered.expect("the place is free").ends_with("hello"));
}

#[tokio::test]
async fn a_head_may_come_byte_by_byte() {
    let running = start(routes(), ServerOptions::default()).await;
    for request in [
        HELLO.to_owned(),
        HELLO.replacen("GET /hello", "POST /repeat", 1),
        "PRI * HTTP/1.1\r\nhost: test\r\n\r\n".to_owned(),
    ] {
        let mut stream = connect(&running).await;
        stream.set_nodelay(true).unwrap();
        for byte in request.bytes() {
            stream.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(buffer[..read].starts_with(b"HTTP/1.1 "), "{request}");
    }
}

#[tokio::test]
async fn a_body_that_stops_coming_is_answered_408() {
    let running = start(routes(), impatient()).await;
    let mut slow = connect(&running).await;
    slow.write_all(b"POST /repeat HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nhalf")
        .await
        .unwrap();
    let answer = rest(&mut slow).await;
    assert!(
        answer.starts_with("HTTP/1.1 408") && answer.contains("too slowly"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_body_that_drips_is_cut_though_each_drop_comes_in_time() {
    let options = ServerOptions {
        progress_grace: Duration::from_millis(200),
        ..ServerOptions::default()
    };
    let running = start(routes(), options).await;
    let mut slow = connect(&running).await;
    slow.write_all(b"POST /repeat HTTP/1.1\r\nhost: test\r\ncontent-length: 100000\r\n\r\n")
        .await
        .unwrap();
    let (mut reader, mut writer) = slow.split();
    let drip = async {
        while writer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut answer = vec![0; 12];
    let answered = tokio::select! {
        read = reader.read_exact(&mut answer) => read.is_ok(),
        () = drip => false,
    };
    assert!(
        answered && answer == b"HTTP/1.1 408",
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_answered_413_before_it_has_come() {
    let options = ServerOptions {
        max_body_bytes: 1_000,
        ..ServerOptions::default()
    };
    let running = start(routes(), options).await;
    let mut stream = connect(&running).await;
    stream
        .write_all(b"POST /repeat HTTP/1.1\r\nhost: test\r\ncontent-length: 1001\r\n\r\n")
        .await
        .unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 413"));
    let mut chunked = connect(&running).await;
    let body = "x".repeat(1_001);
    let sent = format!(
        "POST /repeat HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n{body}\r\n0\r\n\r\n"
    );
    assert!(ask(&mut chunked, &sent).await.starts_with("HTTP/1.1 413"));
    for (length, status) in [("18446744073709551613", 413), ("18446744073709551615", 431)] {
        let mut stream = connect(&running).await;
        let sent =
            format!("POST /repeat HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(sent.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{length}: {answer}"
        );
    }
    let exact = format!(
        "POST /repeat HTTP/1.1\r\nhost: test\r\ncontent-length: 1000\r\n\r\n{}",
        "x".repeat(1_000)
    );
    assert!(
        ask(&mut connect(&running).await, &exact)
            .await
            .starts_with("HTTP/1.1 200")
    );
}

#[tokio::test]
async fn whoever_is_refused_while_sending_may_go_on_sending_and_reads_the_answer() {
    let running = start(
        routes(),
        ServerOptions {
            max_body_bytes: 10,
            ..ServerOptions::default()
        },
    )
    .await;
    let mut stream = connect(&running).await;
    stream
        .write_all(b"POST /repeat HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 413"));
    // The server has said its last; a connection that it had closed for good would be reset by what comes now.
    for _ in 0..10 {
        stream.write_all(&[b'x'; 10_000]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A chunked body `ok` under a head that also has a length, and a request that only another parser would see.
fn ambiguous(path: &str, lengths: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: test\r\n{lengths}\r\n\r\n2\r\nok\r\n0\r\n\r\n{HELLO}")
}

const BOTH_LENGTHS: [&str; 3] = [
    "content-length: 3\r\ntransfer-encoding: chunked",
    "transfer-encoding: chunked\r\ncontent-length: 3",
    "Content-Length: 3\r\nx: y\r\nContent-Length: 3\r\nTRANSFER-ENCODING: chunked",
];

#[tokio::test]
async fn a_chunked_body_with_a_length_is_answered_once_and_ends_the_connection() {
    let running = start(routes(), ServerOptions::default()).await;
    let clean = "POST /repeat HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nclean";
    for lengths in BOTH_LENGTHS {
        for (before, answers) in [("", 1), (HELLO, 2), (clean, 2)] {
            let mut stream = connect(&running).await;
            let sent = format!("{before}{}", ambiguous("/repeat", lengths));
            stream.write_all(sent.as_bytes()).await.unwrap();
            let answer = rest(&mut stream).await;
            assert_eq!(answer.matches("HTTP/1.1 200").count(), answers, "{answer}");
            assert!(answer.ends_with("\r\n\r\nok"), "{answer}");
        }
    }
}

#[tokio::test]
async fn nothing_after_an_ambiguous_body_runs_when_the_body_is_refused() {
    async fn refuse(_ctx: &ActionCtx, _request: Request) -> Result<Response> {
        Ok(Response::text(StatusCode::UNAUTHORIZED, "no"))
    }
    let options = ServerOptions {
        max_body_bytes: 1,
        ..ServerOptions::default()
    };
    let routes = routes().route(Method::POST, "/refuse", refuse);
    let running = start(routes, options).await;
    for lengths in BOTH_LENGTHS {
        for (path, status) in [("/refuse", "401"), ("/repeat", "413"), ("/nothing", "404")] {
            let mut stream = connect(&running).await;
            let sent = ambiguous(path, lengths);
            stream.write_all(sent.as_bytes()).await.unwrap();
            let answer = rest(&mut stream).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {status}")),
                "{answer}"
            );
            assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        }
    }
}

#[tokio::test]
async fn the_unread_rest_of_a_refused_body_is_not_taken_for_a_request() {
    async fn refuse(_ctx: &ActionCtx, _request: Request) -> Result<Response> {
        Ok(Response::text(StatusCode::UNAUTHORIZED, "no"))
    }
    let routes = routes().route(Method::POST, "/refuse", refuse);
    let running = start(routes, ServerOptions::default()).await;
    // The body is a request, whole or with more to come; a later request has both lengths in its body alone.
    for length in [HELLO.len(), 100_000] {
        let mut stream = connect(&running).await;
        let head =
            format!("POST /refuse HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n");
        stream
            .write_all(format!("{head}{HELLO}").as_bytes())
            .await
            .unwrap();
        stream.shutdown().await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        assert!(!answer.contains("hello"), "{answer}");
    }
    let inside = "content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut stream = connect(&running).await;
    let clean = format!(
        "POST /repeat HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n{inside}",
        inside.len()
    );
    for _ in 0..3 {
        let answer = ask(&mut stream, &clean).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[tokio::test]
async fn a_request_without_one_good_host_is_answered_400_and_ends_the_connection() {
    let running = start(routes(), ServerOptions::default()).await;
    for host in ["", "host: a\r\nhost: a\r\n", "host: a b\r\n", "host:\r\n"] {
        for target in ["/hello", "http://test/hello"] {
            let mut stream = connect(&running).await;
            let sent = format!("GET {target} HTTP/1.1\r\n{host}\r\n{HELLO}");
            stream.write_all(sent.as_bytes()).await.unwrap();
            let answer = rest(&mut stream).await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{host:?} {answer}");
            assert!(answer.contains("InvalidHost"), "{host:?} {answer}");
            assert!(!answer.contains("hello"), "{answer}");
        }
    }
    let mut old = connect(&running).await;
    old.write_all(b"GET /hello HTTP/1.0\r\n\r\n").await.unwrap();
    assert!(rest(&mut old).await.starts_with("HTTP/1.0 200"));
    let absolute = "GET http://test/hello HTTP/1.1\r\nhost: test\r\n\r\n";
    assert!(
        ask(&mut connect(&running).await, absolute)
            .await
            .ends_with("hello")
    );
}

#[tokio::test]
async fn connections_over_the_limit_wait_for_one_to_end() {
    let options = ServerOptions {
        max_connections: 1,
        ..ServerOptions::default()
    };
    let running = start(routes(), options).await;
    let mut first = connect(&running).await;
    assert!(ask(&mut first, HELLO).await.contains("200 OK"));
    let mut second = connect(&running).await;
    second.write_all(HELLO.as_bytes()).await.unwrap();
    let mut buffer = [0; 16];
    let early = tokio::time::timeout(Duration::from_millis(100), second.read(&mut buffer)).await;
    assert!(early.is_err(), "the second waits while the first is there");
    drop(first);
    assert_eq!(second.read_exact(&mut buffer).await.unwrap(), 16);
}

#[tokio::test]
async fn a_stop_lets_a_running_request_finish_and_takes_no_new_one() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (has_begun, may_go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
    let slow = move |_ctx: &ActionCtx, _request: Request| {
        let (begun, go_on) = (Arc::clone(&has_begun), Arc::clone(&may_go_on));
        async move {
            begun.notify_one();
            go_on.notified().await;
            Ok(Response::text(StatusCode::OK, "finished"))
        }
    };
    let running = start(
        HttpRouter::new().route(Method::GET, "/slow", slow),
        ServerOptions::default(),
    )
    .await;
    let mut stream = connect(&running).await;
    stream
        .write_all(b"GET /slow HTTP/1.1\r\nhost: test\r\n\r\n")
        .await
        .unwrap();
    begun.notified().await;
    running.stop.send(()).unwrap();
    while TcpStream::connect(running.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    go_on.notify_one();
    assert!(rest(&mut stream).await.ends_with("finished"));
    assert_eq!(running.served.await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn a_request_that_does_not_finish_is_cut_at_the_deadline() {
    async fn forever(_ctx: &ActionCtx, _request: Request) -> Result<Response> {
        std::future::pending().await
    }
    let options = ServerOptions {
        drain_timeout: Duration::from_millis(100),
        ..ServerOptions::default()
    };
    let running = start(
        HttpRouter::new().route(Method::GET, "/forever", forever),
        options,
    )
    .await;
    let mut stream = connect(&running).await;
    stream
        .write_all(b"GET /forever HTTP/1.1\r\nhost: test\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    running.stop.send(()).unwrap();
    assert_eq!(running.served.await.unwrap(), Drained { cut: 1 });
}

#[tokio::test]
async fn the_servers_own_paths_come_first_and_head_is_answered_as_get() {
    let running = start(
        routes(),
        ServerOptions {
            version: "9.9".into(),
            ..ServerOptions::default()
        },
    )
    .await;
    let get = async |method: &str, path: &str| {
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        let mut stream = connect(&running).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(&mut stream).await
    };
    assert!(get("GET", "/version").await.ends_with("\r\n\r\n9.9"));
    assert!(get("GET", "/healthz").await.contains("200 OK"));
    assert!(get("GET", "/http/hello").await.ends_with("hello"));
    let head = get("HEAD", "/hello").await;
    assert!(
        head.contains("200 OK") && head.contains("content-length: 5") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    assert!(get("GET", "/nothing").await.contains("404"));
    assert!(
        get("OPTIONS", "/hello").await.contains("404"),
        "no automatic CORS"
    );
}
