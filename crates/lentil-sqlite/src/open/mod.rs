//! Opening the data folder.

pub(crate) mod database;
pub(crate) mod error;
mod upgrade;
