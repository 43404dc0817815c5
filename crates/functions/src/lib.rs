//! The application's functions: what the modules of `convex/` are to Convex.

use lentil::{Crons, Functions};

pub mod apps;
pub mod jobs;
mod walks;

/// All functions.
pub fn all() -> Functions {
    apps::functions().with(jobs::functions())
}

/// What runs again and again.
pub fn crons() -> Crons {
    apps::crons().with(jobs::crons())
}
