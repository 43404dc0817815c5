use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt, stream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

/// The number of bytes that are read at once.
const CHUNK_SIZE: usize = 64 << 10;

type FileResponse = Response<BoxBody<Bytes, io::Error>>;

/// Serves the files of a folder and accepts uploads, as a developer would write it over hyper. An upload is written to
/// a temporary name, synced and renamed.
pub(crate) fn serve(folder: &Path) {
    std::fs::create_dir_all(folder).expect("the folder can be created");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a Tokio runtime starts");
    let folder: Arc<Path> = folder.into();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        println!(
            "files on http://{}",
            listener.local_addr().expect("the socket is bound")
        );
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let _ = stream.set_nodelay(true);
            let folder = Arc::clone(&folder);
            tokio::spawn(async move {
                let response =
                    service_fn(move |request| serve_request(Arc::clone(&folder), request));
                let connection = hyper::server::conn::http1::Builder::new();
                // An error is expected: the load generator closes connections without notice.
                let _ = connection
                    .serve_connection(TokioIo::new(stream), response)
                    .await;
            });
        }
    });
}

async fn serve_request(
    folder: Arc<Path>,
    request: Request<Incoming>,
) -> Result<FileResponse, Infallible> {
    let path = folder.join(request.uri().path().trim_start_matches('/'));
    let result = if request.method() == Method::GET {
        read(&path).await
    } else {
        take(path, request).await
    };
    Ok(result.unwrap_or_else(|_| status(StatusCode::INTERNAL_SERVER_ERROR)))
}

fn status(status: StatusCode) -> FileResponse {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    response
}

async fn read(path: &Path) -> io::Result<FileResponse> {
    let Ok(file) = tokio::fs::File::open(path).await else {
        return Ok(status(StatusCode::NOT_FOUND));
    };
    let length = file.metadata().await?.len();
    let body = StreamBody::new(chunks(file).map_ok(Frame::data));
    let response = Response::builder()
        .header("content-length", length)
        .body(BodyExt::boxed(body));
    response.map_err(io::Error::other)
}

fn chunks(file: tokio::fs::File) -> impl Stream<Item = io::Result<Bytes>> {
    stream::try_unfold(file, async |mut file| {
        let mut chunk = BytesMut::with_capacity(CHUNK_SIZE);
        let read = file.read_buf(&mut chunk).await?;
        Ok((read > 0).then(|| (chunk.freeze(), file)))
    })
}

async fn take(path: PathBuf, request: Request<Incoming>) -> io::Result<FileResponse> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let incoming =
        path.with_extension(format!("incoming-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    let mut file = File::create(&incoming)?;
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        if let Ok(chunk) = frame.map_err(io::Error::other)?.into_data() {
            file = on_a_thread(move || file.write_all(&chunk).map(|()| file)).await?;
        }
    }
    on_a_thread(move || {
        file.sync_all()?;
        std::fs::rename(&incoming, &path)?;
        File::open(path.parent().expect("it is in the folder"))?.sync_all()
    })
    .await?;
    Ok(status(StatusCode::OK))
}

async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
