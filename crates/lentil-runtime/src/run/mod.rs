//! Execution of functions: from outside, from actions, and nested in one another.

mod action;
mod check;
mod mutation;
mod nested;
mod query;
mod run_to_completion;
mod timeout;

pub(crate) use action::run_action;
pub(crate) use check::check_untyped_args;
pub(crate) use mutation::{Idempotency, run_mutation, transact};
pub(crate) use nested::{call_nested_mutation, call_nested_query, wrong_kind};
pub(crate) use query::{
    CachedQuery, ExecutedQuery, Unfinished, copy_value, execute_on, execute_query, into_value,
    key_of, look_up, once_published, published_snapshot, read, run_query,
};
pub(crate) use run_to_completion::RunToCompletion;
pub(crate) use timeout::run_with_timeout;
