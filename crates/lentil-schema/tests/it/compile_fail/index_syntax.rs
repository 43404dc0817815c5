extern crate lentil_schema as lentil;

use lentil_macros::Document;

#[derive(Document, Clone)]
#[table("jobs")]
#[index(by_status)]
struct Job0 {
    status: String,
}

#[derive(Document, Clone)]
#[table("jobs")]
#[index(by_status())]
struct Job1 {
    status: String,
}

#[derive(Document, Clone)]
#[table("jobs")]
#[index("by_status")]
struct Job2 {
    status: String,
}

#[derive(Document, Clone)]
#[table("jobs")]
#[index(by_status = status)]
struct Job3 {
    status: String,
}

fn main() {}
