use clonk_functions::apps::{self, GetBySlug, Shown};
use lentil::header::{self, HeaderValue};
use lentil::{ActionCtx, Request, Response, Result, StatusCode};

use super::document::{DEFAULT_DESCRIPTION, escaped, head, page};

/// The maximum length of an app's name or description in the head of its page, in characters.
const MAX_HEAD_LENGTH: usize = 300;

/// `GET /app/<slug>`: returns the page of an app, with status 404 if there is none.
pub(super) async fn get_app(ctx: &ActionCtx, request: Request) -> Result<Response> {
    let path = request.path();
    if path.ends_with('/') {
        return Ok(moved(path.trim_end_matches('/')));
    }
    let slug = decoded(path.strip_prefix("/app/").unwrap_or_default());
    match ctx.run_query(apps::get_by_slug, GetBySlug { slug }).await? {
        Some(app) => Ok(page(StatusCode::OK, &head_of(app))),
        None => Ok(not_found()),
    }
}

fn not_found() -> Response {
    page(
        StatusCode::NOT_FOUND,
        &head("No such app · clonk", DEFAULT_DESCRIPTION),
    )
}

/// Redirects to the path without a slash at its end, and from `/app/` to the gallery.
fn moved(path: &str) -> Response {
    let to = if path == "/app" { "/" } else { path };
    match HeaderValue::from_str(to) {
        Ok(to) => Response::empty(StatusCode::PERMANENT_REDIRECT).header(header::LOCATION, to),
        // The path has a byte that a header cannot carry. No slug has one.
        Err(_) => not_found(),
    }
}

/// Decodes a path's percent-encoding. Returns the path itself if it is malformed, as the page's
/// script does.
fn decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        // `from_str_radix` accepts a sign, which a percent-encoding cannot have.
        let digits = part.get(..2).filter(|digits| !digits.starts_with('+'));
        let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else {
            return path.to_owned();
        };
        bytes.push(byte);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap_or_else(|_| path.to_owned())
}

/// Returns the head of an app's page.
fn head_of(
    Shown {
        app,
        screenshot_url,
    }: Shown,
) -> String {
    // A link preview needs a title, and the name of an app may be blank.
    let name = match app.app_name.trim() {
        "" => &app.slug,
        name => name,
    };
    let head = head(&format!("{} · clonk", cut(name)), cut(&app.description));
    match screenshot_url.into_option() {
        Some(url) => format!(
            "{head}\n<meta property=\"og:image\" content=\"{}\">",
            escaped(&url)
        ),
        None => head,
    }
}

