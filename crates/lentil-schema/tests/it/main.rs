//! The derives, used as an application uses them.

// What the derives emit names the facade; here this crate stands in for it.
extern crate lentil_schema as lentil;

mod args;
mod document;
mod index;
mod refusals;
mod value_type;
