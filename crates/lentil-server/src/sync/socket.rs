use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use lentil_protocol::sync::Chunks;
use lentil_runtime::memory::{Account, Charge};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::close_reason::CloseReason;
use super::frames::{FrameError, Frames, Incoming, MAX_MESSAGE_BYTES, Received};
use crate::progress::{PeerTimer, ProgressRule};

/// Bytes on their way to a client, over which nothing more is done for it.
const MAX_OUTBOX_BYTES: usize = 4 << 20;
/// Messages on their way to a client, over which nothing more is done for it.
const MAX_OUTBOX_MESSAGES: usize = 256;
/// Transitions on their way; further changes become one.
const MAX_TRANSITIONS: usize = 2;
/// Longer messages go out in frames of this length, so that pings and the close frame can come between them.
const FRAME_BYTES: usize = 1 << 20;
const READ_BYTES: usize = 16 << 10;
/// The longest time in which a client neither takes the last words nor sends anything.
const GOODBYE_IDLE_TIMEOUT: Duration = Duration::from_secs(10);
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(120);
/// The total time that it may take once the server shuts down.
const GOODBYE_SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(1_500);
/// More than the longest message, so that a client which sends before it reads gets to the last words.
const MAX_DISCARDED_BYTES: usize = 2 * MAX_MESSAGE_BYTES;

const FINAL: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A client's WebSocket: one task reads from it and writes to it, and counts what it holds.
///
/// Nothing is read while anything waits to be written: a client that does not read cannot make the server hold what it
/// sends, nor the pongs for its pings.
pub(super) struct Socket<S> {
    stream: S,
    account: Account,
    frames: Frames,
    /// Bytes that have been read and not yet been looked at.
    unread: Bytes,
    outbox: VecDeque<Outgoing>,
    transitions: usize,
    bytes: usize,
    /// The payload of the last ping that has not been answered; it makes earlier ones needless.
    pong: Option<Vec<u8>>,
    pings: bool,
    writing: Option<Writing>,
    has_sent: bool,
    /// Whether bytes wait because the client does not take them. The stream fails if it never does.
    is_blocked: bool,
    rule: Arc<ProgressRule>,
    /// Runs while a message is incomplete; exists once one was.
    timer: Option<PeerTimer>,
}

/// Whether a socket reads from its client now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Allowed,
    Paused,
}

/// Something that has happened on a socket.
pub(super) enum Event {
    /// A message has come.
    Text(Received),
    /// A frame of the client shows that it is alive.
    Heard,
    /// Something has been sent.
    Sent,
}

/// A message on its way to the client.
struct Outgoing {
    payload: Payload,
    kind: Kind,
    /// Whether a part of the text has been sent.
    has_begun: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Response,
    Transition,
}

enum Payload {
    Text(Bytes),
    /// Each chunk is a message, and is written when the one before it has been sent.
    Chunks(Box<Chunks>, Charge),
}

