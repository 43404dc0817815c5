//! The query cache, and what keeps it right: read sets, and commits that invalidate what they touch.

mod asked_before;
mod cache_key;
mod cached_run;
mod entries;
mod interval_map;
mod query_cache;
mod read_set;
mod recent;

pub use cache_key::CacheKey;
pub(crate) use cache_key::args_json;
pub use cached_run::CachedRun;
pub use interval_map::IntervalMap;
pub use query_cache::{CacheStats, Gate, Lookup, QueryCache};
pub use read_set::{Look, ReadSet};
pub(crate) use recent::RecentCommits;
