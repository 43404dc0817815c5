extern crate lentil_schema as lentil;

use lentil_schema::Schema;

struct Job {
    status: String,
}

fn main() {
    let _ = Schema::new().table::<Job>();
}
