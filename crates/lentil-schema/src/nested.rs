use lentil_values::{FieldType, Nullable};

/// One character of a field's name, as a type.
// Stable Rust has no `&str` const parameters, so a name is spelled as a tuple of characters.
pub struct Letter<const C: char>;

/// A type with a field that an index can contain. `Name` is the tuple of the [`Letter`]s of the
/// field's Rust name.
///
/// `#[derive(ValueType)]` implements it for each field of a struct, and for the tag of an enum.
#[diagnostic::on_unimplemented(
    message = "an index cannot contain this field of `{Self}`",
    label = "not a field of `{Self}`",
    note = "an index can contain the fields of a struct with `#[derive(ValueType)]`, and the tag of an enum with `#[derive(ValueType)]`"
)]
pub trait NestedField<Name> {
    /// The type of the field, or an `Option` of it if an outer object may be missing.
    type Type: FieldType;
    /// The name of the field in a document.
    const NAME: &'static str;
}

#[diagnostic::do_not_recommend]
impl<Name, T: NestedField<Name>> NestedField<Name> for Option<T> {
    type Type = <T::Type as FieldType>::OrMissing;
    const NAME: &'static str = T::NAME;
}

// Null has no fields, so that the field is missing.
#[diagnostic::do_not_recommend]
impl<Name, T: NestedField<Name>> NestedField<Name> for Nullable<T> {
    type Type = <T::Type as FieldType>::OrMissing;
    const NAME: &'static str = T::NAME;
}
