//! Pagination: a feed of posts, newest first, in pages that stay live.
//!
//! `cargo run --bin pagination` serves it. React's `usePaginatedQuery` takes `feed:list` as it is.

use std::process::ExitCode;

use lentil::{
    Args, Backend, Doc, Document, Functions, Id, MutationCtx, Order, PaginationOptions,
    PaginationResult, QueryCtx, Result, Schema,
};

#[derive(Document, Args, Clone)]
#[table("posts")]
#[index(by_author(author))]
struct Post {
    author: String,
    text: String,
}

async fn post(ctx: &mut MutationCtx, post: Post) -> Result<Id<Post>> {
    ctx.db.insert(post).await
}

#[derive(Args, Clone)]
struct List {
    /// Lists only posts of this author.
    author: Option<String>,
    pagination_opts: PaginationOptions,
}

async fn list(ctx: &mut QueryCtx, args: List) -> Result<PaginationResult<Doc<Post>>> {
    let posts = match args.author {
        Some(author) => ctx.db.query(Post::BY_AUTHOR.eq(author)),
        None => ctx.db.query(Post::all()),
    };
    posts
        .order(Order::Desc)
        .paginate(args.pagination_opts)
        .await
}

fn functions() -> Functions {
    Functions::in_module("feed")
        .mutation("post", post)
        .query("list", list)
}

fn schema() -> Schema {
    Schema::new().table::<Post>()
}

fn main() -> ExitCode {
    Backend::new(schema()).functions(functions()).main()
}

#[cfg(test)]
mod tests {
    use lentil_testing::TestBackend;

    use super::*;

    async fn page(t: &TestBackend, options: PaginationOptions) -> PaginationResult<Doc<Post>> {
        let args = List {
            author: None,
            pagination_opts: options,
        };
        t.run_query(list, args).await.unwrap()
    }

    fn texts(page: &PaginationResult<Doc<Post>>) -> Vec<&str> {
        page.page.iter().map(|post| &*post.text).collect()
    }

    #[tokio::test]
    async fn the_second_page_starts_after_the_first() {
        let t = TestBackend::new(schema()).functions(functions());
        for text in ["one", "two", "three"] {
            let new = Post {
                author: "ada".into(),
                text: text.into(),
            };
            t.run_mutation(post, new).await.unwrap();
        }
        let first = page(&t, PaginationOptions::first(2)).await;
        assert_eq!(
            (texts(&first), first.is_done),
            (vec!["three", "two"], false)
        );
        let second = page(&t, PaginationOptions::after(first.continue_cursor, 2)).await;
        assert_eq!((texts(&second), second.is_done), (vec!["one"], true));
    }
}
