//! The application for tests of the official clients.

mod counters;
mod echo;
mod fails;
mod files;
mod messages;
mod odd;
mod traced;

use std::process::ExitCode;

use lentil::{Backend, Schema};

#[global_allocator]
static ALLOCATOR: lentil::Allocator = lentil::Allocator;

fn main() -> ExitCode {
    let functions = messages::functions()
        .with(counters::functions())
        .with(echo::functions())
        .with(fails::functions())
        .with(files::functions())
        .with(odd::functions())
        .with(traced::functions());
    Backend::new(
        Schema::new()
            .table::<messages::Message>()
            .table::<counters::Counter>(),
    )
    .functions(functions)
    .http(traced::router())
    .main()
}
