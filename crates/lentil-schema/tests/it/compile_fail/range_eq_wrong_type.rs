extern crate lentil_schema as lentil;

use lentil_macros::Document;

#[derive(Document, Clone)]
#[table("jobs")]
#[index(by_status(status, priority))]
struct Job {
    status: String,
    priority: f64,
}

fn main() {
    let _ = Job::BY_STATUS.eq(5.0);
}
