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
use super::provider::{KeyLocation, issuer_url};

/// The longest time to fetch a JWKS, and the document that names it.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_BODY_BYTES: usize = 1 << 20;

/// Fetches providers' keys. It follows no redirects, because another host must not supply the keys.
#[derive(Clone)]
pub(super) struct Fetcher(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>);

/// The reason why a fetch failed, for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the provider did not respond within {} s", FETCH_TIMEOUT.as_secs())]
    TooSlow,
    #[error("the request failed: {0:?}")]
    Request(#[from] legacy::Error),
    #[error("the response has the status {0}")]
    Status(StatusCode),
    #[error("the response is incomplete or too large: {0}")]
    Body(Box<dyn Error + Send + Sync>),
    #[error("the response is {0}")]
    Malformed(&'static str),
}

/// Fetched keys.
pub(super) struct Fetched {
    pub(super) keys: KeySet,
    /// The time for which the provider allows to cache the keys.
    pub(super) max_age: Option<Duration>,
}

/// Parses a URL that may be fetched: with TLS, or on this machine.
///
/// # Errors
/// A description of the expected URL.
pub(super) fn parse_url(text: &str) -> Result<Uri, &'static str> {
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
            .expect("aws-lc-rs supports TLS 1.2 and 1.3")
            // `parse_url` allows plain HTTP on this machine only.
            .https_or_http()
            .enable_http1()
            .build();
        // Fetches are minutes apart, and the provider would have closed an idle connection.
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Fetcher(client)
    }

    /// Fetches the keys that `issuer` publishes.
    pub(super) async fn fetch(
        &self,
        issuer: &str,
        location: &KeyLocation,
    ) -> Result<Fetched, FetchError> {
        let fetch = async {
            match location {
                KeyLocation::Discovery(configuration) => {
                    let jwks = self.discover(issuer, configuration).await?;
                    self.fetch_keys(&jwks).await
                }
                KeyLocation::Jwks(jwks) => self.fetch_keys(jwks).await,
            }
        };
        tokio::time::timeout(FETCH_TIMEOUT, fetch)
            .await
            .unwrap_or(Err(FetchError::TooSlow))
    }

    /// Fetches the OpenID Connect configuration of an issuer, and returns the URL of its JWKS.
    async fn discover(&self, issuer: &str, configuration: &Uri) -> Result<Uri, FetchError> {
        let (configuration, _) = self.fetch_json(configuration).await?;
        let text = |field| configuration.get(field).and_then(Json::as_str);
        // OpenID Connect Discovery, section 4.3, requires that the two issuers are equal.
        if text("issuer").map(issuer_url).as_deref() != Some(issuer) {
            return Err(FetchError::Malformed("the configuration of another issuer"));
        }
        let jwks = text("jwks_uri").and_then(|jwks| parse_url(jwks).ok());
        jwks.ok_or(FetchError::Malformed(
            "a configuration without a `jwks_uri` to fetch",
        ))
    }

    async fn fetch_keys(&self, jwks: &Uri) -> Result<Fetched, FetchError> {
        let (json, headers) = self.fetch_json(jwks).await?;
        let keys = KeySet::parse(&json).map_err(FetchError::Malformed)?;
        Ok(Fetched {
            keys,
            max_age: max_age(&headers),
        })
    }

    async fn fetch_json(&self, url: &Uri) -> Result<(Json, HeaderMap), FetchError> {
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

/// Returns the time for which a response may be cached, if its headers limit it.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(age_of_directive)
        // The strictest directive counts.
        .min()
}

fn age_of_directive(directive: &str) -> Option<Duration> {
    let directive = directive.trim().to_ascii_lowercase();
    if directive == "no-cache" || directive == "no-store" {
        return Some(Duration::ZERO);
    }
    let seconds = directive.strip_prefix("max-age=")?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_with_tls_or_on_this_machine_are_fetched() {
        for fetched in [
            "https://a.example/b",
            "http://localhost:1/",
            "http://127.8.0.1",
            "http://[::1]:8080/x",
        ] {
            assert!(parse_url(fetched).is_ok(), "{fetched}");
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
            assert!(parse_url(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn shortest_age_is_used() {
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
