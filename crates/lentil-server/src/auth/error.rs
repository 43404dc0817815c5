use http::StatusCode;

/// The reason why a token is refused. No message contains a part of the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// The token is malformed, or invalid for its `customJwt` provider: the client must get a new
    /// one.
    #[error("the token cannot be validated: {0}")]
    InvalidAuthHeader(&'static str),
    /// No configured provider has the token's issuer and audience: compare the token with the
    /// configuration.
    #[error("no auth provider is configured for the token's issuer (`iss`) and audience (`aud`)")]
    NoAuthProvider,
    /// The token is invalid for its OpenID Connect provider: the client must get a new one.
    #[error("the OIDC token cannot be verified: {0}")]
    Unauthenticated(&'static str),
    /// The provider's keys could not be fetched, and none are cached: the client may retry later.
    #[error("the keys of the auth provider `{issuer}` cannot be fetched now; try again later")]
    AuthProviderDiscoveryFailed {
        /// The provider's issuer.
        issuer: String,
    },
}

impl AuthError {
    /// Returns the stable code that clients receive.
    pub fn code(&self) -> &'static str {
        match self {
            AuthError::InvalidAuthHeader(_) => "InvalidAuthHeader",
            AuthError::NoAuthProvider => "NoAuthProvider",
            AuthError::Unauthenticated(_) => "Unauthenticated",
            AuthError::AuthProviderDiscoveryFailed { .. } => "AuthProviderDiscoveryFailed",
        }
    }

    /// Returns 503 if the provider failed, otherwise 401.
    pub fn status(&self) -> StatusCode {
        match self {
            AuthError::AuthProviderDiscoveryFailed { .. } => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::UNAUTHORIZED,
        }
    }
}
