//! HTTP routes: a link shortener. Creating a link needs a key; `/l/<name>` redirects to its target.
//!
//! `cargo run --bin http` serves it.

use std::process::ExitCode;

use lentil::header::{self, HeaderValue};
use lentil::{
    ActionCtx, Args, Backend, Code, Document, Functions, HttpRouter, Id, Method, MutationCtx,
    QueryCtx, Request, Response, Result, Schema, StatusCode,
};

/// The name of the key for creating links.
const API_KEY: &str = "LINKS_API_KEY";

#[derive(Document, Args, Clone)]
#[table("links")]
#[unique(by_name(name))]
struct Link {
    name: String,
    target: String,
}

/// Creates a link. A name that is taken violates the unique index.
async fn create(ctx: &mut MutationCtx, link: Link) -> Result<Id<Link>> {
    ctx.db.insert(link).await
}

#[derive(Args)]
struct Find {
    name: String,
}

async fn target(ctx: &mut QueryCtx, args: Find) -> Result<Option<String>> {
    let link = ctx.db.query(Link::BY_NAME.eq(args.name)).unique().await?;
    Ok(link.map(|link| link.fields.target))
}

/// `POST /links` with `{"name":"docs","target":"https://docs.example"}`.
async fn post_link(ctx: &ActionCtx, request: Request) -> Result<Response> {
    if !ctx.secret(API_KEY).await?.authorizes(request.headers()) {
        return Ok(Response::text(StatusCode::UNAUTHORIZED, "Unauthorized"));
    }
    // The response to a body that does not match the fields of `Link` is 400.
    let link: Link = request.args().await?;
    if !link.target.starts_with("https://") {
        let message = "The target must start with https://";
        return Ok(Response::text(StatusCode::BAD_REQUEST, message));
    }
    match ctx.run_mutation(create, link).await {
        Ok(_) => Ok(Response::empty(StatusCode::CREATED)),
        Err(error) if error.code() == Code::UniqueIndexViolation => {
            Ok(Response::text(StatusCode::CONFLICT, "The name is taken"))
        }
        Err(error) => Err(error.bad_request()),
    }
}

/// `GET /l/<name>`.
async fn follow_link(ctx: &ActionCtx, request: Request) -> Result<Response> {
    let name = request.path().trim_start_matches("/l/").to_owned();
    let target = ctx.run_query(target, Find { name }).await?;
    let target = target.and_then(|target| HeaderValue::from_str(&target).ok());
    Ok(match target {
        Some(target) => Response::empty(StatusCode::FOUND).header(header::LOCATION, target),
        None => Response::text(StatusCode::NOT_FOUND, "No such link"),
    })
}

fn functions() -> Functions {
    Functions::in_module("links")
        .internal_mutation("create", create)
        .internal_query("target", target)
}

fn router() -> HttpRouter {
    HttpRouter::new()
        .route(Method::POST, "/links", post_link)
        .prefix(Method::GET, "/l/", follow_link)
}

fn schema() -> Schema {
    Schema::new().table::<Link>()
}

fn main() -> ExitCode {
    Backend::new(schema())
        .functions(functions())
        .http(router())
        .secret(API_KEY)
        .example(
            r#"curl {url}/links -H "Authorization: Bearer {LINKS_API_KEY}" -d '{"name":"docs","target":"https://docs.example"}'"#,
        )
        .main()
}

#[cfg(test)]
mod tests {
    use lentil::HttpRequest;
    use lentil_testing::{TestBackend, TestResponse};

    use super::*;

    const DOCS: &str = r#"{"name":"docs","target":"https://docs.example"}"#;

    fn backend() -> TestBackend {
        TestBackend::new(schema())
            .functions(functions())
            .http(router())
            .secret(API_KEY, "key")
    }

    async fn post(t: &TestBackend, key: &str, body: &'static str) -> TestResponse {
        let request = HttpRequest::post("/links").header("Authorization", format!("Bearer {key}"));
        t.fetch(request.body(body).unwrap()).await
    }

    async fn get(t: &TestBackend, path: &str) -> TestResponse {
        t.fetch(HttpRequest::get(path).body("").unwrap()).await
    }

    #[tokio::test]
    async fn a_link_redirects_to_its_target() {
        let t = backend();
        assert_eq!(post(&t, "key", DOCS).await.status, StatusCode::CREATED);
        let response = get(&t, "/l/docs").await;
        assert_eq!(response.status, StatusCode::FOUND);
        assert_eq!(response.headers["location"], "https://docs.example");
        assert_eq!(get(&t, "/l/other").await.status, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn a_request_without_the_key_is_refused() {
        let t = backend();
        assert_eq!(
            post(&t, "wrong", DOCS).await.status,
            StatusCode::UNAUTHORIZED
        );
        assert!(t.documents::<Link>().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_taken_name_is_a_conflict() {
        let t = backend();
        assert_eq!(post(&t, "key", DOCS).await.status, StatusCode::CREATED);
        assert_eq!(post(&t, "key", DOCS).await.status, StatusCode::CONFLICT);
    }

    #[tokio::test]
    async fn an_invalid_link_is_a_bad_request() {
        let t = backend();
        for body in [
            r#"{"name":"docs"}"#,
            r#"{"name":"docs","target":"ftp://docs.example"}"#,
        ] {
            assert_eq!(
                post(&t, "key", body).await.status,
                StatusCode::BAD_REQUEST,
                "{body}"
            );
        }
    }
}
