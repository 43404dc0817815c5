//! Tests of the sync WebSocket. Golden scripts of whole sessions are in `tests/scripts/sync` and
//! `tests/scripts/live`.

#[allow(dead_code, reason = "the golden scripts use the rest")]
mod application;
mod clocks;
#[path = "../auth/keys.rs"]
#[allow(dead_code)]
mod keys;
mod pace;
mod strays;
