//! Believes users' tokens, or does not.
//!
//! A token (a JWT) names its issuer, its audience and the key that signed it. The configuration ([`AuthConfig`]) says
//! which issuers are believed for which audience and where their keys are published; the [`Authenticator`] finds the
//! provider, checks the claims, gets the key, and makes a [`lentil_runtime::UserIdentity`] of what the token claims.
//!
//! ```text
//! token.rs       what a token says, nothing of it believed yet
//! config.rs      the configuration's JSON          provider.rs   whom a provider's tokens are for, and for how long
//! key_set.rs     keys, and what each may verify    key_cache.rs  when a provider's keys are fetched
//! fetch.rs       how they are fetched              claims.rs     what becomes of the claims
//! ```
//!
//! The algorithm is the key's, and the provider's if it names one; a token that says otherwise is refused. So neither
//! `none` nor a signature made with a public key as the secret gets anywhere.

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
