extern crate lentil_schema as lentil;

use lentil_schema::{Args, IntoArgs};

struct List {
    limit: f64,
}

fn call<A: Args>(_args: impl IntoArgs<A>) {}

fn main() {
    call::<List>(List { limit: 1.0 });
}
