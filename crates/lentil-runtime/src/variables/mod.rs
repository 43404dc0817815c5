//! The environment variables of a running application, where they come from.

mod parts;
mod stored;

pub(crate) use parts::EnvironmentParts;
pub use parts::{BUILT_IN_VARIABLES, Environment, EnvironmentVariable};
pub(crate) use stored::StoredEnvironment;
