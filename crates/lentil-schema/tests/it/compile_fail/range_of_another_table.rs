extern crate lentil_schema as lentil;

use lentil_macros::Document;
use lentil_schema::IntoRange;

#[derive(Document, Clone)]
#[table("jobs")]
#[index(by_status(status, priority))]
struct Job {
    status: String,
    priority: f64,
}

#[derive(Document, Clone)]
#[table("tasks")]
struct Task {
    title: String,
}

fn query<T>(_range: impl IntoRange<T>) {}

fn main() {
    query::<Task>(Job::BY_STATUS.eq("done"));
    query::<Task>("tasks");
}
