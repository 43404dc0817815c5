use std::sync::Arc;

use http::Uri;
use serde_json::{Map, Value as Json};

use super::key_set::{Algorithm, KeySet};
use super::provider::{KeySource, Kind, Provider, Published, issuer_url};
use super::{data_url, fetch};

/// Which tokens are believed; by default none.
#[derive(Clone, Debug, Default)]
pub struct AuthConfig {
    pub(super) providers: Vec<Provider>,
}

/// A configuration that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("auth config: {place}: {reason}")]
pub struct AuthConfigError {
    place: String,
    reason: String,
}

impl AuthConfig {
    /// Reads what Convex's `auth.config` exports, as JSON: `{"providers": […]}`, where a provider is one of
    ///
    /// ```json
    /// {"domain": "https://login.example.com", "applicationID": "my-app"}
    /// {"type": "customJwt", "issuer": "https://login.example.com", "jwks": "https://login.example.com/jwks.json",
    ///  "algorithm": "RS256", "applicationID": "my-app"}
    /// ```
    ///
    /// `algorithm` is `RS256`, `ES256` or `EdDSA`. `jwks` is a URL, a `data:` URL, or the JWKS itself, and
    /// `applicationID` may be left out, in a `customJwt` provider. The first provider with a token's issuer and
    /// audience counts. URLs begin with `https://`; with `http://` only for this machine.
    ///
    /// # Errors
    /// At the first field that is unknown, missing or wrong: which one it is, and what it should be.
    pub fn parse(json: &str) -> Result<AuthConfig, AuthConfigError> {
        let json = serde_json::from_str(json)
            .map_err(|error| wrong("the text", format!("not JSON: {error}")))?;
        let mut config = Fields::of("the config", json)?;
        let providers = match config.take("providers") {
            Some(Json::Array(providers)) => providers,
            _ => return Err(config.wrong("providers", "expected a list of providers")),
        };
        config.none_left("providers")?;
        let place = |index| format!("providers[{index}]");
        let parsed = providers
            .into_iter()
            .enumerate()
            .map(|(index, json)| provider(&place(index), json));
        Ok(AuthConfig {
            providers: parsed.collect::<Result<_, _>>()?,
        })
    }
}

fn provider(place: &str, json: Json) -> Result<Provider, AuthConfigError> {
    let mut fields = Fields::of(place, json)?;
    match fields.take("type") {
        None => oidc(fields),
        Some(kind) if kind == "customJwt" => custom_jwt(fields),
        Some(_) => Err(fields.wrong(
            "type",
            "expected \"customJwt\", or no `type` for an OpenID Connect provider",
        )),
    }
}

fn oidc(mut fields: Fields) -> Result<Provider, AuthConfigError> {
    let issuer = issuer_url(&fields.text(
        "domain",
        "the issuer's URL, e.g. \"https://login.example.com\"",
    )?);
    let discovery = discovery(&issuer).map_err(|reason| fields.wrong("domain", reason))?;
    let application_id = fields.text("applicationID", "whom the tokens are for: their `aud`")?;
    fields.none_left("domain, applicationID; or type, issuer, jwks, algorithm, applicationID")?;
    let (application_id, keys) = (
        Some(application_id),
        KeySource::Published(Published::Discovery(discovery)),
    );
    Ok(Provider {
        issuer,
        application_id,
        kind: Kind::Oidc,
        keys,
    })
}

/// Where the OpenID Connect configuration of an issuer is.
fn discovery(issuer: &str) -> Result<Uri, &'static str> {
    // By itself first: with the path behind it, what is no URL may have become one.
    fetch::url(issuer)?;
    if issuer.contains(['?', '#']) {
        return Err("expected a URL without `?` and `#`");
    }
    fetch::url(&format!("{issuer}/.well-known/openid-configuration"))
}

fn custom_jwt(mut fields: Fields) -> Result<Provider, AuthConfigError> {
    let issuer = issuer_url(&fields.text("issuer", "the tokens' `iss`")?);
    let expected = "\"RS256\", \"ES256\" or \"EdDSA\"";
    let algorithm = Algorithm::named(&fields.text("algorithm", expected)?);
    let algorithm =
        algorithm.ok_or_else(|| fields.wrong("algorithm", format!("expected {expected}")))?;
    let jwks = fields.take("jwks").unwrap_or_default();
    let keys = key_source(&jwks, algorithm).map_err(|reason| fields.wrong("jwks", reason))?;
    let application_id = match fields.has("applicationID") {
        true => Some(fields.text(
            "applicationID",
            "whom the tokens are for (their `aud`), or no such field",
        )?),
        false => None,
    };
    fields.none_left("type, issuer, jwks, algorithm, applicationID")?;
    Ok(Provider {
        issuer,
        application_id,
        kind: Kind::CustomJwt(algorithm),
        keys,
    })
}

fn key_source(jwks: &Json, algorithm: Algorithm) -> Result<KeySource, &'static str> {
    let inline = match jwks {
        Json::String(url) if url.starts_with("data:") => {
            let decoded = data_url::decode(url).and_then(|data| serde_json::from_slice(&data).ok());
            KeySet::parse(
                &decoded.ok_or("expected JSON in the data: URL, percent-encoded or base64")?,
            )
        }
        Json::String(url) => {
            return fetch::url(url).map(|url| KeySource::Published(Published::Jwks(url)));
        }
        Json::Object(_) => KeySet::parse(jwks),
        _ => return Err("expected the URL of a JWKS, or the JWKS itself"),
    };
    let keys = inline.map_err(|_| "expected a JWKS: {\"keys\": […]}")?;
    if keys.can_verify(|its| its == algorithm) {
        Ok(KeySource::Inline(Arc::new(keys)))
    } else {
        Err("expected a public key for the provider's algorithm")
    }
}

fn wrong(place: &str, reason: impl Into<String>) -> AuthConfigError {
    AuthConfigError {
        place: place.to_owned(),
        reason: reason.into(),
    }
}

/// An object whose fields are taken out one by one, so that those nobody knows are left.
struct Fields {
    place: String,
    fields: Map<String, Json>,
}

impl Fields {
    fn of(place: &str, json: Json) -> Result<Fields, AuthConfigError> {
        match json {
            Json::Object(fields) => Ok(Fields {
                place: place.to_owned(),
                fields,
            }),
            _ => Err(wrong(place, "expected an object")),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    fn take(&mut self, name: &str) -> Option<Json> {
        self.fields.remove(name)
    }

    fn text(&mut self, name: &str, expected: &str) -> Result<String, AuthConfigError> {
        match self.take(name) {
            Some(Json::String(text)) if !text.is_empty() => Ok(text),
            Some(_) => Err(self.wrong(name, format!("expected a text: {expected}"))),
            None => Err(self.wrong(name, format!("missing; expected {expected}"))),
        }
    }

    fn none_left(self, known: &str) -> Result<(), AuthConfigError> {
        match self.fields.keys().next() {
            None => Ok(()),
            Some(unknown) => Err(self.wrong(unknown, format!("unknown field; there are {known}"))),
        }
    }

    fn wrong(&self, field: &str, reason: impl Into<String>) -> AuthConfigError {
        wrong(&format!("{}.{field}", self.place), reason)
    }
}
