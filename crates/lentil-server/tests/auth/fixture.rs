//! An authenticator with a clock that the test sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lentil_server::{AuthConfig, AuthError, Authenticator, VerifiedUser};
use serde_json::{Value as Json, json};

use crate::keys::{EDDSA, ES256, RS256, jwks};
use crate::provider::{JWKS, Provider};

pub(crate) const NOW_S: u64 = 1_800_000_000;

pub(crate) struct Fixture {
    authenticator: Authenticator,
    now_ms: Arc<AtomicU64>,
}

impl Fixture {
    pub(crate) fn new(config: &Json) -> Fixture {
        let config = AuthConfig::parse(&config.to_string()).unwrap();
        let now_ms = Arc::new(AtomicU64::new(NOW_S * 1_000));
        let clock = Arc::clone(&now_ms);
        let authenticator =
            Authenticator::new(config, move || clock.load(Ordering::Relaxed) as f64);
        Fixture {
            authenticator,
            now_ms,
        }
    }

    /// Trusts an OpenID Connect provider.
    pub(crate) fn oidc(provider: &Provider) -> Fixture {
        Fixture::new(&json!({"providers": [{"domain": provider.issuer(), "applicationID": "app"}]}))
    }

    /// Trusts a `customJwt` provider, by the URL of its keys.
    pub(crate) fn custom(provider: &Provider, algorithm: &str) -> Fixture {
        let issuer = provider.issuer();
        let jwks = provider.url(JWKS);
        let provider =
            json!({"type": "customJwt", "issuer": issuer, "jwks": jwks, "algorithm": algorithm});
        Fixture::new(&json!({ "providers": [provider] }))
    }

    pub(crate) fn advance_s(&self, seconds: u64) {
        self.now_ms.fetch_add(seconds * 1_000, Ordering::Relaxed);
    }

    pub(crate) async fn verify(&self, token: &str) -> Result<VerifiedUser, AuthError> {
        self.authenticator.verify(token).await
    }

    /// Returns the error's code. Asserts that the message does not reveal the token.
    pub(crate) async fn refusal(&self, token: &str) -> &'static str {
        let error = self.verify(token).await.expect_err("the token is refused");
        assert!(
            token.is_empty() || !error.to_string().contains(token),
            "{error}"
        );
        assert_eq!(
            error.status().as_u16() == 503,
            error.code() == "AuthProviderDiscoveryFailed"
        );
        error.code()
    }
}

/// Returns the claims of a token of `issuer` for `app` that expires in a minute.
pub(crate) fn claims(issuer: &str) -> Json {
    json!({"iss": issuer, "sub": "user", "aud": "app", "exp": NOW_S + 60})
}

/// Returns `claims` with one of them replaced, or removed if it is null.
pub(crate) fn but(claims: &Json, name: &str, claim: Json) -> Json {
    let mut claims = claims.clone();
    match claim {
        Json::Null => {
            claims.as_object_mut().unwrap().remove(name);
        }
        claim => claims[name] = claim,
    }
    claims
}

/// The keys that the tests sign with.
pub(crate) fn all_keys() -> Json {
    jwks(&[RS256.jwk("rs"), ES256.jwk("es"), EDDSA.jwk("ed")])
}
