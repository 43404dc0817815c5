use std::sync::Arc;

use lentil_runtime::UserIdentity;

use super::claims;
use super::config::AuthConfig;
use super::error::AuthError;
use super::fetch::Fetcher;
use super::key_cache::{KeyCache, NowMs};
use super::key_set::KeySet;
use super::provider::{KeySource, Provider};
use super::token::Token;

/// The latest time that a JavaScript `Date` can represent, in milliseconds since 1970.
const MAX_DATE_MS: f64 = 8.64e15;

/// Verifies users' tokens with the keys of their providers.
pub struct Authenticator {
    trusted: Vec<TrustedProvider>,
    now_ms: NowMs,
}

struct TrustedProvider {
    provider: Provider,
    keys: ProviderKeys,
}

enum ProviderKeys {
    Inline(Arc<KeySet>),
    Published(Arc<KeyCache>),
}

/// A user with a valid token.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedUser {
    /// The identity that the token's claims describe.
    pub identity: UserIdentity,
    /// The time at which the token expires, in milliseconds since 1970. A JavaScript `Date` can
    /// represent it.
    pub expires_at_ms: f64,
}

impl Authenticator {
    /// Trusts the providers of `config`. `now_ms` returns the time in milliseconds since 1970. Keys
    /// are fetched later, when a token needs them.
    pub fn new(
        config: AuthConfig,
        now_ms: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Authenticator {
        let fetcher = Fetcher::new();
        let now_ms: NowMs = Arc::new(now_ms);
        let mut trusted = Vec::new();
        for provider in config.providers {
            let keys = match &provider.keys {
                KeySource::Inline(keys) => ProviderKeys::Inline(Arc::clone(keys)),
                KeySource::Published(location) => ProviderKeys::Published(Arc::new(KeyCache::new(
                    provider.issuer.clone(),
                    location.clone(),
                    fetcher.clone(),
                    Arc::clone(&now_ms),
                ))),
            };
            trusted.push(TrustedProvider { provider, keys });
        }
        Authenticator { trusted, now_ms }
    }

    /// Returns the user of a valid token: issued by a trusted provider for its audience, signed
    /// with its key, and not expired. Must be called within a Tokio runtime. Waits at most five
    /// seconds for the keys.
    ///
    /// # Errors
    /// The reason why the token is refused.
    pub async fn verify(&self, token: &str) -> Result<VerifiedUser, AuthError> {
        let token = Token::parse(token)?;
        let TrustedProvider { provider, keys } = self
            .trusted
            .iter()
            .find(|trusted| trusted.provider.matches(&token))
            .ok_or(AuthError::NoAuthProvider)?;
        // Checked first, so that no keys are fetched for a token that is refused anyway.
        provider
            .check_claims(&token, (self.now_ms)())
            .map_err(|reason| provider.refusal(reason))?;
        let keys = match keys {
            ProviderKeys::Inline(keys) => Arc::clone(keys),
            // Boxed, so that requests without a token do not carry the size of a fetch.
            ProviderKeys::Published(cache) => Box::pin(cache.keys_for(&token))
                .await
                .ok_or_else(|| provider.unavailable())?,
        };
        keys.verify(&token)
            .map_err(|reason| provider.refusal(reason))?;
        let expires_at_ms = (token.claims.expires_s * 1e3).min(MAX_DATE_MS);
        Ok(VerifiedUser {
            identity: claims::identity(provider.kind, token.claims),
            expires_at_ms,
        })
    }
}
