extern crate lentil_schema as lentil;

use lentil_macros::Document;
use lentil_schema::Document;

#[derive(Document, Clone)]
#[table("jobs")]
#[index(by_status(status))]
struct Job {
    status: String,
    created_at: f64,
}

fn main() {
    let _ = Job::BY_STATUS.eq("done");
    let _ = Job::BY_CREATED_AT.gt(1.0);
    let _ = Job::BY_CREATION_TIME.gt(1.0);
}
