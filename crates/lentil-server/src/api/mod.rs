//! The handlers of the server's own paths. `routes.rs` lists them.

pub(crate) mod admin;
mod call_body;
pub(crate) mod files;
pub(crate) mod functions;
pub(crate) mod instance;
pub(crate) mod logs;
pub(crate) mod query_at_ts;
mod request;
pub(crate) mod websocket;

pub(crate) use request::ApiRequest;
