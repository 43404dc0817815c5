//! Tests of functions on the production engine and a new store, without a server.
//!
//! ```
//! # use lentil::{Args, Document, Functions, MutationCtx, QueryCtx, Result, Schema};
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
//! async fn count(ctx: &mut QueryCtx, (): ()) -> Result<usize> {
//!     ctx.db.query(Note::all()).count().await
//! }
//!
//! fn functions() -> Functions {
//!     Functions::in_module("notes").mutation("add", add).query("count", count)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<()> {
//! let t = TestBackend::new(Schema::new().table::<Note>()).functions(functions());
//! t.run_mutation(add, Add { text: "buy lentils".into() }).await?;
//! assert_eq!(t.run_query(count, ()).await?, 1);
//! assert_eq!(t.documents::<Note>().await?[0].text, "buy lentils");
//!
//! // A closure may make several calls in one transaction.
//! let length = t.query(async |ctx| Ok(ctx.db.query(Note::all()).collect().await?.len())).await?;
//! assert_eq!(length, 1);
//! # Ok(())
//! # }
//! ```

mod backend;
mod clock;
mod response;
mod setup;

pub use backend::TestBackend;
pub use clock::TestClock;
pub use response::TestResponse;
