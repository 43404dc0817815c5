use lentil::{ActionCtx, Args, Functions, Object, Result, Value};

use crate::fixture::*;

#[derive(Args, Clone)]
struct Both {
    first: String,
    second: String,
}

/// Adds a task for each of two owners, in concurrent transactions.
async fn add_both(ctx: &ActionCtx, args: Both) -> Result<f64> {
    let adding = |owner: String| ctx.run_mutation(add, Add { owner, rank: 1.0 });
    let (first, second) = tokio::join!(adding(args.first.clone()), adding(args.second));
    first.and(second)?;
    Ok(ctx.run_query(list, List { owner: args.first }).await?.len() as f64)
}

async fn through(ctx: &ActionCtx, args: Both) -> Result<f64> {
    ctx.run_mutation(
        fail,
        Add {
            owner: "eve".into(),
            rank: 1.0,
        },
    )
    .await
    .unwrap_err();
    ctx.run_action(add_both, args).await
}

#[tokio::test]
async fn each_call_of_an_action_is_a_transaction() {
    for t in backends() {
        let functions = Functions::in_module("more")
            .action("addBoth", add_both)
            .internal_action("through", through);
        let t = t.functions(functions);
        let args = Object::from([("first", "ada"), ("second", "bob")]);
        assert_eq!(
            t.call("more:through", args).await.unwrap(),
            Value::Float64(1.0)
        );
        let mut owners: Vec<String> = t
            .documents::<Task>()
            .await
            .unwrap()
            .iter()
            .map(|task| task.owner.clone())
            .collect();
        owners.sort();
        assert_eq!(owners, ["ada", "bob"], "only the failed call is undone");
    }
}

#[tokio::test]
async fn an_action_reads_the_time_secrets_and_random_numbers() {
    let t = backend().secret("API_KEY", "s3cret");
    t.action(async |ctx| {
        let before = ctx.now();
        t.advance(std::time::Duration::from_secs(1));
        assert_eq!(ctx.now() - before, 1_000.0);
        assert!(ctx.secret("API_KEY").await?.matches(b"s3cret"));
        assert!(ctx.secret("OTHER").await.is_err());
        assert!((0.0..1.0).contains(&ctx.random()));
        Ok(())
    })
    .await
    .unwrap();
}
