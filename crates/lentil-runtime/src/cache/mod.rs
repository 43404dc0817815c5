//! The query cache, and what keeps it right: read sets, and commits that invalidate what they touch.

mod asked_before;
mod cache_key;
mod cached_run;
mod entries;
mod query_cache;

pub use cache_key::CacheKey;
pub(crate) use cache_key::args_json;
pub use cached_run::CachedRun;
pub use query_cache::{CacheStats, Gate, Lookup, QueryCache};
