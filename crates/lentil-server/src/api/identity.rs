//! On whose behalf a request comes.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, StatusCode, Uri, header};
use lentil_protocol::Authorization;
use lentil_runtime::{Excerpt, Identity, UserIdentity, Value};

use super::ApiError;
use crate::peer::share_address;
use crate::service::Server;

/// The caller of an API request, by its `Authorization` header, or the query parameter `adminKey`.
pub(crate) async fn of_request(
    server: &Server,
    client: IpAddr,
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<Identity, ApiError> {
    if !headers.contains_key(header::AUTHORIZATION) {
        let pairs = uri
            .query()
            .map(|query| form_urlencoded::parse(query.as_bytes()));
        let key = pairs
            .into_iter()
            .flatten()
            .find(|(name, _)| name == "adminKey");
        return key.map_or(Ok(Identity::Anonymous), |(_, key)| {
            admin(server, client, &key, None)
        });
    }
    of_headers(server, client, headers).await
}

/// The caller by the `Authorization` header alone.
pub(crate) async fn of_headers(
    server: &Server,
    client: IpAddr,
    headers: &HeaderMap,
) -> Result<Identity, ApiError> {
    let Some(header) = headers.get(header::AUTHORIZATION) else {
        return Ok(Identity::Anonymous);
    };
    // What is not even text is no header of ours.
    match Authorization::parse(header.to_str().unwrap_or_default())? {
        Authorization::User(token) => user(server, token).await.map(|(identity, _)| identity),
        Authorization::Admin(key) => admin(server, client, key, None),
    }
}

/// On whose behalf a route of the application runs: what is no token of ours says nothing, such as a key of its own.
pub(crate) async fn of_route(server: &Server, client: IpAddr, headers: &HeaderMap) -> Identity {
    let header = headers
        .get(header::AUTHORIZATION)
        .and_then(|header| header.to_str().ok());
    match header.map(Authorization::parse) {
        Some(Ok(Authorization::User(token))) => {
            let verified = server.authenticator.verify(token).await;
            verified.map_or(Identity::Anonymous, |verified| {
                Identity::User(Arc::new(verified.identity))
            })
        }
        Some(Ok(Authorization::Admin(key))) => admin(server, client, key, None).unwrap_or_default(),
        Some(Err(_)) | None => Identity::Anonymous,
    }
}

/// The user whom a token names, and when it expires, in milliseconds.
pub(crate) async fn user(server: &Server, token: &str) -> Result<(Identity, f64), ApiError> {
    let verified = server.authenticator.verify(token).await;
    let verified =
        verified.map_err(|error| ApiError::new(error.status(), error.code(), error.to_string()))?;
    Ok((
        Identity::User(Arc::new(verified.identity)),
        verified.expires_at_ms,
    ))
}

/// The administrator, acting as a user where the key is followed by one or `acting_as` is given. A client that has
/// presented many wrong keys is refused for a while, whatever it presents.
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
    let is_key = |key: &str| {
        let matches = |key: &str| {
            server
                .options
                .admin_key
                .as_ref()
                .is_some_and(|own| own.matches(key.as_bytes()))
        };
        // Both are always compared: how long it takes tells nothing.
        matches(key) | matches(Authorization::strip_kind(key))
    };
    if is_key(presented) {
        let acting_as = acting_as.map(acted_user).transpose()?;
        return Ok(Identity::Admin { acting_as });
    }
    if let Some((key, user)) = Authorization::split_acting_as(presented)
        && is_key(key)
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

/// As long as a user's token may be.
const MAX_ACTING_AS_BYTES: usize = 64 << 10;

/// The user that an administrator wants to be: attributes as `ctx.auth.getUserIdentity()` returns them.
fn acted_user(json: &serde_json::Value) -> Result<Arc<UserIdentity>, ApiError> {
    let invalid =
        |message: String| ApiError::new(StatusCode::BAD_REQUEST, "InvalidIdentity", message);
    let text = |name: &str| json.get(name).and_then(serde_json::Value::as_str);
    let Some(attributes) = json.as_object() else {
        return Err(invalid(
            "the identity to act as is no JSON object".to_owned(),
        ));
    };
    let mut user = UserIdentity::new(
        text("issuer").unwrap_or("https://convex.test"),
        text("subject")
            .ok_or_else(|| invalid("the identity to act as needs a `subject`".to_owned()))?,
    );
    // A connection holds it, and cached results are kept for it.
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

/// Refuses everyone but the administrator.
pub(crate) fn must_be_admin(identity: &Identity) -> Result<(), ApiError> {
    if identity.is_admin() {
        return Ok(());
    }
    let message =
        "this is for the administrator alone: send the header `Authorization: Convex <admin key>`";
    Err(ApiError::new(
        StatusCode::FORBIDDEN,
        "BadDeployKey",
        message,
    ))
}

/// Refuses a `Convex-Client` header that is none, such as `npm` instead of `npm-1.48.0`.
pub(crate) fn check_client(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(client) = headers.get("convex-client") else {
        return Ok(());
    };
    let client = client.to_str().unwrap_or_default();
    let is_good = client
        .match_indices('-')
        .any(|(at, _)| at > 0 && is_version(&client[at + 1..]));
    if is_good {
        return Ok(());
    }
    let message = format!(
        "the Convex-Client header is {}; write a name and a version, such as npm-1.48.0",
        Excerpt(client)
    );
    Err(ApiError::new(
        StatusCode::BAD_REQUEST,
        "InvalidClientVersion",
        message,
    ))
}

/// Returns whether the text is a semantic version, such as `1.48.0` or `1.48.0-alpha.1`.
pub(crate) fn is_version(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let rest_is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b".-+".contains(&byte));
    core.split('.').count() == 3 && core.split('.').all(is_number) && rest_is_plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_versions_are_read() {
        let check = |client: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("convex-client", client.parse().unwrap());
            check_client(&headers).is_ok()
        };
        for client in [
            "npm-1.48.0",
            "npm-cli-1.48.0",
            "python-0.8.1",
            "rust-0.10.0-alpha.1",
        ] {
            assert!(check(client), "{client}");
        }
        for client in ["npm", "npm-", "-1.0.0", "npm-1.0", "npm-x.y.z", "no dash"] {
            assert!(!check(client), "{client}");
        }
    }
}
