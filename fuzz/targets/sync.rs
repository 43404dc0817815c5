//! A message of the sync WebSocket parses or fails without a panic.

#![no_main]

use lentil_protocol::sync::ClientMessage;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = ClientMessage::parse(text);
});
