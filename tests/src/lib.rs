//! Starts and kills the real `clonk`, and talks to it over plain sockets.

mod client;
mod clonk;
mod tools;

pub use client::{Connection, Response};
pub use clonk::{Clonk, Start, clonk_path};
pub use tools::{available, eventually, folder_state};
