extern crate lentil_schema as lentil;

use std::collections::BTreeMap;

use lentil_macros::ValueType;
use lentil_values::Nullable;

#[derive(ValueType)]
struct Node {
    name: String,
    children: Vec<Node>,
}

#[derive(ValueType)]
struct Link {
    next: Option<Nullable<Vec<Self>>>,
}

#[derive(ValueType)]
enum Json {
    Text(String),
    Record(BTreeMap<String, Json>),
}

#[derive(ValueType)]
enum Shape {
    Point,
    Group { shapes: Vec<Shape> },
}

fn main() {}
