use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::special::Special;
use crate::limits::MAX_NESTING;
use crate::name::FieldName;
use crate::path::ValuePath;
use crate::value::{Object, Value};

/// A JSON text is not a value. Prints as ``` `a.b`: the reason ```.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{reason}", path.prefix())]
pub struct JsonError {
    path: ValuePath,
    reason: String,
}

impl JsonError {
    /// Returns the path to the malformed field or element, or the root if the text as a whole is
    /// malformed.
    pub fn path(&self) -> &ValuePath {
        &self.path
    }

    /// Returns the reason.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl Value {
    /// Parses the encoded form. A plain number is always a float. If keys repeat, the last one is
    /// kept, as in JavaScript.
    ///
    /// # Errors
    /// Returns an error with the path if the text is not UTF-8 or not JSON, or contains a lone
    /// surrogate, an invalid field name, a malformed `$`-object, a number outside the range of a
    /// double, or more than 64 nested levels.
    pub fn parse_json(text: &[u8]) -> Result<Value, JsonError> {
        // Checked UTF-8 parses faster. Other bytes are parsed too, so that the error contains the
        // path.
        match std::str::from_utf8(text) {
            Ok(text) => parse(serde_json::Deserializer::from_str(text)),
            Err(_) => parse(serde_json::Deserializer::from_slice(text)),
        }
    }

    /// Converts the encoded form from a JSON tree.
    ///
    /// # Errors
    /// Returns the same errors as [`Value::parse_json`].
    pub fn from_json(json: serde_json::Value) -> Result<Value, JsonError> {
        let mut path = ValuePath::root();
        let parsed = Seed {
            path: &mut path,
            depth: 0,
        }
        .deserialize(json);
        parsed.map_err(|error| JsonError {
            path,
            reason: reason(&error),
        })
    }
}

fn parse<'t, R: serde_json::de::Read<'t>>(
    mut deserializer: serde_json::Deserializer<R>,
) -> Result<Value, JsonError> {
    let mut path = ValuePath::root();
    let parsed = Seed {
        path: &mut path,
        depth: 0,
    }
    .deserialize(&mut deserializer);
    let parsed = parsed.and_then(|value| deserializer.end().map(|()| value));
    parsed.map_err(|error| JsonError {
        path,
        reason: reason(&error),
    })
}

/// Translates an error of the JSON parser. The parser has no error codes, so that tests pin its
/// words.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let message = text.strip_suffix(&place).unwrap_or(&text);
    // Errors of `Seed` are data errors. Their path locates them better than a line and a column.
    if error.is_data() {
        return message.to_owned();
    }
    match message {
        "lone leading surrogate in hex escape" | "unexpected end of hex escape" => {
            format!("a lone surrogate, which is not a character,{place}")
        }
        "invalid unicode code point" => format!("not UTF-8{place}"),
        "number out of range" => format!("a number too large for a double{place}"),
        _ => format!("not JSON: {text}"),
    }
}

/// Parses one value.
///
/// An error builds the path step by step on its way out, so that a valid value costs no path.
struct Seed<'p> {
    path: &'p mut ValuePath,
    depth: usize,
}

