//! The application's functions: what the modules of `convex/` are to Convex.

use lentil::{Crons, Functions};

pub mod jobs;

/// All functions.
pub fn all() -> Functions {
    jobs::functions()
}

/// What runs again and again.
pub fn crons() -> Crons {
    jobs::crons()
}
