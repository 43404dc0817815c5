use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::state::ConnectionState;
use super::tcp;
use crate::progress::{PeerTimer, ProgressRule};

/// The first bytes of every HTTP/2 connection.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The protocol that a client speaks, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// A client's TCP connection, of either protocol. Writing fails once the client reads too slowly.
pub(crate) struct ClientStream {
    tcp: TcpStream,
    /// Bytes that were read to detect the protocol. They are read again.
    first: Bytes,
    rule: Arc<ProgressRule>,
    state: Arc<ConnectionState>,
    /// Created when a write first waits for the client.
    timer: Option<Box<PeerTimer>>,
    is_blocked: bool,
    is_late: bool,
    /// Bytes that the kernel has accepted.
    sent: u64,
    /// Bytes that the client had acknowledged when a write began to wait for it.
    acknowledged_before: u64,
}

impl ClientStream {
    pub(super) fn new(
        tcp: TcpStream,
        rule: &Arc<ProgressRule>,
        state: &Arc<ConnectionState>,
    ) -> ClientStream {
        tcp::prepare(&tcp);
        ClientStream {
            tcp,
            first: Bytes::new(),
            rule: Arc::clone(rule),
            state: Arc::clone(state),
            timer: None,
            is_blocked: false,
            is_late: false,
            sent: 0,
            acknowledged_before: 0,
        }
    }

    /// Returns the state that the connection's tasks share.
    pub(super) fn state(&self) -> &Arc<ConnectionState> {
        &self.state
    }

    /// Returns whether writing has failed because the client read too slowly.
    pub(super) fn is_late(&self) -> bool {
        self.is_late
    }

    /// Reads until the first bytes are the HTTP/2 preface or differ from it.
    pub(super) async fn detect_protocol(&mut self) -> io::Result<Protocol> {
        let mut first = [0; PREFACE.len()];
        let mut length = 0;
        loop {
            let read = self.tcp.read(&mut first[length..]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            length += read;
            let protocol = match PREFACE.starts_with(&first[..length]) {
                true if length < PREFACE.len() => continue,
                true => Protocol::Http2,
                false => Protocol::Http1,
            };
            self.first = Bytes::copy_from_slice(&first[..length]);
            return Ok(protocol);
        }
    }

    fn read_first(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) {
        let length = self.first.len().min(buffer.remaining());
        buffer.put_slice(&self.first[..length]);
        self.first.advance(length);
        if self.first.is_empty() && buffer.remaining() > 0 {
            // Adds the bytes that have arrived since. A later read reports an end or an error
            // again.
            let _ = Pin::new(&mut self.tcp).poll_read(cx, buffer);
        }
    }

    /// Records the result of a write, and measures the time that the client blocks it.
    fn after_write(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match polled {
            Poll::Pending => self.poll_blocked(cx),
            Poll::Ready(written) => {
                if self.is_blocked {
                    self.unblock();
                }
                if let Ok(bytes) = &written {
                    self.sent += *bytes as u64;
                }
                Poll::Ready(written)
            }
        }
    }

    fn poll_blocked(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if !self.is_blocked {
            self.is_blocked = true;
            self.state.set_blocked(true);
            // The kernel also accepts bytes that the client has not read. Acknowledged bytes show
            // its progress.
            self.acknowledged_before = tcp::acknowledged(&self.tcp).unwrap_or(self.sent);
        }
        let timer = self
            .timer
            .get_or_insert_with(|| Box::new(PeerTimer::new(&self.rule)));
        let late = timer.poll_late(cx, || {
            let acknowledged = tcp::acknowledged(&self.tcp).unwrap_or(self.sent);
            Some(acknowledged.saturating_sub(self.acknowledged_before))
        });
        if late.is_pending() {
            return Poll::Pending;
        }
        tracing::debug!("closed a connection: the client reads too slowly or not at all");
        self.is_late = true;
        // Resets the connection, so that the kernel discards the unsent bytes.
        let _ = self.tcp.set_zero_linger();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn unblock(&mut self) {
        self.is_blocked = false;
        self.state.set_blocked(false);
        if let Some(timer) = &mut self.timer {
            timer.restart();
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.is_empty() {
            return Pin::new(&mut self.tcp).poll_read(cx, buffer);
        }
        self.read_first(cx, buffer);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.after_write(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.tcp).poll_write_vectored(cx, bytes);
        self.after_write(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
