//! The page: the gallery at `/`, an app at `/app/<slug>`, and a build's progress at `/build/<jobId>`.
//!
//! It is one document, which shows what its path names; its script subscribes to public queries. Its files are in
//! `page/`, and part of the program.

mod app;

use lentil::header::{self, HeaderValue};
use lentil::{ActionCtx, HttpRouter, Method, Request, Response, Result, StatusCode};

/// Adds the page's routes.
pub(crate) fn routes(router: HttpRouter) -> HttpRouter {
    router
        .route(Method::GET, "/", get_page)
        .prefix(Method::GET, "/app/", app::get_app)
        .prefix(Method::GET, "/build/", get_page)
        .prefix(Method::GET, "/page/", get_asset)
}

/// Scripts and styles are the page's own; pictures are where the storage is; apps run elsewhere, in frames.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data: http: https:; frame-src https:; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";

/// The description of the page where its path names no app.
const ABOUT: &str = "Apps that clonk has built, and those that it is building.";

async fn get_page(_ctx: &ActionCtx, _request: Request) -> Result<Response> {
    Ok(page(StatusCode::OK, &head("clonk", ABOUT)))
}

/// The document, with this in its head.
fn page(status: StatusCode, head: &str) -> Response {
    let html = include_str!("../page/index.html").replacen("<!-- head -->", head, 1);
    let response = Response::with_type(status, "text/html; charset=utf-8", html);
    with_safe_headers(response).header(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    )
}

/// A title and a description, for browsers, search engines, and messengers that preview links (Open Graph).
fn head(title: &str, description: &str) -> String {
    let (title, description) = (escaped(title), escaped(description));
    format!(
        "<title>{title}</title>\n\
         <meta name=\"description\" content=\"{description}\">\n\
         <meta property=\"og:title\" content=\"{title}\">\n\
         <meta property=\"og:description\" content=\"{description}\">"
    )
}

/// A text as HTML shows it, in an element or in quotes.
fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

async fn get_asset(_ctx: &ActionCtx, request: Request) -> Result<Response> {
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    Ok(match request.path() {
        "/page/page.css" => file("text/css; charset=utf-8", include_str!("../page/page.css")),
        "/page/page.js" => file(SCRIPT, include_str!("../page/page.js")),
        "/page/live.js" => file(SCRIPT, include_str!("../page/live.js")),
        _ => Response::text(StatusCode::NOT_FOUND, "Not Found"),
    })
}

fn file(content_type: &'static str, text: &'static str) -> Response {
    with_safe_headers(Response::with_type(StatusCode::OK, content_type, text))
}

fn with_safe_headers(response: Response) -> Response {
    response
        .header(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        )
        .header(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))
}

#[cfg(test)]
mod tests {
    use lentil::{Body, HttpRequest};
    use lentil_testing::{TestBackend, TestResponse};

    async fn get(path: &str) -> TestResponse {
        let t = TestBackend::new(clonk_schema::schema())
            .functions(clonk_functions::all())
            .http(crate::router());
        t.secret(crate::API_KEY, "key")
            .fetch(HttpRequest::get(path).body(Body::empty()).unwrap())
            .await
    }

    #[tokio::test]
    async fn the_page_is_served_at_its_paths_and_runs_its_own_scripts_alone() {
        for path in ["/", "/build/job-1", "/build/"] {
            let page = get(path).await;
            assert_eq!(
                (page.status.as_u16(), page.text().contains("<main")),
                (200, true),
                "{path}"
            );
            assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
            let policy = page.headers["content-security-policy"].to_str().unwrap();
            for rule in [
                "default-src 'none';",
                "script-src 'self';",
                "connect-src 'self';",
            ] {
                assert!(policy.contains(rule), "{rule} in {policy}");
            }
        }
        assert_eq!(get("/other").await.status.as_u16(), 404);
    }

    #[tokio::test]
    async fn what_the_page_names_is_there_and_nothing_else() {
        let page = get("/").await;
        let named: Vec<&str> = page
            .text()
            .split('"')
            .filter(|text| text.starts_with("/page/"))
            .collect();
        assert_eq!(named, ["/page/page.css", "/page/page.js"]);
        for (path, content_type) in [
            ("/page/page.css", "text/css"),
            ("/page/page.js", "text/javascript"),
        ] {
            let asset = get(path).await;
            assert_eq!(asset.status.as_u16(), 200);
            assert_eq!(asset.headers["x-content-type-options"], "nosniff");
            assert_eq!(asset.headers["cache-control"], "no-cache");
            assert!(
                asset.headers["content-type"]
                    .to_str()
                    .unwrap()
                    .starts_with(content_type)
            );
        }
        assert!(
            get("/page/page.js")
                .await
                .text()
                .contains("from \"./live.js\"")
        );
        assert_eq!(get("/page/live.js").await.status.as_u16(), 200);
        assert_eq!(get("/page/other.js").await.status.as_u16(), 404);
    }
}
