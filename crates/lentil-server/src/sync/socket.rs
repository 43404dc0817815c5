use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use lentil_protocol::sync::Chunks;
use lentil_runtime::memory::Account;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::close_reason::CloseReason;
use super::decoder::{FrameDecoder, FrameError, Incoming, MAX_MESSAGE_BYTES, TextMessage};
use super::frame::{CLOSE, OutgoingFrame};
use super::outbox::{Outbox, QueuedFrame};
use crate::progress::{PeerTimer, ProgressRule};

/// Bytes that are read at a time.
const READ_BYTES: usize = 16 << 10;
/// The longest time in which a closing client neither reads nor sends anything.
const CLOSE_IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest time that closing takes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(120);
/// The longest time that closing takes once the server shuts down.
const CLOSE_SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(1_500);
/// More than the longest message, so that a client which sends before it reads receives the last
/// message.
const MAX_DISCARDED_BYTES: usize = 2 * MAX_MESSAGE_BYTES;

/// A client's WebSocket. One task reads from it and writes to it, and counts the memory that it
/// holds.
///
/// The server reads nothing while a frame waits to be written. So a client that does not read
/// cannot make the server hold its messages, nor the pongs for its pings.
pub(super) struct Socket<S> {
    stream: S,
    account: Account,
    decoder: FrameDecoder,
    /// Bytes that were read and are not decoded yet.
    unread: Bytes,
    outbox: Outbox,
    /// The frame that is being written.
    writing: Option<QueuedFrame>,
    /// Whether a message was completed since the last event.
    has_sent: bool,
    /// Whether bytes wait because the client does not read. The stream fails if it never does.
    is_blocked: bool,
    rule: Arc<ProgressRule>,
    /// Runs while a message of the client is incomplete. Created for the first such message.
    timer: Option<PeerTimer>,
}

/// Whether a socket reads from its client now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Allowed,
    Paused,
}

/// An event on a socket.
pub(super) enum SocketEvent {
    /// The client sent a message.
    Message(TextMessage),
    /// The client sent another frame, or a part of a message.
    Active,
    /// A message was sent to the client.
    Sent,
}

/// The state of closing a socket.
struct ClosingHandshake {
    /// The payload of the close frame until it is queued.
    close_frame: Option<Bytes>,
    /// Whether the server's direction of the stream is shut down.
    is_shut_down: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Returns a socket on a stream from which the bytes `unread` were read before.
    pub(super) fn new(
        stream: S,
        unread: Bytes,
        account: Account,
        rule: &Arc<ProgressRule>,
    ) -> Socket<S> {
        Socket {
            stream,
            decoder: FrameDecoder::new(account.clone()),
            outbox: Outbox::new(account.clone()),
            account,
            unread,
            writing: None,
            has_sent: false,
            is_blocked: false,
            rule: Arc::clone(rule),
            timer: None,
        }
    }

    /// Returns whether nothing waits to be sent.
    pub(super) fn is_idle(&self) -> bool {
        self.outbox.is_empty() && self.writing.is_none()
    }

    /// Returns whether a message is being transferred in either direction. No pong can come before
    /// its end.
    pub(super) fn is_transferring(&self) -> bool {
        self.is_blocked || self.decoder.incomplete().is_some()
    }

    /// Returns whether the client keeps up with its responses.
    pub(super) fn has_room(&self) -> bool {
        self.outbox.has_room()
    }

    /// Returns whether the client keeps up with its transitions.
    pub(super) fn takes_transition(&self) -> bool {
        self.outbox.takes_transition()
    }

    /// Charges a text to the client, so that it can be sent later.
    pub(super) fn charge(&self, text: String) -> Bytes {
        self.outbox.charge(text)
    }

    /// Sends a text.
    pub(super) fn send(&mut self, text: String) {
        let text = self.outbox.charge(text);
        self.outbox.push_charged(text);
    }

    /// Sends a text that has been charged.
    pub(super) fn send_charged(&mut self, text: Bytes) {
        self.outbox.push_charged(text);
    }

    /// Sends a transition.
    pub(super) fn send_transition(&mut self, text: String) {
        self.outbox.push_transition(text);
    }

    /// Sends a transition in chunks.
    pub(super) fn send_chunks(&mut self, chunks: Chunks) {
        self.outbox.push_chunks(chunks);
    }

    /// Sends a WebSocket ping.
    pub(super) fn ping(&mut self) {
        self.outbox.push_ping();
    }

    /// Writes, and reads if allowed, until an event. Cancelling the future loses no data.
    pub(super) async fn next(&mut self, reading: Reading) -> Result<SocketEvent, CloseReason> {
        poll_fn(|cx| self.poll_next(cx, reading)).await
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        reading: Reading,
    ) -> Poll<Result<SocketEvent, CloseReason>> {
        let mut has_read = false;
        loop {
            let is_blocked = match self.poll_write(cx) {
                Poll::Ready(Ok(())) => false,
                Poll::Ready(Err(_)) => return Poll::Ready(Err(CloseReason::Disconnected)),
                Poll::Pending => true,
            };
            if std::mem::take(&mut self.has_sent) {
                return Poll::Ready(Ok(SocketEvent::Sent));
            }
            // The blocked write wakes this task. If reading is paused, another event of the session
            // polls again.
            if is_blocked || reading == Reading::Paused {
                self.restart_timer();
                return Poll::Pending;
            }

            match self.decode().map_err(|error| close_reason(&error))? {
                Some(Incoming::Text(message)) => {
                    return Poll::Ready(Ok(SocketEvent::Message(message)));
                }
                Some(Incoming::Ping(payload)) => {
                    self.outbox.push_pong(payload);
                    return Poll::Ready(Ok(SocketEvent::Active));
                }
                Some(Incoming::Pong) => return Poll::Ready(Ok(SocketEvent::Active)),
                Some(Incoming::Close) => return Poll::Ready(Err(CloseReason::ByClient)),
                // Returns also within a message, which may be long or never end, so that the
                // session checks again whether the socket may read.
                None if has_read && !self.account.is_readable() => {
                    return Poll::Ready(Ok(SocketEvent::Active));
                }
                None => {}
            }
            match self.poll_read(cx) {
                Poll::Ready(Ok(read)) if !read.is_empty() => {
                    has_read = true;
                    self.unread = read;
                }
                Poll::Ready(_) => return Poll::Ready(Err(CloseReason::Disconnected)),
                Poll::Pending => return self.poll_late(cx).map(|()| Err(CloseReason::inactive())),
            }
        }
    }

