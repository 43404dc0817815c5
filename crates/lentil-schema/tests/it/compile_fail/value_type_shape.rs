extern crate lentil_schema as lentil;

use lentil_macros::ValueType;

#[derive(ValueType)]
union Bits {
    float: f64,
}

#[derive(ValueType)]
struct Metres(f64);

#[derive(ValueType)]
struct Pair<A, B> {
    a: A,
    b: B,
}

fn main() {}
