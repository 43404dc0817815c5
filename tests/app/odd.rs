//! Other functions: an internal one, a default export, and the identity of the user.

use lentil::{Functions, QueryCtx, Result};

async fn get(_: &mut QueryCtx, _: ()) -> Result<String> {
    Ok("a secret".to_owned())
}

async fn default(_: &mut QueryCtx, _: ()) -> Result<String> {
    Ok("a default export".to_owned())
}

async fn name(ctx: &mut QueryCtx, _: ()) -> Result<Option<String>> {
    Ok(ctx
        .auth
        .user_identity()
        .map(|user| user.subject().to_owned()))
}

pub(crate) fn functions() -> Functions {
    Functions::in_module("internal/secret")
        .internal_query("get", get)
        .with(Functions::in_module("plain").query("default", default))
        .with(Functions::in_module("me").query("name", name))
}
