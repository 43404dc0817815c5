//! The programs under measurement, each on its own core.

pub(crate) mod axum_service;
pub(crate) mod bare;
pub(crate) mod cores;
pub(crate) mod file_server;
pub(crate) mod process;
pub(crate) mod running;
pub(crate) mod server;
pub(crate) mod slow_disk;
pub(crate) mod write_loop;
