//! The heads of requests, as their bytes come in: whether they come in time, and whether they say the body's length
//! twice.
//!
//! A request with both `Content-Length` and `Transfer-Encoding` is how one request is smuggled past a proxy inside
//! another, and is answered 400. hyper follows the one and drops the other before a service can see it, so the bytes
//! of each head are watched as they come in.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use futures_util::task::AtomicWaker;
use memchr::memchr;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What is known of the head of the request that is being read; shared by the stream, the service, the answer, and the
/// task that looks after all of them ([`crate::heads`]).
#[derive(Default)]
pub(crate) struct Head {
    is_over: AtomicBool,
    is_ambiguous: AtomicBool,
    /// Even while a head is awaited, odd while a request is answered.
    phase: AtomicU32,
    /// The phase after the one in which the connection was to be cut.
    cut: AtomicU32,
    is_draining: AtomicBool,
    /// Wakes the connection when it is to be cut or to drain.
    waker: AtomicWaker,
}

impl Head {
    /// Whether the request just begun says its length twice.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.is_ambiguous.load(Ordering::Relaxed)
    }

    /// The phase, while a head is awaited.
    pub(crate) fn awaited(&self) -> Option<u32> {
        let phase = self.phase.load(Ordering::SeqCst);
        phase.is_multiple_of(2).then_some(phase)
    }

    /// The connection is to be cut, unless the head that was awaited in this phase has come meanwhile.
    pub(crate) fn cut(&self, phase: u32) {
        self.cut.store(phase.wrapping_add(1), Ordering::SeqCst);
        self.waker.wake();
    }

    /// The connection is to end once no request is being answered.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::SeqCst);
        self.waker.wake();
    }

    /// Wakes this task from now on when the connection is to be cut or to drain.
    pub(crate) fn wakes(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.awaited()
            .is_some_and(|phase| self.cut.load(Ordering::SeqCst) == phase.wrapping_add(1))
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::SeqCst)
    }
}

/// A request is being answered, until this is dropped: what comes next is the next one's head.
pub(crate) struct Answering(Arc<Head>);

impl Answering {
    pub(crate) fn begin(head: &Arc<Head>) -> Answering {
        head.phase.fetch_add(1, Ordering::Relaxed);
        Answering(Arc::clone(head))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.is_ambiguous.store(false, Ordering::Relaxed);
        self.0.is_over.store(false, Ordering::Relaxed);
        self.0.phase.fetch_add(1, Ordering::Relaxed);
    }
}

/// A connection whose heads are watched.
pub(crate) struct Watched {
    stream: TcpStream,
    head: Arc<Head>,
    scanner: Scanner,
}

impl Watched {
    pub(crate) fn new(stream: TcpStream, head: Arc<Head>) -> Watched {
        Watched {
            stream,
            head,
            scanner: Scanner::default(),
        }
    }

    pub(crate) fn into_inner(self) -> TcpStream {
        self.stream
    }

    fn watch(&mut self, bytes: &[u8]) {
        if self.head.is_over.load(Ordering::Relaxed) {
            return;
        }
        if self.scanner.finds_end(bytes) {
            let scanner = std::mem::take(&mut self.scanner);
            self.head.is_ambiguous.store(
                scanner.has_length && scanner.has_encoding,
                Ordering::Relaxed,
            );
            self.head.is_over.store(true, Ordering::Relaxed);
        }
    }
}

/// Reads a head's lines for the two names.
#[derive(Default)]
struct Scanner {
    /// The beginning of a line whose end has not come yet; long enough for the names and no longer.
    line: Vec<u8>,
    has_length: bool,
    has_encoding: bool,
    has_begun: bool,
}

const LENGTH: &[u8] = b"content-length:";
const ENCODING: &[u8] = b"transfer-encoding:";

impl Scanner {
    /// Takes the next bytes; true once the empty line that ends the head is among them.
    fn finds_end(&mut self, mut bytes: &[u8]) -> bool {
        while let Some(end) = memchr(b'\n', bytes) {
            let is_over = if self.line.is_empty() {
                self.take_line(&bytes[..end])
            } else {
                self.gather(&bytes[..end]);
                let line = std::mem::take(&mut self.line);
                self.take_line(&line)
            };
            if is_over {
                return true;
            }
            bytes = &bytes[end + 1..];
        }
        self.gather(bytes);
        false
    }

    fn gather(&mut self, bytes: &[u8]) {
        let room = ENCODING.len() - self.line.len();
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Takes a whole line; true if it is the empty one after others.
    fn take_line(&mut self, line: &[u8]) -> bool {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let begins = |name: &[u8]| {
            line.get(..name.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(name))
        };
        self.has_length |= begins(LENGTH);
        self.has_encoding |= begins(ENCODING);
        let is_over = line.is_empty() && self.has_begun;
        self.has_begun |= !line.is_empty();
        is_over
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if matches!(polled, Poll::Ready(Ok(()))) {
            self.watch(&buffer.filled()[before..]);
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(chunks: &[&str]) -> (bool, bool) {
        let mut scanner = Scanner::default();
        let ended = chunks
            .iter()
            .any(|chunk| scanner.finds_end(chunk.as_bytes()));
        (ended, scanner.has_length && scanner.has_encoding)
    }

    #[test]
    fn both_lengths_are_found_however_they_are_written_and_cut() {
        let head = "\r\nPOST / HTTP/1.1\r\nContent-LENGTH: 5\r\nHost: x\r\ntransfer-Encoding: chunked\r\n\r\n";
        for cut in 0..head.len() {
            assert_eq!(
                scan(&[&head[..cut], &head[cut..]]),
                (true, true),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn one_length_or_none_is_no_matter() {
        assert_eq!(
            scan(&["GET / HTTP/1.1\r\nx: content-length: transfer-encoding:\r\n\r\n"]),
            (true, false)
        );
        assert_eq!(
            scan(&["POST / HTTP/1.1\ncontent-length: 5\n\ntransfer-encoding: chunked\n"]),
            (true, false)
        );
        assert_eq!(
            scan(&["POST / HTTP/1.1\r\ncontent-length: 5\r\n"]),
            (false, false)
        );
    }
}
