use http::StatusCode;

/// Why a token is not believed. No message holds any of the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// It is no JWT, or its custom provider does not stand by it: the client gets a new one.
    #[error("the token cannot be validated: {0}")]
    InvalidAuthHeader(&'static str),
    /// Its issuer and audience are no configured provider's: compare the token with the configuration.
    #[error("no auth provider is configured for the token's issuer (`iss`) and audience (`aud`)")]
    NoAuthProvider,
    /// Its OIDC provider does not stand by it: the client gets a new one.
    #[error("the OIDC token cannot be verified: {0}")]
    Unauthenticated(&'static str),
    /// The provider's keys could not be had, and there are none from before: try again later.
    #[error("the keys of the auth provider `{issuer}` cannot be fetched now; try again later")]
    AuthProviderDiscoveryFailed {
        /// The provider, as it is configured.
        issuer: String,
    },
}

impl AuthError {
    /// The stable name that clients see.
    pub fn code(&self) -> &'static str {
        match self {
            AuthError::InvalidAuthHeader(_) => "InvalidAuthHeader",
            AuthError::NoAuthProvider => "NoAuthProvider",
            AuthError::Unauthenticated(_) => "Unauthenticated",
            AuthError::AuthProviderDiscoveryFailed { .. } => "AuthProviderDiscoveryFailed",
        }
    }

    /// 401, or 503 when it is the provider that fails.
    pub fn status(&self) -> StatusCode {
        match self {
            AuthError::AuthProviderDiscoveryFailed { .. } => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNAUTHORIZED,
        }
    }
}
