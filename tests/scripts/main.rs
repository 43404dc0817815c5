//! Golden scripts: the steps of several named clients, interleaved, each with its expected output below it.
//!
//! ```text
//! # Two increments of one document.
//! a> begin
//! a> add 1 5
//!     1=15
//! ```
//!
//! A line that begins with `#` is a comment. An indented line is output; every other line is a step. The runner executes
//! the steps, and compares the file with what it printed. `UPDATE=1` writes the output into the file instead. The file's
//! name says which phenomenon it shows.
//!
//! - `isolation/` runs transactions on every store. Where stores print different output, the line names the stores.
//! - `sync/` and `live/` run sessions of the sync WebSocket against a server, in paused time.

#[path = "../../crates/lentil-server/tests/sync/application.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod application;
mod golden;
mod isolation;
#[path = "../../crates/lentil-server/tests/auth/keys.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod keys;
mod session;
mod stores;
