extern crate lentil_schema as lentil;

use lentil_macros::{Args, Document, ValueType};

#[derive(Document, Clone)]
#[table("jobs")]
struct Job {
    created_at: f64,
    #[rename("createdAt")]
    started: f64,
}

#[derive(Document, Clone)]
#[table("tasks")]
struct Task {
    #[rename("_id")]
    id: String,
}

#[derive(Document, Clone)]
#[table("notes")]
struct Note {
    #[rename("in words")]
    text: String,
}

#[derive(Args, ValueType)]
struct Page {
    #[rename("_")]
    cursor: String,
}

fn main() {}
