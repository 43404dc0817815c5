//! The write-ahead log and the notes on it.

pub(crate) mod acknowledged;
pub(crate) mod file_guard;
pub(crate) mod frames;
pub(crate) mod log;
pub(crate) mod loss;
pub(crate) mod run_mark;
