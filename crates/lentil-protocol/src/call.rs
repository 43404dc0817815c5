use lentil_values::{Excerpt, JsonForm, Object, Value};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::error::{Failure, ProtocolError};
use crate::json::Writer;
use crate::timestamp::WireTimestamp;

/// The form of values in a response. In requests they are always encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `json`: for people. Values that plain JSON does not have are strings.
    #[default]
    Json,
    /// `convex_encoded_json`: lossless. The official clients request it.
    Encoded,
}

impl Format {
    fn parse(name: Option<&str>) -> Result<Format, ProtocolError> {
        match name {
            // Convex accepts two names of each format.
            None | Some("json" | "convex_clean_json") => Ok(Format::Json),
            Some("convex_encoded_json" | "convex_json") => Ok(Format::Encoded),
            Some(other) => Err(ProtocolError::new(
                "BadFormat",
                format!(
                    "`format` is {}; write \"json\" or \"convex_encoded_json\"",
                    Excerpt(other)
                ),
            )),
        }
    }

    fn form(self) -> JsonForm {
        match self {
            Format::Json => JsonForm::Clean,
            Format::Encoded => JsonForm::Encoded,
        }
    }
}

/// The body of `POST /api/query`, `mutation`, `action`, `function`, `query_at_ts` and `run/…`.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionRequest {
    /// The path of the function, in any accepted spelling. It is empty for `run/…`, whose URL
    /// contains it.
    pub path: String,
    /// The arguments.
    pub args: Object,
    /// The form of the result.
    pub format: Format,
    /// The timestamp of `query_at_ts`.
    pub ts: Option<WireTimestamp>,
}

/// The body of `POST /api/query_batch`.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The queries, which are executed at one timestamp.
    pub queries: Vec<FunctionRequest>,
}

#[derive(Deserialize)]
struct Body {
    path: Option<String>,
    args: Option<Json>,
    format: Option<String>,
    ts: Option<WireTimestamp>,
    #[serde(rename = "componentPath")]
    component_path: Option<String>,
}

impl FunctionRequest {
    /// Parses a body.
    ///
    /// # Errors
    /// Returns `BadJsonBody` if the JSON is malformed, `BadFormat` for an unknown format,
    /// `InvalidArguments` if the arguments are not values, and `NoSuchComponent` for a component.
    pub fn parse(body: &[u8]) -> Result<FunctionRequest, ProtocolError> {
        FunctionRequest::from_body(parse(body)?)
    }

    fn from_body(body: Body) -> Result<FunctionRequest, ProtocolError> {
        if body.component_path.is_some_and(|path| !path.is_empty()) {
            return Err(ProtocolError::new(
                "NoSuchComponent",
                "there are no components here; leave `componentPath` out",
            ));
        }
        let format = Format::parse(body.format.as_deref())?;
        // A body without `args` calls the function without arguments.
        let args = read_args(body.args.unwrap_or(Json::Null))?;
        Ok(FunctionRequest {
            path: body.path.unwrap_or_default(),
            args,
            format,
            ts: body.ts,
        })
    }
}

impl Batch {
    /// Parses a body.
    ///
    /// # Errors
    /// Returns the same errors as [`FunctionRequest::parse`].
    pub fn parse(body: &[u8]) -> Result<Batch, ProtocolError> {
        #[derive(Deserialize)]
        struct Queries {
            queries: Vec<Body>,
        }
        let Queries { queries } = parse(body)?;
        let queries = queries.into_iter().map(FunctionRequest::from_body);
        Ok(Batch {
            queries: queries.collect::<Result<_, _>>()?,
        })
    }
}

fn parse<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, ProtocolError> {
    serde_json::from_slice(body)
        .map_err(|error| ProtocolError::new("BadJsonBody", format!("the body: {error}")))
}

/// Parses the arguments of a function: an object, or an array of one object. Null and an empty
/// array are no arguments.
///
/// # Errors
/// Returns `InvalidArguments` for anything else.
pub fn read_args(json: Json) -> Result<Object, ProtocolError> {
    let invalid = |message: String| ProtocolError::new("InvalidArguments", message);
    let json = match json {
        Json::Array(list) if list.len() > 1 => {
            return Err(invalid(format!(
                "`args`: expected one object, got an array of {}",
                list.len()
            )));
        }
        // The official clients send the arguments as an array of one object.
        Json::Array(mut list) => list.pop(),
        Json::Null => None,
        other => Some(other),
    };
    let Some(json) = json else {
        return Ok(Object::new());
    };
    match Value::from_json(json).map_err(|error| invalid(format!("`args`: {error}")))? {
        Value::Object(args) => Ok(args),
        other => Err(invalid(format!("`args`: expected an object, got {other}"))),
    }
}

