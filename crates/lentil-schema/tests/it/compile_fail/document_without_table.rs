extern crate lentil_schema as lentil;

use lentil_macros::Document;

#[derive(Document, Clone)]
struct Job {
    status: String,
}

fn main() {}
