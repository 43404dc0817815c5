use clonk_functions::apps::{self, Create};
use lentil::{ActionCtx, Id, Request, Response, Result, StatusCode, StoredFile, header};

use crate::api::{error, is_authorized, unauthorized};

/// `POST /api/publish?appName=…`: adds an app to the gallery. The request's body is its screenshot.
pub(crate) async fn post_publish(ctx: &ActionCtx, request: Request) -> Result<Response> {
    if !is_authorized(ctx, &request).await? {
        return Ok(unauthorized());
    }
    // Before the body, which may be large and would be stored for nothing.
    let app = match read_app(&request) {
        Ok(app) => app,
        Err(sentence) => return Ok(error(StatusCode::BAD_REQUEST, sentence)),
    };
    let screenshot_id = match store_screenshot(ctx, request).await? {
        Ok(screenshot_id) => screenshot_id,
        Err(sentence) => return Ok(error(StatusCode::BAD_REQUEST, sentence)),
    };
    let app = Create {
        screenshot_id,
        ..app
    };
    let created = ctx.run_mutation(apps::create, app).await;
    if let (Err(_), Some(id)) = (&created, &screenshot_id) {
        // If this fails too, the cron deletes the screenshot an hour later.
        let _ = ctx.storage.delete(id).await;
    }
    Ok(Response::json(
        StatusCode::OK,
        created.map_err(|error| error.bad_request())?,
    ))
}

/// Reads the app from the query string, without its screenshot. The error is a message for the
/// client.
fn read_app(request: &Request) -> Result<Create, String> {
    const NAMES: [&str; 6] = [
        "appName",
        "description",
        "vercelUrl",
        "githubUrl",
        "username",
        "template",
    ];
    let mut values = NAMES.map(|_| String::new());
    let mut bad = Vec::new();
    for (name, value) in request.queries() {
        match NAMES.iter().position(|known| *known == name) {
            Some(at) if values[at].is_empty() => values[at] = value.into_owned(),
            Some(_) => bad.push(format!("{name} (given twice)")),
            None => bad.push(format!("{name} (unknown)")),
        }
    }
    let [
        app_name,
        description,
        vercel_url,
        github_url,
        username,
        template,
    ] = values;
    // In the order of `NAMES`. Only the template, the last one, has a default.
    let required = [&app_name, &description, &vercel_url, &github_url, &username];
    let missing = NAMES
        .iter()
        .zip(required)
        .filter(|(_, value)| value.is_empty());
    bad.extend(missing.map(|(name, _)| format!("{name} (missing)")));
    if !bad.is_empty() {
        return Err(format!("Bad query parameters: {}", bad.join(", ")));
    }
    let template = if template.is_empty() {
        "react".to_owned()
    } else {
        template
    };
    Ok(Create {
        app_name,
        description,
        vercel_url,
        github_url,
        username,
        template,
        screenshot_id: None,
    })
}

/// Stores the body, unless it is empty. The inner error is a message for the client.
async fn store_screenshot(
    ctx: &ActionCtx,
    request: Request,
) -> Result<Result<Option<Id<StoredFile>>, String>> {
    // A copy, because reading the body consumes the request.
    let content_type = request.headers().get(header::CONTENT_TYPE).cloned();
    let bytes = request.bytes().await?;
    if bytes.is_empty() {
        return Ok(Ok(None));
    }
    let essence = content_type
        .as_ref()
        // Parameters may follow the type.
        .and_then(|text| text.to_str().ok()?.split(';').next())
        .unwrap_or_default();
    if !essence.trim().eq_ignore_ascii_case("image/png") {
        return Ok(Err(format!(
            "The body's Content-Type: expected image/png, got {essence:?}"
        )));
    }
    // The signature of PNG. The type is only what the client says, and the file is shown to
    // others.
    if !bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Ok(Err(
            "The body: expected a PNG image, got something else".to_owned()
        ));
    }
    ctx.storage
        .store(bytes, Some("image/png"))
        .await
        .map(|id| Ok(Some(id)))
}

#[cfg(test)]
mod tests {
    use clonk_schema::{App, schema};
    use lentil::{Body, Document, Limits};
    use lentil_testing::TestBackend;

    use super::*;

    const APP: &str = "/api/publish?appName=My+Clock&description=It%20tells%20the%20time.\
        &vercelUrl=https%3A%2F%2Fclock.example&githubUrl=https://git.example/clock&username=ada";
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and the rest of it";

