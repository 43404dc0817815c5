//! The messages of the sync WebSocket: one JSON object a text frame, told apart by `type`.

mod chunk;
mod client;
mod event;
mod server;

pub use chunk::Chunks;
pub use client::{ClientMessage, QuerySetChange, Token};
pub use event::ClientEvent;
pub use server::{ServerMessage, StateModification, StateVersion};
