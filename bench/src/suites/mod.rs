//! The measurements.

pub(crate) mod big;
pub(crate) mod cases;
pub(crate) mod gallery;
pub(crate) mod live;
pub(crate) mod rounds;
pub(crate) mod test_backend;
pub(crate) mod whole;
