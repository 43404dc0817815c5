//! The sync WebSocket: a client's live queries, its mutations and actions, over one connection.
//!
//! ```text
//! Socket ◄─► Session (one task) ─► Calls            mutations one after another, actions side by side
//!                               └─► Queries ◄─ wakes   all live queries, at one timestamp
//! ```
//!
//! What keeps the promises to a client: a transition begins where the last one ended; the response to a mutation
//! goes before any transition that shows it; after every response a transition follows that has it. What keeps a
//! slow client small: a new transition is computed only once the last ones are on their way, and nothing more is
//! read from a client that does not take its answers.

mod auth;
mod calls;
mod close_reason;
mod frames;
mod queries;
mod session;
mod socket;
mod upgrade;

pub(crate) use upgrade::{UpgradeSlot, accept, serve};
