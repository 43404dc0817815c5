extern crate lentil_schema as lentil;

use lentil_macros::Document;

#[derive(Document, Clone)]
#[table("jobs")]
#[index(by_status(statsu))]
struct Job {
    status: String,
    created_at: f64,
}

#[derive(Document, Clone)]
#[table("tasks")]
#[index(by_owner(owner))]
struct Task {
    title: String,
    due_at: f64,
}

fn main() {}
