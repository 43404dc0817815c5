//! Estimates of the memory of values, for memory budgets.
//!
//! [`Value::size`] counts wire bytes: an element of `[[],[],…]` has two of them, but 32 bytes of
//! memory. The estimates here count allocated bytes: capacities instead of lengths, and the slot of
//! each element.

use std::mem::size_of;

use crate::name::FieldName;
use crate::value::{Object, Value};

/// The overhead of an allocation, including rounding.
const ALLOCATION_OVERHEAD: usize = 16;
/// The memory of an element during parsing: a growing `Vec` doubles, and a message is first parsed
/// into a JSON tree.
const ELEMENT_BYTES: usize = 4 * size_of::<Value>();
/// The memory of a field's name during parsing.
const NAME_BYTES: usize = 4 * size_of::<FieldName>();
/// The capacity of a `Vec` after its first element was added.
const FIRST_CAPACITY: usize = 4;

/// Returns the memory of an allocation of this many bytes.
pub fn allocation(bytes: usize) -> usize {
    // `Vec` and `String` do not allocate while their capacity is 0.
    if bytes == 0 {
        0
    } else {
        bytes + ALLOCATION_OVERHEAD
    }
}

impl Value {
    /// Estimates the memory that the value has allocated.
    pub fn heap_size(&self) -> usize {
        match self {
            Value::Null | Value::Int64(_) | Value::Float64(_) | Value::Boolean(_) => 0,
            Value::String(text) => allocation(text.capacity()),
            Value::Bytes(bytes) => allocation(bytes.capacity()),
            Value::Array(elements) => {
                let slots = elements.capacity() * size_of::<Value>();
                allocation(slots) + elements.iter().map(Value::heap_size).sum::<usize>()
            }
            Value::Object(object) => object.heap_size(),
        }
    }
}

impl Object {
    /// Estimates the memory that the object has allocated.
    pub fn heap_size(&self) -> usize {
        let slots = self.capacity() * size_of::<(FieldName, Value)>();
        let fields = self
            .iter()
            .map(|(name, value)| allocation(name.allocated()) + value.heap_size());
        allocation(slots) + fields.sum::<usize>()
    }
}

/// Returns an upper bound of the memory that parsing a JSON text allocates.
///
/// It is cheap: it counts the bytes of strings and the slots of values, and does not check that the
/// text is JSON.
pub fn json_parse_size(text: &[u8]) -> usize {
    // The outermost value: no comma or bracket precedes it.
    let mut bytes = ELEMENT_BYTES;
    let mut rest = text;
    loop {
        let end = memchr::memchr(b'"', rest).unwrap_or(rest.len());
        bytes += slots(&rest[..end], rest.get(end).copied());
        let Some(string) = rest.get(end + 1..) else {
            return bytes;
        };
        let length = string_length(string);
        bytes += allocation(length);
        // An unterminated string has no closing quote to skip.
        rest = string.get(length + 1..).unwrap_or_default();
    }
}

/// Returns the memory of the values in a text without strings. `next` is the byte after the text.
fn slots(text: &[u8], next: Option<u8>) -> usize {
    let followers = text.iter().skip(1).copied().map(Some).chain([next]);
    let bytes = text
        .iter()
        .zip(followers)
        .map(|(byte, follower)| match (byte, follower) {
            (b',', _) => ELEMENT_BYTES,
            (b':', _) => NAME_BYTES,
            // An empty `Vec` allocates nothing.
            (b'[', Some(b']')) | (b'{', Some(b'}')) => 0,
            (b'[', _) => allocation(FIRST_CAPACITY * size_of::<Value>()),
            (b'{', _) => allocation(FIRST_CAPACITY * size_of::<(FieldName, Value)>()),
            _ => 0,
        });
    bytes.sum()
}

/// Returns the length of a string up to its closing quote.
fn string_length(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &text[at..]) {
        at += found;
        if text[at] == b'"' {
            return at;
        }
        // The byte after a backslash may be a quote that does not end the string.
        at = (at + 2).min(text.len());
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::JsonForm;
    use crate::test_values::any_value;

    #[test]
    fn slots_are_counted_instead_of_wire_bytes() {
        let value = Value::parse_json(format!("[{}[]]", "[],".repeat(999)).as_bytes()).unwrap();
        assert!(value.size() < 3_000);
        assert!(value.heap_size() >= 1_000 * size_of::<Value>());
        let text = Value::String("x".repeat(1_000_000));
        assert!((1_000_000..1_000_100).contains(&text.heap_size()));
    }

    #[test]
    fn long_strings_are_not_counted_as_values() {
        let text = format!("[\"{}\"]", ",[{\\\"".repeat(200_000));
        let estimate = json_parse_size(text.as_bytes());
        assert!(estimate < text.len() + 1_000, "{estimate}");
    }

    #[test]
    fn malformed_json_does_not_panic() {
        for text in ["", "\"", "\"\\", "\"a\\", "[\"", "\"\\\"", "\"a\"\""] {
            json_parse_size(text.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn the_bound_for_parsing_is_not_below_the_estimate_of_the_value(value in any_value()) {
            let text = value.to_json(JsonForm::Encoded);
            let parsed = Value::parse_json(text.as_bytes()).unwrap();
            prop_assert!(json_parse_size(text.as_bytes()) >= parsed.heap_size());
        }
    }
}
