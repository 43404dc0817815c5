//! Typed indexes.
//!
//! `Index<Job, (String, Ending<Job>)>` is an index of `Job` whose key is a string followed by the
//! creation time and the id, as in every index. In full, it is
//! `Index<Job, (String, (f64, (Id<Job>, ())))>`.
//!
//! Each `eq` removes the first type, so that one `eq` too many or of the wrong type does not
//! compile. After a bound, only the opposite bound of the same field compiles.
//!
//! ```text
//! Job::BY_STATUS      .eq("done")           .gt(5.0)              .lte(9.0)
//! (String, (f64, …))  → Open<(f64, …)>      → Above<(f64, …)>     → Between
//! ```

use std::marker::PhantomData;

use crate::key::{HasNext, IntoKey};
use crate::range::{Above, Below, Open, Range};
use crate::range_spec::{IntoRange, RangeSpec};

/// An index of `T`'s table. The nested pairs `F` are the types of the fields of its key.
///
/// `#[derive(Document)]` declares one constant of the struct for each `#[index(…)]` and
/// `#[unique(…)]`:
///
/// ```
/// # extern crate lentil_schema as lentil;
/// use lentil_macros::{Document, ValueType};
/// use lentil_schema::Document;
/// use lentil_values::UnixMillis;
///
/// #[derive(ValueType, Clone)]
/// #[tag("kind")]
/// enum Action {
///     Moved { x: f64, y: f64 },
///     Spoke { text: String },
/// }
///
/// #[derive(Document, Clone)]
/// #[table("events")]
/// #[unique(by_slug(slug))]
/// #[index(by_kind_and_at(action.kind, at))]
/// struct Event {
///     slug: String,
///     action: Action,
///     at: UnixMillis,
/// }
///
/// let one = Event::BY_SLUG.eq("first");
/// let spoken = Event::BY_KIND_AND_AT.eq("spoke").gte(UnixMillis::new(1_700_000_000_000.0));
/// assert_eq!(Event::table().indexes()[1].fields[0].to_string(), "action.kind");
/// # let _ = (one, spoken);
/// ```
pub struct Index<T, F> {
    table: &'static str,
    name: &'static str,
    types: PhantomData<fn() -> (T, F)>,
}

impl<T, F> Index<T, F> {
    /// Returns the index of a table by its name. The caller guarantees that its fields have the
    /// types `F`.
    pub const fn new(table: &'static str, name: &'static str) -> Index<T, F> {
        Index {
            table,
            name,
            types: PhantomData,
        }
    }
}

// Derives would require the same traits of `T` and `F`.
impl<T, F> Clone for Index<T, F> {
    fn clone(&self) -> Index<T, F> {
        *self
    }
}

impl<T, F> Copy for Index<T, F> {}

impl<T, F> Index<T, F> {
    /// Returns the range of all documents, in the order of the index.
    pub fn all(self) -> Range<T, Open<F>> {
        Range::new(RangeSpec::all(self.table, self.name))
    }
}

impl<T, F: HasNext> Index<T, F> {
    /// Returns the range of the documents whose first field equals `value`.
    pub fn eq(self, value: impl IntoKey<F::Head>) -> Range<T, Open<F::Tail>> {
        self.all().eq(value)
    }

    /// Returns the range of the documents whose first field is greater than `bound`.
    pub fn gt(self, bound: impl IntoKey<F::Head>) -> Range<T, Above<F>> {
        self.all().gt(bound)
    }

    /// Returns the range of the documents whose first field is at least `bound`.
    pub fn gte(self, bound: impl IntoKey<F::Head>) -> Range<T, Above<F>> {
        self.all().gte(bound)
    }

    /// Returns the range of the documents whose first field is less than `bound` or missing.
    pub fn lt(self, bound: impl IntoKey<F::Head>) -> Range<T, Below<F>> {
        self.all().lt(bound)
    }

    /// Returns the range of the documents whose first field is at most `bound` or missing.
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
