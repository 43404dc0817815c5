//! A validator prints as JSON that parses to the same validator, and checks any value.
//!
//! The first line of the input is the validator, the rest is the value.

#![no_main]

use lentil_values::{Validator, Value};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (validator, value) = text.split_once('\n').unwrap_or((text, "null"));
    let Ok(json) = serde_json::from_str(validator) else {
        return;
    };
    let Ok(validator) = Validator::from_json(&json) else {
        return;
    };
    assert_eq!(
        Validator::from_json(&validator.to_json()),
        Ok(validator.clone())
    );
    if let Ok(value) = Value::parse_json(value.as_bytes()) {
        // Only a panic is a failure.
        let _ = validator.validate(&value, &());
    }
});
