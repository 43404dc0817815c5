use lentil_values::{FieldType, UnixMillis, ValueType};

use crate::id::Id;
use crate::range_spec::KeyPart;

/// An index has a field left that is not fixed yet.
#[diagnostic::on_unimplemented(
    message = "all fields of this index are fixed already",
    label = "one comparison too many",
    note = "an index's fields are its own, then `_creationTime`, then `_id`; each takes one `eq`, and the one after the last `eq` may take bounds"
)]
pub trait HasNext {
    /// The next field's type.
    type Head;
    /// The fields after it.
    type Tail;

    /// The field's part of the key.
    fn part(value: Self::Head) -> KeyPart;
}

impl<H: FieldType, N, R> HasNext for (H, (N, R)) {
    type Head = H;
    type Tail = (N, R);

    fn part(value: H) -> KeyPart {
        KeyPart::Field(value.into_field())
    }
}

/// The fields that end every index of `T`'s table: `_creationTime` and `_id`.
pub type Ending<T> = (f64, (Id<T>, ()));

/// The id that ends every index.
impl<T> HasNext for (Id<T>, ()) {
    type Head = Id<T>;
    type Tail = ();

    fn part(value: Id<T>) -> KeyPart {
        KeyPart::Id(value.document_id().internal)
    }
}

/// What a field of type `F` of an index can be compared with.
///
/// That is an `F`, text for a `String`, a reference to an id for the id, and, where the field may be missing, each of
/// these without the `Some`; `None` finds the documents that lack the field.
#[diagnostic::on_unimplemented(
    message = "this field of the index is compared with `{F}`, not with `{Self}`",
    label = "expected `{F}`",
    note = "an index's fields are compared in their order, `_creationTime` (`f64`) and the id after them; none can be skipped",
    note = "`5.0` is a number (`f64`), `5` an integer (`i64`)"
)]
pub trait IntoKey<F> {
    /// The value to compare with.
    fn into_key(self) -> F;
}

// The compiler's list of these would bury what the trait itself says: hence `do_not_recommend`.

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

/// `_creationTime` is a plain number.
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
