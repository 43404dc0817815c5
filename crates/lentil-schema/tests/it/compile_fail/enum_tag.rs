extern crate lentil_schema as lentil;

use lentil_macros::ValueType;

#[derive(ValueType)]
enum Clash {
    Circle { r#type: String },
}

#[derive(ValueType)]
#[tag("kind")]
enum Untagged {
    Done,
}

#[derive(ValueType)]
#[tag("kind")]
struct Struct {
    name: String,
}

#[derive(ValueType)]
enum Renamed {
    #[rename("text")]
    Text(String),
}

fn main() {}
