//! Uploads and downloads of files.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use lentil_runtime::http::{Body, BodyError};
use lentil_runtime::{CallSource, ContentHash, Error, StoreFileError, UploadTokenError, Uuid};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::request::ApiRequest;
use crate::error::ApiError;
use crate::peer::share_address;
use crate::response::json;

const DIGEST: HeaderName = HeaderName::from_static("digest");
/// A month: the file of a URL never changes.
const CACHE: HeaderValue = HeaderValue::from_static("private, max-age=2592000");
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
            // The semaphore is never closed, so a permit is always returned.
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
    let request_id = &source.request_id;
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
    let request_id = &source.request_id;
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

    let files = server.runtime.files();
    let headers = request.headers();
    let mut response = match files.respond(&file, &request.parts.method, headers).await {
        Ok(response) => response,
        // The file may have been deleted after it was found.
        Err(_) if matches!(files.find(url_id).await, Ok(None)) => return Err(not_found(url_id)),
        Err(error) => return Err(failed(&error, source)),
    };
    add_sharing_headers(headers, response.headers_mut());
    Ok(response)
}

fn not_found(url_id: Uuid) -> ApiError {
    let message = format!("there is no file {url_id}");
    ApiError::new(StatusCode::NOT_FOUND, "FileNotFound", message)
}

/// Adds the headers that let pages of other origins and caches use a file.
fn add_sharing_headers(request: &HeaderMap, response: &mut HeaderMap) {
    response.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("cross-origin"),
    );
    response.insert(header::CACHE_CONTROL, CACHE);
    if request.contains_key(header::ORIGIN) {
        response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    } else {
        // A cache must not give this response, which has no CORS headers, to a page of another
        // origin.
        response.insert(header::VARY, HeaderValue::from_static("Origin"));
    }
}
