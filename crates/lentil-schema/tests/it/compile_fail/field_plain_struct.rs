extern crate lentil_schema as lentil;

use lentil_macros::Document;

#[derive(Clone)]
struct Author {
    name: String,
}

#[derive(Document, Clone)]
#[table("jobs")]
struct Job {
    status: String,
    extra: Author,
}

fn main() {}
