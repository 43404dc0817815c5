use lentil::{Functions, MutationCtx, QueryCtx, Result, UserIdentity, Value};
use lentil_testing::TestBackend;

use crate::fixture::*;

async fn who(ctx: &mut QueryCtx, (): ()) -> Result<Option<String>> {
    Ok(ctx
        .auth
        .user_identity()
        .map(|user| user.subject().to_owned()))
}

async fn through(ctx: &mut QueryCtx, (): ()) -> Result<Option<String>> {
    ctx.run_query(who, ()).await
}

async fn greet(ctx: &mut MutationCtx, (): ()) -> Result<Option<String>> {
    ctx.run_query(who, ()).await
}

fn signing() -> TestBackend {
    let functions = Functions::in_module("me")
        .query("who", who)
        .query("through", through)
        .mutation("greet", greet);
    backend().functions(functions)
}

fn user(name: &str) -> UserIdentity {
    UserIdentity::new("https://issuer.test", name)
}

#[tokio::test]
async fn a_function_reads_the_signed_in_user() {
    let t = signing();
    let ask = async |path: &str| t.call_public(path, lentil::Object::new()).await.unwrap();
    for path in ["me:who", "me:through", "me:greet"] {
        t.sign_out();
        assert_eq!(ask(path).await, Value::Null);
        t.sign_in(user("ada"));
        assert_eq!(ask(path).await, Value::from("ada"), "{path}");
        t.sign_in(user("bob"));
        assert_eq!(
            ask(path).await,
            Value::from("bob"),
            "{path}: a cached result belongs to one user"
        );
    }
}

#[tokio::test]
async fn a_result_that_does_not_depend_on_the_user_is_shared() {
    let t = signing();
    let list = async || {
        t.call_public("tasks:list", lentil::Object::from([("owner", "ada")]))
            .await
            .unwrap()
    };
    for name in ["ada", "bob", "cy"] {
        t.sign_in(user(name));
        list().await;
    }
    assert_eq!(t.runtime().await.cache_stats().misses, 1);
}

#[test]
fn claims_do_not_replace_issuer_and_subject() {
    let ada = user("ada")
        .with("email", "ada@issuer.test")
        .unwrap()
        .with("subject", "eve")
        .unwrap();
    assert_eq!(ada.token_identifier(), "https://issuer.test|ada");
    assert_eq!(
        (ada.issuer(), ada.subject()),
        ("https://issuer.test", "ada")
    );
    assert_eq!(ada.claim("email"), Some(&Value::from("ada@issuer.test")));
    assert_eq!((ada.email(), ada.name()), (Some("ada@issuer.test"), None));
    assert!(user("ada").with("$no", 1.0).is_err());
}
