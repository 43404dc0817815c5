//! The sync WebSocket as scripts: named clients, what they send, and what they are told, line by line.
//!
//! ```text
//! a > connect s1                          a says `Connect` with the session `s1`
//! a > modify 0->1 add 0 lists:all {…}     changes, parted by `;`
//! a < Transition 1.0 0=[]                 a hears of version 1 of the query set, 0 of the identity; query 0 is []
//! b > mutation 0 lists:push {…}
//! b < MutationResponse 0 = 1.0
//! a .                                     a hears nothing
//! ```
//!
//! Every transition must begin where the last ended, go no way back in time, and after a response to a mutation have
//! it; what comes without being expected fails the script.

mod application;
mod clocks;
#[path = "../auth/keys.rs"]
#[allow(dead_code)]
mod keys;
mod pace;
mod script;
mod scripts;
mod strays;
