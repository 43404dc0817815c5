use std::collections::VecDeque;

use bytes::Bytes;
use lentil_runtime::Timestamp;

/// The number of pending responses above which the server does nothing more for the client.
const MAX_RESPONSES: usize = 256;
/// The bytes of pending responses above which the server does nothing more for the client.
const MAX_RESPONSE_BYTES: usize = 4 << 20;

/// Responses to mutations that wait for a transition.
///
/// Each is sent directly before the first transition that includes its mutation. Some clients
/// assume that the next transition after a response, whatever it contains, shows the mutation.
#[derive(Default)]
pub(super) struct PendingResponses {
    /// With the timestamps of the mutations. The texts have been charged to the client.
    responses: VecDeque<(Timestamp, Bytes)>,
    bytes: usize,
}

impl PendingResponses {
    /// Returns whether the client keeps up with its responses.
    pub(super) fn has_room(&self) -> bool {
        self.responses.len() < MAX_RESPONSES && self.bytes < MAX_RESPONSE_BYTES
    }

    pub(super) fn push(&mut self, timestamp: Timestamp, response: Bytes) {
        self.bytes += response.len();
        self.responses.push_back((timestamp, response));
    }

    /// Takes the next response that a transition to `timestamp` includes.
    pub(super) fn pop_included(&mut self, timestamp: Timestamp) -> Option<Bytes> {
        let (_, response) = self
            .responses
            .pop_front_if(|(committed, _)| *committed <= timestamp)?;
        self.bytes -= response.len();
        Some(response)
    }
}
