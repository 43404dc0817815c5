//! Assembles a client's frames (RFC 6455) to messages, and counts their memory as it grows.
//!
//! This file does no I/O. The server keeps its own reader because it must know what each connection holds: a received
//! message is charged to the client from its first byte on, and nothing of it is kept once it has been handed over.

use lentil_runtime::memory::{Account, Charge, OverBudget, Segments};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// Bytes of one message. Both limits are tungstenite's defaults, which Convex appears to use.
pub(super) const MAX_MESSAGE_BYTES: usize = 64 << 20;
/// Bytes of one frame of a message.
const MAX_FRAME_BYTES: usize = 16 << 20;
/// Bytes of a control frame's payload.
const MAX_CONTROL_BYTES: usize = 125;
/// The longest head: two bytes, an eight-byte length, and the mask.
const MAX_HEAD_BYTES: usize = 14;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Something that a client has sent whole.
#[derive(Debug)]
pub(super) enum Incoming {
    Text(Received),
    Ping(Vec<u8>),
    Pong,
    Close,
}

/// A message, and the memory that it takes.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) text: String,
    /// The charge for the text.
    pub(super) _charge: Charge,
}

/// Invalid frames. Nothing after them can be read.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("the WebSocket protocol was broken: {0}")]
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
    /// Returns the close code for the error, where there is one.
    pub(super) fn close_code(&self) -> Option<CloseCode> {
        match self {
            FrameError::Protocol(_) => Some(CloseCode::Protocol),
            FrameError::Utf8 => Some(CloseCode::Invalid),
            FrameError::MessageTooLong | FrameError::FrameTooLong => Some(CloseCode::Size),
            FrameError::Binary | FrameError::OverBudget(_) => None,
        }
    }
}

/// Reads frames, wherever they are cut.
pub(super) struct Frames {
    account: Account,
    /// The beginning of a frame's head.
    head: Vec<u8>,
    frame: Option<Frame>,
    /// The incomplete message.
    message: Option<Segments>,
    control: Vec<u8>,
}

/// A frame whose payload is being read.
struct Frame {
    opcode: u8,
    is_final: bool,
    mask: [u8; 4],
    /// The bytes of the payload that were read, and that are still to come.
    read: usize,
    left: usize,
}

impl Frames {
    pub(super) fn new(account: Account) -> Frames {
        Frames {
            account,
            head: Vec::new(),
            frame: None,
            message: None,
            control: Vec::new(),
        }
    }

    /// Returns the number of bytes received of the incomplete message; `None` without one.
    pub(super) fn incomplete(&self) -> Option<u64> {
        let message = self.message.as_ref();
        let is_incomplete = message.is_some() || self.frame.is_some() || !self.head.is_empty();
        is_incomplete.then(|| message.map_or(0, |message| message.len() as u64))
    }

    /// Takes bytes off the front of `input` until something is whole, or they are used up.
    pub(super) fn take(&mut self, input: &mut &[u8]) -> Result<Option<Incoming>, FrameError> {
        loop {
            if self.frame.is_none() {
                let Some(frame) = self.take_head(input)? else {
                    return Ok(None);
                };
                self.frame = Some(frame);
            }
            self.take_payload(input)?;
            if self.frame.as_ref().is_some_and(|frame| frame.left > 0) {
                return Ok(None);
            }
            if let Some(frame) = self.frame.take()
                && let Some(incoming) = self.finish(&frame)?
            {
                return Ok(Some(incoming));
            }
        }
    }

