//! Endpoints of Convex that this server does not have, each with advice on what to do instead.

const DEPLOY: &str = "functions are compiled into this server; \
     build and start its program instead of deploying to it";
const EXPORT: &str =
    "copy the data folder of a stopped server, or its database with `sqlite3 db '.backup copy'`";
const IMPORT: &str =
    "write a mutation that inserts the documents, and call it with `npx convex run`";
const INLINE_QUERY: &str = "this server does not run JavaScript; \
     look at documents with `npx convex data <table>`, \
     or call a query of the application with `npx convex run <module>:<function>`";
const PAUSE: &str = "this server cannot be paused; stop its process, and start it again to resume";
const ORIGIN: &str =
    "the server's URL is a setting; start it with `--origin https://api.example.com`";
const LOG_STREAMS: &str =
    "this server has no log streams; it logs to standard error, as JSON with `--log-format json`";
const USAGE: &str = "this server has no usage limits and does not measure usage";
const AUDIT_LOG: &str = "this server keeps no audit log";
const STREAMING: &str =
    "this server has no streaming export; read documents with a query of the application";

/// Paths below `/api/`, with the advice for each. A path that ends with `/` is a folder.
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

/// Returns the advice for a path below `/api/` if it is an unsupported endpoint.
pub(crate) fn advice(path: &str) -> Option<&'static str> {
    let is_endpoint =
        |endpoint: &str| path == endpoint || endpoint.ends_with('/') && path.starts_with(endpoint);
    UNSUPPORTED
        .iter()
        .find(|(endpoint, _)| is_endpoint(endpoint))
        .map(|(_, advice)| *advice)
}

/// Returns all unsupported endpoints as paths below `/api/`.
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    UNSUPPORTED.iter().map(|(endpoint, _)| *endpoint)
}
