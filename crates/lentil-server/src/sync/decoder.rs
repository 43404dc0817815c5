//! Decodes a client's frames (RFC 6455) to messages, and charges their memory as they arrive.
//!
//! This file does no I/O. The server has its own decoder because it must know the memory that each
//! connection holds: a message is charged to the client from its first byte, and the decoder keeps
//! nothing of it afterwards.

use lentil_runtime::memory::{Account, Charge, OverBudget, Segments};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::frame::{BINARY, CLOSE, CONTINUATION, FINAL, PING, PONG, TEXT};

/// The most bytes of one message. Both limits are tungstenite's defaults, which Convex appears to
/// use.
pub(super) const MAX_MESSAGE_BYTES: usize = 64 << 20;
/// The most bytes of one frame.
const MAX_FRAME_BYTES: usize = 16 << 20;
/// The most bytes of a control frame's payload.
const MAX_CONTROL_BYTES: usize = 125;
/// The longest head: two bytes, an eight-byte length, and the mask.
const MAX_HEAD_BYTES: usize = 14;
const MASK_BYTES: usize = 4;

/// The bit in the second byte of a frame with a mask.
const MASKED: u8 = 0x80;
const RESERVED_BITS: u8 = 0x70;
const OPCODE_BITS: u8 = 0x0f;

/// A complete message or control frame of a client.
#[derive(Debug)]
pub(super) enum Incoming {
    Text(TextMessage),
    Ping(Vec<u8>),
    Pong,
    Close,
}

/// A message, and the charge for its memory.
#[derive(Debug)]
pub(super) struct TextMessage {
    pub(super) text: String,
    pub(super) _charge: Charge,
}

/// An invalid frame. Nothing after it can be decoded.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("the client broke the WebSocket protocol: {0}")]
    Protocol(&'static str),
    #[error("a binary message; messages are text")]
    Binary,
    #[error("the message is not UTF-8")]
    Utf8,
    #[error("the message is too long: the limit is {MAX_MESSAGE_BYTES} bytes")]
    MessageTooLong,
    #[error(
        "the frame is too long: the limit is {MAX_FRAME_BYTES} bytes; send several frames or messages"
    )]
    FrameTooLong,
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
}

impl FrameError {
    /// Returns the close code for the error if there is one.
    pub(super) fn close_code(&self) -> Option<CloseCode> {
        match self {
            FrameError::Protocol(_) => Some(CloseCode::Protocol),
            FrameError::Utf8 => Some(CloseCode::Invalid),
            FrameError::MessageTooLong | FrameError::FrameTooLong => Some(CloseCode::Size),
            FrameError::Binary | FrameError::OverBudget(_) => None,
        }
    }
}

/// Decodes frames from parts of any length.
pub(super) struct FrameDecoder {
    account: Account,
    /// The received part of a frame's head.
    head: Vec<u8>,
    frame: Option<IncompleteFrame>,
    /// The incomplete message.
    message: Option<Segments>,
    /// The payload of the incomplete control frame.
    control: Vec<u8>,
}

/// A frame whose head is decoded.
struct IncompleteFrame {
    opcode: u8,
    is_final: bool,
    mask: [u8; 4],
    /// The number of bytes of the payload that are decoded.
    decoded: usize,
    /// The number of bytes of the payload that are missing.
    missing: usize,
}

impl FrameDecoder {
    pub(super) fn new(account: Account) -> FrameDecoder {
        FrameDecoder {
            account,
            head: Vec::new(),
            frame: None,
            message: None,
            control: Vec::new(),
        }
    }

    /// Returns the number of bytes received of the incomplete message, or `None` without one.
    pub(super) fn incomplete(&self) -> Option<u64> {
        let message = self.message.as_ref();
        let is_incomplete = message.is_some() || self.frame.is_some() || !self.head.is_empty();
        is_incomplete.then(|| message.map_or(0, |message| message.len() as u64))
    }

    /// Decodes from the front of `input` until a message or control frame is complete, or the input
    /// ends.
    pub(super) fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Incoming>, FrameError> {
        loop {
            if self.frame.is_none() {
                let Some(frame) = self.decode_head(input)? else {
                    return Ok(None);
                };
                self.frame = Some(frame);
            }
            self.decode_payload(input)?;
            if self.frame.as_ref().is_some_and(|frame| frame.missing > 0) {
                return Ok(None);
            }
            if let Some(frame) = self.frame.take()
                && let Some(incoming) = self.finish(&frame)?
            {
                return Ok(Some(incoming));
            }
        }
    }

    /// Decodes a head if all of it has arrived.
    fn decode_head(&mut self, input: &mut &[u8]) -> Result<Option<IncompleteFrame>, FrameError> {
        while let Some((byte, rest)) = input.split_first() {
            self.head.push(*byte);
            *input = rest;
            // RFC 6455, section 5.1, requires the server to close the connection in this case.
            if self.head.len() == 2 && self.head[1] & MASKED == 0 {
                return Err(FrameError::Protocol("a client's frame must have a mask"));
            }
            if self.head.len() >= 2 && self.head.len() == head_length(self.head[1]) {
                let frame = self.parse_head()?;
                self.head.clear();
                return Ok(Some(frame));
            }
        }
        debug_assert!(self.head.len() < MAX_HEAD_BYTES);
        Ok(None)
    }

