use std::sync::Arc;

use http::Uri;

use super::algorithm::Algorithm;
use super::error::AuthError;
use super::key_set::KeySet;
use super::token::Token;

/// The most by which the clocks of a provider and this machine may differ.
const LEEWAY_MS: f64 = 5_000.0;

/// An issuer of tokens that the server trusts.
#[derive(Clone, Debug)]
pub(super) struct Provider {
    /// The issuer as [`issuer_url`] normalizes it.
    pub(super) issuer: String,
    /// The audience that tokens must have. `None` accepts every audience.
    pub(super) application_id: Option<String>,
    pub(super) kind: ProviderKind,
    pub(super) keys: KeySource,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProviderKind {
    /// OpenID Connect: tokens of any algorithm that the keys have, with exactly one audience.
    Oidc,
    /// Convex's `customJwt`: all tokens have this algorithm.
    CustomJwt(Algorithm),
}

/// The source of a provider's keys.
#[derive(Clone, Debug)]
pub(super) enum KeySource {
    /// The configuration contains the keys.
    Inline(Arc<KeySet>),
    /// The provider publishes the keys.
    Published(KeyLocation),
}

/// The place at which a provider publishes its keys.
#[derive(Clone, Debug)]
pub(super) enum KeyLocation {
    /// The JWKS that the OpenID Connect configuration at this URL names.
    Discovery(Uri),
    /// The JWKS at this URL.
    Jwks(Uri),
}

/// Normalizes an issuer for comparisons: adds the scheme `https://` if it has none, and removes a
/// `/` at its end.
pub(super) fn issuer_url(issuer: &str) -> String {
    let scheme = if issuer.contains("://") {
        ""
    } else {
        "https://"
    };
    // Some providers, such as Auth0, end the `iss` of their tokens with a `/`.
    format!("{scheme}{}", issuer.strip_suffix('/').unwrap_or(issuer))
}

impl Provider {
    /// Returns whether a token has this provider's issuer and audience.
    pub(super) fn matches(&self, token: &Token<'_>) -> bool {
        let claims = &token.claims;
        let has_audience = match &self.application_id {
            Some(application_id) => claims.audience.contains(application_id),
            None => true,
        };
        has_audience && self.issuer == issuer_url(&claims.issuer)
    }

    /// Returns whether tokens may have this algorithm.
    pub(super) fn accepts(&self, algorithm: Algorithm) -> bool {
        match self.kind {
            ProviderKind::Oidc => true,
            ProviderKind::CustomJwt(own) => own == algorithm,
        }
    }

    /// Checks everything except the signature.
    ///
    /// # Errors
    /// The reason why the token is refused.
    pub(super) fn check_claims(&self, token: &Token<'_>, now_ms: f64) -> Result<(), &'static str> {
        let claims = &token.claims;
        if self.kind == ProviderKind::Oidc && claims.audience.len() != 1 {
            return Err("it has several audiences (`aud`)");
        }
        if !self.accepts(token.algorithm) {
            return Err("its algorithm (`alg`) is not its provider's");
        }
        if now_ms >= claims.expires_s * 1e3 + LEEWAY_MS {
            return Err("it has expired (`exp`)");
        }
        if let Some(not_before_s) = claims.not_before_s
            && now_ms < not_before_s * 1e3 - LEEWAY_MS
        {
            return Err("it is not valid yet (`nbf`)");
        }
        Ok(())
    }

    /// Returns the error while the provider's keys cannot be fetched.
    pub(super) fn unavailable(&self) -> AuthError {
        AuthError::AuthProviderDiscoveryFailed {
            issuer: self.issuer.clone(),
        }
    }

    /// Returns the error for an invalid token of this provider.
    pub(super) fn refusal(&self, reason: &'static str) -> AuthError {
        match self.kind {
            ProviderKind::Oidc => AuthError::Unauthenticated(reason),
            ProviderKind::CustomJwt(_) => AuthError::InvalidAuthHeader(reason),
        }
    }
}
