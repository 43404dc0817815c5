extern crate lentil_schema as lentil;

use lentil_macros::Args;

#[derive(Args)]
enum Command {
    Start,
}

#[derive(Args)]
struct Tuple(String);

#[derive(Args)]
struct Generic<T> {
    value: T,
}

fn main() {}
