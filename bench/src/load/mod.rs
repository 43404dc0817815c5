//! The load: requests, and the clients that send them.

pub(crate) mod clients;
pub(crate) mod drive;
pub(crate) mod jobs;
mod response;
pub(crate) mod subscribers;
