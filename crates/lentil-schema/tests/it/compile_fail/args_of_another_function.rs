extern crate lentil_schema as lentil;

use lentil_macros::Args;
use lentil_schema::{Args, IntoArgs};

#[derive(Args)]
struct List {
    limit: f64,
}

#[derive(Args)]
struct Count {
    status: String,
}

fn call<A: Args>(_args: impl IntoArgs<A>) {}

fn main() {
    call::<List>(Count { status: "done".into() });
}
