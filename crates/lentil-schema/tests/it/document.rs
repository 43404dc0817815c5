use std::collections::BTreeMap;

use lentil_macros::{Args, Document, ValueType};
use lentil_schema::{Args, Doc, Document, Id, Patch, Schema, Table};
use lentil_values::{
    DocumentId, FieldName, InternalId, Nullable, Object, TableNumber, Value, ValueType, object, v,
};

/// The author of a post.
#[derive(ValueType, Clone, Debug, PartialEq)]
pub(crate) struct Author {
    /// The name.
    name: String,
    /// The home town.
    home_town: Option<String>,
}

/// A post, with a field of each type.
#[derive(Document, Clone, Debug, PartialEq)]
#[table("posts")]
#[index(by_title(title))]
#[index(by_author_and_score(author, score))]
#[index(by_legacyId(legacy, read_count))]
#[index(by_type(r#type))]
pub(crate) struct Post {
    /// The title.
    title: String,
    /// The author.
    author: Author,
    /// The average rating.
    score: Option<f64>,
    /// The number of views.
    read_count: i64,
    /// Whether everybody can read it.
    public: bool,
    /// The post to which it replies.
    reply_to: Option<Id<Post>>,
    /// The tags.
    tags: Vec<String>,
    /// The number of each reaction.
    reactions: BTreeMap<String, f64>,
    /// The time of its deletion.
    deleted_at: Nullable<f64>,
    /// The bytes of a picture.
    picture: Vec<u8>,
    /// The type. The name is a keyword of Rust.
    r#type: Value,
    /// The id in an older system.
    #[rename("legacy_ID")]
    legacy: Option<Nullable<String>>,
}

fn post() -> Post {
    Post {
        title: "On lentils".into(),
        author: Author {
            name: "ada".into(),
            home_town: None,
        },
        score: None,
        read_count: 3,
        public: true,
        reply_to: Some(Id::new(document_id())),
        tags: vec!["food".into()],
        reactions: BTreeMap::from([("yum".into(), 2.0)]),
        deleted_at: Nullable::Null,
        picture: vec![1, 2],
        r#type: Value::Null,
        legacy: Some(Nullable::Null),
    }
}

fn document_id() -> DocumentId {
    DocumentId {
        table: TableNumber::FIRST_USER,
        internal: InternalId::at(5.0, 7),
    }
}

/// Builds the table by hand.
fn by_hand() -> Table {
    let author = v::object([
        ("name", v::string().into()),
        ("homeTown", v::optional(v::string())),
    ]);
    Table::new("posts")
        .field("title", v::string())
        .field("author", author)
        .optional("score", v::number())
        .field("readCount", v::int64())
        .field("public", v::boolean())
        .optional("replyTo", v::id("posts"))
        .field("tags", v::array(v::string()))
        .field("reactions", v::record(v::string(), v::number()))
        .field("deletedAt", v::union([v::null(), v::number()]))
        .field("picture", v::bytes())
        .field("type", v::any())
        .optional("legacy_ID", v::union([v::null(), v::string()]))
        .index("by_title", ["title"])
        .index("by_author_and_score", ["author", "score"])
        .index("by_legacyId", ["legacy_ID", "readCount"])
        .index("by_type", ["type"])
}

struct Posts;

impl lentil_values::TableNames for Posts {
    fn number(&self, name: &str) -> Option<TableNumber> {
        (name == Post::TABLE).then_some(TableNumber::FIRST_USER)
    }

    fn name(&self, number: TableNumber) -> Option<&str> {
        (number == TableNumber::FIRST_USER).then_some(Post::TABLE)
    }
}

#[test]
fn a_derived_table_equals_the_table_built_by_hand() {
    assert_eq!(Post::table(), by_hand());
    assert_eq!(Schema::new().table::<Post>().check(), Ok(()));
}

