extern crate lentil_schema as lentil;

use lentil_macros::{Args, ValueType};

#[derive(ValueType)]
struct Point {
    x: f64,
}

#[derive(Args)]
struct Placed {
    #[flatten]
    point: Point,
}

#[derive(ValueType)]
struct Line {
    #[flatten]
    from: Point,
    #[flatten]
    to: Point,
}

#[derive(ValueType)]
struct Named {
    #[flatten("point")]
    point: Point,
}

fn main() {}
