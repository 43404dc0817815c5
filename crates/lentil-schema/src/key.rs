use lentil_values::{UnixMillis, ValueType};

use crate::Id;

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
