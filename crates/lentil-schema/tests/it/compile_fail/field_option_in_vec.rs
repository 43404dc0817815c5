extern crate lentil_schema as lentil;

use lentil_macros::Document;

#[derive(Document, Clone)]
#[table("jobs")]
struct Job {
    status: String,
    extra: Vec<Option<String>>,
}

fn main() {}
