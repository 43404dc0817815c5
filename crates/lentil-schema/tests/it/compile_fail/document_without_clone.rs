extern crate lentil_schema as lentil;

use lentil_macros::Document;

#[derive(Document)]
#[table("jobs")]
struct Job {
    status: String,
}

fn main() {}
