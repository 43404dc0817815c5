//! Estimates of how much memory values hold, for memory budgets.
//!
//! [`Value::size`] counts wire bytes, and an element of `[[],[],…]` is two of those but 32 bytes of memory. These
//! estimates count what the allocator hands out: capacities, not lengths, and the place of each element.

use std::mem::size_of;

use crate::name::FieldName;
use crate::value::{Object, Value};

/// The allocator's own bytes for each allocation, rounding included.
const ALLOCATION_BYTES: usize = 16;
/// The place of an element while a text is parsed: a growing `Vec` doubles, and a message is first a tree of JSON.
const ELEMENT_BYTES: usize = 4 * size_of::<Value>();
/// The place of a field's name during parsing.
const NAME_BYTES: usize = 4 * size_of::<FieldName>();
/// The places that a `Vec` makes for its first element.
const FIRST_PLACES: usize = 4;

/// The memory that an allocation of this many bytes takes.
pub fn allocation(bytes: usize) -> usize {
    if bytes == 0 {
        0
    } else {
        bytes + ALLOCATION_BYTES
    }
}

impl Value {
    /// Estimates the memory that the value holds beside its own place.
    pub fn heap_size(&self) -> usize {
        match self {
            Value::Null | Value::Int64(_) | Value::Float64(_) | Value::Boolean(_) => 0,
            Value::String(text) => allocation(text.capacity()),
            Value::Bytes(bytes) => allocation(bytes.capacity()),
            Value::Array(elements) => {
                let places = elements.capacity() * size_of::<Value>();
                allocation(places) + elements.iter().map(Value::heap_size).sum::<usize>()
            }
            Value::Object(object) => object.heap_size(),
        }
    }
}

impl Object {
    /// Estimates the memory that the object holds beside its own place.
    pub fn heap_size(&self) -> usize {
        let places = self.capacity() * size_of::<(FieldName, Value)>();
        let fields = self
            .iter()
            .map(|(name, value)| allocation(name.allocated()) + value.heap_size());
        allocation(places) + fields.sum::<usize>()
    }
}

/// Estimates the most memory that parsing a JSON text will hold.
///
/// The estimate is cheap and not too low, whatever the text: it counts the bytes of strings and the places of values,
/// and does not check that the text is JSON.
pub fn json_parse_size(text: &[u8]) -> usize {
    let (mut bytes, mut rest) = (ELEMENT_BYTES, text);
    loop {
        let end = memchr::memchr(b'"', rest).unwrap_or(rest.len());
        bytes += places(&rest[..end], rest.get(end).copied());
        let Some(string) = rest.get(end + 1..) else {
            return bytes;
        };
        let length = string_length(string);
        bytes += allocation(length);
        rest = string.get(length + 1..).unwrap_or_default();
    }
}

/// The places of the values in a text without strings; `next` is the byte after it.
fn places(text: &[u8], next: Option<u8>) -> usize {
    let followers = text.iter().skip(1).copied().map(Some).chain([next]);
    let of_byte = |(byte, follower): (&u8, Option<u8>)| match (byte, follower) {
        (b',', _) => ELEMENT_BYTES,
        (b':', _) => NAME_BYTES,
        (b'[', Some(b']')) | (b'{', Some(b'}')) => 0,
        (b'[', _) => allocation(FIRST_PLACES * size_of::<Value>()),
        (b'{', _) => allocation(FIRST_PLACES * size_of::<(FieldName, Value)>()),
        _ => 0,
    };
    text.iter().zip(followers).map(of_byte).sum()
}

/// The bytes of a string up to its closing quote.
fn string_length(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = memchr::memchr2(b'"', b'\\', &text[at..]) {
        at += found;
        if text[at] == b'"' {
            return at;
        }
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
    fn places_count_and_not_wire_bytes() {
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
    fn text_that_is_not_json_is_estimated_too() {
        for text in ["", "\"", "\"\\", "\"a\\", "[\"", "\"\\\"", "\"a\"\""] {
            json_parse_size(text.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn the_estimate_before_parsing_is_not_below_the_one_after(value in any_value()) {
            let text = value.to_json(JsonForm::Encoded);
            let parsed = Value::parse_json(text.as_bytes()).unwrap();
            prop_assert!(json_parse_size(text.as_bytes()) >= parsed.heap_size());
        }
    }
}
