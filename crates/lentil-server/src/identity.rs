//! The identity of a caller, by the credentials that it presents.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, StatusCode, Uri, header};
use lentil_protocol::Authorization;
use lentil_runtime::{Identity, UserIdentity, Value};

use crate::error::ApiError;
use crate::peer::share_address;
use crate::server::Server;
use crate::uri::query_parameter;

/// The most bytes of JSON in the identity that an administrator acts as. A user's token may have as
/// many.
const MAX_ACTING_AS_BYTES: usize = 64 << 10;

/// Returns the caller of one of the server's own paths, by its `Authorization` header, or without
/// one by the query parameter `adminKey`.
pub(crate) async fn of_request(
    server: &Server,
    client: IpAddr,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<Identity, ApiError> {
    let Some(header) = headers.get(header::AUTHORIZATION) else {
        return match query_parameter(uri, "adminKey") {
            Some(key) => admin(server, client, &key, None),
            None => Ok(Identity::Anonymous),
        };
    };
    // A header that is not text is parsed as an empty one, which is invalid.
    match Authorization::parse(header.to_str().unwrap_or_default())? {
        Authorization::User(token) => Ok(user(server, token).await?.identity),
        Authorization::Admin(key) => admin(server, client, key, None),
    }
}

/// Returns the caller of one of the application's routes. An `Authorization` header that the server
/// does not recognise is ignored, since the application may define its own scheme.
pub(crate) async fn of_route(server: &Server, client: IpAddr, headers: &HeaderMap) -> Identity {
    let header = headers
        .get(header::AUTHORIZATION)
        .and_then(|header| header.to_str().ok());
    match header.map(Authorization::parse) {
        Some(Ok(Authorization::User(token))) => match user(server, token).await {
            Ok(user) => user.identity,
            Err(_) => Identity::Anonymous,
        },
        Some(Ok(Authorization::Admin(key))) => admin(server, client, key, None).unwrap_or_default(),
        Some(Err(_)) | None => Identity::Anonymous,
    }
}

/// A user with a verified token.
pub(crate) struct SignedInUser {
    pub(crate) identity: Identity,
    /// The time at which the token expires, in milliseconds since the Unix epoch.
    pub(crate) expires_at_ms: f64,
}

/// Verifies a user's token.
pub(crate) async fn user(server: &Server, token: &str) -> Result<SignedInUser, ApiError> {
    let verified = server.authenticator.verify(token).await;
    let verified =
        verified.map_err(|error| ApiError::new(error.status(), error.code(), error.to_string()))?;
    Ok(SignedInUser {
        identity: Identity::User(Arc::new(verified.identity)),
        expires_at_ms: verified.expires_at_ms,
    })
}

/// Verifies an admin key. The administrator acts as a user if the key is followed by one, or if
/// `acting_as` is given.
///
/// A client that has presented many wrong keys is refused for a while, also with the right key.
pub(crate) fn admin(
    server: &Server,
    client: IpAddr,
    presented: &str,
    acting_as: Option<&serde_json::Value>,
) -> Result<Identity, ApiError> {
    let address = share_address(client);
    if let Some(wait) = server.failed_keys.wait(address) {
        let message = "too many wrong admin keys have come from this address; try again later";
        return Err(ApiError::too_many("TooManyFailedAdminKeys", message, wait));
    }
    if is_admin_key(server, presented) {
        let acting_as = acting_as.map(acted_user).transpose()?;
        return Ok(Identity::Admin { acting_as });
    }
    if let Some((key, user)) = Authorization::split_acting_as(presented)
        && is_admin_key(server, key)
    {
        return Ok(Identity::Admin {
            acting_as: Some(acted_user(&user)?),
        });
    }
    server.failed_keys.record(address);
    let message =
        "the admin key is not this server's; it is in the file `admin-key` of its data folder";
    Err(ApiError::new(
        StatusCode::UNAUTHORIZED,
        "BadAdminKey",
        message,
    ))
}

fn is_admin_key(server: &Server, key: &str) -> bool {
    let Some(own) = &server.options.admin_key else {
        return false;
    };
    // Both spellings are always compared, so that the time reveals nothing about the key.
    own.matches(key.as_bytes()) | own.matches(Authorization::strip_kind(key).as_bytes())
}

/// Reads the user that an administrator acts as: attributes as `ctx.auth.getUserIdentity()` returns
/// them.
fn acted_user(json: &serde_json::Value) -> Result<Arc<UserIdentity>, ApiError> {
    let invalid = |message: String| ApiError::bad_request("InvalidIdentity", message);
    let Some(attributes) = json.as_object() else {
        return Err(invalid(
            "the identity to act as is not a JSON object".to_owned(),
        ));
    };
    let text = |name: &str| attributes.get(name).and_then(serde_json::Value::as_str);
    let Some(subject) = text("subject") else {
        return Err(invalid(
            "the identity to act as needs a `subject`".to_owned(),
        ));
    };
    let issuer = text("issuer").unwrap_or("https://convex.test");
    let mut user = UserIdentity::new(issuer, subject);
    // The identity is bounded because connections and cached results hold it.
    let bytes = json.to_string().len();
    if bytes > MAX_ACTING_AS_BYTES {
        return Err(invalid(format!(
            "the identity to act as is {bytes} bytes of JSON; the limit is {MAX_ACTING_AS_BYTES}"
        )));
    }
    for (name, value) in attributes {
        let value = Value::from_json(value.clone())
            .map_err(|error| invalid(format!("`{name}`: {error}")))?;
        user = user
            .with(name, value)
            .map_err(|error| invalid(error.to_string()))?;
    }
    Ok(Arc::new(user))
}

/// Refuses every caller except the administrator.
pub(crate) fn require_admin(identity: &Identity) -> Result<(), ApiError> {
    if identity.is_admin() {
        return Ok(());
    }
    let message =
        "only the administrator may do this; send the header `Authorization: Convex <admin key>`";
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        "BadDeployKey",
        message,
    ))
}
