extern crate lentil_schema as lentil;

use lentil_macros::ValueType;

#[derive(ValueType)]
enum Content {
    Empty,
    Count(u64),
}

fn main() {}
