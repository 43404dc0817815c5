//! The messages of the sync WebSocket. Each text frame is one JSON object, with the message type in
//! `type`.

mod chunk;
mod client;
mod event;
mod server;

pub use chunk::Chunks;
pub use client::{ClientMessage, QuerySetChange, Token};
pub use event::ClientEvent;
pub use server::{ServerMessage, StateModification, StateVersion};
