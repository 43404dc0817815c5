use http::HeaderMap;

/// The id under which a request stands in the log: the client's own, if it gave a plain one, else 16 random digits.
pub(crate) fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get("convex-request-id").and_then(|id| id.to_str().ok()).filter(|id| is_plain(id));
    given.map_or_else(random, str::to_owned)
}

fn is_plain(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
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
            headers.insert("convex-request-id", given.parse().unwrap());
            request_id(&headers)
        };
        assert_eq!(id("abc-123"), "abc-123");
        assert_ne!(id("a b"), "a b");
        assert_eq!(request_id(&HeaderMap::new()).len(), 16);
    }
}