    /// Parses the complete head, and begins the message or control frame.
    fn parse_head(&mut self) -> Result<IncompleteFrame, FrameError> {
        let first = self.head[0];
        let second = self.head[1];
        let (length_bytes, mask) = self.head[2..].split_at(self.head.len() - 2 - MASK_BYTES);
        let mask = mask.try_into().expect("a mask has four bytes");
        let mut length = 0_u64;
        for byte in length_bytes {
            length = length << 8 | u64::from(*byte);
        }
        if length_bytes.is_empty() {
            length = u64::from(second & !MASKED);
        }
        let opcode = first & OPCODE_BITS;
        let is_final = first & FINAL != 0;
        // No extension has been negotiated that gives these bits a meaning (RFC 6455, section 5.2).
        if first & RESERVED_BITS != 0 {
            return Err(FrameError::Protocol("a reserved bit is set"));
        }
        let missing = usize::try_from(length).unwrap_or(usize::MAX);
        match opcode {
            CLOSE | PING | PONG if !is_final || missing > MAX_CONTROL_BYTES => {
                let reason = "a control frame is too long or fragmented";
                return Err(FrameError::Protocol(reason));
            }
            CLOSE | PING | PONG => self.control.clear(),
            BINARY => return Err(FrameError::Binary),
            TEXT if self.message.is_some() => {
                return Err(FrameError::Protocol("a message begins inside another"));
            }
            TEXT => self.message = Some(Segments::new(Some(self.account.clone()))),
            CONTINUATION if self.message.is_none() => {
                return Err(FrameError::Protocol("there is no message to continue"));
            }
            CONTINUATION => {}
            _ => return Err(FrameError::Protocol("an unknown opcode")),
        }
        if missing > MAX_FRAME_BYTES {
            return Err(FrameError::FrameTooLong);
        }
        let received = self.message.as_ref().map_or(0, Segments::len);
        if opcode < CLOSE && missing > MAX_MESSAGE_BYTES - received {
            return Err(FrameError::MessageTooLong);
        }
        Ok(IncompleteFrame {
            opcode,
            is_final,
            mask,
            decoded: 0,
            missing,
        })
    }

    fn decode_payload(&mut self, input: &mut &[u8]) -> Result<(), FrameError> {
        let Some(frame) = &mut self.frame else {
            return Ok(());
        };
        let (part, rest) = input.split_at(input.len().min(frame.missing));
        *input = rest;
        let mut plain = part.to_vec();
        unmask(&mut plain, frame.mask, frame.decoded);
        match &mut self.message {
            // A control frame may come between the frames of a message, and is not a part of it.
            Some(message) if frame.opcode < CLOSE => message.push(&plain)?,
            _ => self.control.append(&mut plain),
        }
        frame.decoded += part.len();
        frame.missing -= part.len();
        Ok(())
    }

    /// Returns the message or control frame that a complete frame ends.
    fn finish(&mut self, frame: &IncompleteFrame) -> Result<Option<Incoming>, FrameError> {
        Ok(match frame.opcode {
            CLOSE => Some(Incoming::Close),
            PING => Some(Incoming::Ping(std::mem::take(&mut self.control))),
            PONG => Some(Incoming::Pong),
            _ if !frame.is_final => None,
            _ => {
                let message = self.message.take();
                let (bytes, charge) = message
                    .expect("a text frame has begun the message")
                    .finish();
                let text = String::from_utf8(bytes).map_err(|_| FrameError::Utf8)?;
                Some(Incoming::Text(TextMessage {
                    text,
                    _charge: charge,
                }))
            }
        })
    }
}

/// Returns the length of a head with this second byte, the mask included.
fn head_length(second: u8) -> usize {
    match second & !MASKED {
        126 => 2 + 2 + MASK_BYTES,
        127 => MAX_HEAD_BYTES,
        _ => 2 + MASK_BYTES,
    }
}

