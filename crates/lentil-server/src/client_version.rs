use http::{HeaderMap, StatusCode};
use lentil_runtime::Excerpt;

use crate::error::ApiError;

/// Checks the `Convex-Client` header: a name and a version, such as `npm-1.48.0`.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(client) = headers.get("convex-client") else {
        return Ok(());
    };
    let client = client.to_str().unwrap_or_default();
    let mut dashes = client.match_indices('-');
    if dashes.any(|(at, _)| at > 0 && is_version(&client[at + 1..])) {
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
    fn client_header_is_a_name_and_a_version() {
        let is_accepted = |client: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("convex-client", client.parse().unwrap());
            check(&headers).is_ok()
        };
        for client in [
            "npm-1.48.0",
            "npm-cli-1.48.0",
            "python-0.8.1",
            "rust-0.10.0-alpha.1",
        ] {
            assert!(is_accepted(client), "{client}");
        }
        for client in ["npm", "npm-", "-1.0.0", "npm-1.0", "npm-x.y.z", "no dash"] {
            assert!(!is_accepted(client), "{client}");
        }
    }
}
