extern crate lentil_schema as lentil;

use lentil_macros::Document;

#[derive(Document, Clone)]
#[table("jobs")]
struct Job {
    result: Option<String>,
    clear_result: bool,
}

fn main() {}