/// Returns at most [`MAX_HEAD_LENGTH`] characters of a text.
fn cut(text: &str) -> &str {
    match text.char_indices().nth(MAX_HEAD_LENGTH) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use clonk_functions::apps::Create;
    use lentil::{Body, HttpRequest};
    use lentil_testing::{TestBackend, TestResponse};

    use super::*;

    fn backend() -> TestBackend {
        TestBackend::new(clonk_schema::schema())
            .functions(clonk_functions::all())
            .http(crate::router())
            .secret(crate::API_KEY, "key")
    }

    async fn publish(t: &TestBackend, app_name: &str, description: &str) -> String {
        let app = Create {
            app_name: app_name.into(),
            description: description.into(),
            vercel_url: "https://clock.example".into(),
            github_url: "https://git.example/clock".into(),
            username: "ada".into(),
            template: "react".into(),
            screenshot_id: None,
        };
        let created = t.mutation(async |ctx| apps::create(ctx, app.clone()).await);
        created.await.unwrap().slug
    }

    async fn get(t: &TestBackend, path: &str) -> TestResponse {
        t.fetch(HttpRequest::get(path).body(Body::empty()).unwrap())
            .await
    }

    #[tokio::test]
    async fn the_head_of_an_apps_page_describes_the_app() {
        let t = backend();
        let slug = publish(&t, "My Clock", "It tells the time.").await;
        let page = get(&t, &format!("/app/{slug}")).await;
        assert_eq!(page.status.as_u16(), 200);
        assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("frame-src https:;"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        for line in [
            "<title>My Clock · clonk</title>",
            r#"<meta name="description" content="It tells the time.">"#,
            r#"<meta property="og:title" content="My Clock · clonk">"#,
            r#"<meta property="og:description" content="It tells the time.">"#,
        ] {
            assert_eq!(page.text().matches(line).count(), 1, "{line}");
        }
        assert!(!page.text().contains("og:image"), "it has no screenshot");
    }

    #[tokio::test]
    async fn a_link_preview_shows_the_screenshot() {
        let t = backend();
        let request = HttpRequest::post(
            "/api/publish?appName=Map&description=d&vercelUrl=v&githubUrl=g&username=ada",
        );
        let request = request
            .header("Authorization", "Bearer key")
            .header("Content-Type", "image/png");
        let png = Body::from(&b"\x89PNG\r\n\x1a\n"[..]);
        let published = t.fetch(request.body(png).unwrap()).await;
        assert_eq!(published.status.as_u16(), 200, "{}", published.text());
        let page = get(&t, "/app/map").await;
        let image = r#"<meta property="og:image" content="http://127.0.0.1:3210/api/storage/"#;
        assert!(page.text().contains(image), "{}", page.text());
    }

    #[tokio::test]
    async fn hostile_text_in_the_head_is_escaped() {
        let t = backend();
        let hostile = "</title><script>x</script>\"' & <!-- head -->";
        let slug = publish(&t, hostile, hostile).await;
        let page = get(&t, &format!("/app/{slug}")).await;
        let escaped =
            "&lt;/title&gt;&lt;script&gt;x&lt;/script&gt;&quot;&#39; &amp; &lt;!-- head --&gt;";
        assert_eq!(page.text().matches(escaped).count(), 4, "{}", page.text());
        assert!(!page.text().contains("<script>x"));
        let long = publish(&t, &"é".repeat(5_000), &"é".repeat(5_000)).await;
        let page = get(&t, &format!("/app/{long}")).await;
        assert!(page.text().len() < 10_000, "{}", page.text().len());
    }

    #[tokio::test]
    async fn an_apps_path_may_be_percent_encoded() {
        let t = backend();
        publish(&t, "My Clock", "d").await;
        for (path, status) in [
            ("/app/my-clock", 200),
            ("/app/my%2Dclock", 200),
            ("/app/%6dy-clock?from=chat", 200),
            ("/app/My-Clock", 404),
            ("/app/my", 404),
            ("/app/my-clock/x", 404),
            ("/app/my%2Dclock%", 404),
            ("/app/my%+dclock", 404),
            ("/app/%ff%fe", 404),
            ("/app/%00", 404),
            ("/app/..%2f..%2fapi", 404),
            ("/app/%3Cscript%3E", 404),
        ] {
            let page = get(&t, path).await;
            assert_eq!(page.status.as_u16(), status, "{path}");
            assert!(page.text().contains("<main"), "{path}");
            let title = "<title>No such app · clonk</title>";
            assert_eq!(page.text().contains(title), status == 404, "{path}");
        }
        let long = format!("/app/{}", "x".repeat(20_000));
        assert_eq!(get(&t, &long).await.status.as_u16(), 404);
    }

    #[tokio::test]
    async fn a_slash_at_the_end_redirects() {
        let t = backend();
        for (path, to) in [
            ("/app/", "/"),
            ("/app//", "/"),
            ("/app/my-clock/", "/app/my-clock"),
            ("/app//evil.example//", "/app//evil.example"),
        ] {
            let moved = get(&t, path).await;
            assert_eq!(moved.status.as_u16(), 308, "{path}");
            assert_eq!(moved.headers["location"], to, "{path}");
        }
    }
}