impl Seed<'_> {
    fn inner(&mut self) -> Seed<'_> {
        Seed {
            path: self.path,
            depth: self.depth + 1,
        }
    }

    fn failed_in(&mut self, outward: impl FnOnce(ValuePath) -> ValuePath) {
        *self.path = outward(std::mem::take(self.path));
    }

    fn check_depth<E: serde::de::Error>(&self) -> Result<(), E> {
        // serde_json's own limit of 128 levels comes later, and its error would have no path.
        if self.depth < MAX_NESTING {
            Ok(())
        } else {
            Err(E::custom(format!(
                "nested more than {MAX_NESTING} levels deep"
            )))
        }
    }
}

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

    fn visit_bool<E>(self, boolean: bool) -> Result<Value, E> {
        Ok(Value::Boolean(boolean))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        // JavaScript's numbers are doubles. A 64-bit integer arrives as `$integer`.
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

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        let mut array = Vec::new();
        loop {
            match elements.next_element_seed(self.inner()) {
                Ok(Some(element)) => array.push(element),
                Ok(None) => return Ok(Value::Array(array)),
                Err(error) => {
                    self.failed_in(|path| path.in_element(array.len()));
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Value, A::Error> {
        self.check_depth()?;
        let mut object = Object::new();
        while let Some(key) = entries.next_key::<String>()? {
            // Only the first key can make the object a special value. A later `$`-key is an invalid
            // field name.
            if let Some(special) = Special::of(&key).filter(|_| object.is_empty()) {
                return special.rest_of(entries);
            }
            let name = FieldName::new(key).map_err(A::Error::custom)?;
            match entries.next_value_seed(self.inner()) {
                Ok(value) => object.push(name, value),
                Err(error) => {
                    self.failed_in(|path| path.in_field(name.as_str()));
                    return Err(error);
                }
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::JsonForm;
    use crate::test_values::{any_value, object};

    fn parse(text: &str) -> Result<Value, JsonError> {
        Value::parse_json(text.as_bytes())
    }

    fn error(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_plain_number_is_a_float() {
        for (text, number) in [
            ("1", 1.0),
            ("-5", -5.0),
            ("1e3", 1000.0),
            ("9007199254740993", 9007199254740992.0),
        ] {
            assert_eq!(parse(text), Ok(Value::Float64(number)));
        }
        assert_eq!(parse("-0"), Ok(Value::Float64(-0.0)));
        assert_eq!(
            parse("123456789012345678901234567890"),
            Ok(Value::Float64(1.2345678901234568e29))
        );
        assert_eq!(
            parse("2.2250738585072011e-308"),
            Ok(Value::Float64(2.225_073_858_507_201e-308))
        );
    }

    #[test]
    fn the_last_of_repeated_keys_is_kept() {
        assert_eq!(
            parse(r#"{"a":1,"b":2,"a":3}"#)
                .unwrap()
                .as_object()
                .unwrap()
                .get("a"),
            Some(&Value::Float64(3.0))
        );
    }

    #[test]
    fn zero_is_accepted_as_a_special_float() {
        assert_eq!(
            parse(r#"{"$float":"AAAAAAAAAAA="}"#),
            Ok(Value::Float64(0.0))
        );
    }

    #[test]
    fn an_error_contains_the_path_and_the_reason() {
        assert_eq!(
            error(r#"{"a":{"idea":"\ud800"}}"#),
            "`a.idea`: a lone surrogate, which is not a character, at line 1 column 21"
        );
        assert!(error(r#"{"idea":"\ud800 x"}"#).starts_with("`idea`: a lone surrogate"));
        assert!(error(r#"{"idea":"\udc00"}"#).starts_with("`idea`: a lone surrogate"));
        assert!(
            error(r#"{"list":[1,{"$bytes":"x"}]}"#).starts_with("`list[1]`: malformed `$bytes`")
        );
        assert!(error(r#"{"n":1e400}"#).starts_with("`n`: a number too large"));
        assert!(error(r#"{"é":1}"#).contains("printable ASCII"));
        assert!(error(r#"{"$set":[]}"#).contains("begins with `$`"));
        assert!(error(r#"{"$integer":"BQAAAAAAAAA=","a":1}"#).contains("only field"));
        assert!(error(r#"{"a":1,"$integer":"BQAAAAAAAAA="}"#).contains("begins with `$`"));
        assert!(error(r#"{"$integer":"BQAA"}"#).contains("eight little-endian bytes"));
        assert!(
            error(r#"{"$float":"AAAAAAAA8D8="}"#).contains("write other numbers as JSON numbers")
        );
        assert!(error("{} x").starts_with("not JSON: trailing characters"));
        assert!(error("").starts_with("not JSON: EOF"));
        assert!(error("NaN").starts_with("not JSON"));
        assert!(
            error(r#"{"a":{"$integer":5}}"#)
                .starts_with("`a`: invalid type: integer `5`, expected base64 text in `$integer`")
        );
        assert!(error(r#"{" at line é":1}"#).contains(" at line é"));
        assert!(error(r#"{"a":"surrogate"#).starts_with("`a`: not JSON: EOF"));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_rejected_with_the_path() {
        let error = |bytes: &[u8]| Value::parse_json(bytes).unwrap_err().to_string();
        assert_eq!(
            error(b"{\"a\":[1,\"\xff\"]}"),
            "`a[1]`: not UTF-8 at line 1 column 10"
        );
        assert!(error(b"{\"\xff\":1}").starts_with("not UTF-8"));
        assert!(error(b"\xff").starts_with("not JSON"));
        assert!(error(b"{} \xff").starts_with("not JSON"));
    }

    #[test]
    fn nesting_is_limited_before_the_stack_overflows() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(&nested(MAX_NESTING)).is_ok());
        assert!(error(&nested(MAX_NESTING + 1)).contains("nested more than 64 levels deep"));
        assert!(error(&"[".repeat(100_000)).contains("nested more than 64 levels deep"));
        assert!(error(&r#"{"a":"#.repeat(100_000)).contains("nested more than 64 levels deep"));
        let tree = |levels: usize| {
            (0..levels).fold(serde_json::json!(1), |inner, _| serde_json::json!([inner]))
        };
        assert!(Value::from_json(tree(MAX_NESTING)).is_ok());
        assert!(
            Value::from_json(tree(MAX_NESTING + 1))
                .unwrap_err()
                .reason()
                .starts_with("nested more")
        );
    }

    #[test]
    fn a_json_tree_converts_as_its_text_parses() {
        let text = r#"{"a":[1,{"$integer":"BQAAAAAAAAA="}],"b":null}"#;
        let tree = serde_json::from_str(text).unwrap();
        assert_eq!(Value::from_json(tree), parse(text));
        let expected = object(&[
            (
                "a",
                Value::Array(vec![Value::Float64(1.0), Value::Int64(5)]),
            ),
            ("b", Value::Null),
        ]);
        assert_eq!(parse(text), Ok(expected));
    }

    proptest! {
        #[test]
        fn the_encoded_form_is_lossless(value in any_value()) {
            prop_assert_eq!(parse(&value.to_json(JsonForm::Encoded)), Ok(value));
        }

        #[test]
        fn every_form_is_valid_json(value in any_value()) {
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
