extern crate lentil_schema as lentil;

use lentil_macros::Document;

#[derive(Document, Clone)]
#[table("jobs")]
struct Tuple(String);

#[derive(Document, Clone)]
#[table("jobs")]
enum Enum {
    Job,
}

#[derive(Document, Clone)]
#[table("jobs")]
struct Generic<T> {
    status: T,
}

fn main() {}
