use lentil_protocol::sync::ClientEvent;
use parking_lot::Mutex;

/// The measurements that clients have reported since the start: the count and the last values of
/// each kind.
///
/// Clients choose these values, so no behaviour depends on them.
#[derive(Default)]
pub(crate) struct ClientEvents(Mutex<EventTotals>);

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct EventTotals {
    connected: u64,
    last_first_message_ms: Option<f64>,
    transitions: u64,
    last_transit_ms: f64,
    last_transition_bytes: f64,
    reconnected: u64,
    last_saved_ms: f64,
    long_disconnects: u64,
    other: u64,
}

impl ClientEvents {
    /// Counts an event and logs it at the level `debug`.
    pub(crate) fn record(&self, event: ClientEvent) {
        let totals = self.0.lock().add(event);
        tracing::debug!(?event, ?totals, "a client reported a measurement");
    }
}

impl EventTotals {
    fn add(&mut self, event: ClientEvent) -> EventTotals {
        match event {
            ClientEvent::Connected { first_message_ms } => {
                self.connected += 1;
                self.last_first_message_ms = first_message_ms;
            }
            ClientEvent::ReceivedTransition { transit_ms, bytes } => {
                self.transitions += 1;
                self.last_transit_ms = transit_ms;
                self.last_transition_bytes = bytes;
            }
            ClientEvent::Reconnected { saved_ms } => {
                self.reconnected += 1;
                self.last_saved_ms = saved_ms;
            }
            ClientEvent::LongDisconnect => self.long_disconnects += 1,
            ClientEvent::Other => self.other += 1,
        }
        *self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_with_their_last_values() {
        let events = ClientEvents::default();
        let transition = |transit_ms, bytes| ClientEvent::ReceivedTransition { transit_ms, bytes };
        events.record(transition(1.0, 2.0));
        events.record(transition(3.0, 4.0));
        events.record(ClientEvent::Reconnected { saved_ms: 5.0 });
        let first_message_ms = Some(6.0);
        events.record(ClientEvent::Connected { first_message_ms });
        events.record(ClientEvent::LongDisconnect);
        events.record(ClientEvent::Other);
        let expected = EventTotals {
            connected: 1,
            last_first_message_ms: Some(6.0),
            transitions: 2,
            last_transit_ms: 3.0,
            last_transition_bytes: 4.0,
            reconnected: 1,
            last_saved_ms: 5.0,
            long_disconnects: 1,
            other: 1,
        };
        assert_eq!(*events.0.lock(), expected);
    }
}