/// The response of the HTTP API to the call of a function. Its status is always 200.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionResponse {
    /// The result.
    pub result: Result<Value, Failure>,
    /// The log lines that the client may see.
    pub log_lines: Vec<String>,
}

impl FunctionResponse {
    /// Returns the body: `{"status":"success","value":…}` or `{"status":"error","errorMessage":…}`.
    pub fn to_json(&self, format: Format) -> String {
        let mut json = Writer::object();
        match &self.result {
            Ok(value) => {
                json.text("status", "success")
                    .value("value", value, format.form());
            }
            Err(failure) => {
                json.text("status", "error")
                    .text("errorMessage", &failure.message);
                if let Some(data) = &failure.data {
                    json.value("errorData", data, format.form());
                }
            }
        }
        // The HTTP API omits empty log lines. The sync protocol does not.
        if !self.log_lines.is_empty() {
            json.texts("logLines", &self.log_lines);
        }
        json.finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn arguments_are_an_object_or_an_array_of_one() {
        for body in [
            r#"{"path":"a:b","args":{"x":1}}"#,
            r#"{"path":"a:b","args":[{"x":1}],"format":null}"#,
        ] {
            let request = FunctionRequest::parse(body.as_bytes()).unwrap();
            assert_eq!(
                (request.path.as_str(), request.args.get("x")),
                ("a:b", Some(&Value::Float64(1.0)))
            );
        }
        for body in [r#"{"path":"a:b"}"#, r#"{"path":"a:b","args":[]}"#] {
            assert!(
                FunctionRequest::parse(body.as_bytes())
                    .unwrap()
                    .args
                    .is_empty()
            );
        }
    }

    #[test]
    fn malformed_bodies_are_rejected_with_a_code() {
        let code = |body: &str| FunctionRequest::parse(body.as_bytes()).unwrap_err().code;
        for (body, expected) in [
            ("", "BadJsonBody"),
            ("[]", "BadJsonBody"),
            (r#"{"path":1}"#, "BadJsonBody"),
            (r#"{"path":"a:b","ts":"x"}"#, "BadJsonBody"),
            (r#"{"path":"a:b","format":"xml"}"#, "BadFormat"),
            (r#"{"path":"a:b","args":1}"#, "InvalidArguments"),
            (r#"{"path":"a:b","args":[{},{}]}"#, "InvalidArguments"),
            (r#"{"path":"a:b","args":{"$x":1}}"#, "InvalidArguments"),
            (r#"{"path":"a:b","componentPath":"c"}"#, "NoSuchComponent"),
        ] {
            assert_eq!(code(body), expected, "{body}");
        }
    }

    #[test]
    fn responses_have_the_official_form() {
        let body = |result, log_lines: &[&str]| {
            let log_lines = log_lines.iter().map(|line| (*line).to_owned()).collect();
            FunctionResponse { result, log_lines }.to_json(Format::Encoded)
        };
        assert_eq!(
            body(Ok(Value::Float64(1.0)), &[]),
            r#"{"status":"success","value":1.0}"#
        );
        assert_eq!(
            body(Ok(Value::Null), &["[LOG] \"a\""]),
            r#"{"status":"success","value":null,"logLines":["[LOG] \"a\""]}"#
        );
        let failure = |data| {
            Err(Failure {
                message: "no".into(),
                data,
            })
        };
        assert_eq!(
            body(failure(None), &[]),
            r#"{"status":"error","errorMessage":"no"}"#
        );
        let with_data = body(failure(Some(Value::Null)), &[]);
        assert_eq!(
            with_data,
            r#"{"status":"error","errorMessage":"no","errorData":null}"#
        );
    }

    proptest! {
        #[test]
        fn no_body_panics(body: Vec<u8>, text in r#"\{"(path|args|queries|format|ts)":[\[\]{}",:$a-z0-9. ]{0,40}\}"#) {
            let _ = (FunctionRequest::parse(&body), Batch::parse(&body));
            let _ = (FunctionRequest::parse(text.as_bytes()), Batch::parse(text.as_bytes()));
        }
    }
}
