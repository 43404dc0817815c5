//! The view of a signed-in user: its identity, and its notes.

use lentil::{
    Args, Document, Error, Functions, Id, MutationCtx, Nullable, QueryCtx, Result, UserIdentity,
};

use crate::session::User;

#[derive(Document, Clone)]
#[table("notes")]
#[index(by_owner(owner))]
pub(crate) struct Note {
    owner: Id<User>,
    text: String,
}

#[derive(Args)]
struct NewNote {
    text: String,
}

/// Returns the user's part of a token's subject.
fn user_part(user: &UserIdentity) -> Option<&str> {
    Some(user.subject().split_once('|')?.0)
}

/// Returns the caller's email, `anonymous`, or null.
async fn viewer(ctx: &mut QueryCtx, (): ()) -> Result<Nullable<String>> {
    let Some(id) = caller(ctx) else {
        return Ok(None.into());
    };
    let user = ctx.db.get(&id).await?;
    let name = user.and_then(|user| match user.is_anonymous {
        Some(true) => Some("anonymous".to_owned()),
        _ => user.email.clone(),
    });
    Ok(name.into())
}

async fn notes(ctx: &mut QueryCtx, (): ()) -> Result<Vec<String>> {
    let Some(owner) = caller(ctx) else {
        return Ok(Vec::new());
    };
    let notes = ctx.db.query(Note::BY_OWNER.eq(owner)).collect().await?;
    Ok(notes.into_iter().map(|note| note.fields.text).collect())
}

fn caller(ctx: &QueryCtx) -> Option<Id<User>> {
    let id = ctx.auth.user_identity().and_then(user_part)?;
    ctx.db.normalize_id(id)
}

async fn add(ctx: &mut MutationCtx, args: NewNote) -> Result<()> {
    let user = ctx.auth.user_identity().and_then(user_part);
    let owner = user.and_then(|id| ctx.db.normalize_id::<User>(id));
    let owner = owner.ok_or_else(|| Error::msg("nobody is signed in"))?;
    let text = args.text;
    ctx.db.insert(Note { owner, text }).await.map(drop)
}

pub(crate) fn functions() -> Functions {
    Functions::in_module("users")
        .query("viewer", viewer)
        .query("notes", notes)
        .mutation("addNote", add)
}
