//! Serves a [`lentil_runtime::Runtime`] over HTTP/1.1 and HTTP/2.
//!
//! `routes.rs` lists the server's own paths; all other paths belong to the application.
//! [`ServerOptions`] bounds the time and memory that slow, greedy and malformed clients can take.

mod api;
mod audience;
mod auth;
mod background;
mod client_events;
mod client_version;
mod connection;
mod cors;
mod error;
mod failed_keys;
mod host;
mod identity;
mod options;
mod peer;
mod progress;
mod request_body;
mod response;
mod routes;
mod serve;
mod server;
mod service;
mod shares;
mod snapshot_leases;
mod sync;
mod unsupported;
mod uri;

pub use auth::{AuthConfig, AuthConfigError, AuthError, Authenticator, VerifiedUser};
pub use options::ServerOptions;
pub use peer::{NetworkError, TrustedProxies};
pub use routes::SERVER_PATHS;
pub use serve::{Drained, Listeners, serve};
