use std::sync::Arc;

use lentil_values::{JsonForm, Value};

use crate::error::Failure;
use crate::json::Writer;
use crate::timestamp::WireTimestamp;

/// A message of the server.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerMessage {
    /// Moves all queries of a client from one version to the next.
    Transition {
        /// The end of the previous transition.
        start: StateVersion,
        /// The version of the client after the transition.
        end: StateVersion,
        /// The changes of queries.
        modifications: Vec<StateModification>,
        /// The client's clock minus the server's, in milliseconds; `None` if the client did not
        /// send its time.
        client_clock_skew_ms: Option<i64>,
        /// The server's clock when it writes this message, in nanoseconds since 1970.
        server_ns: u64,
    },
    /// The response to a mutation. A transition to its timestamp or later follows.
    MutationResponse {
        /// The id of the request.
        request_id: u32,
        /// The result, and a timestamp at which the writes are visible.
        result: Result<(Value, WireTimestamp), Failure>,
        /// The log lines that the client may see.
        log_lines: Vec<String>,
    },
    /// The response to an action. A transition follows.
    ActionResponse {
        /// The id of the request.
        request_id: u32,
        /// The result.
        result: Result<Value, Failure>,
        /// The log lines that the client may see.
        log_lines: Vec<String>,
    },
    /// The token was rejected, or has expired. The server then closes the connection.
    AuthError {
        /// A sentence for people.
        error: String,
        /// The version of the client's previous identity.
        base_version: u32,
        /// Whether this is the response to an `Authenticate`.
        auth_update_attempted: bool,
    },
    /// The client has violated the protocol, and must not reconnect. The server then closes the
    /// connection.
    FatalError {
        /// A sentence for people.
        error: String,
    },
    /// Shows the client that the connection works.
    Ping,
}

/// A version of the state of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateVersion {
    /// The version of the set of queries.
    pub query_set: u32,
    /// The version of the identity.
    pub identity: u32,
    /// The timestamp of the query results.
    pub ts: WireTimestamp,
}

/// A change of a query's result.
#[derive(Clone, Debug, PartialEq)]
pub enum StateModification {
    /// The query has a new result.
    QueryUpdated {
        /// The client's id of the query.
        query_id: u32,
        /// The result.
        // All subscribers of the query share one result.
        value: Arc<Value>,
        /// The log lines that the client may see.
        log_lines: Vec<String>,
        /// The journal, which the client sends when it adds the query again.
        journal: Option<String>,
    },
    /// The query fails.
    QueryFailed {
        /// The client's id of the query.
        query_id: u32,
        /// The error.
        failure: Failure,
        /// The log lines that the client may see.
        log_lines: Vec<String>,
        /// The journal, which the client sends when it adds the query again.
        journal: Option<String>,
    },
    /// The query was removed.
    QueryRemoved {
        /// The client's id of the query.
        query_id: u32,
    },
}

impl ServerMessage {
    /// Returns the message as JSON.
    pub fn to_json(&self) -> String {
        let mut json = Writer::object();
        match self {
            ServerMessage::Transition {
                start,
                end,
                modifications,
                client_clock_skew_ms,
                server_ns,
            } => {
                json.text("type", "Transition")
                    .raw("startVersion", &start.to_json())
                    .raw("endVersion", &end.to_json());
                let skew = match client_clock_skew_ms {
                    Some(ms) => ms.to_string(),
                    None => "null".to_owned(),
                };
                json.objects("modifications", modifications, StateModification::write)
                    .raw("clientClockSkew", &skew)
                    .raw("serverTs", &server_ns.to_string());
            }
            ServerMessage::MutationResponse {
                request_id,
                result,
                log_lines,
            } => {
                json.text("type", "MutationResponse")
                    .raw("requestId", &request_id.to_string());
                write_result(&mut json, result.as_ref().map(|(value, _)| value));
                // A failed mutation has written nothing that the client could wait for.
                let ts = result.as_ref().ok().map(|(_, ts)| ts.to_string());
                json.optional_text("ts", ts.as_deref())
                    .texts("logLines", log_lines);
            }
            ServerMessage::ActionResponse {
                request_id,
                result,
                log_lines,
            } => {
                json.text("type", "ActionResponse")
                    .raw("requestId", &request_id.to_string());
                write_result(&mut json, result.as_ref());
                json.texts("logLines", log_lines);
            }
            ServerMessage::AuthError {
                error,
                base_version,
                auth_update_attempted,
            } => {
                json.text("type", "AuthError")
                    .text("error", error)
                    .raw("baseVersion", &base_version.to_string())
                    .raw("authUpdateAttempted", &auth_update_attempted.to_string());
            }
            ServerMessage::FatalError { error } => {
                json.text("type", "FatalError").text("error", error);
            }
            ServerMessage::Ping => {
                json.text("type", "Ping");
            }
        }
        json.finish()
    }
}

/// Writes the result of a function.
fn write_result(json: &mut Writer, result: Result<&Value, &Failure>) {
    json.raw("success", &result.is_ok().to_string());
    match result {
        Ok(value) => {
            json.value("result", value, JsonForm::Encoded);
        }
        Err(failure) => {
            json.text("result", &failure.message);
            if let Some(data) = &failure.data {
                json.value("errorData", data, JsonForm::Encoded);
            }
        }
    }
}

