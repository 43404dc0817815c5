//! The application's functions, like the modules of `convex/`. One file per module.

use lentil::{Crons, Functions};

pub mod apps;
pub mod jobs;
mod walks;

/// Returns all functions.
pub fn all() -> Functions {
    apps::functions().with(jobs::functions())
}

/// Returns all crons.
pub fn crons() -> Crons {
    apps::crons().with(jobs::crons())
}
