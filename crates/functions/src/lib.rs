//! The application's functions: what the modules of `convex/` are to Convex.

use lentil::Functions;

pub mod jobs;

/// All functions.
pub fn all() -> Functions {
    jobs::functions()
}
