use std::sync::Arc;

use http::Uri;

use super::error::AuthError;
use super::key_set::{Algorithm, KeySet};
use super::token::Token;

/// How far the clocks of a provider and this machine may differ.
const LEEWAY_MS: f64 = 5_000.0;

/// Somebody whose tokens are believed.
#[derive(Clone, Debug)]
pub(super) struct Provider {
    /// As [`issuer_url`] writes it.
    pub(super) issuer: String,
    /// Whom its tokens must be for; `None` believes them whomever they are for.
    pub(super) application_id: Option<String>,
    pub(super) kind: Kind,
    pub(super) keys: KeySource,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// OpenID Connect: any algorithm that its keys have, for one audience only.
    Oidc,
    /// Tokens of one's own making, all with one algorithm.
    CustomJwt(Algorithm),
}

/// Where a provider's keys are.
#[derive(Clone, Debug)]
pub(super) enum KeySource {
    /// In the configuration itself.
    Inline(Arc<KeySet>),
    /// At the provider's.
    Published(Published),
}

/// Where a provider publishes its keys.
#[derive(Clone, Debug)]
pub(super) enum Published {
    /// In the JWKS that the OpenID Connect configuration at this URL names.
    Discovery(Uri),
    /// In the JWKS at this URL.
    Jwks(Uri),
}

/// An issuer as it is compared: with a scheme, `https://` if it had none, and without a `/` at its end.
pub(super) fn issuer_url(issuer: &str) -> String {
    let scheme = if issuer.contains("://") {
        ""
    } else {
        "https://"
    };
    format!("{scheme}{}", issuer.strip_suffix('/').unwrap_or(issuer))
}

impl Provider {
    /// Returns whether tokens of this issuer for this audience are to be checked with this provider.
    pub(super) fn takes(&self, token: &Token<'_>) -> bool {
        let is_for_us = |application_id| token.claims.audience.contains(application_id);
        self.issuer == issuer_url(&token.claims.issuer)
            && self.application_id.as_ref().is_none_or(is_for_us)
    }

    /// Returns whether tokens may be signed so.
    pub(super) fn accepts(&self, algorithm: Algorithm) -> bool {
        match self.kind {
            Kind::Oidc => true,
            Kind::CustomJwt(its) => its == algorithm,
        }
    }

    /// Checks all but the signature, so that keys are not fetched for tokens that would be refused anyway.
    pub(super) fn check(&self, token: &Token<'_>, now_ms: f64) -> Result<(), &'static str> {
        if self.kind == Kind::Oidc && token.claims.audience.len() != 1 {
            return Err("it is for several audiences (`aud`)");
        }
        if !self.accepts(token.algorithm) {
            return Err("its algorithm (`alg`) is not its provider's");
        }
        if now_ms >= token.claims.expires_s * 1e3 + LEEWAY_MS {
            return Err("it has expired (`exp`)");
        }
        if token
            .claims
            .not_before_s
            .is_some_and(|begins_s| now_ms < begins_s * 1e3 - LEEWAY_MS)
        {
            return Err("it is not valid yet (`nbf`)");
        }
        Ok(())
    }

    /// The error while its keys cannot be had.
    pub(super) fn is_unavailable(&self) -> AuthError {
        AuthError::AuthProviderDiscoveryFailed {
            issuer: self.issuer.clone(),
        }
    }

    /// The error for a token that this provider does not stand by.
    pub(super) fn refuses(&self, reason: &'static str) -> AuthError {
        match self.kind {
            Kind::Oidc => AuthError::Unauthenticated(reason),
            Kind::CustomJwt(_) => AuthError::InvalidAuthHeader(reason),
        }
    }
}
