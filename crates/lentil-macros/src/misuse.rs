use std::fmt;

use quote::ToTokens;

/// The derive whose code is being written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Derive {
    Document,
    Args,
    ValueType,
}

impl fmt::Display for Derive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Derive::Document => "derive(Document)",
            Derive::Args => "derive(Args)",
            Derive::ValueType => "derive(ValueType)",
        })
    }
}

/// What can be wrong with an input of a derive: everything this crate ever says is here.
pub(crate) enum Misuse<'a> {
    NoStruct {
        derive: Derive,
        each: &'a str,
    },
    NoStructOrEnum,
    Generics {
        derive: Derive,
    },
    Unnamed {
        derive: Derive,
    },
    NoTable,
    Name {
        what: &'a str,
        name: &'a str,
    },
    ReservedName {
        what: &'a str,
        name: &'a str,
    },
    SameName {
        ident: String,
        other: String,
        what: &'a str,
        name: &'a str,
    },
    NotText {
        attribute: &'a str,
    },
    Twice {
        attribute: &'a str,
    },
    Misplaced {
        attribute: &'a str,
        place: &'a str,
    },
    IndexSyntax {
        attribute: &'a str,
    },
    SystemIndex {
        name: &'a str,
    },
    FieldTwice {
        field: &'a str,
        index: &'a str,
    },
    UnknownField {
        field: &'a str,
        known: Vec<String>,
    },
    SystemField,
    OptionTwice,
    SameSetter {
        setter: &'a str,
        fields: [String; 2],
    },
    EmptyEnum,
    Variant,
    TagField {
        tag: &'a str,
    },
    FlattenTwice,
    FlattenSyntax,
    Recursive {
        owner: &'a str,
    },
}

impl Misuse<'_> {
    /// The compile error that underlines `tokens`.
    pub(crate) fn at(&self, tokens: impl ToTokens) -> syn::Error {
        syn::Error::new_spanned(tokens, self)
    }
}

impl fmt::Display for Misuse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misuse::NoStruct { derive, each } => write!(f, "{derive} goes on a struct: one field for each {each}"),
            Misuse::NoStructOrEnum => {
                f.write_str("derive(ValueType) goes on a struct, which is an object, or an enum, which is a union")
            }
            Misuse::Generics { derive } => write!(f, "{derive} takes no generics: write one type for each use"),
            Misuse::Unnamed { derive } => write!(f, "{derive} needs named fields: `struct Job {{ job_id: String }}`"),
            Misuse::NoTable => f.write_str("of which table are these the documents? Add #[table(\"…\")] below the derive"),
            Misuse::Name { what, name } => {
                write!(f, "\"{name}\" cannot name {what}: use up to 64 letters, digits and `_`, and no digit first")
            }
            Misuse::ReservedName { what, name } => {
                write!(f, "\"{name}\" cannot name {what}: names beginning with `_` are the system's")
            }
            Misuse::SameName { ident, other, what, name } => {
                write!(f, "`{other}` and `{ident}` would both be the {what} `{name}`; rename one")
            }
            Misuse::NotText { attribute } => write!(f, "write #[{attribute}(\"…\")]"),
            Misuse::Twice { attribute } => write!(f, "#[{attribute}(…)] stands twice; remove one"),
            Misuse::Misplaced { attribute, place } => write!(f, "#[{attribute}(…)] goes {place}"),
            Misuse::IndexSyntax { attribute } => {
                write!(f, "write #[{attribute}(by_jobId(job_id))]: the index's name, then its fields in parentheses")?;
                match *attribute {
                    "index" => f.write_str("; a unique index is #[unique(by_jobId(job_id))]"),
                    _ => Ok(()),
                }
            }
            Misuse::SystemIndex { name } => write!(f, "every table has the index `{name}` already; leave it out"),
            Misuse::FieldTwice { field, index } => write!(f, "`{field}` stands twice in the index `{index}`; remove one"),
            Misuse::UnknownField { field, known } => write_unknown(f, field, known),
            Misuse::SystemField => f.write_str("`_creationTime` and `_id` end every index by themselves; leave them out"),
            Misuse::OptionTwice => f.write_str(
                "a field can be missing in one way only; for one that may also be null, write `Option<Nullable<…>>`",
            ),
            Misuse::SameSetter { setter, fields: [a, b] } => {
                write!(f, "the patches of `{a}` and of `{b}` would both be set by `{setter}`; rename one of the fields")
            }
            Misuse::EmptyEnum => f.write_str("a union of no variants has no values; add a variant"),
            Misuse::Variant => f.write_str(
                "a variant is a literal, `Done`, or holds one type, `Text(String)`, or has fields, `Circle { radius: f64 }`",
            ),
            Misuse::TagField { tag } => write!(
                f,
                "the field `{tag}` tells the variants apart; rename this one, or that one with #[tag(\"…\")] on the enum"
            ),
            Misuse::FlattenTwice => f.write_str("one field can be flattened, and there is one above already"),
            Misuse::FlattenSyntax => f.write_str("write #[flatten], with nothing in it"),
            Misuse::Recursive { owner } => write!(
                f,
                "`{owner}` contains itself, and Convex has no recursive validators; use `Value` here, or keep the inner ones in a table and their ids in this field"
            ),
        }
    }
}

fn write_unknown(f: &mut fmt::Formatter<'_>, field: &str, known: &[String]) -> fmt::Result {
    match crate::names::nearest(field, known) {
        Some(near) => write!(f, "there is no field `{field}`; did you mean `{near}`?"),
        None if known.is_empty() => write!(f, "there is no field `{field}`; the struct has none"),
        None => write!(
            f,
            "there is no field `{field}`; the fields are `{}`",
            known.join("`, `")
        ),
    }
}
