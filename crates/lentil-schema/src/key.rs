use lentil_values::ValueType;

use crate::Id;

/// What a field of type `F` of an index can be compared with.
///
/// That is an `F`, text for a `String`, a reference to an id for the id, and, where the field may be missing, each of
/// these without the `Some`; `None` finds the documents that lack the field.
#[diagnostic::on_unimplemented(
    message = "this field of the index is compared with `{F}`, not with `{Self}`",
    label = "expected `{F}`",
    note = "an index's fields are compared in their order, `_creationTime` (`f64`) and the id after them; none can be skipped"
)]
pub trait IntoKey<F> {
    /// The value to compare with.
    fn into_key(self) -> F;
}

impl<F> IntoKey<F> for F {
    fn into_key(self) -> F {
        self
    }
}

impl<F: ValueType> IntoKey<Option<F>> for F {
    fn into_key(self) -> Option<F> {
        Some(self)
    }
}

impl<T> IntoKey<Id<T>> for &Id<T> {
    fn into_key(self) -> Id<T> {
        *self
    }
}

impl<T> IntoKey<Option<Id<T>>> for &Id<T> {
    fn into_key(self) -> Option<Id<T>> {
        Some(*self)
    }
}

macro_rules! text {
    ($($text:ty)*) => {
        $(impl IntoKey<String> for $text {
            fn into_key(self) -> String {
                self.to_owned()
            }
        }

        impl IntoKey<Option<String>> for $text {
            fn into_key(self) -> Option<String> {
                Some(self.to_owned())
            }
        })*
    };
}

text!(&str & String);
