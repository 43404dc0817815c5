//! The identity of a sync client, and its expiry.

use std::future::pending;
use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;
use lentil_protocol::sync::{ServerMessage, Token};
use lentil_runtime::Identity;

use super::close_reason::CloseReason;
use crate::error::ApiError;
use crate::identity;
use crate::server::Server;

/// The longest wait in seconds. Tokio's timers have a limit.
const MAX_WAIT_S: f64 = 1e9;

/// The identity of a client.
#[derive(Default)]
pub(super) struct SignedIn {
    pub(super) identity: Identity,
    /// The time at which the identity expires, in milliseconds since the Unix epoch.
    pub(super) expires_at_ms: Option<f64>,
}

/// Verifies a token, or returns the reason to close the connection. `base_version` is the version
/// of the identity that the client was sent last.
pub(super) async fn authenticate(
    server: &Server,
    client: IpAddr,
    token: Token,
    base_version: u32,
) -> Result<SignedIn, CloseReason> {
    let signed_in = match token {
        Token::None => Ok(SignedIn::default()),
        Token::User(token) => {
            let user = identity::user(server, &token).await;
            user.map(|user| SignedIn {
                identity: user.identity,
                expires_at_ms: Some(user.expires_at_ms),
            })
        }
        Token::Admin { key, acting_as } => {
            let admin = identity::admin(server, client, &key, acting_as.as_ref());
            admin.map(|identity| SignedIn {
                identity,
                expires_at_ms: None,
            })
        }
    };
    signed_in.map_err(|error| refused(&error, base_version))
}

fn refused(error: &ApiError, base_version: u32) -> CloseReason {
    if error.status.is_server_error() || error.status == StatusCode::TOO_MANY_REQUESTS {
        // The token may be valid, so the client sends it again after it reconnects.
        return CloseReason::busy(error.code);
    }
    CloseReason::Explained(ServerMessage::AuthError {
        error: error.message.clone(),
        base_version,
        auth_update_attempted: true,
    })
}

/// Returns the reason to close a connection whose token has expired.
pub(super) fn expired(base_version: u32) -> CloseReason {
    CloseReason::Explained(ServerMessage::AuthError {
        error: "the token has expired".to_owned(),
        base_version,
        auth_update_attempted: false,
    })
}

/// Waits until a time. Never returns without one.
pub(super) async fn wait_until(at_ms: Option<f64>, now_ms: f64) {
    match at_ms {
        Some(at_ms) => {
            let wait_s = ((at_ms - now_ms) / 1e3).clamp(0.0, MAX_WAIT_S);
            tokio::time::sleep(Duration::from_secs_f64(wait_s)).await;
        }
        None => pending().await,
    }
}
