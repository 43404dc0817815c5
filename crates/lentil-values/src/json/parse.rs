use std::fmt;

use data_encoding::BASE64;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::{FieldName, MAX_NESTING, Object, Value, ValuePath};

/// JSON that is no value: where, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", place(path))]
pub struct JsonError {
    path: ValuePath,
    reason: String,
}

impl JsonError {
    /// The field or element that is wrong; the root when the text as a whole is.
    pub fn path(&self) -> &ValuePath {
        &self.path
    }

    /// What is wrong with it.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

fn place(path: &ValuePath) -> String {
    if path.is_root() { String::new() } else { format!("`{path}`: ") }
}

impl Value {
    /// Reads the encoded form. A bare number is always a float; of equal keys the last counts, as in JavaScript.
    ///
    /// # Errors
    /// When the text is not UTF-8 or not JSON, or holds a lone surrogate, a field name that is none, a malformed
    /// `$`-object, a number no double can hold, or more than 64 levels. The error names the field.
    pub fn parse_json(text: &[u8]) -> Result<Value, JsonError> {
        let text = std::str::from_utf8(text).map_err(|error| JsonError {
            path: ValuePath::root(),
            reason: format!("not UTF-8: the byte at {} belongs to no character", error.valid_up_to()),
        })?;
        let mut path = ValuePath::root();
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let parsed = Seed(&mut path).deserialize(&mut deserializer);
        // What failed inside leaves the path where it was; what follows the value is nobody's field.
        let parsed = parsed.and_then(|value| deserializer.end().map(|()| value));
        parsed.map_err(|error| JsonError { path, reason: reason(&error) })
    }

    /// Reads the encoded form from a JSON tree.
    ///
    /// # Errors
    /// As [`Value::parse_json`].
    pub fn from_json(json: serde_json::Value) -> Result<Value, JsonError> {
        let mut path = ValuePath::root();
        let parsed = Seed(&mut path).deserialize(json);
        parsed.map_err(|error| JsonError { path, reason: reason(&error) })
    }
}

/// The parser's words where they are plain, ours where they are not.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = || format!("line {} column {}", error.line(), error.column());
    if text.contains("surrogate") || text.contains("unexpected end of hex escape") {
        format!("a lone surrogate, which is no character, at {}", place())
    } else if text.starts_with("number out of range") {
        format!("a number too large for a double at {}", place())
    } else if text.starts_with("recursion limit") {
        too_deep()
    } else if error.is_data() {
        text.split(" at line ").next().unwrap_or_default().to_owned()
    } else {
        format!("not JSON: {text}")
    }
}

fn too_deep() -> String {
    format!("nested more than {MAX_NESTING} levels deep")
}

