//! `POST /api/storage/upload` and `GET /api/storage/<uuid>`.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use futures_util::stream;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header,
};
use lentil_runtime::http::{Body, BodyError};
use lentil_runtime::{
    CallSource, ContentHash, Error, FileInfo, StoreFileError, UploadTokenError, Uuid,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::range::{Selection, select};
use super::{ApiError, json};
use crate::body::{FromClient, from_client};
use crate::peer::share_address;
use crate::service::Server;

const DIGEST: HeaderName = HeaderName::from_static("digest");
/// A month: what a URL names never changes.
const CACHE: HeaderValue = HeaderValue::from_static("private, max-age=2592000");
/// An uploaded page or picture that is opened here runs no script, sends no form and reads no cookie of ours.
const SANDBOX: HeaderValue = HeaderValue::from_static(
    "sandbox; default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'",
);
/// Browsers do not open a PDF in a sandbox; their viewers give its scripts nothing of the origin's anyway.
const PDF: HeaderValue =
    HeaderValue::from_static("default-src 'none'; object-src 'self'; style-src 'unsafe-inline'");
const EXPOSED: HeaderValue =
    HeaderValue::from_static("Accept-Ranges, Content-Length, Content-Range, Digest, ETag");

/// Stores a request's body as a file.
pub(super) async fn upload(
    server: &Server,
    client: IpAddr,
    request: Request<FromClient>,
    source: &CallSource,
) -> Result<Response<Body>, ApiError> {
    let (parts, incoming) = request.into_parts();
    let token = token(&parts.uri);
    let checked = server.runtime.check_upload_token(&token);
    checked.map_err(|error| bad_token(&error))?;
    let announced = announced_hash(&parts.headers)?;
    let content_type = content_type(&parts.headers)?;
    let too_many = |whose| move || too_many_uploads(whose);
    let share = server.shares.uploads.take(share_address(client));
    let _share = share.ok_or_else(too_many("from this address"))?;
    let token_share = server.shares.upload_tokens.take(token);
    let _token_share = token_share.ok_or_else(too_many("with this token"))?;
    // Files may have any length; a slow client is bounded as with any body.
    let body = from_client(incoming, &server.progress, usize::MAX);
    let body = in_turn(body, &server.uploads);
    let stored = server
        .runtime
        .store_file(body, content_type, announced)
        .await;
    let id = stored.map_err(|error| not_stored(error, source))?;
    Ok(json(StatusCode::OK, format!(r#"{{"storageId":"{id}"}}"#)))
}

fn too_many_uploads(whose: &str) -> ApiError {
    let message = format!("too many uploads {whose} are unfinished; finish some first");
    ApiError::too_many("TooManyConcurrentUploads", message, Duration::from_secs(1))
}

/// A body that holds one of the upload slots only while a chunk is stored. An upload that waits for its client holds
/// none, so that it does not delay others.
fn in_turn(body: Body, places: &Arc<Semaphore>) -> Body {
    let places = Arc::clone(places);
    let none: Option<OwnedSemaphorePermit> = None;
    Body::from_stream(stream::unfold((body, none), move |(mut body, place)| {
        let places = Arc::clone(&places);
        async move {
            drop(place);
            let chunk = body.chunk().await?;
            let place = places.acquire_owned().await;
            Some((chunk, (body, place.ok())))
        }
    }))
}

fn token(uri: &Uri) -> String {
    let pairs = uri
        .query()
        .map(|query| form_urlencoded::parse(query.as_bytes()));
    let token = pairs
        .into_iter()
        .flatten()
        .find(|(name, _)| name == "token");
    token
        .map(|(_, token)| token.into_owned())
        .unwrap_or_default()
}

fn bad_token(error: &UploadTokenError) -> ApiError {
    let code = match error {
        UploadTokenError::Expired => "StorageTokenExpired",
        _ => "StorageTokenInvalid",
    };
    ApiError::new(StatusCode::UNAUTHORIZED, code, error.to_string())
}

/// The hash in `Digest: sha-256=<base64>`; other algorithms beside it say nothing to us.
fn announced_hash(headers: &HeaderMap) -> Result<Option<ContentHash>, ApiError> {
    let invalid = || {
        let message = "the Digest header is not `sha-256=<base64>`";
        ApiError::new(StatusCode::BAD_REQUEST, "InvalidDigest", message)
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
    let invalid = |_| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "InvalidContentType",
            "the Content-Type is not plain text",
        )
    };
    value
        .to_str()
        .map(|text| Some(text.to_owned()))
        .map_err(invalid)
}

fn not_stored(error: StoreFileError, source: &CallSource) -> ApiError {
    let request_id = source.request_id();
    match error {
        StoreFileError::Sha256Mismatch { .. } => {
            ApiError::new(StatusCode::BAD_REQUEST, "Sha256Mismatch", error.to_string())
        }
        StoreFileError::ContentTypeTooLong { .. } => ApiError::new(
            StatusCode::BAD_REQUEST,
            "InvalidContentType",
            error.to_string(),
        ),
        StoreFileError::Body(BodyError::TooSlow) => ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "RequestTimeout",
            error.to_string(),
        ),
        StoreFileError::Body(_) => {
            ApiError::new(StatusCode::BAD_REQUEST, "IncompleteBody", error.to_string())
        }
        StoreFileError::Failed(error) => failed(&error, source),
        other => {
            tracing::error!(%request_id, error = %other, "a file could not be stored");
            ApiError::unavailable(request_id, "the file cannot be stored")
        }
    }
}

fn failed(error: &Error, source: &CallSource) -> ApiError {
    source.log_failure("storage", error);
    let request_id = source.request_id();
    ApiError::of_system(error, request_id).unwrap_or_else(|| ApiError::internal(request_id))
}

/// Answers with a file, or a part of it.
pub(super) async fn download(
    server: &Server,
    method: &Method,
    url_id: &str,
    headers: &HeaderMap,
    source: &CallSource,
) -> Result<Response<Body>, ApiError> {
    let url_id = url_id.parse::<Uuid>().map_err(|error| {
        let message = format!("{error}; take the file's URL from `ctx.storage.getUrl`");
        ApiError::new(StatusCode::BAD_REQUEST, "InvalidStoragePath", message)
    })?;
    let found = server
        .runtime
        .file_at(url_id)
        .await
        .map_err(|error| failed(&error, source))?;
    let missing = || {
        ApiError::new(
            StatusCode::NOT_FOUND,
            "FileNotFound",
            format!("there is no file {url_id}"),
        )
    };
    let file = found.ok_or_else(missing)?;
    let selection = select(headers, &etag(&file), file.size);
    let mut response = Response::new(Body::empty());
    describe(&file, headers, response.headers_mut());
    let (status, range) = match selection {
        Selection::Whole => (StatusCode::OK, 0..file.size),
        Selection::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Selection::NotModified => (StatusCode::NOT_MODIFIED, 0..0),
        Selection::NotMatching => (StatusCode::PRECONDITION_FAILED, 0..0),
        Selection::Unsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, 0..0),
    };
    *response.status_mut() = status;
    measure(&file, status, &range, response.headers_mut());
    // A HEAD says what a GET would, and reads nothing.
    if *method == Method::GET && !range.is_empty() {
        *response.body_mut() = match server.runtime.read_file(&file, range).await {
            Ok(body) => body,
            // It may have been deleted since it was looked up.
            Err(_) if matches!(server.runtime.file_at(url_id).await, Ok(None)) => {
                return Err(missing());
            }
            Err(error) => return Err(failed(&error, source)),
        };
    }
    Ok(response)
}

fn etag(file: &FileInfo) -> String {
    format!("\"{}\"", file.hash)
}

/// What is said of a file whatever is asked of it.
fn describe(file: &FileInfo, request: &HeaderMap, response: &mut HeaderMap) {
    let content_type = file
        .content_type
        .as_deref()
        .and_then(|text| HeaderValue::from_str(text).ok());
    let essence = file
        .content_type
        .as_deref()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    let policy = if essence.eq_ignore_ascii_case("application/pdf") {
        PDF
    } else {
        SANDBOX
    };
    let mut set = |name: HeaderName, value: HeaderValue| drop(response.insert(name, value));
    if let Some(content_type) = content_type {
        set(header::CONTENT_TYPE, content_type);
    }
    set(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    set(header::CONTENT_SECURITY_POLICY, policy);
    set(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("cross-origin"),
    );
    set(header::CACHE_CONTROL, CACHE);
    set(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(etag) = HeaderValue::from_str(&etag(file)) {
        set(header::ETAG, etag);
    }
    match request.contains_key(header::ORIGIN) {
        true => set(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED),
        // A cache must not show a page of another origin what it got without CORS.
        false => set(header::VARY, HeaderValue::from_static("Origin")),
    }
}

/// Which bytes are sent, and of how many.
fn measure(file: &FileInfo, status: StatusCode, range: &Range<u64>, response: &mut HeaderMap) {
    let size = file.size;
    let mut set = |name: HeaderName, text: String| {
        let value = HeaderValue::from_str(&text).expect("digits and base64 are plain text");
        response.insert(name, value);
    };
    match status {
        StatusCode::OK => set(DIGEST, format!("sha-256={}", BASE64.encode(&file.hash.0))),
        StatusCode::PARTIAL_CONTENT => {
            set(
                header::CONTENT_RANGE,
                format!("bytes {}-{}/{size}", range.start, range.end - 1),
            );
        }
        StatusCode::RANGE_NOT_SATISFIABLE => set(header::CONTENT_RANGE, format!("bytes */{size}")),
        _ => {}
    }
    if status != StatusCode::NOT_MODIFIED {
        set(
            header::CONTENT_LENGTH,
            (range.end - range.start).to_string(),
        );
    }
}