#[test]
fn a_document_matches_its_table_and_round_trips() {
    let fields = post().into_fields();
    assert_eq!(Post::table().validate(&fields, &Posts), Ok(()));
    assert_eq!(fields.get("score"), None);
    assert_eq!(fields.get("deletedAt"), Some(&Value::Null));
    assert_eq!(
        fields.get("replyTo"),
        Some(&Value::String(document_id().to_string()))
    );
    assert_eq!(Post::from_fields(fields), Ok(post()));
}

#[test]
fn an_invalid_document_is_rejected_with_the_path() {
    let error_after = |change: fn(&mut Object)| {
        let mut fields = post().into_fields();
        change(&mut fields);
        Post::from_fields(fields).unwrap_err().to_string()
    };
    let score = FieldName::from_static("score");
    assert_eq!(
        error_after(|fields| drop(fields.remove("title"))),
        "`title`: missing, expected v.string()"
    );
    let null = move |fields: &mut Object| {
        drop(fields.insert(FieldName::from_static("score"), Value::Null))
    };
    assert_eq!(
        error_after(null),
        format!("`{score}`: expected v.number(), got null")
    );
    let further =
        |fields: &mut Object| drop(fields.insert(FieldName::from_static("more"), Value::Null));
    assert_eq!(error_after(further), "`more`: unknown field");
    let nested = |fields: &mut Object| {
        drop(fields.insert(FieldName::from_static("author"), Object::new().into()))
    };
    assert_eq!(
        error_after(nested),
        "`author.name`: missing, expected v.string()"
    );
}

/// Some fields of a system table.
#[derive(Document, Clone, Debug, PartialEq)]
#[system]
#[table("_runs")]
struct SystemRun {
    /// The name.
    name: String,
}

#[test]
fn a_system_document_has_a_reserved_table_and_ignores_other_fields() {
    assert_eq!(SystemRun::table().name(), "_runs");
    let fields = Object::from([("name", "a"), ("more", "b")]);
    let run = SystemRun { name: "a".into() };
    assert_eq!(SystemRun::from_fields(fields), Ok(run));
    assert!(SystemRun::from_fields(Object::new()).is_err());
}

