//! What functions can rely on, tested from the outside: on the store in memory, and where stores matter on SQLite.

mod actions;
mod cache;
mod failures;
mod fixture;
mod limits;
mod nested;
mod opening;
mod pagination;
mod reading;
mod writing;
