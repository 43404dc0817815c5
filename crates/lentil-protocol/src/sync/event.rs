use serde_json::Value as Json;

/// A measurement that a client reports about its connection.
///
/// Official clients send one after a reconnect, and more with the option `reportDebugInfoToConvex`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ClientEvent {
    /// `ClientConnect`: the client has received its first message.
    Connected {
        /// The milliseconds from the construction of the client to its first message, if the client
        /// reported both.
        first_message_ms: Option<f64>,
    },
    /// `ClientReceivedTransition`: the client has received a large transition.
    ReceivedTransition {
        /// The milliseconds from sending to receiving.
        transit_ms: f64,
        /// The length of the message in bytes.
        bytes: f64,
    },
    /// `NetworkRecoveryReconnect`: the client reconnected at once when its network came back.
    Reconnected {
        /// The milliseconds of waiting that were saved.
        saved_ms: f64,
    },
    /// `POST /api/debug_event`: a request has waited for a connection for more than a minute.
    LongDisconnect,
    /// An event of another type, or with a body of another shape. The protocol lets clients send
    /// any.
    Other,
}

impl ClientEvent {
    /// Parses the body of an event. A body of an unknown shape is [`ClientEvent::Other`].
    pub(super) fn read(event_type: &str, body: &Json) -> ClientEvent {
        let number = |name: &str| body.get(name).and_then(Json::as_f64);
        let event = match event_type {
            "ClientConnect" => body.as_array().map(|marks| ClientEvent::Connected {
                first_message_ms: between(marks, "clientConstructed", "firstMessageReceived"),
            }),
            "ClientReceivedTransition" => number("transitionTransitTime")
                .zip(number("messageLength"))
                .map(|(transit_ms, bytes)| ClientEvent::ReceivedTransition { transit_ms, bytes }),
            "NetworkRecoveryReconnect" => {
                number("timeSavedMs").map(|saved_ms| ClientEvent::Reconnected { saved_ms })
            }
            _ => None,
        };
        // An event is only a measurement, so that a malformed one does not end the connection.
        event.unwrap_or(ClientEvent::Other)
    }
}

/// Returns the milliseconds between two marks.
fn between(marks: &[Json], from: &str, to: &str) -> Option<f64> {
    let at = |name: &str| {
        let mark = marks.iter().find(|mark| mark["name"] == name)?;
        mark["startTime"].as_f64()
    };
    Some(at(to)? - at(from)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_of_the_official_client_are_parsed() {
        let marks = json!([
            {"name": "clientConstructed", "startTime": 100.5},
            {"name": "webSocketOpen", "startTime": 130},
            {"name": "firstMessageReceived", "startTime": 150.5},
        ]);
        let read = ClientEvent::read;
        let first_message_ms = Some(50.0);
        assert_eq!(
            read("ClientConnect", &marks),
            ClientEvent::Connected { first_message_ms }
        );
        let first_message_ms = None;
        assert_eq!(
            read("ClientConnect", &json!([])),
            ClientEvent::Connected { first_message_ms }
        );
        let transition = json!({"transitionTransitTime": 21_000.5, "messageLength": 30_000_000});
        assert_eq!(
            read("ClientReceivedTransition", &transition),
            ClientEvent::ReceivedTransition {
                transit_ms: 21_000.5,
                bytes: 3e7
            }
        );
        assert_eq!(
            read("NetworkRecoveryReconnect", &json!({"timeSavedMs": 5})),
            ClientEvent::Reconnected { saved_ms: 5.0 }
        );
    }

    #[test]
    fn malformed_bodies_are_other_events() {
        for event_type in [
            "ClientConnect",
            "ClientReceivedTransition",
            "NetworkRecoveryReconnect",
            "Lost",
        ] {
            for body in [
                json!(null),
                json!({"timeSavedMs": "5"}),
                json!(5),
                json!(""),
            ] {
                assert_eq!(ClientEvent::read(event_type, &body), ClientEvent::Other);
            }
        }
    }
}
