use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, SinkExt};
use tokio::sync::{Notify, mpsc};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::closing::Closing;

/// Bytes on their way to a client, over which nothing more is done for it.
const MOST_BYTES: usize = 4 << 20;
/// Messages likewise.
const MOST_MESSAGES: usize = 256;
/// Transitions on their way; further changes become one.
const MOST_TRANSITIONS: usize = 2;
/// How long a client may take to take one message.
const PATIENCE: Duration = Duration::from_secs(120);

/// The way out to a client.
pub(super) struct Outbox {
    sender: mpsc::UnboundedSender<Outgoing>,
    load: Arc<Load>,
}

/// What is on its way.
#[derive(Default)]
struct Load {
    bytes: AtomicUsize,
    messages: AtomicUsize,
    transitions: AtomicUsize,
    lightened: Notify,
}

struct Outgoing {
    frame: Message,
    is_transition: bool,
}

/// The writer's end.
pub(super) struct Writer {
    receiver: mpsc::UnboundedReceiver<Outgoing>,
    load: Arc<Load>,
}

impl Outbox {
    pub(super) fn new() -> (Outbox, Writer) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let load = Arc::new(Load::default());
        (
            Outbox {
                sender,
                load: Arc::clone(&load),
            },
            Writer { receiver, load },
        )
    }

    /// Whether the client keeps up with its answers.
    pub(super) fn has_room(&self) -> bool {
        let read = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        read(&self.load.bytes) < MOST_BYTES && read(&self.load.messages) < MOST_MESSAGES
    }

    /// Whether the client keeps up with its transitions.
    pub(super) fn takes_transition(&self) -> bool {
        self.has_room() && self.load.transitions.load(Ordering::Relaxed) < MOST_TRANSITIONS
    }

    /// Returns when something has been sent since this returned last.
    pub(super) async fn lightened(&self) {
        self.load.lightened.notified().await;
    }

    /// Sends a text.
    pub(super) fn send(&self, text: String) {
        self.push(Message::text(text), false);
    }

    /// Sends the texts that make one transition.
    pub(super) fn send_transition(&self, texts: Vec<String>) {
        let last = texts.len().saturating_sub(1);
        for (at, text) in texts.into_iter().enumerate() {
            self.push(Message::text(text), at == last);
        }
    }

    /// Sends a ping of the WebSocket's own.
    pub(super) fn ping(&self) {
        self.push(Message::Ping(Bytes::new()), false);
    }

    /// Sends the last words.
    pub(super) fn close(self, closing: &Closing) {
        let frame = match closing {
            Closing::Gone => return,
            Closing::Said(message) => {
                self.send(message.to_json());
                None
            }
            Closing::Coded(code, reason) => Some(CloseFrame {
                code: (*code).into(),
                reason: reason.as_ref().into(),
            }),
        };
        self.push(Message::Close(frame), false);
    }

    fn push(&self, frame: Message, is_transition: bool) {
        self.load.bytes.fetch_add(frame.len(), Ordering::Relaxed);
        self.load.messages.fetch_add(1, Ordering::Relaxed);
        self.load
            .transitions
            .fetch_add(usize::from(is_transition), Ordering::Relaxed);
        // A writer that is gone has left nobody to write to; the session finds out by reading.
        let _ = self.sender.send(Outgoing {
            frame,
            is_transition,
        });
    }
}

impl Writer {
    /// Writes until the outbox is closed, or the client takes nothing any more.
    pub(super) async fn run<S>(mut self, mut sink: S)
    where
        S: Sink<Message> + Unpin,
    {
        while let Some(Outgoing {
            frame,
            is_transition,
        }) = self.receiver.recv().await
        {
            let bytes = frame.len();
            let sent = tokio::time::timeout(PATIENCE, sink.send(frame)).await;
            self.load.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.load.messages.fetch_sub(1, Ordering::Relaxed);
            self.load
                .transitions
                .fetch_sub(usize::from(is_transition), Ordering::Relaxed);
            self.load.lightened.notify_one();
            if !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
    }
}
