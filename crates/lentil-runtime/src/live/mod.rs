//! Live queries: those that someone watches, and what wakes the watchers.
//!
//! ```text
//! commit ─ observer ─► interval map ─► marks of the touched queries ─► their watchers wake, off the commit path
//! watcher ─► runs again what is marked (through the cache: one run however many watch) ─► all at one timestamp
//! ```
//!
//! A mark belongs to one answer: it is set by the first commit that touches what the answer read, before that commit
//! is published. So an answer holds at a published timestamp exactly when its mark is not set, or set later than
//! that. A [`Subscriber`] is one client's queries; [`Subscriber::refresh`] finds a timestamp at which every one has an
//! answer that holds.

mod queries;

pub(crate) use queries::{LiveQueries, Mark, Watcher};
