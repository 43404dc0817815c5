extern crate lentil_schema as lentil;

use lentil_macros::{Args, Document, ValueType};
use lentil_schema::Doc;

#[derive(ValueType)]
struct Folder {
    entries: Vec<Entry>,
}

#[derive(ValueType)]
enum Entry {
    File { name: String },
    Folder(Folder),
}

#[derive(Args)]
struct Store {
    folder: Folder,
}

#[derive(Document, Clone)]
#[table("tasks")]
struct Task {
    parts: Vec<Doc<Task>>,
}

fn main() {}
