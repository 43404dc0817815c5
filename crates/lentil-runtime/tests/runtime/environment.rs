use lentil::{ActionCtx, Functions, MutationCtx, Object, QueryCtx, Result, Value};
use lentil_runtime::{FunctionPath, Identity};
use lentil_store::Timestamp;
use lentil_system::environment::{self, EnvironmentChange, EnvironmentError};
use lentil_testing::TestBackend;

use crate::fixture::*;

#[derive(lentil::Args, Clone)]
struct Name {
    name: String,
}

async fn in_query(ctx: &mut QueryCtx, args: Name) -> Result<Option<String>> {
    ctx.env(&args.name).await
}

async fn in_mutation(ctx: &mut MutationCtx, args: Name) -> Result<Option<String>> {
    ctx.env(&args.name).await
}

async fn in_action(ctx: &ActionCtx, args: Name) -> Result<Option<String>> {
    ctx.env(&args.name).await
}

fn reading() -> TestBackend {
    let functions = Functions::in_module("env")
        .query("query", in_query)
        .mutation("mutation", in_mutation)
        .action("action", in_action);
    backend()
        .functions(functions)
        .secret("API_KEY", "generated")
        .env("SITE_URL", "from the process")
}

fn change(name: &str, value: Option<&str>) -> [EnvironmentChange; 1] {
    [EnvironmentChange {
        name: name.into(),
        value: value.map(str::to_owned),
    }]
}

async fn read(t: &TestBackend, name: &str) -> Value {
    let args = Object::from([("name", name)]);
    let query = t.call("env:query", args.clone()).await.unwrap();
    for other in ["env:mutation", "env:action"] {
        assert_eq!(
            t.call(other, args.clone()).await.unwrap(),
            query,
            "{other} reads as the query does"
        );
    }
    query
}

#[tokio::test]
async fn process_variable_wins_over_stored_and_stored_over_generated() {
    let t = reading();
    let runtime = t.runtime().await;
    assert_eq!(read(&t, "API_KEY").await, Value::from("generated"));
    assert_eq!(read(&t, "NONE").await, Value::Null);
    for name in ["API_KEY", "SITE_URL", "NONE"] {
        environment::change(runtime, &change(name, Some("stored")))
            .await
            .unwrap();
    }
    assert_eq!(read(&t, "API_KEY").await, Value::from("stored"));
    assert_eq!(read(&t, "SITE_URL").await, Value::from("from the process"));
    assert_eq!(read(&t, "NONE").await, Value::from("stored"));
    environment::change(runtime, &change("NONE", None))
        .await
        .unwrap();
    assert_eq!(read(&t, "NONE").await, Value::Null);
}

#[tokio::test]
async fn stored_secret_is_accepted_and_an_empty_one_is_not() {
    let t = reading();
    let matches = async |key: &'static [u8]| {
        t.action(async |ctx| Ok(ctx.secret("API_KEY").await?.matches(key)))
            .await
            .unwrap()
    };
    assert!(matches(b"generated").await);
    environment::change(t.runtime().await, &change("API_KEY", Some("stored")))
        .await
        .unwrap();
    assert!(matches(b"stored").await && !matches(b"generated").await);
    environment::change(t.runtime().await, &change("API_KEY", Some("")))
        .await
        .unwrap();
    assert!(matches(b"generated").await && !matches(b"").await);
}

#[tokio::test]
async fn live_query_runs_again_when_a_variable_changes() {
    let t = reading();
    let runtime = t.runtime().await;
    let mut client = runtime.subscriber(Identity::Anonymous);
    client.add(
        1,
        FunctionPath::parse("env:query").unwrap(),
        Object::from([("name", "COLOR")]),
        None,
    );
    client.refresh(Timestamp::MIN).await;
    environment::change(runtime, &change("COLOR", Some("red")))
        .await
        .unwrap();
    assert!(client.is_stale());
    let update = client.refresh(Timestamp::MIN).await;
    assert_eq!(
        *update.changes[0].1.result.clone().unwrap(),
        Value::from("red")
    );
    environment::change(runtime, &change("OTHER", Some("blue")))
        .await
        .unwrap();
    assert!(!client.is_stale());
}

#[tokio::test]
async fn invalid_changes_are_rejected_as_a_whole() {
    let t = reading();
    let runtime = t.runtime().await;
    let bad = |name: &str| [change("GOOD", Some("1")), change(name, Some("1"))].concat();
    for name in ["", "1A", "A-B", "É", &"A".repeat(257)] {
        let refused = environment::change(runtime, &bad(name)).await.unwrap_err();
        assert!(matches!(refused, EnvironmentError::Name(_)), "{name}");
    }
    let long = "x".repeat((8 << 10) + 1);
    let refused = environment::change(runtime, &change("LONG", Some(&long)))
        .await
        .unwrap_err();
    assert!(matches!(refused, EnvironmentError::Value { .. }));
    for name in ["CONVEX_CLOUD_URL", "CONVEX_SITE_URL"] {
        let refused = environment::change(runtime, &bad(name)).await.unwrap_err();
        assert!(matches!(refused, EnvironmentError::BuiltIn(_)), "{name}");
    }
    let full = "x".repeat(8 << 10);
    let large: Vec<_> = (0..64)
        .flat_map(|at| change(&format!("L{at}"), Some(&full)))
        .collect();
    assert!(matches!(
        environment::change(runtime, &large).await.unwrap_err(),
        EnvironmentError::TooMany
    ));
    assert_eq!(read(&t, "L1").await, Value::Null);
    let many: Vec<_> = (0..513)
        .flat_map(|at| change(&format!("V{at}"), Some("1")))
        .collect();
    assert!(matches!(
        environment::change(runtime, &many).await.unwrap_err(),
        EnvironmentError::TooMany
    ));
    assert_eq!(read(&t, "GOOD").await, Value::Null);
    assert_eq!(read(&t, "V1").await, Value::Null);
}

#[tokio::test]
async fn origin_is_a_built_in_variable() {
    let t = reading();
    for name in ["CONVEX_CLOUD_URL", "CONVEX_SITE_URL"] {
        assert_eq!(read(&t, name).await, Value::from("http://127.0.0.1:3210"));
    }
    let listed = environment::list(t.runtime().await).await.unwrap();
    assert!(listed.is_empty());
}

#[tokio::test]
async fn functions_cannot_access_system_tables() {
    let t = reading();
    environment::change(t.runtime().await, &change("A", Some("1")))
        .await
        .unwrap();
    let range = lentil::RangeSpec::all("_environment_variables", "by_creation_time");
    assert!(
        t.query(async move |ctx| ctx.db.query_objects(range).collect().await)
            .await
            .is_err()
    );
    let insert = t
        .mutation(async |ctx| {
            ctx.db
                .insert_object("_environment_variables", Object::new())
                .await
        })
        .await;
    assert!(insert.is_err());
}
