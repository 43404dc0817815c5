extern crate lentil_schema as lentil;

use std::collections::HashMap;

use lentil_macros::Document;

#[derive(Document, Clone)]
#[table("jobs")]
struct Job {
    status: String,
    extra: HashMap<String, f64>,
}

fn main() {}
