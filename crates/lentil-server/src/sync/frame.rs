//! Frames of the WebSocket protocol (RFC 6455): the opcodes, and the encoding of the server's
//! frames.

use bytes::{Buf, Bytes};

pub(super) const CONTINUATION: u8 = 0;
pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// The bit beside the opcode that marks the last frame of a message.
pub(super) const FINAL: u8 = 0x80;

/// The longest head of a server's frame: two bytes and an eight-byte length.
const MAX_SERVER_HEAD_BYTES: usize = 10;

/// A frame that is being written.
pub(super) struct OutgoingFrame {
    head: Bytes,
    payload: Bytes,
}

impl OutgoingFrame {
    /// Returns a frame with this first byte, which has the opcode and the bit [`FINAL`].
    pub(super) fn new(first: u8, payload: Bytes) -> OutgoingFrame {
        let mut head = Vec::with_capacity(MAX_SERVER_HEAD_BYTES);
        head.push(first);
        // 126 announces a length of two bytes, 127 one of eight (RFC 6455, section 5.2).
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
        OutgoingFrame {
            head: head.into(),
            payload,
        }
    }

    /// Returns a control frame.
    pub(super) fn control(opcode: u8, payload: Bytes) -> OutgoingFrame {
        OutgoingFrame::new(FINAL | opcode, payload)
    }

    /// Returns the bytes that are not written yet, in two parts.
    pub(super) fn unwritten(&self) -> [&[u8]; 2] {
        [&self.head, &self.payload]
    }

    /// Records that bytes were written.
    pub(super) fn advance(&mut self, written: usize) {
        let of_head = written.min(self.head.len());
        self.head.advance(of_head);
        self.payload.advance(written - of_head);
    }

    /// Returns whether all bytes are written.
    pub(super) fn is_written(&self) -> bool {
        self.head.is_empty() && self.payload.is_empty()
    }
}
