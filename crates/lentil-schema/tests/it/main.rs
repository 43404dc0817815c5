//! The derives, used as an application uses them.

// The derived code names the facade `lentil`. In these tests, `lentil-schema` replaces it.
extern crate lentil_schema as lentil;

mod args;
mod compile_errors;
mod document;
mod index;
mod value_type;
