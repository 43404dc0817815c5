//! The sync WebSocket: a client's live queries, mutations and actions over one connection.
//!
//! ```text
//! Socket ◄─► Session (one task) ─┬► Calls              mutations one after another, actions concurrently
//!                                ├► Queries            all live queries, at one timestamp
//!                                └► PendingResponses   responses that wait for their transition
//! ```
//!
//! Guarantees to a client:
//!
//! - A transition begins at the version at which the last one ended.
//! - The response to a mutation is sent before any transition that shows the mutation.
//! - After every response a transition follows that includes it.
//!
//! Bounds for a slow client:
//!
//! - A transition is computed only when the client has read the last ones.
//! - The server reads nothing from a client that does not read its responses.

mod auth;
mod calls;
mod close_reason;
mod decoder;
mod frame;
mod outbox;
mod pending_responses;
mod queries;
mod session;
mod session_record;
mod socket;
mod upgrade;

pub(crate) use upgrade::{UpgradeSlot, accept, serve};
