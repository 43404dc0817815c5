//! The messages that wait to be sent to a client, and their division into frames.

use std::collections::VecDeque;

use bytes::Bytes;
use lentil_protocol::sync::Chunks;
use lentil_runtime::memory::{Account, Charge};

use super::frame::{CONTINUATION, FINAL, OutgoingFrame, PING, PONG, TEXT};

/// The number of waiting bytes above which the server computes nothing more for a client.
const MAX_OUTBOX_BYTES: usize = 4 << 20;
/// The number of waiting messages above which the server computes nothing more for a client.
const MAX_OUTBOX_MESSAGES: usize = 256;
/// The most transitions that wait. Further changes are merged into one transition.
const MAX_WAITING_TRANSITIONS: usize = 2;
/// The length of a text frame. Longer messages are sent in several frames, so that pings and the
/// close frame can come between them.
const MAX_TEXT_FRAME_BYTES: usize = 1 << 20;

/// The queue of messages to one client.
pub(super) struct Outbox {
    account: Account,
    messages: VecDeque<OutgoingMessage>,
    /// The number of transitions that are not sent completely.
    transitions: usize,
    /// The number of bytes that are not sent.
    bytes: usize,
    /// The payload of the last ping without a pong. A later ping replaces it.
    pong: Option<Vec<u8>>,
    is_ping_due: bool,
}

/// A message on its way to the client.
struct OutgoingMessage {
    payload: Payload,
    kind: MessageKind,
    /// Whether a frame of the text has been taken.
    has_begun: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum MessageKind {
    Response,
    Transition,
}

enum Payload {
    Text(Bytes),
    /// A transition in chunks. Each chunk is a message, and is encoded once the one before it is
    /// sent.
    Chunks(Box<Chunks>, Charge),
}

/// A frame from the queue. [`Outbox::sent`] receives it when it is written.
pub(super) struct QueuedFrame {
    pub(super) frame: OutgoingFrame,
    /// The bytes of the queue that the frame carries.
    bytes: usize,
    /// The kind of the message that the frame completes.
    completes: Option<MessageKind>,
}

impl Outbox {
    pub(super) fn new(account: Account) -> Outbox {
        Outbox {
            account,
            messages: VecDeque::new(),
            transitions: 0,
            bytes: 0,
            pong: None,
            is_ping_due: false,
        }
    }

    /// Returns whether no message waits.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Returns whether the client keeps up with its responses.
    pub(super) fn has_room(&self) -> bool {
        self.bytes < MAX_OUTBOX_BYTES && self.messages.len() < MAX_OUTBOX_MESSAGES
    }

    /// Returns whether the client keeps up with its transitions.
    pub(super) fn takes_transition(&self) -> bool {
        self.has_room() && self.transitions < MAX_WAITING_TRANSITIONS
    }

    /// Charges a text to the client, so that it can be sent later.
    pub(super) fn charge(&self, text: String) -> Bytes {
        let bytes = text.into_bytes().into_boxed_slice();
        self.account.charge(bytes.len()).attach(bytes)
    }

    /// Queues a text that has been charged.
    pub(super) fn push_charged(&mut self, text: Bytes) {
        self.push(Payload::Text(text), MessageKind::Response);
    }

    /// Queues a transition.
    pub(super) fn push_transition(&mut self, text: String) {
        let text = self.charge(text);
        self.push(Payload::Text(text), MessageKind::Transition);
    }

    /// Queues a transition in chunks.
    pub(super) fn push_chunks(&mut self, chunks: Chunks) {
        let charge = self.account.charge(chunks.remaining());
        let payload = Payload::Chunks(Box::new(chunks), charge);
        self.push(payload, MessageKind::Transition);
    }

    fn push(&mut self, payload: Payload, kind: MessageKind) {
        self.bytes += payload.remaining();
        if kind == MessageKind::Transition {
            self.transitions += 1;
        }
        self.messages.push_back(OutgoingMessage {
            payload,
            kind,
            has_begun: false,
        });
    }

    /// Queues a ping, before all messages.
    pub(super) fn push_ping(&mut self) {
        self.is_ping_due = true;
    }

    /// Queues a pong, before all messages.
    pub(super) fn push_pong(&mut self, payload: Vec<u8>) {
        // A pong for the latest ping is enough (RFC 6455, section 5.5.3).
        self.pong = Some(payload);
    }

    /// Takes the next frame, control frames first.
    pub(super) fn next_frame(&mut self) -> Option<QueuedFrame> {
        if let Some(payload) = self.pong.take() {
            let frame = OutgoingFrame::control(PONG, payload.into());
            return Some(QueuedFrame::outside_queue(frame));
        }
        if std::mem::take(&mut self.is_ping_due) {
            let frame = OutgoingFrame::control(PING, Bytes::new());
            return Some(QueuedFrame::outside_queue(frame));
        }

        let message = self.messages.front_mut()?;
        let (first, payload) = match &mut message.payload {
            Payload::Text(text) => {
                let opcode = if message.has_begun {
                    CONTINUATION
                } else {
                    TEXT
                };
                let payload = text.split_to(text.len().min(MAX_TEXT_FRAME_BYTES));
                let end = if text.is_empty() { FINAL } else { 0 };
                (end | opcode, payload)
            }
            Payload::Chunks(chunks, charge) => {
                let before = chunks.remaining();
                let chunk = chunks.next().unwrap_or_default();
                // An encoded chunk is longer than the part of the transition that it carries.
                self.bytes -= before - chunks.remaining();
                self.bytes += chunk.len();
                (FINAL | TEXT, charge.another(chunk.len()).attach(chunk))
            }
        };
        message.has_begun = first & FINAL == 0;
        let is_complete = message.payload.remaining() == 0;
        let completes = is_complete.then_some(message.kind);
        if is_complete {
            self.messages.pop_front();
        }
        Some(QueuedFrame {
            bytes: payload.len(),
            frame: OutgoingFrame::new(first, payload),
            completes,
        })
    }

    /// Removes a written frame from the counts. Returns whether it completed a message.
    pub(super) fn sent(&mut self, frame: &QueuedFrame) -> bool {
        debug_assert!(
            self.bytes >= frame.bytes,
            "a frame is counted while it waits"
        );
        self.bytes -= frame.bytes;
        if frame.completes == Some(MessageKind::Transition) {
            self.transitions -= 1;
        }
        frame.completes.is_some()
    }

    /// Clears the queue before a last message. A message of which a frame was sent remains, because
    /// the client could not read the last message within it.
    pub(super) fn clear_before_last_message(&mut self) {
        self.clear_control_frames();
        self.messages.truncate(1);
        if self
            .messages
            .front()
            .is_some_and(|message| !message.has_begun)
        {
            self.messages.clear();
        }
    }

    /// Clears the queue. A close frame may follow, also within a message.
    pub(super) fn clear(&mut self) {
        self.clear_control_frames();
        self.messages.clear();
    }

    fn clear_control_frames(&mut self) {
        self.pong = None;
        self.is_ping_due = false;
    }
}

impl QueuedFrame {
    /// Returns a frame that is not part of a queued message.
    pub(super) fn outside_queue(frame: OutgoingFrame) -> QueuedFrame {
        QueuedFrame {
            frame,
            bytes: 0,
            completes: None,
        }
    }
}

impl Payload {
    /// Returns about the number of bytes that are not sent.
    fn remaining(&self) -> usize {
        match self {
            Payload::Text(text) => text.len(),
            Payload::Chunks(chunks, _) => chunks.remaining(),
        }
    }
}
