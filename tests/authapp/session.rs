//! Users, their sessions, and the refresh tokens that renew their tokens.

use lentil::{Args, Document, Id, MutationCtx, Nullable, Result, ValueType};

/// The time within which a refresh token may be used again, by a window that does not know of its first use.
const REUSE_WINDOW_MS: f64 = 10_000.0;

#[derive(Document, Clone)]
#[table("users")]
pub(crate) struct User {
    pub(crate) email: Option<String>,
    pub(crate) is_anonymous: Option<bool>,
}

#[derive(Document, Clone)]
#[table("authSessions")]
pub(crate) struct Session {
    user_id: Id<User>,
}

#[derive(Document, Clone)]
#[table("authRefreshTokens")]
#[index(by_session(session_id))]
pub(crate) struct RefreshToken {
    session_id: Id<Session>,
    first_used_time: Option<f64>,
}

/// The parts of the tokens.
#[derive(ValueType)]
pub(crate) struct Issued {
    pub(crate) user_id: Id<User>,
    pub(crate) session_id: Id<Session>,
    pub(crate) refresh_token_id: Id<RefreshToken>,
}

#[derive(Args)]
pub(crate) struct Refresh {
    pub(crate) refresh_token: String,
}

/// Begins a session and ends the caller's.
pub(crate) async fn begin(ctx: &mut MutationCtx, user_id: Id<User>) -> Result<Issued> {
    end(ctx, ()).await?;
    let session = Session { user_id };
    let session_id = ctx.db.insert(session).await?;
    issue(ctx, user_id, session_id).await
}

async fn issue(
    ctx: &mut MutationCtx,
    user_id: Id<User>,
    session_id: Id<Session>,
) -> Result<Issued> {
    let refresh_token = RefreshToken {
        session_id,
        first_used_time: None,
    };
    Ok(Issued {
        user_id,
        session_id,
        refresh_token_id: ctx.db.insert(refresh_token).await?,
    })
}

/// Exchanges a refresh token for a new one; `None` if it is not valid any more.
pub(crate) async fn refresh(ctx: &mut MutationCtx, args: Refresh) -> Result<Nullable<Issued>> {
    let Some((token, session)) = args.refresh_token.split_once('|') else {
        return Ok(None.into());
    };
    let (Some(token), Some(session)) = (
        ctx.db.normalize_id::<RefreshToken>(token),
        ctx.db.normalize_id::<Session>(session),
    ) else {
        return Ok(None.into());
    };
    let (Some(token), Some(session)) = (ctx.db.get(&token).await?, ctx.db.get(&session).await?)
    else {
        return Ok(None.into());
    };
    let now = ctx.now()?;
    let is_over = |used: f64| now > used + REUSE_WINDOW_MS;
    if token.session_id != session.id || token.first_used_time.is_some_and(is_over) {
        return Ok(None.into());
    }
    if token.first_used_time.is_none() {
        let used = RefreshToken::patch().first_used_time(now);
        ctx.db.patch(&token.id, used).await?;
    }
    let issued = issue(ctx, session.user_id, session.id).await?;
    Ok(Some(issued).into())
}

/// Ends the caller's session, if there is one.
pub(crate) async fn end(ctx: &mut MutationCtx, (): ()) -> Result<()> {
    let session = ctx.auth.user_identity().and_then(|user| {
        let (_, session) = user.subject().split_once('|')?;
        Some(session.to_owned())
    });
    let Some(session) = session.and_then(|id| ctx.db.normalize_id::<Session>(&id)) else {
        return Ok(());
    };
    let tokens = ctx.db.query(RefreshToken::BY_SESSION.eq(session));
    for token in tokens.collect().await? {
        ctx.db.delete(&token.id).await?;
    }
    if ctx.db.get(&session).await?.is_some() {
        ctx.db.delete(&session).await?;
    }
    Ok(())
}
