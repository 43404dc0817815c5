//! Uploads and downloads of files.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use lentil_runtime::http::{Body, BodyError};
use lentil_runtime::{
    CallSource, ContentHash, Error, FileInfo, StoreFileError, UploadTokenError, Uuid,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::byte_range::{Selection, select};
use super::request::ApiRequest;
use crate::error::ApiError;
use crate::peer::share_address;
use crate::response::json;

const DIGEST: HeaderName = HeaderName::from_static("digest");
/// A month: the file of a URL never changes.
const CACHE: HeaderValue = HeaderValue::from_static("private, max-age=2592000");
/// The policy of an uploaded page or picture that is opened on this origin: no script, no form, no
/// cookie.
const SANDBOX: HeaderValue = HeaderValue::from_static(
    "sandbox; default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'",
);
/// The policy of a PDF. Browsers do not open one in a sandbox, and their viewers give its scripts
/// no access to the origin.
const PDF_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; object-src 'self'; style-src 'unsafe-inline'");
const EXPOSED: HeaderValue =
    HeaderValue::from_static("Accept-Ranges, Content-Length, Content-Range, Digest, ETag");

/// `POST /api/storage/upload?token=<token>` stores the request's body as a file.
pub(crate) async fn upload(request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    let server = request.server;
    let token = request.parameter("token").unwrap_or_default().into_owned();
    let checked = server.runtime.files().check_upload_token(&token);
    checked.map_err(|error| bad_token(&error))?;
    let announced = announced_hash(request.headers())?;
    let content_type = content_type(request.headers())?;

    let share = server.shares.uploads.take(share_address(request.client));
    let _share = share.ok_or_else(|| too_many_uploads("from this address"))?;
    let token_share = server.shares.upload_tokens.take(token);
    let _token_share = token_share.ok_or_else(|| too_many_uploads("with this token"))?;

    // A file may have any length. The limits of slow clients apply.
    let body = request.body.into_body(&server.progress, usize::MAX);
    let body = with_permits(body, &server.uploads);
    let stored = server
        .runtime
        .files()
        .store(body, content_type, announced)
        .await;
    let id = stored.map_err(|error| not_stored(error, &request.source))?;
    Ok(json(StatusCode::OK, format!(r#"{{"storageId":"{id}"}}"#)))
}

fn too_many_uploads(by: &str) -> ApiError {
    let message = format!("too many uploads {by} are unfinished; finish some first");
    ApiError::too_many("TooManyConcurrentUploads", message, Duration::from_secs(1))
}

/// Wraps a body so that it holds a permit only while a chunk is stored. An upload that waits for
/// its client holds none, so that it does not delay others.
fn with_permits(body: Body, permits: &Arc<Semaphore>) -> Body {
    let permits = Arc::clone(permits);
    let none: Option<OwnedSemaphorePermit> = None;
    Body::from_stream(stream::unfold((body, none), move |(mut body, permit)| {
        let permits = Arc::clone(&permits);
        async move {
            // The chunk before this one has been stored.
            drop(permit);
            let chunk = body.chunk().await?;
            let permit = permits.acquire_owned().await;
            Some((chunk, (body, permit.ok())))
        }
    }))
}

fn bad_token(error: &UploadTokenError) -> ApiError {
    let code = match error {
        UploadTokenError::Expired => "StorageTokenExpired",
        _ => "StorageTokenInvalid",
    };
    ApiError::new(StatusCode::UNAUTHORIZED, code, error.to_string())
}

/// Reads the hash in `Digest: sha-256=<base64>`. Other algorithms beside it are ignored.
fn announced_hash(headers: &HeaderMap) -> Result<Option<ContentHash>, ApiError> {
    let invalid = || {
        let message = "the Digest header is not `sha-256=<base64>`";
        ApiError::bad_request("InvalidDigest", message)
    };
    let mut found = None;
    for value in headers.get_all(DIGEST) {
        for part in value.to_str().map_err(|_| invalid())?.split(',') {
            let (algorithm, digest) = part.trim().split_once('=').ok_or_else(invalid)?;
            if !algorithm.eq_ignore_ascii_case("sha-256") {
                continue;
            }
            let hash = BASE64.decode(digest.as_bytes()).map_err(|_| invalid())?;
            let hash = ContentHash(hash.try_into().map_err(|_| invalid())?);
            if found.replace(hash).is_some_and(|other| other != hash) {
                return Err(invalid());
            }
        }
    }
    Ok(found)
}

fn content_type(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(text) => Ok(Some(text.to_owned())),
        Err(_) => {
            let message = "the Content-Type is not plain text";
            Err(ApiError::bad_request("InvalidContentType", message))
        }
    }
}

fn not_stored(error: StoreFileError, source: &CallSource) -> ApiError {
    let request_id = source.request_id();
    match error {
        StoreFileError::Sha256Mismatch { .. } => {
            ApiError::bad_request("Sha256Mismatch", error.to_string())
        }
        StoreFileError::ContentTypeTooLong { .. } => {
            ApiError::bad_request("InvalidContentType", error.to_string())
        }
        StoreFileError::Body(error @ (BodyError::TooSlow | BodyError::ShuttingDown)) => {
            ApiError::from(error)
        }
        StoreFileError::Body(error) => ApiError::bad_request("IncompleteBody", error.to_string()),
        StoreFileError::Failed(error) => failed(&error, source),
        other => {
            tracing::error!(%request_id, error = %other, "failed to store a file");
            ApiError::unavailable(request_id, "the file cannot be stored")
        }
    }
}

fn failed(error: &Error, source: &CallSource) -> ApiError {
    source.log_failure("storage", error);
    let request_id = source.request_id();
    ApiError::of_system(error, request_id).unwrap_or_else(|| ApiError::internal(request_id))
}

/// `GET /api/storage/<uuid>` responds with a file, or a part of it.
pub(crate) async fn download(request: ApiRequest<'_>) -> Result<Response<Body>, ApiError> {
    let ApiRequest { server, source, .. } = &request;
    let url_id = request.rest().parse::<Uuid>().map_err(|error| {
        let message = format!("{error}; take the file's URL from `ctx.storage.getUrl`");
        ApiError::bad_request("InvalidStoragePath", message)
    })?;
    let found = server.runtime.files().find(url_id).await;
    let found = found.map_err(|error| failed(&error, source))?;
    let file = found.ok_or_else(|| not_found(url_id))?;

    let selection = select(request.headers(), &etag(&file), file.size);
    let (status, range) = match selection {
        Selection::Whole => (StatusCode::OK, 0..file.size),
        Selection::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Selection::NotModified => (StatusCode::NOT_MODIFIED, 0..0),
        Selection::NotMatching => (StatusCode::PRECONDITION_FAILED, 0..0),
        Selection::Unsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, 0..0),
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    add_file_headers(&file, request.headers(), response.headers_mut());
    add_range_headers(&file, status, &range, response.headers_mut());

    // A response to HEAD has the headers of GET without a body.
    if request.parts.method == Method::GET && !range.is_empty() {
        *response.body_mut() = match server.runtime.files().read(&file, range).await {
            Ok(body) => body,
            // The file may have been deleted after it was found.
            Err(_) if matches!(server.runtime.files().find(url_id).await, Ok(None)) => {
                return Err(not_found(url_id));
            }
            Err(error) => return Err(failed(&error, source)),
        };
    }
    Ok(response)
}

fn not_found(url_id: Uuid) -> ApiError {
    let message = format!("there is no file {url_id}");
    ApiError::new(StatusCode::NOT_FOUND, "FileNotFound", message)
}

fn etag(file: &FileInfo) -> String {
    format!("\"{}\"", file.hash)
}

/// Adds the headers that every response about a file has.
fn add_file_headers(file: &FileInfo, request: &HeaderMap, response: &mut HeaderMap) {
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
    response.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("cross-origin"),
    );
    response.insert(header::CACHE_CONTROL, CACHE);
    response.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(etag) = HeaderValue::from_str(&etag(file)) {
        response.insert(header::ETAG, etag);
    }
    if request.contains_key(header::ORIGIN) {
        response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    } else {
        // A cache must not give this response, which has no CORS headers, to a page of another
        // origin.
        response.insert(header::VARY, HeaderValue::from_static("Origin"));
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
    if status != StatusCode::NOT_MODIFIED {
        let length = range.end - range.start;
        insert(header::CONTENT_LENGTH, length.to_string());
    }
}