/// Reads one value, keeping track of where it is.
struct Seed<'p>(&'p mut ValuePath);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Boolean(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Float64(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Float64(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float64(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        check_depth(self.0)?;
        let mut array = Vec::new();
        loop {
            self.0.push_element(array.len());
            match elements.next_element_seed(Seed(self.0))? {
                Some(element) => array.push(element),
                None => break,
            }
            self.0.pop();
        }
        self.0.pop();
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        check_depth(self.0)?;
        let mut fields = Vec::new();
        while let Some(key) = entries.next_key::<String>()? {
            if key.starts_with('$') {
                return special(&key, entries, fields.is_empty());
            }
            self.0.push_field(&key);
            let name = FieldName::new(key).map_err(A::Error::custom)?;
            fields.push((name, entries.next_value_seed(Seed(self.0))?));
            self.0.pop();
        }
        Ok(Value::Object(Object::from_iter(fields)))
    }
}

fn check_depth<E: serde::de::Error>(path: &ValuePath) -> Result<(), E> {
    if path.depth() < MAX_NESTING { Ok(()) } else { Err(E::custom(too_deep())) }
}

/// Reads the rest of a `$`-object, whose key must be its only one.
fn special<'de, A: MapAccess<'de>>(key: &str, mut entries: A, is_first: bool) -> Result<Value, A::Error> {
    if !is_first || !matches!(key, "$integer" | "$float" | "$bytes") {
        return Err(A::Error::custom(format!("the field name {key:?} begins with `$`, which is reserved")));
    }
    let text: String = entries.next_value()?;
    if entries.next_key::<serde::de::IgnoredAny>()?.is_some() {
        return Err(A::Error::custom(format!("{key:?} must be its object's only field")));
    }
    let malformed = || A::Error::custom(format!("malformed {key:?}: {}", expected_of(key)));
    let bytes = BASE64.decode(text.as_bytes()).map_err(|_| malformed())?;
    if key == "$bytes" {
        return Ok(Value::Bytes(bytes));
    }
    let bytes: [u8; 8] = bytes.try_into().map_err(|_| malformed())?;
    if key == "$integer" {
        return Ok(Value::Int64(i64::from_le_bytes(bytes)));
    }
    let number = f64::from_le_bytes(bytes);
    let is_plain = number.is_finite() && number != 0.0;
    if is_plain { Err(malformed()) } else { Ok(Value::Float64(number)) }
}

fn expected_of(key: &str) -> &'static str {
    match key {
        "$bytes" => "expected base64 with padding",
        "$integer" => "expected eight little-endian bytes in base64",
        _ => "expected eight little-endian bytes in base64, of NaN, an infinity or -0; write other numbers as numbers",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::JsonForm;
    use crate::value::tests::{any_value, object};

    fn parse(text: &str) -> Result<Value, JsonError> {
        Value::parse_json(text.as_bytes())
    }

    fn refusal(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_bare_number_is_a_float() {
        for (text, number) in [("1", 1.0), ("-5", -5.0), ("1e3", 1000.0), ("9007199254740993", 9007199254740992.0)] {
            assert_eq!(parse(text), Ok(Value::Float64(number)));
        }
        assert_eq!(parse("-0"), Ok(Value::Float64(-0.0)));
        assert_eq!(parse("123456789012345678901234567890"), Ok(Value::Float64(1.2345678901234568e29)));
        assert_eq!(parse("2.2250738585072011e-308"), Ok(Value::Float64(2.225_073_858_507_201e-308)));
    }

    #[test]
    fn of_equal_keys_the_last_counts() {
        assert_eq!(parse(r#"{"a":1,"b":2,"a":3}"#).unwrap().as_object().unwrap().get("a"), Some(&Value::Float64(3.0)));
    }

    #[test]
    fn zero_may_stand_in_a_float_object() {
        assert_eq!(parse(r#"{"$float":"AAAAAAAAAAA="}"#), Ok(Value::Float64(0.0)));
    }

    #[test]
    fn an_error_names_the_field_and_what_is_wrong() {
        assert!(
            refusal(r#"{"a":{"idea":"\ud800"}}"#).starts_with("`a.idea`: a lone surrogate"),
            "{}",
            refusal(r#"{"a":{"idea":"\ud800"}}"#)
        );
        assert!(refusal(r#"{"idea":"\ud800 x"}"#).starts_with("`idea`: a lone surrogate"));
        assert!(refusal(r#"{"idea":"\udc00"}"#).starts_with("`idea`: a lone surrogate"));
        assert!(refusal(r#"{"list":[1,{"$bytes":"x"}]}"#).starts_with("`list[1]`: malformed \"$bytes\""));
        assert!(refusal(r#"{"n":1e400}"#).starts_with("`n`: a number too large"));
        assert!(refusal(r#"{"é":1}"#).contains("printable ASCII"));
        assert!(refusal(r#"{"$set":[]}"#).contains("begins with `$`"));
        assert!(refusal(r#"{"$integer":"BQAAAAAAAAA=","a":1}"#).contains("only field"));
        assert!(refusal(r#"{"a":1,"$integer":"BQAAAAAAAAA="}"#).contains("begins with `$`"));
        assert!(refusal(r#"{"$integer":"BQAA"}"#).contains("eight little-endian bytes"));
        assert!(refusal(r#"{"$float":"AAAAAAAA8D8="}"#).contains("write other numbers as numbers"));
        assert!(refusal("{} x").starts_with("not JSON: trailing characters"));
        assert!(refusal("").starts_with("not JSON: EOF"));
        assert!(refusal("NaN").starts_with("not JSON"));
        assert!(Value::parse_json(b"\"\xff\"").unwrap_err().to_string().starts_with("not UTF-8"));
    }

    #[test]
    fn nesting_is_bounded_without_a_deep_stack() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(&nested(MAX_NESTING)).is_ok());
        assert!(refusal(&nested(MAX_NESTING + 1)).contains("nested more than 64 levels deep"));
        assert!(refusal(&"[".repeat(100_000)).contains("nested more than 64 levels deep"));
    }

    #[test]
    fn the_tree_and_the_text_read_alike() {
        let text = r#"{"a":[1,{"$integer":"BQAAAAAAAAA="}],"b":null}"#;
        let tree = serde_json::from_str(text).unwrap();
        assert_eq!(Value::from_json(tree), parse(text));
        let expected = object(&[("a", Value::Array(vec![Value::Float64(1.0), Value::Int64(5)])), ("b", Value::Null)]);
        assert_eq!(parse(text), Ok(expected));
    }

    proptest! {
        #[test]
        fn the_encoded_form_loses_nothing(value in any_value()) {
            prop_assert_eq!(parse(&value.to_json(JsonForm::Encoded)), Ok(value));
        }

        #[test]
        fn every_form_is_json(value in any_value()) {
            for form in [JsonForm::Encoded, JsonForm::Clean, JsonForm::JavaScript] {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&value.to_json(form)).is_ok());
            }
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Value::parse_json(&bytes);
        }

        #[test]
        fn no_mutated_json_panics(value in any_value(), at: prop::sample::Index, byte: u8) {
            let mut text = value.to_json(JsonForm::Encoded).into_bytes();
            let at = at.index(text.len());
            text[at] = byte;
            if let Ok(value) = Value::parse_json(&text) {
                prop_assert_eq!(parse(&value.to_json(JsonForm::Encoded)), Ok(value));
            }
        }
    }
}
