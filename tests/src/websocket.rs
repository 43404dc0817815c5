use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A WebSocket client that can misbehave: it may never read, or stop within a frame.
pub struct WebSocket {
    stream: TcpStream,
}

/// A frame of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A message.
    Text(String),
    /// The close frame with its code, if any, and its reason.
    Close(Option<u16>, String),
}

/// The first byte of a text message of one frame.
pub const TEXT: u8 = 0x81;
/// The bit of the last frame of a message. Alone it is the first byte of a continuation frame.
const FINAL: u8 = 0x80;
/// The largest part of a message that is sent in one frame.
const FRAME_BYTES: usize = 8 << 20;
/// The first byte of a ping.
pub const PING: u8 = 0x89;

impl WebSocket {
    /// Opens the sync WebSocket at `host:port`.
    ///
    /// # Errors
    /// If the server does not accept it.
    pub fn open(address: &str) -> io::Result<WebSocket> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_write_timeout(Some(Duration::from_secs(30)))?;
        let head = "GET /api/sync HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                    sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
        stream.write_all(head.as_bytes())?;
        let mut response = Vec::new();
        while !response.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            response.push(byte[0]);
        }
        if response.starts_with(b"HTTP/1.1 101 ") {
            Ok(WebSocket { stream })
        } else {
            Err(io::Error::other(
                String::from_utf8_lossy(&response).into_owned(),
            ))
        }
    }

    /// Sets the timeout of reads and writes.
    ///
    /// # Errors
    /// If the system rejects the timeout.
    pub fn set_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(timeout))?;
        self.stream.set_write_timeout(Some(timeout))
    }

    /// Sends a message. A message over 8 MiB is sent in several frames.
    ///
    /// # Errors
    /// If the server has closed the connection or does not read.
    pub fn send(&mut self, text: &str) -> io::Result<()> {
        let mut first = TEXT;
        let mut rest = text.as_bytes();
        while let Some((part, after)) = rest.split_at_checked(FRAME_BYTES) {
            self.send_bytes(&frame(first & !FINAL, part))?;
            first = FINAL;
            rest = after;
        }
        self.send_bytes(&frame(first, rest))
    }

    /// Sends bytes unchanged.
    ///
    /// # Errors
    /// As [`WebSocket::send`].
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads the next message or the close frame, and skips pings and pongs.
    ///
    /// # Errors
    /// If the server closes the connection without a close frame.
    pub fn read(&mut self) -> io::Result<Frame> {
        let mut message = Vec::new();
        loop {
            let [first, second] = self.read_bytes()?;
            let length = match second {
                126 => u64::from(u16::from_be_bytes(self.read_bytes()?)),
                127 => u64::from_be_bytes(self.read_bytes()?),
                length => u64::from(length),
            };
            let mut payload = vec![0; usize::try_from(length).map_err(io::Error::other)?];
            self.stream.read_exact(&mut payload)?;
            match first & 0x0f {
                0 | 1 => message.append(&mut payload),
                8 => {
                    let (code, reason) = payload.split_at(payload.len().min(2));
                    let code = code.try_into().ok().map(u16::from_be_bytes);
                    return Ok(Frame::Close(code, String::from_utf8_lossy(reason).into()));
                }
                _ => continue,
            }
            if first & 0x80 != 0 {
                let text = String::from_utf8(message).map_err(io::Error::other)?;
                return Ok(Frame::Text(text));
            }
        }
    }

    fn read_bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// Makes a frame of a client with a mask of zeros.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | length as u8),
        length @ 126..0x1_0000 => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}
