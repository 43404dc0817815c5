//! Odd names: an internal function, and a default export.

use lentil::{Functions, QueryCtx, Result};

async fn get(_: &mut QueryCtx, _: ()) -> Result<String> {
    Ok("a secret".to_owned())
}

async fn default(_: &mut QueryCtx, _: ()) -> Result<String> {
    Ok("a default export".to_owned())
}

pub(crate) fn functions() -> Functions {
    Functions::in_module("internal/secret")
        .internal_query("get", get)
        .with(Functions::in_module("plain").query("default", default))
}