impl StateVersion {
    fn to_json(self) -> String {
        let StateVersion {
            query_set,
            identity,
            ts,
        } = self;
        format!(r#"{{"querySet":{query_set},"identity":{identity},"ts":"{ts}"}}"#)
    }
}

impl StateModification {
    /// Writes the fields.
    fn write(&self, json: &mut Writer) {
        let mut begin = |name: &str, query_id: u32| {
            json.text("type", name)
                .raw("queryId", &query_id.to_string());
        };
        match self {
            StateModification::QueryUpdated {
                query_id,
                value,
                log_lines,
                journal,
            } => {
                begin("QueryUpdated", *query_id);
                json.value("value", value, JsonForm::Encoded)
                    .texts("logLines", log_lines)
                    .optional_text("journal", journal.as_deref());
            }
            StateModification::QueryFailed {
                query_id,
                failure,
                log_lines,
                journal,
            } => {
                begin("QueryFailed", *query_id);
                json.text("errorMessage", &failure.message)
                    .texts("logLines", log_lines)
                    .optional_text("journal", journal.as_deref());
                if let Some(data) = &failure.data {
                    json.value("errorData", data, JsonForm::Encoded);
                }
            }
            StateModification::QueryRemoved { query_id } => begin("QueryRemoved", *query_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_official_form() {
        let at = |ts| StateVersion {
            query_set: 1,
            identity: 0,
            ts: WireTimestamp(ts),
        };
        let failure = Failure {
            message: "no".into(),
            data: Some(Value::Null),
        };
        let log_lines = vec!["[LOG] 'hi'".to_owned()];
        let updated = StateModification::QueryUpdated {
            query_id: 0,
            value: Arc::new(Value::Float64(1.0)),
            log_lines: log_lines.clone(),
            journal: None,
        };
        let failed = StateModification::QueryFailed {
            query_id: 1,
            failure: failure.clone(),
            log_lines: vec![],
            journal: Some("j".into()),
        };
        let modifications = vec![
            updated,
            failed,
            StateModification::QueryRemoved { query_id: 2 },
        ];
        let transition = ServerMessage::Transition {
            start: StateVersion::default(),
            end: at(1),
            modifications,
            client_clock_skew_ms: Some(-20),
            server_ns: 1_700_000_000_000_000_000,
        };
        assert_eq!(
            transition.to_json(),
            concat!(
                r#"{"type":"Transition","startVersion":{"querySet":0,"identity":0,"ts":"AAAAAAAAAAA="},"#,
                r#""endVersion":{"querySet":1,"identity":0,"ts":"AQAAAAAAAAA="},"modifications":["#,
                r#"{"type":"QueryUpdated","queryId":0,"value":1.0,"logLines":["[LOG] 'hi'"],"journal":null},"#,
                r#"{"type":"QueryFailed","queryId":1,"errorMessage":"no","logLines":[],"journal":"j","errorData":null},"#,
                r#"{"type":"QueryRemoved","queryId":2}],"#,
                r#""clientClockSkew":-20,"serverTs":1700000000000000000}"#
            )
        );
        let transition = ServerMessage::Transition {
            start: at(1),
            end: at(1),
            modifications: vec![],
            client_clock_skew_ms: None,
            server_ns: 1,
        };
        let json = transition.to_json();
        assert!(
            json.ends_with(r#""clientClockSkew":null,"serverTs":1}"#),
            "{json}"
        );
        let result = Ok((Value::Int64(1), WireTimestamp(1)));
        let mutation = ServerMessage::MutationResponse {
            request_id: 4,
            result,
            log_lines: vec![],
        };
        assert_eq!(
            mutation.to_json(),
            r#"{"type":"MutationResponse","requestId":4,"success":true,"result":{"$integer":"AQAAAAAAAAA="},"ts":"AQAAAAAAAAA=","logLines":[]}"#
        );
        let mutation = ServerMessage::MutationResponse {
            request_id: 4,
            result: Err(failure.clone()),
            log_lines: vec![],
        };
        assert_eq!(
            mutation.to_json(),
            r#"{"type":"MutationResponse","requestId":4,"success":false,"result":"no","errorData":null,"ts":null,"logLines":[]}"#
        );
        let action = ServerMessage::ActionResponse {
            request_id: 5,
            result: Ok(Value::Null),
            log_lines,
        };
        assert_eq!(
            action.to_json(),
            r#"{"type":"ActionResponse","requestId":5,"success":true,"result":null,"logLines":["[LOG] 'hi'"]}"#
        );
        let auth = ServerMessage::AuthError {
            error: "e".into(),
            base_version: 0,
            auth_update_attempted: true,
        };
        assert_eq!(
            auth.to_json(),
            r#"{"type":"AuthError","error":"e","baseVersion":0,"authUpdateAttempted":true}"#
        );
        assert_eq!(ServerMessage::Ping.to_json(), r#"{"type":"Ping"}"#);
    }
}
