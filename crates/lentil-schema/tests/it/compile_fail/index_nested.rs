extern crate lentil_schema as lentil;

use lentil_macros::{Document, ValueType};

#[derive(ValueType, Clone)]
struct Author {
    name: String,
}

#[derive(ValueType, Clone)]
#[tag("kind")]
enum Content {
    Text { body: String },
}

#[derive(Document, Clone)]
#[table("misspelt")]
#[index(by_author(author.nmae))]
struct Misspelt {
    author: Author,
}

#[derive(Document, Clone)]
#[table("texts")]
#[index(by_author(author.name))]
struct NotNested {
    author: String,
}

#[derive(Document, Clone)]
#[table("variants")]
#[index(by_body(content.body))]
struct FieldOfOneVariant {
    content: Content,
}

#[derive(Document, Clone)]
#[table("twice")]
#[index(by_author(author.name, author.name))]
struct Twice {
    author: Author,
}

#[derive(Document, Clone)]
#[table("wrongKey")]
#[index(by_author(author.name))]
struct WrongKey {
    author: Author,
}

fn main() {
    let _ = WrongKey::BY_AUTHOR.eq(1.0);
}
