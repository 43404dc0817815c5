//! The contexts, which are the first arguments of functions.

mod action;
mod meta;
mod mutation;
mod query;
mod schedulable;

pub use action::ActionCtx;
pub use meta::{Meta, RequestMetadata};
pub use mutation::MutationCtx;
pub use query::QueryCtx;