    fn backend() -> TestBackend {
        let functions = clonk_functions::all();
        TestBackend::new(schema())
            .functions(functions)
            .http(crate::router())
            .secret(crate::API_KEY, "key")
    }

    async fn publish(t: &TestBackend, uri: &str, body: impl Into<Body>) -> (u16, String) {
        let request = lentil::HttpRequest::builder()
            .method("POST")
            .uri(uri)
            .header("Authorization", "Bearer key");
        let request = request
            .header("Content-Type", "image/png")
            .body(body.into())
            .unwrap();
        let response = t.fetch(request).await;
        (
            response.status.as_u16(),
            String::from_utf8(response.body.into()).unwrap(),
        )
    }

    async fn files(t: &TestBackend) -> usize {
        t.query(async |ctx| ctx.db.system.query(StoredFile::all()).count().await)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn an_app_is_published_with_its_screenshot() {
        let t = backend();
        t.clock().set_ms(5_000.0);
        let (status, body) = publish(&t, APP, PNG).await;
        assert_eq!(
            (status, &*body),
            (
                200,
                r#"{"pageUrl":"https://clonk.ai/app/my-clock","slug":"my-clock"}"#
            )
        );
        let app = t.documents::<App>().await.unwrap().remove(0);
        let id = app.screenshot_id.unwrap();
        let screenshot = t
            .action(async |ctx| ctx.storage.get(&id).await?.unwrap().bytes().await)
            .await
            .unwrap();
        assert_eq!(screenshot, PNG);
        let expected = App {
            slug: "my-clock".into(),
            app_name: "My Clock".into(),
            description: "It tells the time.".into(),
            vercel_url: "https://clock.example".into(),
            github_url: "https://git.example/clock".into(),
            username: "ada".into(),
            template: "react".into(),
            screenshot_id: Some(id),
            created_at: 5_000.0,
        };
        assert_eq!(app.fields, expected);
    }

    #[tokio::test]
    async fn screenshot_and_template_are_optional() {
        let t = backend();
        assert_eq!(
            publish(&t, &format!("{APP}&template=threejs"), "").await.0,
            200
        );
        let app = t.documents::<App>().await.unwrap().remove(0);
        assert_eq!((&*app.template, app.screenshot_id), ("threejs", None));
        assert_eq!(files(&t).await, 0);
    }

    #[tokio::test]
    async fn a_request_without_the_key_publishes_nothing() {
        let t = backend();
        let request = lentil::HttpRequest::builder()
            .method("POST")
            .uri(APP)
            .body(Body::from(PNG))
            .unwrap();
        let response = t.fetch(request).await;
        assert_eq!(
            (response.status.as_u16(), &*response.body),
            (401, br#"{"error":"Unauthorized"}"#.as_slice())
        );
        assert_eq!(files(&t).await, 0);
    }

    #[tokio::test]
    async fn an_invalid_request_is_refused_with_a_reason_and_stores_nothing() {
        let t = backend();
        for (uri, sentence) in [
            (
                "/api/publish?appName=Clock&description=&username=ada",
                "Bad query parameters: description (missing), vercelUrl (missing), githubUrl (missing)",
            ),
            (
                &*format!("{APP}&appname=x"),
                "Bad query parameters: appname (unknown)",
            ),
            (
                &*format!("{APP}&username=eve"),
                "Bad query parameters: username (given twice)",
            ),
        ] {
            assert_eq!(
                publish(&t, uri, PNG).await,
                (400, format!(r#"{{"error":"{sentence}"}}"#))
            );
        }
        let (status, body) = publish(&t, APP, "not a picture").await;
        assert_eq!(
            (status, &*body),
            (
                400,
                r#"{"error":"The body: expected a PNG image, got something else"}"#
            )
        );
        assert_eq!(files(&t).await, 0);
        assert!(t.documents::<App>().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_screenshot_is_deleted_when_its_app_cannot_be_created() {
        let mut limits = Limits::default();
        limits.document_bytes = 1_000;
        let t = backend().limits(limits);
        let description = "x".repeat(1_000);
        let (status, body) = publish(&t, &APP.replace("It%20tells", &description), PNG).await;
        assert_eq!(status, 400, "{body}");
        assert!(body.contains("limit"), "{body}");
        assert_eq!(files(&t).await, 0);
    }
}
