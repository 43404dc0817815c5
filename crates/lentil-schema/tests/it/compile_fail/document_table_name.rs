extern crate lentil_schema as lentil;

use lentil_macros::Document;

#[derive(Document, Clone)]
#[table("build-jobs")]
struct Job {
    status: String,
}

#[derive(Document, Clone)]
#[table("_jobs")]
struct System {
    status: String,
}

#[derive(Document, Clone)]
#[table(jobs)]
struct Unquoted {
    status: String,
}

#[derive(Document, Clone)]
#[table("jobs")]
#[table("tasks")]
struct Twice {
    status: String,
}

fn main() {}
