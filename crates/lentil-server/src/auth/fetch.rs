use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL};
use http::uri::Scheme;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use serde_json::Value as Json;

use super::key_set::KeySet;
use super::provider::{Published, issuer_url};

/// How long a JWKS may take, with the document that names it.
const FETCH_TIME: Duration = Duration::from_secs(5);
const MAX_BODY_BYTES: usize = 1 << 20;

/// Gets providers' keys. It follows no redirects: a JWKS is where its provider says.
#[derive(Clone)]
pub(super) struct Fetcher(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>);

/// Why there are no keys; for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("it took more than {} s", FETCH_TIME.as_secs())]
    TooSlow,
    #[error("the request failed: {0:?}")]
    Request(#[from] legacy::Error),
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("the answer broke off or is too large: {0}")]
    Body(Box<dyn Error + Send + Sync>),
    #[error("the answer is {0}")]
    Malformed(&'static str),
}

/// Keys, and how long their provider lets them be kept.
pub(super) struct Fetched {
    pub(super) keys: KeySet,
    pub(super) max_age: Option<Duration>,
}

/// A URL that may be fetched: encrypted, or on this machine.
///
/// # Errors
/// What is expected instead.
pub(super) fn url(text: &str) -> Result<Uri, &'static str> {
    let expected =
        "expected an https:// URL (http:// is for this machine only, e.g. http://localhost:8080)";
    let url: Uri = text.parse().map_err(|_| expected)?;
    let host = url.host().filter(|host| !host.is_empty()).ok_or(expected)?;
    let is_safe = url.scheme() == Some(&Scheme::HTTPS)
        || url.scheme() == Some(&Scheme::HTTP) && is_loopback(host);
    if is_safe { Ok(url) } else { Err(expected) }
}

fn is_loopback(host: &str) -> bool {
    let address: Result<IpAddr, _> = host.trim_matches(['[', ']']).parse();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

impl Fetcher {
    pub(super) fn new() -> Fetcher {
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_webpki_roots(rustls::crypto::aws_lc_rs::default_provider())
            .expect("the cryptography has TLS 1.2 and 1.3")
            .https_or_http()
            .enable_http1()
            .build();
        // Fetches are minutes apart; an idle connection would be closed by then.
        Fetcher(
            Client::builder(TokioExecutor::new())
                .pool_max_idle_per_host(0)
                .build(connector),
        )
    }

    /// The keys that `issuer` publishes.
    pub(super) async fn fetch(
        &self,
        issuer: &str,
        published: &Published,
    ) -> Result<Fetched, FetchError> {
        let fetch = async {
            match published {
                Published::Discovery(configuration) => {
                    self.keys(&self.discover(issuer, configuration).await?)
                        .await
                }
                Published::Jwks(jwks) => self.keys(jwks).await,
            }
        };
        tokio::time::timeout(FETCH_TIME, fetch)
            .await
            .unwrap_or(Err(FetchError::TooSlow))
    }

    /// Where the JWKS is.
    async fn discover(&self, issuer: &str, configuration: &Uri) -> Result<Uri, FetchError> {
        let (configuration, _) = self.json(configuration).await?;
        let text = |field| configuration.get(field).and_then(Json::as_str);
        if text("issuer").map(issuer_url).as_deref() != Some(issuer) {
            return Err(FetchError::Malformed("the configuration of another issuer"));
        }
        let jwks = text("jwks_uri").and_then(|jwks| url(jwks).ok());
        jwks.ok_or(FetchError::Malformed(
            "a configuration without a `jwks_uri` to fetch",
        ))
    }

    async fn keys(&self, jwks: &Uri) -> Result<Fetched, FetchError> {
        let (json, headers) = self.json(jwks).await?;
        let keys = KeySet::parse(&json).map_err(FetchError::Malformed)?;
        Ok(Fetched {
            keys,
            max_age: max_age(&headers),
        })
    }

    async fn json(&self, url: &Uri) -> Result<(Json, HeaderMap), FetchError> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = url.clone();
        request
            .headers_mut()
            .insert(ACCEPT, http::HeaderValue::from_static("application/json"));
        let (head, body) = self.0.request(request).await?.into_parts();
        if head.status != StatusCode::OK {
            return Err(FetchError::Status(head.status));
        }
        let body = Limited::new(body, MAX_BODY_BYTES)
            .collect()
            .await
            .map_err(FetchError::Body)?;
        let json = serde_json::from_slice(&body.to_bytes())
            .map_err(|_| FetchError::Malformed("not JSON"))?;
        Ok((json, head.headers))
    }
}

/// How long an answer may be kept, if it says so.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let values = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let age = |directive: &str| match directive.trim().to_ascii_lowercase().as_str() {
        "no-cache" | "no-store" => Some(Duration::ZERO),
        directive => directive
            .strip_prefix("max-age=")?
            .parse()
            .ok()
            .map(Duration::from_secs),
    };
    values
        .flat_map(|value| value.split(','))
        .filter_map(age)
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_encrypted_or_on_this_machine_is_fetched() {
        for fetched in [
            "https://a.example/b",
            "http://localhost:1/",
            "http://127.8.0.1",
            "http://[::1]:8080/x",
        ] {
            assert!(url(fetched).is_ok(), "{fetched}");
        }
        let refused = [
            "http://a.example",
            "ftp://a.example",
            "a.example",
            "/jwks",
            "https://",
            "",
            "http://localhost@a.b",
        ];
        for refused in refused
            .into_iter()
            .chain(["http://127.0.0.1.a.example", "http://10.0.0.1"])
        {
            assert!(url(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn the_shortest_age_counts() {
        let age = |value: &'static str| {
            max_age(&HeaderMap::from_iter([(
                CACHE_CONTROL,
                http::HeaderValue::from_static(value),
            )]))
        };
        assert_eq!(age("public, Max-Age=300"), Some(Duration::from_secs(300)));
        assert_eq!(age("max-age=300, no-cache"), Some(Duration::ZERO));
        assert_eq!(age("max-age=a while, public"), None);
        assert_eq!(max_age(&HeaderMap::new()), None);
    }
}
