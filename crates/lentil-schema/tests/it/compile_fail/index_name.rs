extern crate lentil_schema as lentil;

use lentil_macros::Document;

#[derive(Document, Clone)]
#[table("jobs")]
#[index(by_id(status))]
struct Job0 {
    status: String,
}

#[derive(Document, Clone)]
#[table("jobs")]
#[index(_by_status(status))]
struct Job1 {
    status: String,
}

#[derive(Document, Clone)]
#[table("jobs")]
#[index(by_jobId(status))]
#[index(by_job_id(status))]
struct Job2 {
    status: String,
}

fn main() {}
