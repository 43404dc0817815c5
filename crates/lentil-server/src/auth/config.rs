use std::sync::Arc;

use http::Uri;
use serde_json::{Map, Value as Json};

use super::algorithm::Algorithm;
use super::key_set::KeySet;
use super::provider::{KeyLocation, KeySource, Provider, ProviderKind, issuer_url};
use super::{data_url, fetch};

/// The providers whose tokens are trusted. The default trusts none.
#[derive(Clone, Debug, Default)]
pub struct AuthConfig {
    pub(super) providers: Vec<Provider>,
}

/// An invalid configuration: the field, and the expected value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("auth config: {place}: {reason}")]
pub struct AuthConfigError {
    place: String,
    reason: String,
}

impl AuthConfig {
    /// Parses the JSON form of Convex's `auth.config`: `{"providers": […]}`, with providers of two
    /// kinds:
    ///
    /// ```json
    /// {"domain": "https://login.example.com", "applicationID": "my-app"}
    /// {"type": "customJwt", "issuer": "https://login.example.com", "jwks": "https://login.example.com/jwks.json",
    ///  "algorithm": "RS256", "applicationID": "my-app"}
    /// ```
    ///
    /// In a `customJwt` provider, `algorithm` is `RS256`, `ES256` or `EdDSA`; `jwks` is a URL, a
    /// `data:` URL, or the JWKS itself; and `applicationID` is optional. A token is checked with
    /// the first provider that has its issuer and audience. URLs begin with `https://`, or with
    /// `http://` for this machine.
    ///
    /// # Errors
    /// The first field that is unknown, missing or invalid.
    pub fn parse(json: &str) -> Result<AuthConfig, AuthConfigError> {
        let json = serde_json::from_str(json)
            .map_err(|error| wrong("the text", format!("not JSON: {error}")))?;
        let mut config = Fields::of("the config", json)?;
        let Some(Json::Array(providers)) = config.take("providers") else {
            return Err(config.wrong("providers", "expected a list of providers"));
        };
        config.none_left("providers")?;
        let providers = providers
            .into_iter()
            .enumerate()
            .map(|(index, json)| provider(&format!("providers[{index}]"), json))
            .collect::<Result<_, _>>()?;
        Ok(AuthConfig { providers })
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
    let application_id = fields.text("applicationID", "the tokens' audience: their `aud`")?;
    fields.none_left("domain, applicationID; or type, issuer, jwks, algorithm, applicationID")?;
    Ok(Provider {
        issuer,
        application_id: Some(application_id),
        kind: ProviderKind::Oidc,
        keys: KeySource::Published(KeyLocation::Discovery(discovery)),
    })
}

/// Returns the URL of an issuer's OpenID Connect configuration.
fn discovery(issuer: &str) -> Result<Uri, &'static str> {
    // The issuer is checked alone first, because appending the path can turn an invalid URL into a
    // valid one.
    fetch::parse_url(issuer)?;
    if issuer.contains(['?', '#']) {
        return Err("expected a URL without `?` and `#`");
    }
    fetch::parse_url(&format!("{issuer}/.well-known/openid-configuration"))
}

fn custom_jwt(mut fields: Fields) -> Result<Provider, AuthConfigError> {
    let issuer = issuer_url(&fields.text("issuer", "the tokens' `iss`")?);
    let expected = "\"RS256\", \"ES256\" or \"EdDSA\"";
    let algorithm = Algorithm::named(&fields.text("algorithm", expected)?);
    let algorithm =
        algorithm.ok_or_else(|| fields.wrong("algorithm", format!("expected {expected}")))?;
    let jwks = fields.take("jwks").unwrap_or_default();
    let keys = key_source(&jwks, algorithm).map_err(|reason| fields.wrong("jwks", reason))?;
    let application_id = if fields.has("applicationID") {
        let expected = "the tokens' audience (their `aud`), or no such field";
        Some(fields.text("applicationID", expected)?)
    } else {
        None
    };
    fields.none_left("type, issuer, jwks, algorithm, applicationID")?;
    Ok(Provider {
        issuer,
        application_id,
        kind: ProviderKind::CustomJwt(algorithm),
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
            let url = fetch::parse_url(url)?;
            return Ok(KeySource::Published(KeyLocation::Jwks(url)));
        }
        Json::Object(_) => KeySet::parse(jwks),
        _ => return Err("expected the URL of a JWKS, or the JWKS itself"),
    };
    let keys = inline.map_err(|_| "expected a JWKS: {\"keys\": […]}")?;
    if keys.can_verify(|key| key == algorithm) {
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

/// The fields of a JSON object that are not parsed yet. Unknown fields are left at the end.
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
            Some(unknown) => Err(self.wrong(
                unknown,
                format!("unknown field; the known fields are {known}"),
            )),
        }
    }

    fn wrong(&self, field: &str, reason: impl Into<String>) -> AuthConfigError {
        wrong(&format!("{}.{field}", self.place), reason)
    }
}
