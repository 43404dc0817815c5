//! Tests functions in isolation: the production engine on a fresh store, without a server.
//!
//! ```
//! # use lentil::{Args, Document, MutationCtx, Result, Schema};
//! # use lentil_testing::TestBackend;
//! #[derive(Document, Clone, Debug, PartialEq)]
//! #[table("notes")]
//! struct Note {
//!     text: String,
//! }
//!
//! #[derive(Args)]
//! struct Add {
//!     text: String,
//! }
//!
//! async fn add(ctx: &mut MutationCtx, args: Add) -> Result<()> {
//!     ctx.db.insert(Note { text: args.text }).await?;
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let t = TestBackend::new(Schema::new().table::<Note>());
//! t.mutation(async |ctx| add(ctx, Add { text: "buy lentils".into() }).await).await?;
//! assert_eq!(t.documents::<Note>().await?[0].text, "buy lentils");
//! # Ok(())
//! # }
//! ```

mod backend;
mod clock;
mod response;

pub use backend::TestBackend;
pub use clock::TestClock;
pub use response::TestResponse;
