use std::sync::Arc;

use lentil_runtime::UserIdentity;

use super::claims;
use super::config::AuthConfig;
use super::error::AuthError;
use super::fetch::Fetcher;
use super::key_cache::KeyCache;
use super::key_set::KeySet;
use super::provider::{KeySource, Provider};
use super::token::Token;

/// The time now, in milliseconds since 1970.
pub(super) type NowMs = Arc<dyn Fn() -> f64 + Send + Sync>;

/// The last moment that a JavaScript `Date` knows.
const END_OF_TIME_MS: f64 = 8.64e15;

/// Verifies users' tokens, and keeps the providers' keys for that.
pub struct Authenticator {
    trusted: Vec<Trusted>,
    now_ms: NowMs,
}

struct Trusted {
    provider: Provider,
    keys: Keys,
}

enum Keys {
    Inline(Arc<KeySet>),
    Published(Arc<KeyCache>),
}

/// A user whose token is good.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedUser {
    /// Who it is.
    pub identity: UserIdentity,
    /// When the token ends, in milliseconds since 1970; never after what a JavaScript `Date` can hold.
    pub expires_at_ms: f64,
}

impl Authenticator {
    /// Believes what `config` says; `now_ms` tells the time, in milliseconds since 1970. Nothing is fetched yet.
    pub fn new(
        config: AuthConfig,
        now_ms: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Authenticator {
        let (fetcher, now_ms) = (Fetcher::new(), Arc::new(now_ms) as NowMs);
        let trust = |provider: Provider| {
            let keys = match &provider.keys {
                KeySource::Inline(keys) => Keys::Inline(Arc::clone(keys)),
                KeySource::Published(published) => {
                    let (issuer, published) = (provider.issuer.clone(), published.clone());
                    Keys::Published(Arc::new(KeyCache::new(
                        issuer,
                        published,
                        fetcher.clone(),
                        Arc::clone(&now_ms),
                    )))
                }
            };
            Trusted { provider, keys }
        };
        Authenticator {
            trusted: config.providers.into_iter().map(trust).collect(),
            now_ms,
        }
    }

    /// Who has signed in with this token, if it is good: of a provider that is believed, for its audience, signed
    /// with its key, and not expired. It is to be called within Tokio, and may wait five seconds for the keys.
    ///
    /// # Errors
    /// As [`AuthError`] says.
    pub async fn verify(&self, token: &str) -> Result<VerifiedUser, AuthError> {
        let token = Token::parse(token)?;
        let takes = |trusted: &&Trusted| trusted.provider.takes(&token);
        let Trusted { provider, keys } = self
            .trusted
            .iter()
            .find(takes)
            .ok_or(AuthError::NoAuthProvider)?;
        provider
            .check(&token, (self.now_ms)())
            .map_err(|reason| provider.refuses(reason))?;
        let keys = match keys {
            Keys::Inline(keys) => Arc::clone(keys),
            // Apart, so that requests without a token do not carry the room that fetching takes.
            Keys::Published(cache) => Box::pin(cache.keys_for(&token))
                .await
                .ok_or_else(|| provider.is_unavailable())?,
        };
        keys.verify(&token)
            .map_err(|reason| provider.refuses(reason))?;
        let expires_at_ms = (token.claims.expires_s * 1e3).min(END_OF_TIME_MS);
        Ok(VerifiedUser {
            identity: claims::identity(provider.kind, token.claims),
            expires_at_ms,
        })
    }
}
