//! Serves a [`lentil_runtime::Runtime`] over HTTP/1.1 and HTTP/2.
//!
//! The server's own paths come first (`api`, `sync`), the application's routes after them. What a slow, greedy or
//! malformed client can take is bounded by [`ServerOptions`].

mod api;
mod auth;
mod body;
mod connection;
mod failed_keys;
mod host;
mod options;
mod peer;
mod progress;
mod request_id;
mod serve;
mod service;
mod shares;
mod sync;

pub use auth::{AuthConfig, AuthConfigError, AuthError, Authenticator, VerifiedUser};
pub use options::ServerOptions;
pub use peer::{NetworkError, TrustedProxies};
pub use serve::{Drained, Listeners, serve};
