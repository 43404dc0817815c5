//! Typed indexes.
//!
//! `Index<Job, (String, Ending<Job>)>`, in full `Index<Job, (String, (f64, (Id<Job>, ())))>`, is an index of `Job`
//! whose key is a string, then, as in every index, the creation time and the id. Each `eq` takes the first type off,
//! so that an `eq` too many, or of the wrong type, does not compile; a bound leaves only the opposite bound of the
//! same field.
//!
//! ```text
//! Job::BY_STATUS      .eq("done")           .gt(5.0)              .lte(9.0)
//! (String, (f64, …))  → Open<(f64, …)>      → Above<(f64, …)>     → Between
//! ```

use std::marker::PhantomData;

use crate::key::{HasNext, IntoKey};
use crate::range::{Above, Below, Open, Range};
use crate::range_spec::{IntoRange, RangeSpec};

/// An index of `T`'s table whose key's fields have the types in the nested pairs `F`.
///
/// The derive makes one for each `#[index(…)]`, as a constant of the struct.
pub struct Index<T, F> {
    table: &'static str,
    name: &'static str,
    types: PhantomData<fn() -> (T, F)>,
}

impl<T, F> Index<T, F> {
    /// Returns the index of a table by its name. The caller guarantees that its fields have the types `F`.
    pub const fn new(table: &'static str, name: &'static str) -> Index<T, F> {
        Index {
            table,
            name,
            types: PhantomData,
        }
    }
}

// By hand, because the derives would ask the same of `T` and `F`.
impl<T, F> Clone for Index<T, F> {
    fn clone(&self) -> Index<T, F> {
        *self
    }
}

impl<T, F> Copy for Index<T, F> {}

impl<T, F> Index<T, F> {
    /// All documents, in the index's order.
    pub fn all(self) -> Range<T, Open<F>> {
        Range::new(RangeSpec::all(self.table, self.name))
    }
}

impl<T, F: HasNext> Index<T, F> {
    /// The documents whose first field equals `value`.
    pub fn eq(self, value: impl IntoKey<F::Head>) -> Range<T, Open<F::Tail>> {
        self.all().eq(value)
    }

    /// The documents whose first field is greater than `bound`.
    pub fn gt(self, bound: impl IntoKey<F::Head>) -> Range<T, Above<F>> {
        self.all().gt(bound)
    }

    /// The documents whose first field is at least `bound`.
    pub fn gte(self, bound: impl IntoKey<F::Head>) -> Range<T, Above<F>> {
        self.all().gte(bound)
    }

    /// The documents whose first field is less than `bound`; those that lack it are among them.
    pub fn lt(self, bound: impl IntoKey<F::Head>) -> Range<T, Below<F>> {
        self.all().lt(bound)
    }

    /// The documents whose first field is at most `bound`; those that lack it are among them.
    pub fn lte(self, bound: impl IntoKey<F::Head>) -> Range<T, Below<F>> {
        self.all().lte(bound)
    }
}

#[diagnostic::do_not_recommend]
impl<T, F> IntoRange<T> for Index<T, F> {
    fn into_range(self) -> RangeSpec {
        self.all().into_range()
    }
}
