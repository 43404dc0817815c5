// [functions]
//! Comments on build jobs.

use clonk_schema::Comment;
use lentil::{Args, Doc, Error, Functions, Id, MutationCtx, QueryCtx, Result, ensure};

/// Returns the functions of this module, with the names that clients use.
pub fn functions() -> Functions {
    Functions::in_module("comments")
        .query("list", list)
        .internal_mutation("add", add)
}

/// The arguments of [`list`].
#[derive(Args, Clone)]
pub struct List {
    /// See [`Comment::job_id`].
    pub job_id: String,
}

/// Returns the comments on a job, oldest first.
pub async fn list(ctx: &mut QueryCtx, args: List) -> Result<Vec<Doc<Comment>>> {
    let comments = ctx.db.query(Comment::BY_JOB_ID.eq(args.job_id));
    comments.collect().await
}

/// The arguments of [`add`].
#[derive(Args, Clone)]
pub struct Add {
    /// See [`Comment::job_id`].
    pub job_id: String,
    /// See [`Comment::text`].
    pub text: String,
}

/// Adds a comment, and returns its id.
pub async fn add(ctx: &mut MutationCtx, args: Add) -> Result<Id<Comment>> {
    ensure!(!args.text.is_empty(), Error::application("No text"));
    let comment = Comment {
        job_id: args.job_id,
        text: args.text,
        created_at: ctx.now()?,
    };
    ctx.db.insert(comment).await
}
// [end]

// [test]
#[cfg(test)]
mod tests {
    use clonk_schema::schema;
    use lentil_testing::TestBackend;

    use super::*;

    #[tokio::test]
    async fn a_comment_is_listed_with_its_job() {
        let t = TestBackend::new(schema()).functions(functions());
        let comment = Add {
            job_id: "job-1".into(),
            text: "Nice!".into(),
        };
        t.run_mutation(add, comment).await.unwrap();
        let job = List {
            job_id: "job-1".into(),
        };
        let comments = t.run_query(list, job).await.unwrap();
        assert_eq!(comments[0].text, "Nice!");
    }
}
// [end]
