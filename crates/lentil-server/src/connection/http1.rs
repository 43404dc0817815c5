use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as HttpService, service_fn};
use hyper_util::rt::TokioIo;
use lentil_runtime::memory::Account;

use super::lingering_close::lingering_close;
use super::memory;
use super::registry::ConnectionRegistry;
use super::response_body::ResponseBody;
use super::state::{ConnectionState, InFlightRequest};
use super::stream::ClientStream;
use crate::request_body::RequestBody;
use crate::service::Service;
use crate::sync::{self, UpgradeSlot};

/// Estimated bytes of a connection with hyper's buffers.
const CONNECTION_BYTES: usize = 16 << 10;
/// The smallest buffer that hyper accepts.
const MIN_BUFFER_BYTES: usize = 8 << 10;

/// The reason why the HTTP/1 part of a connection ended.
#[derive(PartialEq, Eq)]
enum ConnectionEnd {
    /// The client or the server wanted no further request, or the connection was upgraded.
    Served,
    /// No request came in time.
    TimedOut,
    /// The client held too much memory.
    Evicted,
    /// The client broke the protocol, or the socket failed.
    Failed,
}

/// The state that the requests of a connection share.
struct RequestContext {
    service: Service,
    state: Arc<ConnectionState>,
    slot: UpgradeSlot,
    account: Account,
}

impl RequestContext {
    async fn respond(&self, parts: Box<Parts>, incoming: Incoming) -> Response<ResponseBody> {
        let in_flight = InFlightRequest::begin(&self.state);
        let account = self.account.clone();
        let body = RequestBody { incoming, account };
        let response = self.service.respond(parts, body, &self.slot).await;
        response.map(|body| ResponseBody::of_request(body, in_flight, &self.account))
    }
}

/// Serves requests one after another, and then the WebSocket if one of them asked for it.
pub(super) async fn serve(
    stream: ClientStream,
    service: Service,
    registry: &Arc<ConnectionRegistry>,
) {
    let (account, _charge) = memory::open_account(&service, CONNECTION_BYTES);
    let server = Arc::clone(service.server());
    let context = Arc::new(RequestContext {
        service,
        state: Arc::clone(stream.state()),
        slot: UpgradeSlot::default(),
        account: account.clone(),
    });
    let registration = registry.register(&context.state);
    let respond = service_fn({
        let context = Arc::clone(&context);
        move |request: Request<Incoming>| {
            let context = Arc::clone(&context);
            let (parts, incoming) = request.into_parts();
            let parts = Box::new(parts);
            Box::pin(async move { Ok::<_, Infallible>(context.respond(parts, incoming).await) })
        }
    });
    let mut builder = http1::Builder::new();
    builder.max_buf_size(server.options.max_head_bytes.max(MIN_BUFFER_BYTES));
    // A client that shuts down its direction after a request still receives the response.
    builder.half_close(true);
    let mut connection = builder.serve_connection(TokioIo::new(stream), respond);

    let end = tokio::select! {
        end = drive(&mut connection, &context.state) => end,
        () = memory::evicted(&account) => ConnectionEnd::Evicted,
    };
    // The registry must not time out the WebSocket, which awaits no request head.
    drop(registration);
    let parts = connection.into_parts();
    let stream = parts.io.into_inner();
    let upgrade = context.slot.lock().take();
    match upgrade {
        Some(upgrade) if end == ConnectionEnd::Served => {
            // Boxed, so that connections without a WebSocket do not carry the session's size.
            let session = sync::serve(server, stream, parts.read_buf, upgrade, account);
            Box::pin(session).await;
        }
        _ => lingering_close(stream, &server.shutdown).await,
    }
}

/// Runs a connection until it ends or the registry times it out.
async fn drive<S>(
    connection: &mut http1::Connection<TokioIo<ClientStream>, S>,
    state: &ConnectionState,
) -> ConnectionEnd
where
    S: HttpService<Request<Incoming>, Response = Response<ResponseBody>, Error = Infallible>,
    S: Unpin,
    S::Future: Unpin,
{
    let mut is_shutting_down = false;
    poll_fn(|cx| {
        // Registered before the state is read, so that no change between the two is missed.
        state.register(cx.waker());
        if state.is_shutting_down() && !is_shutting_down {
            is_shutting_down = true;
            Pin::new(&mut *connection).graceful_shutdown();
        }
        // The stream stays open, because a WebSocket or the lingering close uses it next.
        match connection.poll_without_shutdown(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(ConnectionEnd::Served),
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "an HTTP/1 connection failed");
                Poll::Ready(ConnectionEnd::Failed)
            }
            Poll::Pending if state.is_timed_out() => {
                tracing::debug!("an HTTP/1 connection ended: no request came in time");
                Poll::Ready(ConnectionEnd::TimedOut)
            }
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
