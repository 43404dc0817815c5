use std::fmt;
use std::sync::Arc;

/// The longest request id that a client may choose.
const MAX_CLIENT_ID_BYTES: usize = 64;

/// The id of one request. It is the same in the response, in the log, in the trace and in
/// `npx convex logs`.
///
/// The client chooses it, or it is 16 hexadecimal digits. All calls that a request causes share it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Repr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    // Most requests have such an id. A number needs no allocation.
    Made(u64),
    Given(Arc<str>),
}

impl RequestId {
    /// Returns the id that the server makes of a random number.
    pub fn made(random: u64) -> RequestId {
        RequestId(Repr::Made(random))
    }

    /// Returns the id that a client chose; `None` unless it is 1 to 64 ASCII letters, digits, `-`
    /// or `_`.
    ///
    /// Other characters could forge a line of the log, and a longer text could fill it.
    pub fn given(text: &str) -> Option<RequestId> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let is_id = (1..=MAX_CLIENT_ID_BYTES).contains(&text.len()) && text.bytes().all(is_plain);
        is_id.then(|| RequestId(Repr::Given(text.into())))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Made(number) => write!(f, "{number:016x}"),
            Repr::Given(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_plain_ids_are_accepted_from_clients() {
        let given = |text: &str| RequestId::given(text).map(|id| id.to_string());
        assert_eq!(given("abc-123_X").as_deref(), Some("abc-123_X"));
        assert_eq!(given(&"a".repeat(64)), Some("a".repeat(64)));
        for text in ["", "a b", "a\nERROR forged", "é", "\"", &"a".repeat(65)] {
            assert_eq!(given(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_id_of_the_server_has_sixteen_digits() {
        assert_eq!(RequestId::made(255).to_string(), "00000000000000ff");
    }
}
