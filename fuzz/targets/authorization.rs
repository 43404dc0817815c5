//! An `Authorization` header parses or fails without a panic.

#![no_main]

use lentil_protocol::Authorization;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &str| {
    let _ = Authorization::parse(header);
    let _ = Authorization::split_acting_as(header);
    let _ = Authorization::strip_kind(header);
});
