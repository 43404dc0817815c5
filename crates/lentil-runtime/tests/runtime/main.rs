//! What functions can rely on, tested from the outside: on the store in memory, and where stores matter on SQLite.

mod actions;
mod cache;
mod canceling;
mod clocks;
mod compile_fail;
mod counting;
mod damage;
mod environment;
mod failures;
mod filtered_pages;
mod fixture;
mod identity;
mod ids;
mod limits;
mod live;
mod meta;
mod nested;
mod nested_index;
mod opening;
mod pagination;
mod query_at;
mod reading;
mod schedule;
mod storage;
mod unique;
mod writing;