#[test]
fn a_stored_document_is_an_object_with_system_fields() {
    let doc = Doc {
        id: Id::<Post>::new(document_id()),
        creation_time: 5.0,
        fields: post(),
    };
    let value = doc.clone().into_value();
    assert_eq!(Doc::<Post>::validator().validate(&value, &Posts), Ok(()));
    assert_eq!(
        value.as_object().unwrap().get("_creationTime"),
        Some(&Value::Float64(5.0))
    );
    assert_eq!(Doc::<Post>::from_value(value), Ok(doc));
    let error = Doc::<Post>::from_value(post().into_fields().into()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`_id`: missing, expected v.id(\"posts\")"
    );
}

fn changes(patch: impl Into<Patch<Post>>) -> Vec<(String, Option<Value>)> {
    let changes = patch.into().changes;
    changes
        .into_iter()
        .map(|(name, value)| (name.to_string(), value))
        .collect()
}

#[test]
fn a_patch_contains_only_the_fields_that_were_set() {
    assert_eq!(changes(Post::patch()), []);
    let patch = Post::patch()
        .title("New")
        .read_count(5)
        .tags(["a".into()])
        .r#type(Value::Null);
    let tags = Value::Array(vec!["a".into()]);
    let expected = [
        ("title", "New".into()),
        ("readCount", Value::Int64(5)),
        ("tags", tags),
        ("type", Value::Null),
    ];
    assert_eq!(
        changes(patch),
        expected.map(|(name, value)| (name.to_owned(), Some(value)))
    );
}

#[test]
fn a_patch_distinguishes_removed_and_unchanged_fields() {
    let one = |name: &str, value| vec![(name.to_owned(), value)];
    assert_eq!(
        changes(Post::patch().score(2.0)),
        one("score", Some(Value::Float64(2.0)))
    );
    assert_eq!(
        changes(Post::patch().score_if_some(Some(2.0))),
        one("score", Some(Value::Float64(2.0)))
    );
    assert_eq!(changes(Post::patch().score_if_some(None)), []);
    assert_eq!(changes(Post::patch().clear_score()), one("score", None));
    assert_eq!(changes(Post::patch().title_if_some(None)), []);
    assert_eq!(
        changes(Post::patch().legacy(None)),
        one("legacy_ID", Some(Value::Null))
    );
}

#[test]
fn ids_round_trip_as_text() {
    let id = Id::<Post>::new(document_id());
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(format!("{id:?}"), document_id().to_string());
    assert_eq!(Id::<Post>::from_value(Value::from(id.to_string())), Ok(id));
    let error = Id::<Post>::from_value("nonsense".into()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "expected v.id(\"posts\"), got \"nonsense\""
    );
}

/// One struct for a table, the arguments of its insertion, and a result.
#[derive(Document, ValueType, Args, Clone, Debug, PartialEq)]
#[table("notes")]
#[index(by_text(text))]
struct Note {
    /// The text.
    text: String,
    /// The importance.
    rank: Option<f64>,
}

#[test]
fn one_struct_can_be_a_document_a_value_and_arguments() {
    let note = Note {
        text: "a".into(),
        rank: None,
    };
    let object = object! { "text": "a" };
    assert_eq!(note.clone().into_fields(), object);
    assert_eq!(note.clone().into_object(), object);
    assert_eq!(note.into_value(), Value::Object(object));
    assert_eq!(
        <Note as ValueType>::validator().to_string(),
        Note::table().document().to_string()
    );
}

#[test]
fn an_object_literal_can_contain_ids_and_documents() {
    let id = Id::<Post>::new(document_id());
    let doc = Doc {
        id,
        creation_time: 5.0,
        fields: post(),
    };
    let object = object! { "id": id, "none": None::<Id<Post>>, "doc": doc.clone() };
    assert_eq!(object.get("id"), Some(&Value::from(id.to_string())));
    assert_eq!(object.get("none"), Some(&Value::Null));
    assert_eq!(object.get("doc"), Some(&doc.into_value()));
}

/// Local names that shadow those in the derived code, and a struct that a macro defines.
mod shadowed_names {
    use lentil_macros::{Args, Document, ValueType};
    use lentil_schema::{Args, Document};
    use lentil_values::ValueType;

    #[derive(ValueType, Clone, Debug, PartialEq)]
    enum Outcome {
        Ok,
        Err { some: bool },
        Some(Vec<f64>),
    }

    macro_rules! table {
        ($name:ident, $table:literal, $($field:ident: $type:ty),*) => {
            #[derive(Document, Args, Clone, Debug, PartialEq)]
            #[table($table)]
            #[index(by_first($($field),*))]
            struct $name {
                $($field: $type,)*
            }
        };
    }

    #[allow(dead_code, reason = "the name shadows that of the prelude")]
    type Result = ();

    #[allow(unused_imports, reason = "the names shadow those of the prelude")]
    use Outcome::{Err, Ok, Some};

    table!(Run, "runs", value: Outcome, object: bool, fields: String, error: f64);

    #[test]
    fn derived_code_does_not_depend_on_local_names() {
        let run = Run {
            value: Ok,
            object: true,
            fields: "f".into(),
            error: 1.0,
        };
        assert_eq!(Run::from_fields(run.clone().into_fields()).unwrap(), run);
        assert_eq!(Run::from_object(run.clone().into_object()).unwrap(), run);
        assert_eq!(Run::table().indexes()[0].fields.len(), 4);
        for outcome in [Err { some: true }, Some(vec![1.0])] {
            assert_eq!(
                Outcome::from_value(outcome.clone().into_value()).unwrap(),
                outcome
            );
        }
        let _ = Run::BY_FIRST.eq(Ok).eq(true).eq("f").gt(0.0);
    }
}
