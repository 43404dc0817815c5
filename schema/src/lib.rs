//! The application's tables: what `convex/schema.ts` is to Convex.

mod apps;
mod jobs;
mod walks;

use lentil::Schema;

pub use apps::App;
pub use jobs::Job;
pub use walks::Walk;

/// All tables.
pub fn schema() -> Schema {
    Schema::new().table::<App>().table::<Job>().table::<Walk>()
}
