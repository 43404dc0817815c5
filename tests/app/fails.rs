//! `fails/query:…`, `fails/mutation:…` and `fails/action:…` fail in every possible way.
//!
//! The mutations write before they fail, so that tests can check the rollback.

use lentil::{ActionCtx, Args, Error, Functions, MutationCtx, QueryCtx, Result, Value};

use crate::counters::Counter;

#[derive(Args)]
struct With {
    data: Value,
}

macro_rules! failing {
    ($module:ident, $register:ident, $ctx:ty, $before:expr) => {
        mod $module {
            use super::*;

            async fn application(ctx: $ctx, args: With) -> Result<()> {
                $before(ctx).await?;
                Err(Error::application(args.data))
            }

            async fn plain(ctx: $ctx, _: ()) -> Result<()> {
                $before(ctx).await?;
                Err(Error::msg("a plain failure"))
            }

            async fn panics(ctx: $ctx, _: ()) -> Result<()> {
                $before(ctx).await?;
                panic!("a panic\nof two lines")
            }

            pub(super) fn functions() -> Functions {
                Functions::in_module(concat!("fails/", stringify!($module)))
                    .$register("application", application)
                    .$register("plain", plain)
                    .$register("panics", panics)
            }
        }
    };
}

failing!(query, query, &mut QueryCtx, log_query);
failing!(mutation, mutation, &mut MutationCtx, write);
failing!(action, action, &ActionCtx, log_action);

async fn log_query(ctx: &mut QueryCtx) -> Result<()> {
    ctx.log.log("'about to fail'");
    Ok(())
}

async fn write(ctx: &mut MutationCtx) -> Result<()> {
    ctx.log.log("'about to fail'");
    ctx.db.insert(Counter::new("failed")).await.map(drop)
}

async fn log_action(ctx: &ActionCtx) -> Result<()> {
    ctx.log.log("'about to fail'");
    Ok(())
}

pub(crate) fn functions() -> Functions {
    query::functions()
        .with(mutation::functions())
        .with(action::functions())
}
