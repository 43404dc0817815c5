use std::fmt;
use std::sync::OnceLock;

use http::{HeaderMap, HeaderName, HeaderValue};

const HEADER: HeaderName = HeaderName::from_static("convex-request-id");

/// The id under which a request stands in the log: the client's own, if it gave a plain one, else 16 random digits,
/// made when they are first asked for.
pub(crate) struct RequestId {
    given: Option<HeaderValue>,
    text: OnceLock<String>,
}

impl RequestId {
    pub(crate) fn of(headers: &HeaderMap) -> RequestId {
        RequestId {
            given: headers.get(HEADER).cloned(),
            text: OnceLock::new(),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        self.text.get_or_init(|| {
            let given = self
                .given
                .as_ref()
                .and_then(|id| id.to_str().ok())
                .filter(|id| is_plain(id));
            given.map_or_else(random, str::to_owned)
        })
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_plain(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

pub(crate) fn random() -> String {
    data_encoding::HEXLOWER.encode(&rand::random::<u64>().to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_plain_id_is_kept_and_another_is_not() {
        let id = |given: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, given.parse().unwrap());
            RequestId::of(&headers).to_string()
        };
        assert_eq!(id("abc-123"), "abc-123");
        assert_ne!(id("a b"), "a b");
        let made = RequestId::of(&HeaderMap::new());
        assert_eq!(
            (made.as_str().len(), made.as_str()),
            (16, &*made.to_string())
        );
    }
}
