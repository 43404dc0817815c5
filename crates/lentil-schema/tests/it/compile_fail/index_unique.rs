extern crate lentil_schema as lentil;

use lentil_macros::Document;

#[derive(Document, Clone)]
#[table("jobs")]
#[index(by_status(status), uniqe)]
struct Job0 {
    status: String,
}

#[derive(Document, Clone)]
#[table("jobs")]
#[index(by_status(status) unique)]
struct Job1 {
    status: String,
}

#[derive(Document, Clone)]
#[table("jobs")]
#[index(by_status(status), unique = true)]
struct Job2 {
    status: String,
}

#[derive(Document, Clone)]
#[table("jobs")]
#[index(by_status(status), unique, unique)]
struct Job3 {
    status: String,
}

#[derive(Document, Clone)]
#[table("jobs")]
#[index(by_status(status, unique))]
struct Job4 {
    status: String,
}

#[derive(Document, Clone)]
#[table("jobs")]
#[index(unique, by_status(status))]
struct Job5 {
    status: String,
}

fn main() {}
