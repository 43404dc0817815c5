extern crate lentil_schema as lentil;

use lentil_macros::Document;

#[derive(Document, Clone)]
#[table("jobs")]
struct Job {
    #[index(by_status(status))]
    status: String,
}

#[derive(Document, Clone)]
#[table("tasks")]
#[rename("task")]
struct Task {
    status: String,
}

fn main() {}
