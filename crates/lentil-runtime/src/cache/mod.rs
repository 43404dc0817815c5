//! The query cache, and what keeps it right: read sets, and commits that invalidate what they touch.

mod interval_map;
mod query_cache;
mod read_set;
mod recent;

pub use interval_map::IntervalMap;
pub use query_cache::{CacheKey, CacheStats, CachedRun, Gate, Lookup, QueryCache};
pub use read_set::{Look, ReadSet};
pub(crate) use recent::RecentCommits;
