//! The Convex side of `@convex-dev/auth`, for its original front end: `auth:signIn` and `auth:signOut` with the
//! providers `password` and `anonymous`, sessions with refresh tokens, and the keys that verify its tokens.
//!
//! As in Convex, the environment variables `JWT_PRIVATE_KEY` and `JWKS` hold the keys. The test sets them.

mod account;
mod session;
mod token;
mod viewer;

use std::process::ExitCode;

use lentil::{
    ActionCtx, Args, Backend, Error, Functions, HttpRouter, Method, Nullable, Object, Result,
    Schema, Value, ValueType,
};

use session::Issued;

#[global_allocator]
static ALLOCATOR: lentil::Allocator = lentil::Allocator;

#[derive(Args)]
struct SignIn {
    provider: Option<String>,
    params: Option<Value>,
    verifier: Option<String>,
    refresh_token: Option<String>,
    called_by: Option<String>,
}

#[derive(ValueType)]
struct SignedIn {
    tokens: Nullable<Tokens>,
}

#[derive(ValueType)]
struct Tokens {
    token: String,
    refresh_token: String,
}

/// Signs in by one of the providers, or refreshes a session.
async fn sign_in(ctx: &ActionCtx, args: SignIn) -> Result<SignedIn> {
    let params = match args.params {
        Some(Value::Object(params)) => params,
        _ => Object::new(),
    };
    let issued = match (args.provider.as_deref(), args.refresh_token) {
        (Some("password"), _) => Some(account::with_password(ctx, &params).await?),
        (Some("anonymous"), _) => Some(ctx.run_mutation(account::anonymous, ()).await?),
        (None, Some(refresh_token)) => {
            let refresh = session::Refresh { refresh_token };
            ctx.run_mutation(session::refresh, refresh)
                .await?
                .into_option()
        }
        _ => return Err(Error::msg("expected a provider or a refresh token")),
    };
    let tokens = match issued {
        Some(issued) => Some(tokens(ctx, &issued).await?),
        None => None,
    };
    Ok(SignedIn {
        tokens: tokens.into(),
    })
}

async fn tokens(ctx: &ActionCtx, issued: &Issued) -> Result<Tokens> {
    Ok(Tokens {
        token: token::sign(ctx, &issued.user_id, &issued.session_id).await?,
        refresh_token: format!("{}|{}", issued.refresh_token_id, issued.session_id),
    })
}

/// Ends the caller's session.
async fn sign_out(ctx: &ActionCtx, (): ()) -> Result<()> {
    ctx.run_mutation(session::end, ()).await
}

fn functions() -> Functions {
    Functions::in_module("auth")
        .action("signIn", sign_in)
        .action("signOut", sign_out)
        .internal_mutation("refresh", session::refresh)
        .internal_mutation("end", session::end)
        .internal_mutation("createAccount", account::create)
        .internal_mutation("anonymous", account::anonymous)
        .internal_mutation("signInTo", account::sign_in_to)
        .internal_query("account", account::find)
        .with(viewer::functions())
}

fn routes() -> HttpRouter {
    HttpRouter::new()
        .route(
            Method::GET,
            "/.well-known/openid-configuration",
            token::configuration,
        )
        .route(Method::GET, "/.well-known/jwks.json", token::keys)
}

fn main() -> ExitCode {
    let schema = Schema::new()
        .table::<session::User>()
        .table::<account::Account>()
        .table::<session::Session>()
        .table::<session::RefreshToken>()
        .table::<viewer::Note>();
    Backend::new(schema)
        .functions(functions())
        .http(routes())
        .main()
}
