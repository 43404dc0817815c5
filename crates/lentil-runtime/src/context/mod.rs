//! The contexts that functions get as their first argument.

mod action;
mod meta;
mod mutation;
mod query;

pub use action::ActionCtx;
pub use meta::{Meta, RequestMetadata};
pub use mutation::MutationCtx;
pub use query::QueryCtx;
