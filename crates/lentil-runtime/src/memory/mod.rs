//! Memory budgets: the memory held for each client, and for all of them together.
//!
//! ```text
//! Charge ─► Account (one connection) ─► Memory (the process)      a client's own: messages, arguments, bodies, responses
//! Charge ───────────────────────────► Memory                      shared: results, however many clients watch them
//! Watched ─► Account                                              its watching keeps shared results alive
//! ```
//!
//! A [`Charge`] lives as long as the memory that it counts, and releases it when it is dropped.
//! Bytes are estimates of heap memory, not wire bytes. Charging never fails by itself; a reader of
//! client bytes checks first:
//!
//! - An account over [`MemoryLimits::client`] is closed, or its request is refused
//!   ([`Account::try_charge`]).
//! - Above 7/8 of [`MemoryLimits::process`] the server reads slowly from clients above their fair
//!   share, so that clients with little are served as before ([`Account::readable`]). If that does
//!   not help within half a second, the heaviest of them are evicted: their memory may be useless,
//!   because their peers have hung up.
//! - Above the limit itself [`Memory::relieve`] drops cached results, then evicts the client that
//!   holds the most. New work waits until there is room ([`Memory::room`]).
//!
//! Every wait is bounded: a client that is not read from may be the one that has to be read to free
//! memory.

mod account;
mod ledger;
mod segments;
#[cfg(test)]
mod tests;

pub use account::{Account, Charge, Watched};
pub use ledger::{Memory, MemoryLimits, MemoryStats};
pub use lentil_call::OverBudget;
pub use segments::Segments;
