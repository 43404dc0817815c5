use std::borrow::Cow;

use http::Uri;
use http::uri::PathAndQuery;

/// Returns the first value of a parameter in the query string.
pub(crate) fn query_parameter<'u>(uri: &'u Uri, name: &str) -> Option<Cow<'u, str>> {
    form_urlencoded::parse(uri.query()?.as_bytes())
        .find(|(found, _)| found == name)
        .map(|(_, value)| value)
}

/// Strips the prefix `/http`: `/http/api/job` is the application's `/api/job`.
pub(crate) fn strip_http(uri: &mut Uri) {
    let Some(target) = uri.path_and_query() else {
        return;
    };
    let Some(rest) = target.as_str().strip_prefix("/http") else {
        return;
    };
    if !rest.starts_with('/') {
        return;
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = rest.parse::<PathAndQuery>().ok();
    if let Ok(stripped) = Uri::from_parts(parts) {
        *uri = stripped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_prefix_http_is_stripped() {
        let stripped = |uri: &str| {
            let mut uri = uri.parse().unwrap();
            strip_http(&mut uri);
            uri.to_string()
        };
        assert_eq!(stripped("/http/api/job?id=1"), "/api/job?id=1");
        assert_eq!(stripped("http://host/http/a"), "http://host/a");
        assert_eq!(stripped("/httpx/a"), "/httpx/a");
        assert_eq!(stripped("/http"), "/http");
        assert_eq!(stripped("/a/http/b"), "/a/http/b");
    }
}
