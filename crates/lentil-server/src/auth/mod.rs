//! Verification of users' tokens.
//!
//! A token (a JWT) names its issuer, its audience and the key that signed it. The configuration
//! ([`AuthConfig`]) lists the trusted issuers, the audience of each, and where their keys are
//! published. The [`Authenticator`] finds the provider, checks the claims, gets the key, verifies
//! the signature, and converts the claims to a [`lentil_runtime::UserIdentity`].
//!
//! ```text
//! token.rs       parses a token, trusts nothing      provider.rs   checks issuer, audience and times
//! config.rs      parses the configuration            key_set.rs    verifies signatures
//! key_cache.rs   decides when to fetch keys          fetch.rs      fetches keys
//! claims.rs      converts claims to an identity
//! ```
//!
//! The algorithm is that of the key, and of the provider if it names one. A token with another
//! algorithm is refused. So an attacker can use neither `none`, nor a public key as the secret of a
//! symmetric algorithm.

mod algorithm;
mod authenticator;
mod claims;
mod config;
mod data_url;
mod error;
mod fetch;
mod key_cache;
mod key_set;
mod provider;
mod token;

pub use authenticator::{Authenticator, VerifiedUser};
pub use config::{AuthConfig, AuthConfigError};
pub use error::AuthError;
