//! A value that is parsed from JSON prints as JSON that parses to the same value.

#![no_main]

use lentil_values::{JsonForm, Value};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if let Ok(value) = Value::parse_json(text) {
        let printed = value.to_json(JsonForm::Encoded);
        let parsed = Value::parse_json(printed.as_bytes()).expect("printed JSON parses");
        assert_eq!(parsed.to_json(JsonForm::Encoded), printed);
    }
});
