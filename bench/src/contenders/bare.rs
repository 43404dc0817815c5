use std::convert::Infallible;

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::load::jobs::KEY;

/// A constant of about the size of a job.
const JOB: &[u8] = br#"{"_creationTime":1767225600000.25,"_id":"j57c4yh0grb2z9ew1gmbvdff3431rnrd","createdAt":1767225600000,"idea":"an app that counts the birds in my garden and draws them","jobId":"known-123","stage":"stage-1234567","status":"processing","username":"ada","result":"https://example.test/app"}"#;

/// Serves a constant to requests with the key. Its rate is the limit of hyper on this machine.
pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a Tokio runtime starts");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        println!(
            "bare on http://{}",
            listener.local_addr().expect("the socket is bound")
        );
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let _ = stream.set_nodelay(true);
            tokio::spawn(async move {
                let connection = hyper::server::conn::http1::Builder::new();
                // An error is expected: the load generator closes connections without notice.
                let _ = connection
                    .serve_connection(TokioIo::new(stream), service_fn(serve_request))
                    .await;
            });
        }
    });
}

async fn serve_request(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let bearer = request
        .headers()
        .get(header::AUTHORIZATION)
        .map(|value| value.as_bytes());
    let is_known =
        bearer.and_then(|bearer| bearer.strip_prefix(b"Bearer ")) == Some(KEY.as_bytes());
    let mut body = Bytes::from_static(JOB);
    if request.method() == Method::POST {
        let _ = request.into_body().collect().await;
        body = Bytes::from_static(br#"{"ok":true}"#);
    }
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = if is_known {
        http::StatusCode::OK
    } else {
        http::StatusCode::UNAUTHORIZED
    };
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    Ok(response)
}
