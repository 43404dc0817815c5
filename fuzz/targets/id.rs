//! A text that is an id prints as the same text.

#![no_main]

use lentil_values::DocumentId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(id) = text.parse::<DocumentId>() {
        assert_eq!(id.to_string(), text);
    }
});
