//! Users: everybody has private notes, and must be signed in to use them.
//!
//! `cargo run --bin auth -- --auth-config auth.json` serves it; docs/auth.md describes `auth.json`.

use std::process::ExitCode;

use lentil::{
    Args, Backend, Doc, Document, Error, Functions, Id, MutationCtx, QueryCtx, Result, Schema, bail,
};

#[derive(Document, Clone, Debug)]
#[table("notes")]
#[index(by_owner(owner))]
struct Note {
    /// The token identifier of the user.
    owner: String,
    text: String,
}

#[derive(Args, Clone)]
struct Add {
    text: String,
}

/// Returns the identifier of the user, which is unique across all providers. Mutations can call it too.
fn user(ctx: &QueryCtx) -> Result<String> {
    let Some(user) = ctx.auth.user_identity() else {
        bail!(Error::application("Sign in first"));
    };
    Ok(user.token_identifier().to_owned())
}

async fn add(ctx: &mut MutationCtx, args: Add) -> Result<Id<Note>> {
    let owner = user(ctx)?;
    let text = args.text;
    ctx.db.insert(Note { owner, text }).await
}

/// Lists the user's own notes. The result is cached for each user.
async fn list(ctx: &mut QueryCtx, (): ()) -> Result<Vec<Doc<Note>>> {
    let owner = user(ctx)?;
    ctx.db.query(Note::BY_OWNER.eq(owner)).collect().await
}

fn functions() -> Functions {
    Functions::in_module("notes")
        .mutation("add", add)
        .query("list", list)
}

fn schema() -> Schema {
    Schema::new().table::<Note>()
}

fn main() -> ExitCode {
    Backend::new(schema()).functions(functions()).main()
}

#[cfg(test)]
mod tests {
    use lentil::{Code, UserIdentity};
    use lentil_testing::TestBackend;

    use super::*;

    async fn texts(t: &TestBackend) -> Vec<String> {
        let notes = t.run_query(list, ()).await.unwrap();
        notes.iter().map(|note| note.text.clone()).collect()
    }

    #[tokio::test]
    async fn a_user_sees_only_their_own_notes() {
        let t = TestBackend::new(schema()).functions(functions());
        for (name, text) in [("ada", "buy milk"), ("bob", "sell milk")] {
            let t = t.as_user(UserIdentity::new("https://login.example.com", name));
            let args = Add { text: text.into() };
            t.run_mutation(add, args).await.unwrap();
            assert_eq!(texts(&t).await, [text]);
        }
    }

    #[tokio::test]
    async fn notes_require_a_user() {
        let t = TestBackend::new(schema()).functions(functions());
        let error = t.run_query(list, ()).await.unwrap_err();
        assert_eq!(error.code(), Code::Application);
    }
}
