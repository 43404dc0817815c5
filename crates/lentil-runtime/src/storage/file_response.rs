//! Stored files as HTTP responses, for routes and for the server's download endpoint.

use std::ops::Range;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use data_encoding::BASE64;
use lentil_call::Result;
use lentil_schema::Id;

use super::action::StorageActions;
use super::files::Files;
use crate::files::{FileInfo, StoredFile};
use crate::http::{Body, Request, Response, Selection, select};

const DIGEST: HeaderName = HeaderName::from_static("digest");
/// The policy of an uploaded page or picture that is opened on this origin: no script, no form, no
/// cookie.
const SANDBOX: HeaderValue = HeaderValue::from_static(
    "sandbox; default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'",
);
/// The policy of a PDF. Browsers do not open one in a sandbox, and their viewers give its scripts
/// no access to the origin.
const PDF_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; object-src 'self'; style-src 'unsafe-inline'");

impl Response {
    /// Streams a stored file to the client, or responds 404 if it does not exist.
    ///
    /// The response has the file's `Content-Type` and an `ETag`. It serves `HEAD`, ranges and
    /// conditions of the request. Browsers do not run scripts of the file on this origin.
    ///
    /// ```
    /// use lentil::{ActionCtx, Id, Request, Response, Result, StatusCode, StoredFile};
    ///
    /// async fn get_picture(ctx: &ActionCtx, request: Request) -> Result<Response> {
    ///     match request.query("id").unwrap_or_default().parse::<Id<StoredFile>>() {
    ///         Ok(id) => Response::file(&ctx.storage, &request, id).await,
    ///         Err(error) => Ok(Response::text(StatusCode::BAD_REQUEST, error.to_string())),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Code::InvalidId`](crate::Code::InvalidId) when the id is not one of a file; when the file
    /// cannot be read.
    pub async fn file(
        storage: &StorageActions,
        request: &Request,
        id: impl Into<Id<StoredFile>>,
    ) -> Result<Response> {
        let Some(found) = storage.find(&id.into(), "Response::file").await? else {
            return Ok(Response::text(
                StatusCode::NOT_FOUND,
                "there is no such file",
            ));
        };
        let file = FileInfo::from(found.fields);
        let response = storage
            .files()
            .respond(&file, request.method(), request.headers())
            .await?;
        Ok(response.into())
    }
}

impl Files {
    /// Returns the response to a request for a file, or for a part of it.
    ///
    /// # Errors
    /// As [`Files::read`].
    pub async fn respond(
        &self,
        file: &FileInfo,
        method: &Method,
        request: &HeaderMap,
    ) -> Result<::http::Response<Body>> {
        let etag = format!("\"{}\"", file.hash);
        let (status, range) = match select(request, &etag, file.size) {
            Selection::Whole => (StatusCode::OK, 0..file.size),
            Selection::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
            Selection::NotModified => (StatusCode::NOT_MODIFIED, 0..0),
            Selection::NotMatching => (StatusCode::PRECONDITION_FAILED, 0..0),
            Selection::Unsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, 0..0),
        };
        let mut response = ::http::Response::new(Body::empty());
        *response.status_mut() = status;
        add_file_headers(file, &etag, response.headers_mut());
        add_range_headers(file, status, &range, response.headers_mut());

        // A response to HEAD has the headers of GET without a body.
        if method == Method::GET && !range.is_empty() {
            *response.body_mut() = self.read(file, range).await?;
        }
        Ok(response)
    }
}

/// Adds the headers that every response about a file has.
fn add_file_headers(file: &FileInfo, etag: &str, response: &mut HeaderMap) {
    let content_type = file.content_type.as_deref().unwrap_or_default();
    if file.content_type.is_some()
        && let Ok(value) = HeaderValue::from_str(content_type)
    {
        response.insert(header::CONTENT_TYPE, value);
    }
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let policy = if essence.eq_ignore_ascii_case("application/pdf") {
        PDF_POLICY
    } else {
        SANDBOX
    };
    response.insert(header::CONTENT_SECURITY_POLICY, policy);
    response.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(etag) = HeaderValue::from_str(etag) {
        response.insert(header::ETAG, etag);
    }
}

/// Adds the headers about the bytes that are sent.
fn add_range_headers(
    file: &FileInfo,
    status: StatusCode,
    range: &Range<u64>,
    response: &mut HeaderMap,
) {
    let size = file.size;
    let mut insert = |name: HeaderName, text: String| {
        let value = HeaderValue::from_str(&text).expect("digits and base64 are plain text");
        response.insert(name, value);
    };
    match status {
        // The digest is that of the whole file, so a response with a part omits it.
        StatusCode::OK => insert(DIGEST, format!("sha-256={}", BASE64.encode(&file.hash.0))),
        StatusCode::PARTIAL_CONTENT => {
            let last = range.end - 1;
            insert(
                header::CONTENT_RANGE,
                format!("bytes {}-{last}/{size}", range.start),
            );
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            insert(header::CONTENT_RANGE, format!("bytes */{size}"));
        }
        _ => {}
    }
    // In a 304, `Content-Length` would be that of the 200 response (RFC 9110, section 8.6), not 0.
    if status != StatusCode::NOT_MODIFIED {
        let length = range.end - range.start;
        insert(header::CONTENT_LENGTH, length.to_string());
    }
}
