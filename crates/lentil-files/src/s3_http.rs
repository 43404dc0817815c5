use std::error::Error;
use std::io;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::Method;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    ClientConfigKey, HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The timeout of a response to a read.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The timeout of a response to a write: a part on a slow line, or a copy of 5 GiB.
const WRITE_TIMEOUT: Duration = Duration::from_secs(300);
/// The timeout of the next bytes of a response.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The time for which an idle connection is reused. S3 closes connections that are idle for longer.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// HTTP for `object_store`, with the client and the cryptography that the server already contains.
#[derive(Debug)]
pub(crate) struct Connector;

#[derive(Debug)]
struct Service(Client<HttpsConnector<HttpConnector>, HttpRequestBody>);

impl object_store::client::HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let mut tcp = HttpConnector::new();
        // Otherwise the connector would reject `https` URLs.
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let tls = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::aws_lc_rs::default_provider())
            .expect("aws-lc-rs supports TLS 1.2 and 1.3");
        let allows_http = options
            .get_config_value(&ClientConfigKey::AllowHttp)
            .is_some_and(|value| value == "true");
        let tls = if allows_http {
            tls.https_or_http()
        } else {
            tls.https_only()
        };
        let mut client = Client::builder(TokioExecutor::new());
        client
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE_TIMEOUT);
        Ok(HttpClient::new(Service(
            client.build(tls.enable_http1().wrap_connector(tcp)),
        )))
    }
}

#[async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let is_write = matches!(*request.method(), Method::PUT | Method::POST);
        let timeout = if is_write {
            WRITE_TIMEOUT
        } else {
            READ_TIMEOUT
        };
        let response = tokio::time::timeout(timeout, self.0.request(request))
            .await
            .map_err(|_| timed_out(timeout))?;
        let (head, body) = response.map_err(failed)?.into_parts();
        Ok(HttpResponse::from_parts(
            head,
            HttpResponseBody::new(StreamBody::new(frames(body))),
        ))
    }
}

type Frame = hyper::body::Frame<bytes::Bytes>;

/// Streams a response's frames. A frame that exceeds its timeout is an error.
fn frames(body: Incoming) -> impl stream::Stream<Item = Result<Frame, HttpError>> {
    stream::unfold(body, |mut body| async move {
        let frame = match tokio::time::timeout(IDLE_TIMEOUT, body.frame()).await {
            Ok(frame) => frame?.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, error)),
            Err(_) => Err(timed_out(IDLE_TIMEOUT)),
        };
        Some((frame, body))
    })
}

fn timed_out(timeout: Duration) -> HttpError {
    let message = format!("no response within {} s", timeout.as_secs());
    HttpError::new(
        HttpErrorKind::Timeout,
        io::Error::new(io::ErrorKind::TimedOut, message),
    )
}

/// Classifies a failed request, which decides whether it is retried.
fn failed(error: legacy::Error) -> HttpError {
    let broke_off = |error: &hyper::Error| error.is_closed() || error.is_incomplete_message();
    let cause = error
        .source()
        .and_then(|source| source.downcast_ref::<hyper::Error>());
    // `object_store` always retries `Connect` and `Request`. It retries `Interrupted` only if the
    // request is idempotent.
    let kind = if error.is_connect() {
        HttpErrorKind::Connect
    } else if cause.is_some_and(broke_off) {
        HttpErrorKind::Request
    } else {
        HttpErrorKind::Interrupted
    };
    HttpError::new(kind, WithCauses(error))
}

/// An error that prints its causes, which `object_store` omits.
#[derive(Debug)]
struct WithCauses(legacy::Error);

impl Error for WithCauses {}

impl std::fmt::Display for WithCauses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
