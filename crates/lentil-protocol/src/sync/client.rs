use lentil_values::{Excerpt, Object, Uuid};
use serde::Deserialize;
use serde_json::Value as Json;

use super::event::ClientEvent;
use crate::call::read_args;
use crate::error::ProtocolError;
use crate::timestamp::WireTimestamp;

/// A message of a client.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientMessage {
    /// The first message of a connection.
    Connect {
        /// The session. The npm client keeps it when it reconnects. Other clients create one for
        /// each connection.
        session_id: Uuid,
        /// The number of previous connections.
        connection_count: u32,
        /// The reason why the previous connection ended.
        last_close_reason: Option<String>,
        /// The latest timestamp that the client has received.
        max_observed_timestamp: Option<WireTimestamp>,
        /// The client's clock, in milliseconds.
        client_ts: Option<f64>,
    },
    /// Adds and removes queries.
    ModifyQuerySet {
        /// The version before the change.
        base_version: u32,
        /// The version after the change.
        new_version: u32,
        /// The changes.
        changes: Vec<QuerySetChange>,
    },
    /// Calls a mutation.
    Mutation {
        /// The id of the request, unique among a session's mutations and actions.
        request_id: u32,
        /// The path of the function.
        path: String,
        /// The arguments.
        args: Object,
    },
    /// Calls an action.
    Action {
        /// The id of the request, unique among a session's mutations and actions.
        request_id: u32,
        /// The path of the function.
        path: String,
        /// The arguments.
        args: Object,
    },
    /// Changes the identity of queries and calls.
    Authenticate {
        /// The version of the identity before the change.
        base_version: u32,
        /// The token of the new identity.
        token: Token,
    },
    /// Reports a measurement.
    Event(ClientEvent),
}

/// A change of the set of queries.
#[derive(Clone, Debug, PartialEq)]
pub enum QuerySetChange {
    /// Adds a query.
    Add {
        /// The client's id of the query.
        query_id: u32,
        /// The path of the function.
        path: String,
        /// The arguments.
        args: Object,
        /// The journal of the query's last result.
        journal: Option<String>,
    },
    /// Removes a query.
    Remove {
        /// The client's id of the query.
        query_id: u32,
    },
}

/// The identity that a client claims.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// A user, with a JWT.
    User(String),
    /// An administrator, who can act as a user.
    Admin {
        /// The admin key.
        key: String,
        /// The attributes of the user.
        acting_as: Option<Json>,
    },
    /// No identity.
    None,
}

