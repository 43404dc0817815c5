extern crate lentil_schema as lentil;

use lentil_macros::Args;

#[derive(Args)]
struct List {
    limit: Option<u32>,
}

fn main() {}
