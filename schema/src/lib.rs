//! The application's tables, like `convex/schema.ts`. One file per table.

mod apps;
mod jobs;
mod walks;

use lentil::Schema;

pub use apps::App;
pub use jobs::Job;
pub use walks::Walk;

/// Returns all tables.
pub fn schema() -> Schema {
    Schema::new().table::<App>().table::<Job>().table::<Walk>()
}
