//! The memory that a connection holds for its client.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use lentil_runtime::memory::{Account, Charge};

use crate::service::Service;

/// Estimated bytes of a header beside its text.
const HEADER_BYTES: usize = 128;
/// The time that an evicted client has to take the response that says so.
const LAST_RESPONSE_TIMEOUT: Duration = Duration::from_millis(100);

/// Opens a connection's account; the connection's own memory is charged to the process.
pub(super) fn open_account(service: &Service, bytes: usize) -> (Account, Charge) {
    let memory = service.server().runtime.memory();
    (memory.client(), memory.charge(bytes))
}

/// Estimates the memory that headers take.
pub(super) fn head_size(headers: &HeaderMap) -> usize {
    let of = |(name, value): (&HeaderName, &HeaderValue)| {
        HEADER_BYTES + name.as_str().len() + value.len()
    };
    headers.iter().map(of).sum()
}

/// Returns when the connection must end because its client holds too much. A response has begun to say so.
pub(super) async fn evicted(account: &Account) {
    account.evicted().await;
    tokio::time::sleep(LAST_RESPONSE_TIMEOUT).await;
}