/// A frame that is being written.
struct Writing {
    head: Bytes,
    payload: Bytes,
    /// The bytes of the queue that it accounts for.
    counted: usize,
    /// The kind of the message that the frame completes, if it does.
    completes: Option<Kind>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Returns a socket on a connection from which `unread` was read already.
    pub(super) fn new(
        stream: S,
        unread: Bytes,
        account: Account,
        rule: &Arc<ProgressRule>,
    ) -> Socket<S> {
        Socket {
            stream,
            frames: Frames::new(account.clone()),
            account,
            unread,
            outbox: VecDeque::new(),
            transitions: 0,
            bytes: 0,
            pong: None,
            pings: false,
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

    /// Returns whether a message is on its way, in either direction; no pong can come before its end.
    pub(super) fn is_moving(&self) -> bool {
        self.is_blocked || self.frames.incomplete().is_some()
    }

    /// Returns whether the client keeps up with its responses.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < MAX_OUTBOX_BYTES && self.outbox.len() < MAX_OUTBOX_MESSAGES
    }

    /// Returns whether the client keeps up with its transitions.
    pub(super) fn takes_transition(&self) -> bool {
        self.has_room() && self.transitions < MAX_TRANSITIONS
    }

    /// A text that can be sent later, charged to the client from now on.
    pub(super) fn charged(&self, text: String) -> Bytes {
        let bytes = text.into_bytes().into_boxed_slice();
        self.account.charge(bytes.len()).attach(bytes)
    }

    /// Sends a text.
    pub(super) fn send(&mut self, text: String) {
        let text = self.charged(text);
        self.send_charged(text);
    }

    /// Sends a text that was charged when it was made.
    pub(super) fn send_charged(&mut self, text: Bytes) {
        self.push(Payload::Text(text), Kind::Response);
    }

    /// Sends a transition.
    pub(super) fn send_transition(&mut self, text: String) {
        let text = self.charged(text);
        self.push(Payload::Text(text), Kind::Transition);
    }

    /// Sends a transition in chunks.
    pub(super) fn send_chunks(&mut self, chunks: Chunks) {
        let charge = self.account.charge(chunks.remaining());
        self.push(Payload::Chunks(Box::new(chunks), charge), Kind::Transition);
    }

    /// Sends a WebSocket ping.
    pub(super) fn ping(&mut self) {
        self.pings = true;
    }

    fn push(&mut self, payload: Payload, kind: Kind) {
        self.bytes += payload.remaining();
        self.transitions += usize::from(kind == Kind::Transition);
        self.outbox.push_back(Outgoing {
            payload,
            kind,
            has_begun: false,
        });
    }

    /// Writes, and reads if it may, until something has happened. Dropping the future loses nothing.
    pub(super) async fn next(&mut self, reading: Reading) -> Result<Event, CloseReason> {
        poll_fn(|cx| self.poll_next(cx, reading)).await
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        reading: Reading,
    ) -> Poll<Result<Event, CloseReason>> {
        let mut has_read = false;
        loop {
            let is_blocked = match self.poll_write(cx) {
                Poll::Ready(Ok(())) => false,
                Poll::Ready(Err(_)) => return Poll::Ready(Err(CloseReason::Gone)),
                Poll::Pending => true,
            };
            if std::mem::take(&mut self.has_sent) {
                return Poll::Ready(Ok(Event::Sent));
            }
            if is_blocked || reading == Reading::Paused {
                self.forget_incoming_time();
                return Poll::Pending;
            }
            match self.take_incoming().map_err(|error| refused(&error))? {
                Some(Incoming::Text(received)) => return Poll::Ready(Ok(Event::Text(received))),
                Some(Incoming::Ping(payload)) => {
                    self.pong = Some(payload);
                    return Poll::Ready(Ok(Event::Heard));
                }
                Some(Incoming::Pong) => return Poll::Ready(Ok(Event::Heard)),
                Some(Incoming::Close) => return Poll::Ready(Err(CloseReason::ByClient)),
                // Also in the middle of a message, which may be long or never end.
                None if has_read && !self.account.is_readable() => {
                    return Poll::Ready(Ok(Event::Heard));
                }
                None => {}
            }
            match self.poll_read(cx) {
                Poll::Ready(Ok(read)) if !read.is_empty() => {
                    has_read = true;
                    self.unread = read;
                }
                Poll::Ready(_) => return Poll::Ready(Err(CloseReason::Gone)),
                Poll::Pending => return self.poll_late(cx).map(|()| Err(CloseReason::silent())),
            }
        }
    }

    /// Polls whether the client is late with the rest of a message. Pings between its parts are not progress.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(received) = self.frames.incomplete() else {
            self.forget_incoming_time();
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| PeerTimer::new(&self.rule));
        timer.poll_late(cx, || Some(received))
    }

    fn forget_incoming_time(&mut self) {
        if let Some(timer) = &mut self.timer {
            timer.restart();
        }
    }

    fn take_incoming(&mut self) -> Result<Option<Incoming>, FrameError> {
        let mut input = &self.unread[..];
        let taken = self.frames.take(&mut input);
        let left = input.len();
        self.unread.advance(self.unread.len() - left);
        if self.unread.is_empty() {
            self.unread = Bytes::new();
        }
        taken
    }

    /// Reads some bytes; none at the end.
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
                match self.next_frame() {
                    Some(writing) => self.writing = Some(writing),
                    None => return Pin::new(&mut self.stream).poll_flush(cx),
                }
                continue;
            };
            let parts = [IoSlice::new(&writing.head), IoSlice::new(&writing.payload)];
            let written = match Pin::new(&mut self.stream).poll_write_vectored(cx, &parts) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(written) => written?,
                Poll::Pending => {
                    self.is_blocked = true;
                    return Poll::Pending;
                }
            };
            let of_head = written.min(writing.head.len());
            writing.head.advance(of_head);
            writing.payload.advance(written - of_head);
            self.is_blocked = false;
            if writing.head.is_empty() && writing.payload.is_empty() {
                self.has_sent |= writing.completes.is_some();
                self.transitions -= usize::from(writing.completes == Some(Kind::Transition));
                self.bytes -= writing.counted;
                self.writing = None;
            }
        }
    }

    /// Takes the next frame from the queue: control frames first.
    fn next_frame(&mut self) -> Option<Writing> {
        if let Some(payload) = self.pong.take() {
            return Some(Writing::control(PONG, payload));
        }
        if std::mem::take(&mut self.pings) {
            return Some(Writing::control(PING, Vec::new()));
        }
        let outgoing = self.outbox.front_mut()?;
        let (opcode, payload) = match &mut outgoing.payload {
            Payload::Text(text) => {
                let opcode = if outgoing.has_begun {
                    CONTINUATION
                } else {
                    TEXT
                };
                let payload = text.split_to(text.len().min(FRAME_BYTES));
                let end = if text.is_empty() { FINAL } else { 0 };
                (end | opcode, payload)
            }
            Payload::Chunks(chunks, charge) => {
                let before = chunks.remaining();
                let chunk = chunks.next().unwrap_or_default();
                self.bytes -= before - chunks.remaining();
                self.bytes += chunk.len();
                let chunk = charge.another(chunk.len()).attach(chunk);
                (FINAL | TEXT, chunk)
            }
        };
        outgoing.has_begun = opcode & FINAL == 0;
        let completes = (outgoing.payload.remaining() == 0).then_some(outgoing.kind);
        if completes.is_some() {
            self.outbox.pop_front();
        }
        Some(Writing {
            counted: payload.len(),
            completes,
            ..Writing::new(opcode, payload)
        })
    }

    /// Sends the last words, and gives the client time to read them.
    ///
    /// CloseReason a socket with unread bytes in it resets the connection, and the client would see the reset and not the
    /// last words. So the server reads and discards its bytes, until it has hung up or neither reads nor sends.
    pub(super) async fn close(mut self, closing: &CloseReason) {
        let Some((text, frame)) = closing.last_words() else {
            return;
        };
        self.forget_waiting(text.is_some());
        self.frames = Frames::new(self.account.clone());
        self.unread = Bytes::new();
        if let Some(text) = text {
            self.send(text);
        }
        let shutdown = self.rule.shutdown.clone();
        let mut shut_down = pin!(shut_down(&shutdown));
        let mut goodbye = Some(frame);
        let (mut is_shut, mut discarded, began) = (false, 0, Instant::now());
        while discarded < MAX_DISCARDED_BYTES && began.elapsed() < GOODBYE_TIMEOUT {
            let step = poll_fn(|cx| self.poll_goodbye(cx, &mut goodbye, &mut is_shut));
            let step = tokio::select! {
                step = timeout(GOODBYE_IDLE_TIMEOUT, step) => step,
                () = &mut shut_down => return,
            };
            match step {
                Ok(Ok(read)) if read > 0 => discarded += read,
                _ => return,
            }
        }
    }

    /// Drops the queue. A message whose beginning was sent is completed if a text follows it.
    fn forget_waiting(&mut self, is_text_to_follow: bool) {
        (self.pong, self.pings) = (None, false);
        self.outbox.truncate(1);
        let has_begun = self
            .outbox
            .front()
            .is_some_and(|outgoing| outgoing.has_begun);
        if !(has_begun && is_text_to_follow) {
            self.outbox.clear();
        }
    }

    /// Continues to send the last words, and reads; returns the number of bytes read, 0 at the end.
    fn poll_goodbye(
        &mut self,
        cx: &mut Context<'_>,
        goodbye: &mut Option<Bytes>,
        is_shut: &mut bool,
    ) -> Poll<io::Result<usize>> {
        while !*is_shut && self.poll_write(cx)?.is_ready() {
            match goodbye.take() {
                Some(frame) => self.writing = Some(Writing::new(FINAL | CLOSE, frame)),
                None => match Pin::new(&mut self.stream).poll_shutdown(cx)? {
                    Poll::Ready(()) => *is_shut = true,
                    Poll::Pending => break,
                },
            }
        }
        self.poll_read(cx).map_ok(|read| read.len())
    }
}

