//! `derive(Document)`, `derive(Args)` and `derive(ValueType)`.
//!
//! They lower Rust types to what `lentil-schema` and `lentil-values` do by hand. Fields become camelCase names
//! unless `#[rename("…")]` says otherwise. What is misused is refused at its place, in the words of this crate.

mod args;
mod attributes;
mod document;
mod fields;
mod index;
mod misuse;
mod names;
mod patch;
mod union;
mod value_type;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct a table's document.
///
/// `#[table("jobs")]` names the table; each `#[index(by_jobId(job_id))]` declares an index over fields of the struct
/// and gives it a constant, `Job::BY_JOB_ID`. An `Option` field may be missing. `Job::patch()` starts a change.
///
/// No two documents are equal in all fields of an index that is `#[index(by_slug(slug), unique)]`. A field that is
/// missing counts as a value like any other: one document may lack it, and no second one.
///
/// `#[system]` is for the engine's own tables. It permits a table name that begins with `_`, and documents with more
/// fields than the struct, so that two structs can read one table. The crates below `lentil` write
/// `extern crate lentil_schema as lentil;`, because the derived code names `::lentil`.
#[proc_macro_derive(Document, attributes(table, index, rename, flatten, system))]
pub fn derive_document(input: TokenStream) -> TokenStream {
    expand(&parse_macro_input!(input), document::expand)
}

/// Makes a struct a function's arguments. An `Option` field is an optional argument.
#[proc_macro_derive(Args, attributes(rename, flatten))]
pub fn derive_args(input: TokenStream) -> TokenStream {
    expand(&parse_macro_input!(input), args::expand)
}

/// Makes a struct a nested object, or an enum a union.
///
/// Of a struct, one field that is an object itself may be `#[flatten]`: its fields stand beside the others, as in
/// `{...doc, url}`. Two fields of one name panic where the function that takes or returns the type is registered.
///
/// Of an enum, `Done` is the literal `"done"`, `Text(String)` what is in it, and `Circle { radius: f64 }` an object
/// with the further field `type: "circle"`; `#[tag("kind")]` on the enum gives that field another name.
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
