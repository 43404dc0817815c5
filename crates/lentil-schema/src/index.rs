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

use lentil_values::FieldType;

use crate::range::{Above, Below, Open};
use crate::{Document, Id, IntoKey, IntoRange, KeyPart, Range, RangeSpec};

/// An index of `T`'s table whose key's fields have the types in the nested pairs `F`.
///
/// The derive makes one for each `#[index(…)]`, as a constant of the struct.
pub struct Index<T, F> {
    name: &'static str,
    types: PhantomData<fn() -> (T, F)>,
}

impl<T, F> Index<T, F> {
    /// The index of this name; that it has fields of these types is the caller's to know.
    pub const fn new(name: &'static str) -> Index<T, F> {
        Index {
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

impl<T: Document, F> Index<T, F> {
    /// All documents, in the index's order.
    pub fn all(self) -> Range<T, Open<F>> {
        Range::new(RangeSpec::all(T::TABLE, self.name))
    }
}

impl<T: Document, F: HasNext> Index<T, F> {
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
impl<T: Document, F> IntoRange<T> for Index<T, F> {
    fn into_range(self) -> RangeSpec {
        self.all().into_range()
    }
}
