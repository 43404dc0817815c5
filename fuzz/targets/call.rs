//! The body of a call, or of a batch of queries, parses or fails without a panic.

#![no_main]

use lentil_protocol::{Batch, FunctionRequest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let _ = FunctionRequest::parse(body);
    let _ = Batch::parse(body);
});