    /// Reads a head, once all of it is there.
    fn take_head(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, FrameError> {
        while let Some((byte, rest)) = input.split_first() {
            self.head.push(*byte);
            *input = rest;
            if self.head.len() == 2 && self.head[1] & 0x80 == 0 {
                return Err(FrameError::Protocol("a client's frames have a mask"));
            }
            if self.head.len() >= 2 && self.head.len() == head_length(self.head[1]) {
                let frame = self.read_head()?;
                self.head.clear();
                return Ok(Some(frame));
            }
        }
        debug_assert!(self.head.len() < MAX_HEAD_BYTES);
        Ok(None)
    }

    fn read_head(&mut self) -> Result<Frame, FrameError> {
        let (first, second) = (self.head[0], self.head[1]);
        let (middle, mask) = self.head[2..].split_at(self.head.len() - 6);
        let mask = mask.try_into().expect("a mask has four bytes");
        let length = match middle.len() {
            0 => u64::from(second & 0x7f),
            _ => middle
                .iter()
                .fold(0, |length, byte| length << 8 | u64::from(*byte)),
        };
        let (opcode, is_final) = (first & 0x0f, first & 0x80 != 0);
        if first & 0x70 != 0 {
            return Err(FrameError::Protocol("a reserved bit is set"));
        }
        let left = usize::try_from(length).unwrap_or(usize::MAX);
        match opcode {
            CLOSE | PING | PONG if !is_final || left > MAX_CONTROL_BYTES => {
                return Err(FrameError::Protocol("a control frame is long or in parts"));
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
        let before = self.message.as_ref().map_or(0, Segments::len);
        if left > MAX_FRAME_BYTES {
            return Err(FrameError::FrameTooLong);
        }
        if opcode < CLOSE && left > MAX_MESSAGE_BYTES - before {
            return Err(FrameError::MessageTooLong);
        }
        Ok(Frame {
            opcode,
            is_final,
            mask,
            read: 0,
            left,
        })
    }

    fn take_payload(&mut self, input: &mut &[u8]) -> Result<(), FrameError> {
        let Some(frame) = &mut self.frame else {
            return Ok(());
        };
        let (now, rest) = input.split_at(input.len().min(frame.left));
        *input = rest;
        let mut plain = now.to_vec();
        unmask(&mut plain, frame.mask, frame.read);
        match &mut self.message {
            Some(message) if frame.opcode < CLOSE => message.push(&plain)?,
            _ => self.control.append(&mut plain),
        }
        frame.read += now.len();
        frame.left -= now.len();
        Ok(())
    }

    fn finish(&mut self, frame: &Frame) -> Result<Option<Incoming>, FrameError> {
        Ok(match frame.opcode {
            CLOSE => Some(Incoming::Close),
            PING => Some(Incoming::Ping(std::mem::take(&mut self.control))),
            PONG => Some(Incoming::Pong),
            _ if !frame.is_final => None,
            _ => {
                let message = self.message.take();
                let (bytes, charge) = message.expect("its frames have begun it").finish();
                let text = String::from_utf8(bytes).map_err(|_| FrameError::Utf8)?;
                Some(Incoming::Text(Received {
                    text,
                    _charge: charge,
                }))
            }
        })
    }
}

/// The bytes of a head with this second byte, the mask included: a client's frames always have one.
fn head_length(second: u8) -> usize {
    match second & 0x7f {
        126 => 8,
        127 => MAX_HEAD_BYTES,
        _ => 6,
    }
}

/// Takes the mask off a part of a payload that begins at `at`.
fn unmask(bytes: &mut [u8], mut mask: [u8; 4], at: usize) {
    mask.rotate_left(at % 4);
    let eight = u64::from_ne_bytes([mask, mask].concat().try_into().expect("twice four bytes"));
    let mut words = bytes.chunks_exact_mut(8);
    for word in &mut words {
        let masked = u64::from_ne_bytes((&*word).try_into().expect("eight bytes"));
        word.copy_from_slice(&(masked ^ eight).to_ne_bytes());
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

    fn words(incoming: &Incoming) -> String {
        match incoming {
            Incoming::Text(received) => received.text.clone(),
            Incoming::Ping(payload) => format!("ping {}", payload.len()),
            Incoming::Pong => "pong".to_owned(),
            Incoming::Close => "close".to_owned(),
        }
    }

    /// Returns the messages in the bytes, received in parts of `part` bytes.
    fn read(bytes: &[u8], part: usize) -> Result<Vec<String>, FrameError> {
        let mut frames = Frames::new(Memory::default().client());
        let mut heard = Vec::new();
        for mut input in bytes.chunks(part) {
            while let Some(incoming) = frames.take(&mut input)? {
                heard.push(words(&incoming));
            }
        }
        Ok(heard)
    }

    #[test]
    fn control_frames_come_between_the_parts_of_a_message() {
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
            let heard = read(&bytes, part).unwrap();
            assert_eq!(heard, ["ping 1", "one message", "pong", "close"]);
        }
    }

    #[test]
    fn frames_that_break_the_protocol_are_refused_with_their_code() {
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
            let error = read(&bytes, 5).unwrap_err();
            assert_eq!(error.close_code().map(u16::from), Some(code), "{error}");
        }
        let unmasked = [0x81, 1, b'a', 0, 0, 0];
        assert!(read(&unmasked, 9).is_err());
        assert_eq!(
            read(&frame(0x80 | BINARY, b"a"), 9),
            Err(FrameError::Binary)
        );
    }

    #[test]
    fn a_message_in_frames_within_their_limit_is_refused_above_its_own() {
        let limits = MemoryLimits {
            process: 1 << 30,
            client: 1 << 30,
        };
        let mut frames = Frames::new(Memory::new(limits).client());
        let largest = vec![b'x'; MAX_FRAME_BYTES];
        for first in [TEXT, CONTINUATION, CONTINUATION, CONTINUATION] {
            let taken = frames.take(&mut frame(first, &largest).as_slice());
            assert!(taken.unwrap().is_none());
        }
        let more = frames.take(&mut frame(0x80 | CONTINUATION, b"x").as_slice());
        assert_eq!(more.unwrap_err(), FrameError::MessageTooLong);
    }

    #[test]
    fn a_message_is_charged_as_it_comes_in_and_not_as_announced() {
        let limits = MemoryLimits {
            process: 1 << 30,
            client: 4 << 20,
        };
        let account = Memory::new(limits).client();
        let mut frames = Frames::new(account.clone());
        let bytes = frame(0x80 | TEXT, &vec![b'x'; 6 << 20]);
        assert!(frames.take(&mut &bytes[..20]).unwrap().is_none());
        assert!(account.held() <= 4_096);
        assert!(frames.take(&mut &bytes[20..200_020]).unwrap().is_none());
        assert!(
            (200_000..=1_200_000).contains(&account.held()),
            "{}",
            account.held()
        );
        let rest = frames.take(&mut &bytes[200_020..]);
        assert_eq!(
            rest.unwrap_err(),
            FrameError::OverBudget(OverBudget { limit: 4 << 20 })
        );
        drop(frames);
        assert_eq!(account.held(), 0);
    }

    proptest! {
        #[test]
        fn messages_are_read_wherever_they_are_cut(
            texts in prop::collection::vec(".{0,200}", 1..5), part in 1..300_usize,
        ) {
            let bytes: Vec<u8> = texts.iter().flat_map(|text| frame(0x80 | TEXT, text.as_bytes())).collect();
            prop_assert_eq!(read(&bytes, part).unwrap(), texts);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, part in 1..20_usize) {
            let _ = read(&bytes, part);
        }
    }
}
