//! Endpoints of Convex that this server does not have, each with what to do instead.

const DEPLOY: &str = "functions are compiled into this server; build and start its program instead of deploying to it";
const EXPORT: &str =
    "copy the data folder of a stopped server, or its database with `sqlite3 db '.backup copy'`";
const IMPORT: &str =
    "write a mutation that inserts the documents, and call it with `npx convex run`";
const INLINE_QUERY: &str = "this server does not run JavaScript; look at documents with `npx convex data <table>`, or \
     call a query of the application with `npx convex run <module>:<function>`";
const PAUSE: &str = "this server cannot be paused; stop its process, and start it again to resume";
const ORIGIN: &str =
    "the server's URL is a setting; start it with `--origin https://api.example.com`";
const LOG_STREAMS: &str =
    "this server has no log streams; it logs to standard error, as JSON with `--log-format json`";
const USAGE: &str = "this server has no usage limits and does not measure usage";
const AUDIT_LOG: &str = "this server keeps no audit log";
const STREAMING: &str =
    "this server has no streaming export; read documents with a query of the application";

/// Paths, or with a `/` at the end folders, below `/api/`.
const UNSUPPORTED: [(&str, &str); 30] = [
    ("get_config", DEPLOY),
    ("get_config_hashes", DEPLOY),
    ("push_config", DEPLOY),
    ("deploy2/", DEPLOY),
    ("run_test_function", INLINE_QUERY),
    ("export/", EXPORT),
    ("import/", IMPORT),
    ("perform_import", IMPORT),
    ("cancel_import", IMPORT),
    ("list_snapshot", STREAMING),
    ("document_deltas", STREAMING),
    ("json_schemas", STREAMING),
    ("get_table_column_names", STREAMING),
    ("test_streaming_export_connection", STREAMING),
    ("v1/data/", STREAMING),
    ("v1/pause_deployment", PAUSE),
    ("v1/unpause_deployment", PAUSE),
    ("v1/update_canonical_url", ORIGIN),
    ("v1/list_log_streams", LOG_STREAMS),
    ("v1/create_log_stream", LOG_STREAMS),
    ("v1/get_log_stream/", LOG_STREAMS),
    ("v1/update_log_stream/", LOG_STREAMS),
    ("v1/delete_log_stream/", LOG_STREAMS),
    ("v1/rotate_webhook_secret/", LOG_STREAMS),
    ("v1/get_current_usage", USAGE),
    ("v1/list_usage_limits", USAGE),
    ("v1/create_usage_limit", USAGE),
    ("v1/update_usage_limit/", USAGE),
    ("v1/delete_usage_limit/", USAGE),
    ("v1/list_audit_log_events", AUDIT_LOG),
];

/// The sentence that refuses a path below `/api/`, if Convex has that endpoint and this server does not.
pub(super) fn advice(path: &str) -> Option<&'static str> {
    let is_path = |unsupported: &str| {
        path == unsupported || unsupported.ends_with('/') && path.starts_with(unsupported)
    };
    UNSUPPORTED
        .iter()
        .find(|(unsupported, _)| is_path(unsupported))
        .map(|(_, advice)| *advice)
}

#[cfg(test)]
mod tests {
    use lentil_runtime::http::{HttpRouter, Method, Request, Response};
    use lentil_runtime::{ActionCtx, Result};

    use super::*;

    async fn answer(_: &ActionCtx, _: Request) -> Result<Response> {
        Ok(Response::default())
    }

    #[test]
    fn application_routes_do_not_overlap_refused_paths() {
        for (path, _) in UNSUPPORTED {
            let path = format!("/api/{}", path.trim_end_matches('/'));
            let router = HttpRouter::new().route(Method::GET, &path, answer);
            assert!(router.check().is_err(), "{path}");
        }
    }
}
