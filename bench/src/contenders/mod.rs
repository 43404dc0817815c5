//! The programs under measurement, each on a core of its own.

pub(crate) mod axum_service;
pub(crate) mod bare;
pub(crate) mod cores;
pub(crate) mod file_server;
pub(crate) mod process;
pub(crate) mod running;
pub(crate) mod server;
pub(crate) mod slow_disk;
pub(crate) mod write_loop;
