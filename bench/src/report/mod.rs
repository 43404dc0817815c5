//! The results of a run, the performance targets, and the tables that show them.

pub(crate) mod machine;
pub(crate) mod results;
pub(crate) mod statistics;
pub(crate) mod tables;
pub(crate) mod targets;
