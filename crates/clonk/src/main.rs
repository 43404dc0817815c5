//! The clonk.ai backend: the one place where its tables, functions and routes are put together.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: lentil::Allocator = lentil::Allocator;

fn main() -> ExitCode {
    lentil::Backend::new(clonk_schema::schema())
        .functions(clonk_functions::all())
        .crons(clonk_functions::crons())
        .http(clonk_http::router())
        .secret(clonk_http::API_KEY)
        .version(env!("CARGO_PKG_VERSION"))
        .example(concat!(
            "curl -H \"Authorization: Bearer {CLONK_API_KEY}\" -H 'Content-Type: application/json' {url}/api/job ",
            r#"-d '{"jobId":"test-123","idea":"test app","username":"dev","status":"queued","stage":"classifying"}'"#,
        ))
        .main()
}
