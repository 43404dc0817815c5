use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use ::http::request::Parts;
use ::http::{HeaderMap, Method, header};
use bytes::Bytes;
use lentil_call::check_size;
use lentil_schema::Args;
use lentil_values::{Object, Value, json_parse_size};
use parking_lot::Mutex;

use super::{Body, BodyError};
use crate::memory::Charge;
use crate::{Code, Error, Result, Runtime};

/// An HTTP action's request.
///
/// The body is read when it is asked for, so that a handler can refuse a request before it has come.
pub struct Request {
    parts: Box<Parts>,
    body: Body,
    runtime: Runtime,
    /// The charge for the part of the body that was read, until the action ends.
    charge: Arc<Mutex<Charge>>,
}

impl Request {
    pub(crate) fn new(parts: Box<Parts>, body: Body, runtime: Runtime) -> Request {
        Request {
            parts,
            body,
            runtime,
            charge: Arc::default(),
        }
    }

    /// The charge for the request, held while its action runs.
    pub(crate) fn charge(&self) -> Arc<Mutex<Charge>> {
        Arc::clone(&self.charge)
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.parts.method
    }

    /// The path, still percent-encoded.
    pub fn path(&self) -> &str {
        self.parts.uri.path()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// The URL as the client sees it: scheme from `X-Forwarded-Proto` or `Forwarded`, host from `Host`.
    pub fn url(&self) -> String {
        let text = |name: &str| {
            self.parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let forwarded = text("forwarded").and_then(|forwarded| {
            let parts = forwarded.split([',', ';']).map(str::trim);
            parts
                .filter_map(|part| part.split_once('='))
                .find(|(name, _)| name.eq_ignore_ascii_case("proto"))
        });
        let scheme = text("x-forwarded-proto").or(forwarded.map(|(_, scheme)| scheme));
        let host = text(header::HOST.as_str()).or(self.parts.uri.host());
        let target = self
            .parts
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        format!(
            "{}://{}{target}",
            scheme.unwrap_or("http"),
            host.unwrap_or("localhost")
        )
    }

    /// The first value of a query parameter, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        self.queries()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// Every query parameter, decoded, in order.
    pub fn queries(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        let pairs = self
            .parts
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty());
        pairs.filter_map(decoded)
    }

    /// The body, to be read chunk by chunk.
    pub fn into_body(self) -> Body {
        self.body
    }

    /// All of the body.
    ///
    /// # Errors
    /// Here and below, with the status that the client is answered: 413 when the body is over the server's limit,
    /// 408 when it comes too slowly, 400 when it is cut off or not what is expected.
    pub async fn bytes(self) -> Result<Bytes> {
        Ok(self.body.bytes().await?)
    }

    /// All of the body, as text.
    ///
    /// # Errors
    /// As [`Request::bytes`].
    pub async fn text(self) -> Result<String> {
        let bytes = self.bytes().await?;
        String::from_utf8(bytes.into()).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Error::new(
                Code::BadRequest,
                format!("the body is not UTF-8: the byte at {at} belongs to no character"),
            )
        })
    }

    /// All of the body, as JSON in Convex's encoding.
    ///
    /// # Errors
    /// As [`Request::bytes`].
    pub async fn json(self) -> Result<Value> {
        let (account, charge) = (self.body.account().cloned(), Arc::clone(&self.charge));
        let bytes = self.bytes().await?;
        if let Some(account) = account {
            // A short text may take much memory as values: charge for it before it is parsed.
            let parsed = account.try_charge(json_parse_size(&bytes));
            *charge.lock() = parsed.map_err(BodyError::OverBudget)?;
        }
        let value = Value::parse_json(&bytes)
            .map_err(|error| Error::new(Code::BadRequest, format!("the body: {error}")))?;
        charge.lock().set(value.heap_size());
        Ok(value)
    }

    /// All of the body, as the arguments of a function: a JSON object that matches their validator.
    ///
    /// # Errors
    /// As [`Request::bytes`].
    pub async fn args<A: Args>(self) -> Result<A> {
        let runtime = self.runtime.clone();
        let object = match self.json().await? {
            Value::Object(object) => object,
            other => {
                return Err(Error::new(
                    Code::BadRequest,
                    format!("the body: expected a JSON object, got {other}"),
                ));
            }
        };
        read_args(&runtime, object).map_err(Error::bad_request)
    }
}

/// The name and the value of one query parameter.
fn decoded(pair: &str) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    // Most have nothing to decode, and need not be looked at byte by byte.
    if pair.as_bytes().contains(&b'%') || pair.as_bytes().contains(&b'+') {
        return form_urlencoded::parse(pair.as_bytes()).next();
    }
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    Some((name.into(), value.into()))
}

fn read_args<A: Args>(runtime: &Runtime, object: Object) -> Result<A> {
    check_size(
        "the body's arguments",
        object.size(),
        runtime.limits().argument_bytes,
    )?;
    let too_large = |error| {
        Error::new(
            Code::ValueTooLarge,
            format!("the body's arguments: {error}"),
        )
    };
    object.check_limits().map_err(too_large)?;
    let invalid = |error| Error::new(Code::ArgumentValidation, format!("field {error}"));
    A::validator()
        .validate(&object, runtime.tables())
        .map_err(invalid)?;
    A::from_object(object)
        .map_err(|error| Error::new(Code::ArgumentValidation, format!("field {error}")))
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", self.method())
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}
