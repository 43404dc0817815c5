extern crate lentil_schema as lentil;

use lentil_macros::Document;

#[derive(Document, Clone)]
#[table("jobs")]
#[index(by_status(status, _id))]
struct Job0 {
    status: String,
}

#[derive(Document, Clone)]
#[table("jobs")]
#[index(by_status(status, status))]
struct Job1 {
    status: String,
}

fn main() {}
