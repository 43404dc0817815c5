//! `derive(Document)`, `derive(Args)` and `derive(ValueType)`.
//!
//! The derived code uses the builders of `lentil-schema` and `lentil-values`. Field names become
//! camelCase, unless `#[rename("…")]` chooses another name. A misuse is a compile error at its
//! place that says what to write.

mod args;
mod attributes;
mod bodies;
mod document;
mod fields;
mod index;
mod misuse;
mod names;
mod nested;
mod object;
mod patch;
mod union;
mod value_type;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct the document of a table.
///
/// - `#[table("jobs")]` names the table.
/// - `#[index(by_jobId(job_id))]` declares an index over fields of the struct, and the constant
///   `Job::BY_JOB_ID`.
/// - `#[unique(by_slug(slug))]` declares a unique index: no two documents have the same values in
///   all its fields. A missing field counts as a value, so that only one document can lack it.
/// - `#[index(by_kind(owner, data.kind))]` contains a nested field: one of a struct with
///   `derive(ValueType)`, or the tag of an enum. A document without the outer object is indexed as
///   if the inner field were missing.
/// - An `Option` field may be missing.
/// - `Job::patch()` starts a change of some fields.
///
/// The same struct can derive `Document`, `ValueType` and `Args` together. It is then also the
/// argument of the mutation that inserts it, and a field or a result of other types.
///
/// `#[system]` is for the engine's own tables. It permits a table name that begins with `_`, and
/// documents with more fields than the struct, so that two structs can read one table. The crates
/// below `lentil` write `extern crate lentil_schema as lentil;`, because the derived code names
/// `::lentil`.
#[proc_macro_derive(Document, attributes(table, index, unique, rename, flatten, system))]
pub fn derive_document(input: TokenStream) -> TokenStream {
    expand(&parse_macro_input!(input), document::expand)
}

/// Makes a struct the arguments of a function.
///
/// An `Option` field is an optional argument. The same struct can derive `Document` and `ValueType`
/// as well.
#[proc_macro_derive(Args, attributes(rename, flatten))]
pub fn derive_args(input: TokenStream) -> TokenStream {
    expand(&parse_macro_input!(input), args::expand)
}

/// Makes a struct an object, or an enum a union.
///
/// One field of a struct may be `#[flatten]`: the fields of its object stand beside the others, as
/// in `{...doc, url}`. Registration of a function panics if two fields then have the same name.
///
/// In an enum, `Done` is the literal `"done"`, and `Text(String)` is a string.
/// `Circle { radius: f64 }` is an object with the further field `type: "circle"`.
/// `#[tag("kind")]` on the enum renames that field.
///
/// The type also converts into a `Value`, so that `object! { … }` accepts it. The same struct
/// can derive `Document` and `Args` as well.
#[proc_macro_derive(ValueType, attributes(rename, tag, flatten))]
pub fn derive_value_type(input: TokenStream) -> TokenStream {
    expand(&parse_macro_input!(input), value_type::expand)
}

fn expand(
    input: &DeriveInput,
    derive: fn(&DeriveInput) -> syn::Result<proc_macro2::TokenStream>,
) -> TokenStream {
    derive(input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