/// Removes the mask from a part of a payload that begins at `at`.
fn unmask(bytes: &mut [u8], mut mask: [u8; 4], at: usize) {
    mask.rotate_left(at % MASK_BYTES);
    // Eight bytes at a time.
    let mask_word = u64::from_ne_bytes(
        [mask, mask]
            .concat()
            .try_into()
            .expect("two masks have eight bytes"),
    );
    let mut words = bytes.chunks_exact_mut(8);
    for word in &mut words {
        let masked = u64::from_ne_bytes((&*word).try_into().expect("a chunk has eight bytes"));
        word.copy_from_slice(&(masked ^ mask_word).to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use lentil_runtime::memory::{Memory, MemoryLimits};
    use proptest::prelude::*;

    use super::*;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
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
        let mask = [1, 2, 3, 4];
        bytes.extend(mask);
        bytes.extend(
            payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
        bytes
    }

    /// Describes what was decoded.
    fn describe(incoming: &Incoming) -> String {
        match incoming {
            Incoming::Text(received) => received.text.clone(),
            Incoming::Ping(payload) => format!("ping {}", payload.len()),
            Incoming::Pong => "pong".to_owned(),
            Incoming::Close => "close".to_owned(),
        }
    }

    /// Decodes bytes that arrive in parts of `part` bytes.
    fn decode(bytes: &[u8], part: usize) -> Result<Vec<String>, FrameError> {
        let mut decoder = FrameDecoder::new(Memory::default().client());
        let mut decoded = Vec::new();
        for mut input in bytes.chunks(part) {
            while let Some(incoming) = decoder.decode(&mut input)? {
                decoded.push(describe(&incoming));
            }
        }
        Ok(decoded)
    }

    #[test]
    fn control_frames_may_come_within_a_message() {
        let bytes = [
            frame(TEXT, b"one "),
            frame(0x80 | PING, b"?"),
            frame(CONTINUATION, b""),
            frame(0x80 | CONTINUATION, b"message"),
            frame(0x80 | PONG, b""),
            frame(0x80 | CLOSE, &[3, 232]),
        ]
        .concat();
        for part in [1, 2, 3, 7, 1_000] {
            let decoded = decode(&bytes, part).unwrap();
            assert_eq!(decoded, ["ping 1", "one message", "pong", "close"]);
        }
    }

    #[test]
    fn invalid_frames_are_refused_with_their_close_code() {
        let long = |first: u8, length: u64| {
            let mut bytes = vec![first, 0xff];
            bytes.extend(length.to_be_bytes());
            bytes.extend([0; 4]);
            bytes
        };
        for (bytes, code) in [
            (frame(0xc0 | TEXT, b"compressed"), 1002),
            (frame(0x80 | 3, b""), 1002),
            (frame(PING, b""), 1002),
            (frame(0x80 | PING, &[0; 126]), 1002),
            (frame(0x80 | CONTINUATION, b""), 1002),
            ([frame(TEXT, b"a"), frame(TEXT, b"b")].concat(), 1002),
            (frame(0x80 | TEXT, &[0xff, 0xfe]), 1007),
            (long(0x80 | TEXT, MAX_FRAME_BYTES as u64 + 1), 1009),
            (long(0x80 | TEXT, u64::MAX), 1009),
        ] {
            let error = decode(&bytes, 5).unwrap_err();
            assert_eq!(error.close_code().map(u16::from), Some(code), "{error}");
        }
        let unmasked = [0x81, 1, b'a', 0, 0, 0];
        assert!(decode(&unmasked, 9).is_err());
        assert_eq!(
            decode(&frame(0x80 | BINARY, b"a"), 9),
            Err(FrameError::Binary)
        );
    }

    #[test]
    fn message_above_its_limit_is_refused_in_small_frames() {
        let limits = MemoryLimits {
            process: 1 << 30,
            client: 1 << 30,
        };
        let mut decoder = FrameDecoder::new(Memory::new(limits).client());
        let largest = vec![b'x'; MAX_FRAME_BYTES];
        for first in [TEXT, CONTINUATION, CONTINUATION, CONTINUATION] {
            let decoded = decoder.decode(&mut frame(first, &largest).as_slice());
            assert!(decoded.unwrap().is_none());
        }
        let more = decoder.decode(&mut frame(0x80 | CONTINUATION, b"x").as_slice());
        assert_eq!(more.unwrap_err(), FrameError::MessageTooLong);
    }

    #[test]
    fn message_is_charged_as_it_arrives_and_not_as_announced() {
        let limits = MemoryLimits {
            process: 1 << 30,
            client: 4 << 20,
        };
        let account = Memory::new(limits).client();
        let mut decoder = FrameDecoder::new(account.clone());
        let bytes = frame(0x80 | TEXT, &vec![b'x'; 6 << 20]);
        assert!(decoder.decode(&mut &bytes[..20]).unwrap().is_none());
        assert!(account.held() <= 4_096);
        assert!(decoder.decode(&mut &bytes[20..200_020]).unwrap().is_none());
        assert!(
            (200_000..=1_200_000).contains(&account.held()),
            "{}",
            account.held()
        );
        let rest = decoder.decode(&mut &bytes[200_020..]);
        assert_eq!(
            rest.unwrap_err(),
            FrameError::OverBudget(OverBudget { limit: 4 << 20 })
        );
        drop(decoder);
        assert_eq!(account.held(), 0);
    }

    proptest! {
        #[test]
        fn messages_are_decoded_from_parts_of_any_length(
            texts in prop::collection::vec(".{0,200}", 1..5), part in 1..300_usize,
        ) {
            let bytes: Vec<u8> = texts.iter().flat_map(|text| frame(0x80 | TEXT, text.as_bytes())).collect();
            prop_assert_eq!(decode(&bytes, part).unwrap(), texts);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, part in 1..20_usize) {
            let _ = decode(&bytes, part);
        }
    }
}
