//! The README's example: comments on build jobs, with a table, a query, a mutation, a route and a test.
//!
//! The three files are written as in the clonk backend: `table.rs` is `schema/src/comments.rs` there, `functions.rs` is
//! `crates/functions/src/comments.rs`, and `routes.rs` is `crates/http/src/comments.rs`.
//!
//! `cargo run -p lentil-examples --bin comments` serves it.

// The names of the crates that hold these files in the clonk backend.
extern crate self as clonk_functions;
extern crate self as clonk_schema;

mod api;
pub mod functions;
mod routes;
mod table;

use std::process::ExitCode;

use lentil::{Backend, HttpRouter, Method, Schema};

pub use api::API_KEY;
pub use functions as comments;
pub use table::Comment;

/// Returns all tables.
pub fn schema() -> Schema {
    Schema::new().table::<Comment>()
}

fn router() -> HttpRouter {
    HttpRouter::new().route(Method::POST, "/api/comment", routes::post_comment)
}

fn main() -> ExitCode {
    Backend::new(schema())
        .functions(comments::functions())
        .http(router())
        .secret(API_KEY)
        .main()
}
