use lentil_values::{FieldType, UnixMillis, ValueType};

use crate::id::Id;
use crate::range_spec::KeyPart;

/// The types of the fields of an index that have no value yet: at least one.
#[diagnostic::on_unimplemented(
    message = "all fields of this index are compared already",
    label = "one comparison too many",
    note = "the fields of an index are its own, then `_creationTime`, then `_id`; compare each with one `eq`, and the field after the last `eq` with bounds"
)]
pub trait HasNext {
    /// The type of the next field.
    type Head;
    /// The fields after the next.
    type Tail;

    /// Returns the part of the key for the next field.
    fn part(value: Self::Head) -> KeyPart;
}

// Requires a further field, so that this does not overlap the implementation for the id.
impl<H: FieldType, N, R> HasNext for (H, (N, R)) {
    type Head = H;
    type Tail = (N, R);

    fn part(value: H) -> KeyPart {
        KeyPart::Field(value.into_field())
    }
}

/// The last fields of every index of `T`'s table: `_creationTime` and `_id`.
pub type Ending<T> = (f64, (Id<T>, ()));

/// The id is the last field of every index.
impl<T> HasNext for (Id<T>, ()) {
    type Head = Id<T>;
    type Tail = ();

    fn part(value: Id<T>) -> KeyPart {
        KeyPart::Id(value.document_id().internal)
    }
}

/// A value that can be compared with a field of type `F` of an index.
///
/// It is an `F`, `&str` for a `String`, or `&Id` for an `Id`. A field that may be missing,
/// `Option<F>`, is compared with the same values. `None` finds the documents that lack the field.
#[diagnostic::on_unimplemented(
    message = "this field of the index has the type `{F}`, not `{Self}`",
    label = "expected `{F}`",
    note = "compare the fields of an index in their order, without gaps; `_creationTime` (`f64`) and the id are the last two",
    note = "`5.0` is a number (`f64`), and `5` is an integer (`i64`)"
)]
pub trait IntoKey<F> {
    /// Converts into the type of the field.
    fn into_key(self) -> F;
}

// A list of the implementations would hide the trait's own message.

#[diagnostic::do_not_recommend]
impl<F> IntoKey<F> for F {
    fn into_key(self) -> F {
        self
    }
}

#[diagnostic::do_not_recommend]
impl<F: ValueType> IntoKey<Option<F>> for F {
    fn into_key(self) -> Option<F> {
        Some(self)
    }
}

#[diagnostic::do_not_recommend]
impl<T> IntoKey<Id<T>> for &Id<T> {
    fn into_key(self) -> Id<T> {
        *self
    }
}

#[diagnostic::do_not_recommend]
impl<T> IntoKey<Option<Id<T>>> for &Id<T> {
    fn into_key(self) -> Option<Id<T>> {
        Some(*self)
    }
}

// `_creationTime` is a plain number.
#[diagnostic::do_not_recommend]
impl IntoKey<f64> for UnixMillis {
    fn into_key(self) -> f64 {
        self.into()
    }
}

macro_rules! text {
    ($($text:ty)*) => {
        $(#[diagnostic::do_not_recommend]
        impl IntoKey<String> for $text {
            fn into_key(self) -> String {
                self.to_owned()
            }
        }

        #[diagnostic::do_not_recommend]
        impl IntoKey<Option<String>> for $text {
            fn into_key(self) -> Option<String> {
                Some(self.to_owned())
            }
        })*
    };
}

text!(&str & String);
