extern crate lentil_schema as lentil;

use lentil_macros::Document;

#[derive(Document, Clone)]
#[table("jobs")]
#[index(by_status(status), unique)]
struct Job0 {
    status: String,
}

#[derive(Document, Clone)]
#[table("jobs")]
#[index(unique, by_status(status))]
struct Job1 {
    status: String,
}

#[derive(Document, Clone)]
#[table("jobs")]
#[unique(status)]
struct Job2 {
    status: String,
}

#[derive(Document, Clone)]
#[table("jobs")]
#[unique]
struct Job3 {
    status: String,
}

#[derive(Document, Clone)]
#[table("jobs")]
#[unique(by_status(status))]
#[index(by_status(status))]
struct Job4 {
    status: String,
}

#[derive(Document, Clone)]
#[table("jobs")]
struct Job5 {
    #[unique(by_status(status))]
    status: String,
}

fn main() {}