// Unknown fields are ignored, so that newer clients work, too.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
enum Message {
    Connect {
        session_id: String,
        #[serde(default)]
        connection_count: u32,
        last_close_reason: Option<String>,
        max_observed_timestamp: Option<WireTimestamp>,
        client_ts: Option<f64>,
    },
    ModifyQuerySet {
        base_version: u32,
        new_version: u32,
        modifications: Vec<Modification>,
    },
    Mutation(Call),
    Action(Call),
    Authenticate {
        base_version: u32,
        token_type: String,
        value: Option<String>,
        // The npm client calls this `impersonating`.
        #[serde(alias = "impersonating", alias = "acting_as")]
        acting_as: Option<Json>,
    },
    Event {
        #[serde(default)]
        event_type: String,
        #[serde(default)]
        event: Json,
    },
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
enum Modification {
    Add {
        query_id: u32,
        udf_path: String,
        args: Json,
        journal: Option<String>,
        component_path: Option<String>,
    },
    Remove {
        query_id: u32,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call {
    request_id: u32,
    udf_path: String,
    args: Json,
    component_path: Option<String>,
}

impl ClientMessage {
    /// Parses a message.
    ///
    /// # Errors
    /// Returns `WSMessageInvalidJson` if the text is not a message, `InvalidArguments` if arguments
    /// are not values, and `NoSuchComponent` for a component.
    pub fn parse(text: &str) -> Result<ClientMessage, ProtocolError> {
        let invalid = |error: serde_json::Error| {
            ProtocolError::new("WSMessageInvalidJson", error.to_string())
        };
        ClientMessage::from_message(serde_json::from_str(text).map_err(invalid)?)
    }

    fn from_message(message: Message) -> Result<ClientMessage, ProtocolError> {
        Ok(match message {
            Message::Connect {
                session_id,
                connection_count,
                last_close_reason,
                max_observed_timestamp,
                client_ts,
            } => ClientMessage::Connect {
                session_id: session(&session_id)?,
                connection_count,
                last_close_reason,
                max_observed_timestamp,
                client_ts,
            },
            Message::ModifyQuerySet {
                base_version,
                new_version,
                modifications,
            } => {
                let changes = modifications
                    .into_iter()
                    .map(change)
                    .collect::<Result<_, _>>()?;
                ClientMessage::ModifyQuerySet {
                    base_version,
                    new_version,
                    changes,
                }
            }
            Message::Mutation(call) => {
                let (request_id, path, args) = call.read()?;
                ClientMessage::Mutation {
                    request_id,
                    path,
                    args,
                }
            }
            Message::Action(call) => {
                let (request_id, path, args) = call.read()?;
                ClientMessage::Action {
                    request_id,
                    path,
                    args,
                }
            }
            Message::Authenticate {
                base_version,
                token_type,
                value,
                acting_as,
            } => {
                let token = match (token_type.as_str(), value) {
                    // A client that signs out may still send a value.
                    ("None", _) => Token::None,
                    ("User", Some(token)) => Token::User(token),
                    ("Admin", Some(key)) => Token::Admin { key, acting_as },
                    _ => {
                        let message = format!(
                            "`tokenType` must be \"None\", or \"User\" or \"Admin\" with a `value`, got {}",
                            Excerpt(&token_type)
                        );
                        return Err(ProtocolError::new("WSMessageInvalidJson", message));
                    }
                };
                ClientMessage::Authenticate {
                    base_version,
                    token,
                }
            }
            Message::Event { event_type, event } => {
                ClientMessage::Event(ClientEvent::read(&event_type, &event))
            }
        })
    }
}

impl Call {
    fn read(self) -> Result<(u32, String, Object), ProtocolError> {
        no_component(self.component_path.as_deref())?;
        Ok((self.request_id, self.udf_path, read_args(self.args)?))
    }
}

fn change(modification: Modification) -> Result<QuerySetChange, ProtocolError> {
    match modification {
        Modification::Add {
            query_id,
            udf_path,
            args,
            journal,
            component_path,
        } => {
            no_component(component_path.as_deref())?;
            Ok(QuerySetChange::Add {
                query_id,
                path: udf_path,
                args: read_args(args)?,
                journal,
            })
        }
        Modification::Remove { query_id } => Ok(QuerySetChange::Remove { query_id }),
    }
}

fn session(id: &str) -> Result<Uuid, ProtocolError> {
    id.parse().map_err(|error| {
        ProtocolError::new("WSMessageInvalidJson", format!("`sessionId`: {error}"))
    })
}

fn no_component(path: Option<&str>) -> Result<(), ProtocolError> {
    match path {
        // The official clients send an empty path for functions outside components.
        None | Some("") => Ok(()),
        Some(path) => Err(ProtocolError::new(
            "NoSuchComponent",
            format!(
                "there are no components here, got {}; leave `componentPath` out",
                Excerpt(path)
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use lentil_values::Value;
    use proptest::prelude::*;

    use super::*;

    /// Messages recorded from the official clients.
    const RECORDED: [&str; 10] = [
        r#"{"type":"Connect","sessionId":"67e55044-10b1-426f-9247-bb680e5fe0c8","connectionCount":0,"lastCloseReason":"InitialConnect","clientTs":1795383778323}"#,
        r#"{"connectionCount":1,"lastCloseReason":null,"maxObservedTimestamp":"AQAAAAAAAAA=","sessionId":"67e55044-10b1-426f-9247-bb680e5fe0c8","type":"Connect"}"#,
        r#"{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[{"type":"Add","queryId":0,"udfPath":"m:f","args":[{"n":1}],"journal":null,"componentPath":""},{"type":"Remove","queryId":3}]}"#,
        r#"{"type":"ModifyQuerySet","baseVersion":0,"newVersion":1,"modifications":[]}"#,
        r#"{"type":"Mutation","requestId":0,"udfPath":"m:f","args":[{}]}"#,
        r#"{"args":[{"i":{"$integer":"AQAAAAAAAAA="}}],"requestId":1,"udfPath":"m.js:f","type":"Action","extra":1}"#,
        r#"{"type":"Authenticate","baseVersion":0,"tokenType":"User","value":"a.b.c"}"#,
        r#"{"type":"Authenticate","baseVersion":1,"tokenType":"Admin","value":"n|k","impersonating":{"subject":"ada"}}"#,
        r#"{"type":"Authenticate","baseVersion":1,"tokenType":"None"}"#,
        r#"{"type":"Event","eventType":"ClientConnect","event":[1,2]}"#,
    ];

    #[test]
    fn messages_of_the_official_clients_are_parsed() {
        let read = RECORDED.map(|text| ClientMessage::parse(text).unwrap());
        assert!(matches!(
            &read[1],
            ClientMessage::Connect {
                max_observed_timestamp: Some(WireTimestamp(1)),
                last_close_reason: None,
                ..
            }
        ));
        let ClientMessage::ModifyQuerySet { changes, .. } = &read[2] else {
            panic!("{:?}", read[2])
        };
        let QuerySetChange::Add { args, .. } = &changes[0] else {
            panic!("{changes:?}")
        };
        assert_eq!(args.get("n"), Some(&Value::Float64(1.0)));
        assert_eq!(changes[1], QuerySetChange::Remove { query_id: 3 });
        assert!(
            matches!(&read[5], ClientMessage::Action { args, .. } if args.get("i") == Some(&Value::Int64(1)))
        );
        assert!(matches!(
            &read[7],
            ClientMessage::Authenticate {
                token: Token::Admin {
                    acting_as: Some(_),
                    ..
                },
                ..
            }
        ));
    }

    #[test]
    fn malformed_messages_are_rejected() {
        for text in [
            "",
            "1",
            "{}",
            r#"{"type":"Dance"}"#,
            r#"{"type":"Mutation","requestId":-1,"udfPath":"m:f","args":[]}"#,
            r#"{"type":"Mutation","requestId":1,"udfPath":"m:f","args":[1]}"#,
            r#"{"type":"Mutation","requestId":1,"udfPath":"m:f","args":[{}],"componentPath":"c"}"#,
            r#"{"type":"Authenticate","baseVersion":0,"tokenType":"User"}"#,
            r#"{"type":"Connect","sessionId":"67e55044-10b1-426f-9247-bb680e5fe0c8","maxObservedTimestamp":"soon"}"#,
            r#"{"type":"Connect","sessionId":"a"}"#,
            r#"{"type":"Connect","sessionId":""}"#,
            r#"{"type":"Connect","sessionId":null}"#,
        ] {
            assert!(ClientMessage::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String, at in 0..RECORDED.len(), cut in any::<prop::sample::Index>(), with in ".{0,3}") {
            let _ = ClientMessage::parse(&text);
            let recorded = RECORDED[at];
            let (before, after) = recorded.split_at(cut.index(recorded.len()));
            let _ = ClientMessage::parse(&format!("{before}{with}{after}"));
            let _ = ClientMessage::parse(&format!("{before}{with}"));
        }
    }
}
