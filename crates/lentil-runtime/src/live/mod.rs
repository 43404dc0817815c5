//! Live queries: the queries that clients watch, and the notification of their watchers.
//!
//! ```text
//! commit ─ observer ─► interval map ─► invalidations of results ─► watchers are notified, off the commit path
//! watcher ─► evaluates invalidated queries again (one execution, however many watch) ─► all at one timestamp
//! ```
//!
//! Each watched result has an [`Invalidation`]. The first commit that invalidates the result sets
//! it, before the commit is published. So a result is valid at a published timestamp exactly if its
//! invalidation is unset or later.

mod invalidation;
mod queries;

pub(crate) use invalidation::Invalidation;
pub(crate) use queries::{LiveQueries, Watcher};