    /// Polls whether the client is late with the rest of a message. Pings within a message are not
    /// progress.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(received) = self.decoder.incomplete() else {
            self.restart_timer();
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| PeerTimer::new(&self.rule));
        timer.poll_late(cx, || Some(received))
    }

    fn restart_timer(&mut self) {
        if let Some(timer) = &mut self.timer {
            timer.restart();
        }
    }

    fn decode(&mut self) -> Result<Option<Incoming>, FrameError> {
        let mut input = &self.unread[..];
        let decoded = self.decoder.decode(&mut input);
        let left = input.len();
        self.unread.advance(self.unread.len() - left);
        if self.unread.is_empty() {
            // Frees the buffer.
            self.unread = Bytes::new();
        }
        decoded
    }

    /// Reads some bytes. Returns none at the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        // On the stack, so that an idle connection holds no buffer.
        let mut bytes = [0; READ_BYTES];
        let mut buffer = ReadBuf::new(&mut bytes);
        Pin::new(&mut self.stream)
            .poll_read(cx, &mut buffer)
            .map_ok(|()| Bytes::copy_from_slice(buffer.filled()))
    }

    /// Writes all that waits to be written.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let Some(writing) = &mut self.writing else {
                self.writing = self.outbox.next_frame();
                if self.writing.is_none() {
                    return Pin::new(&mut self.stream).poll_flush(cx);
                }
                continue;
            };
            // One system call writes the head and the payload, and the payload is not copied.
            let parts = writing.frame.unwritten().map(IoSlice::new);
            let written = match Pin::new(&mut self.stream).poll_write_vectored(cx, &parts) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(written) => written?,
                Poll::Pending => {
                    self.is_blocked = true;
                    return Poll::Pending;
                }
            };
            self.is_blocked = false;
            writing.frame.advance(written);
            if writing.frame.is_written() {
                self.has_sent |= self.outbox.sent(writing);
                self.writing = None;
            }
        }
    }

    /// Sends the last message and the close frame, and gives the client time to read them.
    ///
    /// Closing a socket with unread bytes resets the connection, and the client would see the reset
    /// instead of the last message. So the server reads and discards until the client hangs up or
    /// stays idle.
    pub(super) async fn close(mut self, reason: &CloseReason) {
        let Some(farewell) = reason.farewell() else {
            return;
        };
        // Frees the memory of an incomplete message. Nothing more is decoded.
        self.decoder = FrameDecoder::new(self.account.clone());
        self.unread = Bytes::new();
        match farewell.message {
            Some(message) => {
                self.outbox.clear_before_last_message();
                self.send(message);
            }
            None => self.outbox.clear(),
        }

        let mut handshake = ClosingHandshake {
            close_frame: Some(farewell.close_frame),
            is_shut_down: false,
        };
        let shutdown = self.rule.shutdown.clone();
        let mut shut_down = pin!(shut_down(&shutdown));
        let began = Instant::now();
        let mut discarded = 0;
        while discarded < MAX_DISCARDED_BYTES && began.elapsed() < CLOSE_TIMEOUT {
            let step = poll_fn(|cx| self.poll_close(cx, &mut handshake));
            let step = tokio::select! {
                step = timeout(CLOSE_IDLE_TIMEOUT, step) => step,
                () = &mut shut_down => return,
            };
            match step {
                Ok(Ok(read)) if read > 0 => discarded += read,
                _ => return,
            }
        }
    }

    /// Sends what is left, and reads. Returns the number of bytes read, 0 at the end of the stream.
    fn poll_close(
        &mut self,
        cx: &mut Context<'_>,
        handshake: &mut ClosingHandshake,
    ) -> Poll<io::Result<usize>> {
        while !handshake.is_shut_down && self.poll_write(cx)?.is_ready() {
            if let Some(payload) = handshake.close_frame.take() {
                let frame = OutgoingFrame::control(CLOSE, payload);
                self.writing = Some(QueuedFrame::outside_queue(frame));
                continue;
            }
            match Pin::new(&mut self.stream).poll_shutdown(cx)? {
                Poll::Ready(()) => handshake.is_shut_down = true,
                Poll::Pending => break,
            }
        }
        self.poll_read(cx).map_ok(|read| read.len())
    }
}

/// Returns when the server shuts down and the client has had time to read the last message.
async fn shut_down(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(CLOSE_SHUTDOWN_TIMEOUT).await;
}

/// Returns the reason to close a connection whose frames are invalid.
fn close_reason(error: &FrameError) -> CloseReason {
    let code = error.close_code().map(u16::from);
    match (error, code) {
        (FrameError::OverBudget(_), _) => CloseReason::over_budget(),
        // A client that breaks the WebSocket protocol is not expected to read Convex's messages.
        (FrameError::Protocol(reason), Some(code)) => CloseReason::Coded(code, (*reason).into()),
        _ => CloseReason::Fatal {
            error: error.to_string(),
            code,
        },
    }
}