impl Payload {
    /// Returns about the number of bytes still to be sent.
    fn remaining(&self) -> usize {
        match self {
            Payload::Text(text) => text.len(),
            Payload::Chunks(chunks, _) => chunks.remaining(),
        }
    }
}

impl Writing {
    fn new(first: u8, payload: Bytes) -> Writing {
        let mut head = Vec::with_capacity(10);
        head.push(first);
        match payload.len() {
            length @ 0..126 => head.push(length as u8),
            length @ 126..0x1_0000 => {
                head.push(126);
                head.extend((length as u16).to_be_bytes());
            }
            length => {
                head.push(127);
                head.extend((length as u64).to_be_bytes());
            }
        }
        Writing {
            head: head.into(),
            payload,
            counted: 0,
            completes: None,
        }
    }

    fn control(opcode: u8, payload: Vec<u8>) -> Writing {
        Writing::new(FINAL | opcode, payload.into())
    }
}

/// Returns when the server shuts down and the client has had time for the last words.
async fn shut_down(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    tokio::time::sleep(GOODBYE_SHUTDOWN_TIMEOUT).await;
}

/// The last words to a client whose frames cannot be taken.
fn refused(error: &FrameError) -> CloseReason {
    match (error, error.close_code()) {
        (FrameError::OverBudget(_), _) => CloseReason::over_budget(),
        // A client that breaks the WebSocket protocol is not expected to read Convex's messages.
        (FrameError::Protocol(reason), Some(code)) => {
            CloseReason::Coded(code.into(), (*reason).into())
        }
        (_, code) => CloseReason::Fatal {
            error: error.to_string(),
            code: code.map(u16::from),
        },
    }
}
