use std::time::Duration;

use http::HeaderMap;
use lentil_runtime::memory::{Account, Charge};

use crate::service::Service;

/// Estimated bytes of a header beside its text.
const HEADER_BYTES: usize = 128;
/// The time that an evicted client has to read the response that reports the eviction.
const LAST_RESPONSE_TIMEOUT: Duration = Duration::from_millis(100);

/// Opens a connection's account, and charges the connection's own memory to the process.
pub(super) fn open_account(service: &Service, bytes: usize) -> (Account, Charge) {
    let memory = service.server().runtime.memory();
    (memory.client(), memory.charge(bytes))
}

/// Estimates the memory that headers take.
pub(super) fn head_size(headers: &HeaderMap) -> usize {
    let mut size = 0;
    for (name, value) in headers {
        size += HEADER_BYTES + name.as_str().len() + value.len();
    }
    size
}

/// Returns when the connection must end because its client holds too much memory. By then a
/// response that reports the eviction has been started.
pub(super) async fn evicted(account: &Account) {
    account.evicted().await;
    tokio::time::sleep(LAST_RESPONSE_TIMEOUT).await;
}
