use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use ::http::request::Parts;
use ::http::{HeaderMap, Method, header};
use bytes::Bytes;
use lentil_call::{BodyError, Code, Error, Result, check_size};
use lentil_database::DatabaseEnv;
use lentil_schema::Args;
use lentil_values::{Object, Value, json_parse_size};
use parking_lot::Mutex;

use super::body::Body;
use crate::memory::Charge;

/// The request of an HTTP action.
///
/// The body is read on demand, so that an action can reject a request before its body arrives.
///
/// ```
/// use lentil::{ActionCtx, Args, MutationCtx, Request, Response, Result, StatusCode};
///
/// #[derive(Args)]
/// struct Add {
///     name: String,
///     by: f64,
/// }
///
/// async fn add(_ctx: &mut MutationCtx, args: Add) -> Result<f64> {
///     Ok(args.by)
/// }
///
/// async fn post_add(ctx: &ActionCtx, request: Request) -> Result<Response> {
///     if request.header("x-api-version") != Some("2") {
///         return Ok(Response::text(StatusCode::BAD_REQUEST, "expected X-Api-Version: 2"));
///     }
///     let args: Add = request.args().await?;
///     let sum = ctx.run_mutation(add, args).await.map_err(|error| error.bad_request())?;
///     Ok(Response::json(StatusCode::OK, sum))
/// }
/// ```
pub struct Request {
    parts: Box<Parts>,
    body: Body,
    database: Arc<DatabaseEnv>,
    /// The memory charged for the part of the body that was read, until the action ends.
    charge: Arc<Mutex<Charge>>,
}

impl Request {
    pub(crate) fn new(parts: Box<Parts>, body: Body, database: Arc<DatabaseEnv>) -> Request {
        Request {
            parts,
            body,
            database,
            charge: Arc::default(),
        }
    }

    /// Returns the memory charge of the request, which is held while its action runs.
    pub(crate) fn charge(&self) -> Arc<Mutex<Charge>> {
        Arc::clone(&self.charge)
    }

    /// Returns the method.
    pub fn method(&self) -> &Method {
        &self.parts.method
    }

    /// Returns the path, percent-encoded.
    pub fn path(&self) -> &str {
        self.parts.uri.path()
    }

    /// Returns the headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// Returns the first header of this name, in any case, if it is ASCII text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// Returns the URL as the client sees it: the scheme from `X-Forwarded-Proto` or `Forwarded`,
    /// the host from `Host`.
    pub fn url(&self) -> String {
        let forwarded = self.header("forwarded").and_then(|forwarded| {
            let parts = forwarded.split([',', ';']).map(str::trim);
            parts
                .filter_map(|part| part.split_once('='))
                .find(|(name, _)| name.eq_ignore_ascii_case("proto"))
        });
        let scheme = self
            .header("x-forwarded-proto")
            .or(forwarded.map(|(_, scheme)| scheme));
        let host = self.header(header::HOST.as_str()).or(self.parts.uri.host());
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

    /// Returns the first value of a query parameter, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        self.queries()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// Returns every query parameter, decoded, in order.
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

    /// Returns the body, to be read in chunks.
    pub fn into_body(self) -> Body {
        self.body
    }

    /// Reads the whole body.
    ///
    /// # Errors
    /// With the status of the response: 413 when the body is over the server's limit, 408 when it
    /// arrives too slowly, 400 when it is incomplete or malformed.
    pub async fn bytes(self) -> Result<Bytes> {
        Ok(self.body.bytes().await?)
    }

    /// Reads the whole body as text.
    ///
    /// # Errors
    /// As [`Request::bytes`].
    pub async fn text(self) -> Result<String> {
        let bytes = self.bytes().await?;
        String::from_utf8(bytes.into()).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Error::new(
                Code::BadRequest,
                format!("the body is not UTF-8 at byte {at}"),
            )
        })
    }

    /// Reads the whole body as JSON in Convex's encoding.
    ///
    /// # Errors
    /// As [`Request::bytes`].
    pub async fn json(self) -> Result<Value> {
        let account = self.body.account().cloned();
        let charge = Arc::clone(&self.charge);
        let bytes = self.bytes().await?;
        if let Some(account) = account {
            // Values take more memory than their text. Charge for them before parsing.
            let parsed = account.try_charge(json_parse_size(&bytes));
            *charge.lock() = parsed.map_err(BodyError::OverBudget)?;
        }
        let value = Value::parse_json(&bytes)
            .map_err(|error| Error::new(Code::BadRequest, format!("the body: {error}")))?;
        charge.lock().set(value.heap_size());
        Ok(value)
    }

    /// Reads the whole body as the arguments of a function: a JSON object that matches their
    /// validator.
    ///
    /// # Errors
    /// As [`Request::bytes`].
    pub async fn args<A: Args>(self) -> Result<A> {
        let database = Arc::clone(&self.database);
        let object = match self.json().await? {
            Value::Object(object) => object,
            other => {
                return Err(Error::new(
                    Code::BadRequest,
                    format!("the body: expected a JSON object, got {other}"),
                ));
            }
        };
        read_args(&database, object).map_err(Error::bad_request)
    }
}

/// Decodes the name and the value of one query parameter.
fn decoded(pair: &str) -> Option<(Cow<'_, str>, Cow<'_, str>)> {
    // Most parameters have nothing to decode; this search is faster than the decoder.
    if pair.as_bytes().contains(&b'%') || pair.as_bytes().contains(&b'+') {
        return form_urlencoded::parse(pair.as_bytes()).next();
    }
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    Some((name.into(), value.into()))
}

fn read_args<A: Args>(database: &DatabaseEnv, object: Object) -> Result<A> {
    check_size(
        "the body's arguments",
        object.size(),
        database.limits.argument_bytes,
    )?;
    let too_large = |error| {
        Error::new(
            Code::ValueTooLarge,
            format!("the body's arguments: {error}"),
        )
    };
    object.check_limits().map_err(too_large)?;
    let invalid = |error| Error::new(Code::ArgumentValidation, format!("field {error}"));
    // The body may contain ids. The Rust type of an id does not check that it is one of its table.
    A::validator()
        .validate(&object, &database.tables)
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
