//! The query cache: results of queries, each kept until a commit invalidates it.
//!
//! A cached result is never stale. The cache is the store's commit observer, so it is notified of a
//! commit *before* the commit is published and acknowledged. It then drops every result whose read
//! set the commit invalidates, and remembers the commit for a while. A result that was computed on
//! a snapshot is inserted only if no remembered commit after the snapshot invalidates it. Both
//! happen under one lock:
//!
//! ```text
//! reader   snapshot S ......... executes ......... inserts, unless a commit after S invalidates the result
//! commit          C > S durable · cache notified · published · acknowledged
//! ```
//!
//! So a request that begins after `C` was acknowledged finds no result that `C` invalidates. A
//! request returns a result only when the result's snapshot is published. So no client sees a new
//! result and then an older one.
//!
//! Concurrent misses of one key share one execution (single-flight). A waiter accepts its result
//! only if the execution began at or after the timestamp that was published when the waiter began.
//! When an execution is dropped, its waiters try again. An error of the function is returned to the
//! waiters and is not cached.
//!
//! All users share a result until an execution of the function asks for its user. From then on, the
//! keys of the function contain the user.

mod cache_key;
mod doorkeeper;
mod entries;
mod query_cache;
mod query_result;
mod single_flight;
#[cfg(test)]
mod tests;

pub use cache_key::CacheKey;
pub(crate) use cache_key::args_json;
pub use query_cache::{CacheRequest, CacheStats, ConcurrencyLimit, QueryCache};
pub use query_result::QueryResult;
