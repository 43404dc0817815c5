//! Tests of the sync WebSocket. Golden scripts of whole sessions are in `tests/scripts/sync` and `tests/scripts/live`.

mod application;
mod clocks;
#[path = "../auth/keys.rs"]
#[allow(dead_code)]
mod keys;
mod pace;
mod strays;
