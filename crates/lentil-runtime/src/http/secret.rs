use std::fmt;
use std::sync::Arc;

use ::http::{HeaderMap, header};
use aws_lc_rs::constant_time::verify_slices_are_equal;

/// A key that callers must present. It is compared in constant time and never printed.
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    /// The secret with this value.
    ///
    /// # Panics
    /// When it is empty: an empty key would be an open door.
    pub fn new(value: impl Into<String>) -> Secret {
        let value = value.into();
        assert!(!value.is_empty(), "a secret is not empty");
        Secret(value.into())
    }

    /// Whether `presented` is the secret. How long the answer takes tells nothing but the lengths.
    pub fn matches(&self, presented: &[u8]) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), presented).is_ok()
    }

    /// Whether the request carries `Authorization: Bearer` with this secret, once; the scheme in any case (RFC 9110).
    pub fn authorizes(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => {
                bearer(value.as_bytes()).is_some_and(|token| self.matches(token))
            }
            _ => false,
        }
    }

    /// The secret itself, to be handed on to another service.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// The token of `Bearer <token>`, with one or more spaces between.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer";
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    let token = rest.trim_ascii_start();
    let is_bearer =
        scheme.eq_ignore_ascii_case(SCHEME) && token.len() < rest.len() && !token.is_empty();
    is_bearer.then(|| token.trim_ascii_end())
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authorizes(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        Secret::new("key").authorizes(&headers)
    }

    #[test]
    fn the_scheme_is_of_any_case_and_the_key_is_not() {
        assert!(
            authorizes(&["Bearer key"])
                && authorizes(&["bearer key"])
                && authorizes(&["BEARER  key"])
        );
        assert!(!authorizes(&["Bearer Key"]));
    }

    #[test]
    fn what_is_malformed_opens_nothing() {
        for value in [
            "",
            "key",
            "Bearer",
            "Bearer ",
            "Bearerkey",
            "Basic key",
            "Bearer key key",
            "Bearer keys",
            "Bearer undefined",
        ] {
            assert!(!authorizes(&[value]), "{value}");
        }
        assert!(!authorizes(&[]));
        assert!(
            !authorizes(&["Bearer key", "Bearer key"]),
            "two headers are ambiguous"
        );
    }

    #[test]
    fn it_is_never_printed() {
        assert_eq!(format!("{:?}", Secret::new("key")), "Secret(…)");
    }
}
