extern crate lentil_schema as lentil;

use lentil_macros::ValueType;

#[derive(ValueType)]
enum Empty {}

#[derive(ValueType)]
enum Pair {
    Point(f64, f64),
}

#[derive(ValueType)]
enum Same {
    Done,
    #[rename("done")]
    Finished,
}

fn main() {}
