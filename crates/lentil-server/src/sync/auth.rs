//! Who the client is, and until when.

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

/// Who a client has shown to be.
#[derive(Default)]
pub(super) struct SignedIn {
    pub(super) identity: Identity,
    /// When that ends, in milliseconds since the Unix epoch.
    pub(super) expires_at_ms: Option<f64>,
}

/// Believes a token, or closes the connection; `base_version` is that of the identity last told.
pub(super) async fn authenticate(
    server: &Server,
    client: IpAddr,
    token: Token,
    base_version: u32,
) -> Result<SignedIn, CloseReason> {
    let for_ever = |identity| SignedIn {
        identity,
        expires_at_ms: None,
    };
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
            identity::admin(server, client, &key, acting_as.as_ref()).map(for_ever)
        }
    };
    signed_in.map_err(|error| refused(&error, base_version))
}

fn refused(error: &ApiError, base_version: u32) -> CloseReason {
    if error.status.is_server_error() || error.status == StatusCode::TOO_MANY_REQUESTS {
        // The token may be good: the client comes back with it when the provider is up, or after a while.
        return CloseReason::busy(error.code);
    }
    let error = error.message.clone();
    CloseReason::Said(ServerMessage::AuthError {
        error,
        base_version,
        auth_update_attempted: true,
    })
}

/// The client's token has expired.
pub(super) fn expired(base_version: u32) -> CloseReason {
    let error = "the token has expired".to_owned();
    CloseReason::Said(ServerMessage::AuthError {
        error,
        base_version,
        auth_update_attempted: false,
    })
}

/// Waits for the time to come; for ever without one.
pub(super) async fn until(at_ms: Option<f64>, now_ms: f64) {
    match at_ms {
        Some(at_ms) => {
            tokio::time::sleep(Duration::from_secs_f64(
                ((at_ms - now_ms) / 1e3).clamp(0.0, 1e9),
            ))
            .await
        }
        None => pending().await,
    }
}
