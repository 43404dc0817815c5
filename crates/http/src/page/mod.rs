//! The web pages: the gallery at `/`, an app at `/app/<slug>`, and the progress of a build at
//! `/build/<jobId>`.
//!
//! All are one HTML document, whose script subscribes to public queries and shows what the path
//! selects. The files in `page/` are compiled into the program.

mod app;
mod document;

use lentil::{ActionCtx, HttpRouter, Method, Request, Response, Result, StatusCode};

use document::{DEFAULT_DESCRIPTION, head, page, with_safe_headers};

/// Adds the page's routes.
pub(crate) fn routes(router: HttpRouter) -> HttpRouter {
    router
        .route(Method::GET, "/", get_page)
        .prefix(Method::GET, "/app/", app::get_app)
        .prefix(Method::GET, "/build/", get_page)
        .prefix(Method::GET, "/page/", get_asset)
}

async fn get_page(_ctx: &ActionCtx, _request: Request) -> Result<Response> {
    // The same document for each path: its script reads the path and loads what it shows.
    Ok(page(StatusCode::OK, &head("clonk", DEFAULT_DESCRIPTION)))
}

async fn get_asset(_ctx: &ActionCtx, request: Request) -> Result<Response> {
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    Ok(match request.path() {
        "/page/page.css" => file(
            "text/css; charset=utf-8",
            include_str!("../../page/page.css"),
        ),
        "/page/page.js" => file(SCRIPT, include_str!("../../page/page.js")),
        "/page/live.js" => file(SCRIPT, include_str!("../../page/live.js")),
        _ => Response::text(StatusCode::NOT_FOUND, "Not Found"),
    })
}

fn file(content_type: &'static str, text: &'static str) -> Response {
    with_safe_headers(Response::with_type(StatusCode::OK, content_type, text))
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
    async fn the_page_is_served_at_its_paths_and_runs_only_its_own_scripts() {
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
    async fn only_the_pages_own_assets_are_served() {
        let page = get("/").await;
        let assets: Vec<&str> = page
            .text()
            .split('"')
            .filter(|text| text.starts_with("/page/"))
            .collect();
        assert_eq!(assets, ["/page/page.css", "/page/page.js"]);
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
