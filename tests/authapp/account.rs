//! The accounts with which users sign in.

use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use data_encoding::BASE64;
use lentil::{
    ActionCtx, Args, Document, Error, Id, MutationCtx, Nullable, Object, QueryCtx, Result, Value,
    ValueType,
};

use crate::session::{self, Issued, User};

#[derive(Document, Clone)]
#[table("authAccounts")]
#[unique(by_email(email))]
pub(crate) struct Account {
    user_id: Id<User>,
    email: String,
    secret: String,
}

#[derive(Args)]
pub(crate) struct Credentials {
    email: String,
    secret: String,
}

#[derive(Args)]
pub(crate) struct Named {
    email: String,
}

#[derive(Args)]
pub(crate) struct Of {
    user_id: Id<User>,
}

#[derive(ValueType)]
pub(crate) struct Found {
    user_id: Id<User>,
    secret: String,
}

/// The flows `signUp` and `signIn` of the provider `password`.
pub(crate) async fn with_password(ctx: &ActionCtx, params: &Object) -> Result<Issued> {
    let text = |name: &str| {
        let param = params.get(name).and_then(Value::as_str);
        param.ok_or_else(|| Error::msg(format!("missing `{name}`")))
    };
    let (email, password) = (text("email")?.to_owned(), text("password")?);
    match text("flow")? {
        "signUp" if password.len() < 8 => Err(Error::msg("invalid password")),
        "signUp" => {
            let secret = hash(&email, password);
            ctx.run_mutation(create, Credentials { email, secret })
                .await
        }
        "signIn" => {
            let secret = hash(&email, password);
            let found = ctx.run_query(find, Named { email }).await?.into_option();
            match found {
                Some(account) if account.secret == secret => {
                    let user_id = account.user_id;
                    ctx.run_mutation(sign_in_to, Of { user_id }).await
                }
                _ => Err(Error::msg("InvalidSecret")),
            }
        }
        other => Err(Error::msg(format!("no flow `{other}`"))),
    }
}

pub(crate) async fn find(ctx: &mut QueryCtx, args: Named) -> Result<Nullable<Found>> {
    let account = ctx.db.query(Account::BY_EMAIL.eq(args.email)).unique();
    let found = account.await?.map(|account| Found {
        user_id: account.user_id,
        secret: account.secret.clone(),
    });
    Ok(found.into())
}

/// Creates a user with an account, and signs in.
pub(crate) async fn create(ctx: &mut MutationCtx, args: Credentials) -> Result<Issued> {
    let user = User {
        email: Some(args.email.clone()),
        is_anonymous: None,
    };
    let user_id = ctx.db.insert(user).await?;
    let account = Account {
        user_id,
        email: args.email,
        secret: args.secret,
    };
    ctx.db.insert(account).await?;
    session::begin(ctx, user_id).await
}

/// Creates a user without an account, and signs in.
pub(crate) async fn anonymous(ctx: &mut MutationCtx, (): ()) -> Result<Issued> {
    let user = User {
        email: None,
        is_anonymous: Some(true),
    };
    let user_id = ctx.db.insert(user).await?;
    session::begin(ctx, user_id).await
}

pub(crate) async fn sign_in_to(ctx: &mut MutationCtx, args: Of) -> Result<Issued> {
    session::begin(ctx, args.user_id).await
}

/// Hashes a password with few rounds, because the passwords of the tests are not secret.
fn hash(email: &str, password: &str) -> String {
    let mut out = [0; 32];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        NonZeroU32::new(1_000).expect("1,000 is not zero"),
        email.as_bytes(),
        password.as_bytes(),
        &mut out,
    );
    BASE64.encode(&out)
}
