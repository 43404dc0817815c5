use std::fmt;

use quote::ToTokens;
use syn::Ident;

use crate::names::nearest;

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

/// A misuse of a derive. Its text is the compile error: the texts of all compile errors of this
/// crate are here.
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
        idents: [&'a Ident; 2],
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
    /// Returns the compile error, which underlines `tokens`.
    pub(crate) fn at(&self, tokens: impl ToTokens) -> syn::Error {
        syn::Error::new_spanned(tokens, self)
    }
}

impl fmt::Display for Misuse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misuse::NoStruct { derive, each } => write!(f, "{derive} needs a struct, with one field for each {each}"),
            Misuse::NoStructOrEnum => {
                f.write_str("derive(ValueType) needs a struct, which is an object, or an enum, which is a union")
            }
            Misuse::Generics { derive } => write!(f, "{derive} does not support generics; write one type for each use"),
            Misuse::Unnamed { derive } => write!(f, "{derive} needs named fields; write `struct Job {{ job_id: String }}`"),
            Misuse::NoTable => f.write_str("the table is missing; write #[table(\"jobs\")] below the derive"),
            Misuse::Name { what, name } => {
                write!(f, "\"{name}\" is not a valid name for {what}; use up to 64 letters, digits and `_`, and begin with a letter")
            }
            Misuse::ReservedName { what, name } => {
                write!(f, "\"{name}\" is not a valid name for {what}; names that begin with `_` are reserved for the system")
            }
            Misuse::SameName { idents: [a, b], what, name } => {
                write!(f, "`{a}` and `{b}` both become the {what} `{name}`; rename one of them")
            }
            Misuse::NotText { attribute } => write!(f, "write #[{attribute}(\"…\")]"),
            Misuse::Twice { attribute } => write!(f, "#[{attribute}(…)] occurs twice; remove one"),
            Misuse::Misplaced { attribute, place } => write!(f, "#[{attribute}(…)] belongs {place}"),
            Misuse::IndexSyntax { attribute } => {
                write!(f, "write #[{attribute}(by_jobId(job_id))]: the name of the index, then its fields in parentheses")?;
                // Only here: an author who writes `#[unique(…)]` knows of unique indexes.
                match *attribute {
                    "index" => f.write_str("; for a unique index, write #[unique(by_jobId(job_id))]"),
                    _ => Ok(()),
                }
            }
            Misuse::SystemIndex { name } => write!(f, "every table already has the index `{name}`; remove this one"),
            Misuse::FieldTwice { field, index } => write!(f, "the index `{index}` contains `{field}` twice; remove one"),
            Misuse::UnknownField { field, known } => write_unknown(f, field, known),
            Misuse::SystemField => f.write_str("every index already ends with `_creationTime` and `_id`; remove them"),
            Misuse::OptionTwice => f.write_str(
                "a field cannot be an `Option` of an `Option`; write `Option<Nullable<…>>` for one that may be missing or null",
            ),
            Misuse::SameSetter { setter, fields: [a, b] } => {
                write!(f, "the fields `{a}` and `{b}` both give the patch a method `{setter}`; rename one of the fields")
            }
            Misuse::EmptyEnum => f.write_str("an enum without variants has no values; add a variant"),
            Misuse::Variant => f.write_str(
                "write a variant as a literal `Done`, with one type `Text(String)`, or with named fields `Circle { radius: f64 }`",
            ),
            Misuse::TagField { tag } => write!(
                f,
                "the tag of the enum is the field `{tag}` too; rename this field, or the tag with #[tag(\"…\")] on the enum"
            ),
            Misuse::FlattenTwice => f.write_str("only one field can be #[flatten]; remove one of them"),
            Misuse::FlattenSyntax => f.write_str("write #[flatten] without arguments"),
            Misuse::Recursive { owner } => write!(
                f,
                "`{owner}` contains itself, and Convex has no recursive validators; use `Value` here, or store the inner values in a table and their ids in this field"
            ),
        }
    }
}

/// Suggests the nearest field, or lists all fields.
fn write_unknown(f: &mut fmt::Formatter<'_>, field: &str, known: &[String]) -> fmt::Result {
    match nearest(field, known) {
        Some(near) => write!(f, "there is no field `{field}`; did you mean `{near}`?"),
        None if known.is_empty() => {
            write!(f, "there is no field `{field}`; the struct has no fields")
        }
        None => write!(
            f,
            "there is no field `{field}`; the fields are `{}`",
            known.join("`, `")
        ),
    }
}
