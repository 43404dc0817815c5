//! Helpers of the whole-system tests: they start and kill `clonk` and the test applications, and send requests over plain
//! sockets or through the official Convex clients.

mod bucket;
mod client;
mod clonk;
mod packages;
mod process;
mod script;
mod server;
mod tools;
mod websocket;

pub use bucket::Bucket;
pub use client::{Connection, Response};
pub use clonk::{Clonk, Start, authapp_path, clonk_path, testapp_path};
pub use packages::Packages;
pub use process::{Leftover, Process};
pub use server::Server;
pub use tools::{available, eventually, folder_state, remove_file_size_limit};
pub use websocket::{Frame, PING, TEXT, WebSocket, frame};
