//! A key that decodes is encoded to a key that decodes to the same values.

#![no_main]

use lentil_values::{KeyWriter, Value, decode_key};
use libfuzzer_sys::fuzz_target;

fn encode(values: &[Option<Value>]) -> Vec<u8> {
    let mut key = KeyWriter::new();
    for value in values {
        key.push(value.as_ref());
    }
    key.finish().into_bytes()
}

fuzz_target!(|key: &[u8]| {
    if let Ok(values) = decode_key(key) {
        let encoded = encode(&values);
        let decoded = decode_key(&encoded).expect("an encoded key decodes");
        assert_eq!(encode(&decoded), encoded);
    }
});
