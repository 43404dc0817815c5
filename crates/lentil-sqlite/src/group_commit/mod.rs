//! Group commit.

pub(crate) mod committer;
pub(crate) mod durability;
pub(crate) mod policy;
pub(crate) mod writer;
