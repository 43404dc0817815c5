use lentil::header::{self, HeaderValue};
use lentil::{Response, StatusCode};

/// Scripts and styles come from the page's own origin, images from any, and apps in frames from
/// HTTPS origins.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data: http: https:; frame-src https:; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";

/// The description of pages other than an app's.
pub(super) const DEFAULT_DESCRIPTION: &str = "Apps built by clonk, and builds in progress.";

/// Returns the HTML document with this text in its head.
pub(super) fn page(status: StatusCode, head: &str) -> Response {
    let html = include_str!("../../page/index.html").replacen("<!-- head -->", head, 1);
    let response = Response::with_type(status, "text/html; charset=utf-8", html);
    with_safe_headers(response).header(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    )
}

/// Returns a title and a description, for browsers, search engines and link previews (Open Graph).
pub(super) fn head(title: &str, description: &str) -> String {
    let title = escaped(title);
    let description = escaped(description);
    format!(
        "<title>{title}</title>\n\
         <meta name=\"description\" content=\"{description}\">\n\
         <meta property=\"og:title\" content=\"{title}\">\n\
         <meta property=\"og:description\" content=\"{description}\">"
    )
}

/// Escapes a text for an HTML element or a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            // HTML 4 has no `&apos;`.
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

pub(super) fn with_safe_headers(response: Response) -> Response {
    response
        .header(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        )
        // The names of the files have no version, so that browsers must ask whether they have
        // changed.
        .header(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))
}
