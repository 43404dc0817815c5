use std::fmt;
use std::sync::Arc;

use ::http::{HeaderMap, header};
use aws_lc_rs::constant_time::verify_slices_are_equal;

/// A key that callers must present. It is compared in constant time and never printed.
///
/// ```
/// use lentil::{HeaderMap, Secret};
///
/// let key = Secret::new("s3cret");
/// let mut headers = HeaderMap::new();
/// assert!(!key.authorizes(&headers));
/// headers.insert("authorization", "Bearer s3cret".parse().unwrap());
/// assert!(key.authorizes(&headers));
/// assert_eq!(format!("{key:?}"), "Secret(…)");
/// ```
#[derive(Clone)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Returns a secret with this value.
    ///
    /// # Panics
    /// When the value is empty: everyone knows an empty key.
    pub fn new(value: impl Into<String>) -> Secret {
        let value = value.into();
        assert!(!value.is_empty(), "a secret must not be empty");
        Secret(value.into())
    }

    /// Returns whether `presented` is the secret. The time that it takes depends only on the
    /// lengths.
    pub fn matches(&self, presented: &[u8]) -> bool {
        verify_slices_are_equal(self.0.as_bytes(), presented).is_ok()
    }

    /// Returns whether the headers contain exactly one `Authorization: Bearer` with this secret.
    /// The scheme may be in any case (RFC 9110).
    pub fn authorizes(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => {
                bearer(value.as_bytes()).is_some_and(|token| self.matches(token))
            }
            _ => false,
        }
    }

    /// Returns the value, to be sent to another service.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Returns the token of `Bearer <token>`. There may be several spaces between.
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
    fn the_scheme_ignores_case_and_the_key_does_not() {
        assert!(
            authorizes(&["Bearer key"])
                && authorizes(&["bearer key"])
                && authorizes(&["BEARER  key"])
        );
        assert!(!authorizes(&["Bearer Key"]));
    }

    #[test]
    fn a_malformed_header_does_not_authorize() {
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
    fn debug_does_not_print_the_value() {
        assert_eq!(format!("{:?}", Secret::new("key")), "Secret(…)");
    }
}
