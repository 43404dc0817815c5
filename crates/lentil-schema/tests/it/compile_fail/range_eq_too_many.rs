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
    let _ = Job::BY_STATUS.eq("done").eq(1.0).eq(5.0).eq("id-of-a-job".parse::<lentil::Id<Job>>().unwrap()).eq(1.0);
}
