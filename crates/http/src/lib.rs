//! The application's HTTP routes, like `convex/http.ts`. One file per group of routes.

mod api;
mod jobs;
mod page;
mod publish;

use lentil::{HttpRouter, Method};

pub use api::API_KEY;

/// Returns all routes.
pub fn router() -> HttpRouter {
    let router = HttpRouter::new()
        .route(Method::POST, "/api/job", jobs::post_job)
        .route(Method::GET, "/api/job", jobs::get_job)
        .route(Method::POST, "/api/publish", publish::post_publish);
    page::routes(router)
}
