//! Typed indexes.
//!
//! `Index<Job, (String, (f64, (Id<Job>, ())))>` is an index of `Job` whose key is a string, then, as in every
//! index, the creation time and the id. Each `eq` takes the first type off, so that an `eq` too many, or of the
//! wrong type, does not compile; a bound leaves only the opposite bound of the same field.
//!
//! ```text
//! Job::BY_STATUS.eq("done").gt(5.0).lte(9.0)
//! Index<(String,(f64,…))> → Prefix<(f64,…)> → Lower<f64> → a whole range
//! ```

use std::marker::PhantomData;

use lentil_values::{FieldType, Value, ValueType};

use crate::{Document, Id, IntoRange, RangeSpec};

/// An index of `T`'s table whose key's fields have the types in the nested pairs `F`.
pub struct Index<T, F> {
    name: &'static str,
    types: PhantomData<fn() -> (T, F)>,
}

impl<T, F> Index<T, F> {
    /// The index of this name; that it has fields of these types is the caller's to know.
    pub const fn new(name: &'static str) -> Index<T, F> {
        Index { name, types: PhantomData }
    }
}

impl<T, F> Clone for Index<T, F> {
    fn clone(&self) -> Index<T, F> {
        *self
    }
}

impl<T, F> Copy for Index<T, F> {}

/// The documents whose first fields are fixed; `F` are the types of the fields after them.
#[derive(Clone, Debug)]
pub struct Prefix<T, F> {
    range: RangeSpec,
    types: PhantomData<fn() -> (T, F)>,
}

/// A range with a lower bound, which may get an upper one on the same field.
#[derive(Clone, Debug)]
pub struct Lower<T, H> {
    range: RangeSpec,
    types: PhantomData<fn() -> (T, H)>,
}

/// A range with an upper bound, which may get a lower one on the same field.
#[derive(Clone, Debug)]
pub struct Upper<T, H> {
    range: RangeSpec,
    types: PhantomData<fn() -> (T, H)>,
}

/// An index has a field left that is not fixed yet.
#[diagnostic::on_unimplemented(
    message = "all fields of this index are fixed already",
    label = "one `eq` or bound too many",
    note = "an index's fields are its own, then `_creationTime`, then `_id`; each takes one `eq`, the last may take bounds instead"
)]
pub trait HasNext {
    /// The next field's type.
    type Head: FieldType;
    /// The fields after it.
    type Tail;
}

impl<H: FieldType, R> HasNext for (H, R) {
    type Head = H;
    type Tail = R;
}

/// The number of fields up to and with `_creationTime`.
pub(crate) trait Fields {
    const BEFORE_ID: usize;
}

impl<T> Fields for (Id<T>, ()) {
    const BEFORE_ID: usize = 0;
}

impl<H, N, R> Fields for (H, (N, R))
where
    (N, R): Fields,
{
    const BEFORE_ID: usize = 1 + <(N, R) as Fields>::BEFORE_ID;
}

/// What a field of type `F` can be compared with.
#[diagnostic::on_unimplemented(
    message = "this field of the index is compared with `{F}`, not with `{Self}`",
    label = "expected `{F}`"
)]
pub trait IntoKey<F> {
    /// The value to compare with; `None` is a missing field.
    fn into_key(self) -> Option<Value>;
}

impl<F: FieldType> IntoKey<F> for F {
    fn into_key(self) -> Option<Value> {
        self.into_field()
    }
}

impl IntoKey<String> for &str {
    fn into_key(self) -> Option<Value> {
        Some(self.into())
    }
}

impl IntoKey<String> for &String {
    fn into_key(self) -> Option<Value> {
        Some(self.as_str().into())
    }
}

impl<T: Document> IntoKey<Id<T>> for &Id<T> {
    fn into_key(self) -> Option<Value> {
        Some(self.into_value())
    }
}

/// A value, where the field may be missing.
impl<F: ValueType> IntoKey<Option<F>> for F {
    fn into_key(self) -> Option<Value> {
        Some(self.into_value())
    }
}

impl IntoKey<Option<String>> for &str {
    fn into_key(self) -> Option<Value> {
        Some(self.into())
    }
}

macro_rules! bounds {
    ($($(#[$doc:meta])* $name:ident, $set:ident, $inclusive:literal => $bounded:ident;)*) => {
        $($(#[$doc])*
        pub fn $name(self, bound: impl IntoKey<F::Head>) -> $bounded<T, F::Head> {
            let mut range = self.range;
            range.$set = Some((bound.into_key(), $inclusive));
            $bounded { range, types: PhantomData }
        })*
    };
}

impl<T: Document, F> Prefix<T, F> {
    /// All of the index.
    #[expect(private_bounds, reason = "what an index's fields are is the derive's business")]
    pub fn whole(index: Index<T, F>) -> Prefix<T, F>
    where
        F: Fields,
    {
        let range = RangeSpec { id_at: F::BEFORE_ID, ..RangeSpec::all(T::TABLE, index.name, 0) };
        Prefix { range, types: PhantomData }
    }
}

impl<T, F: HasNext> Prefix<T, F> {
    /// The documents whose next field equals `value`.
    pub fn eq(mut self, value: impl IntoKey<F::Head>) -> Prefix<T, F::Tail> {
        self.range.eq.push(value.into_key());
        Prefix { range: self.range, types: PhantomData }
    }

    bounds! {
        /// The documents whose next field is greater than `bound`.
        gt, lower, false => Lower;
        /// The documents whose next field is at least `bound`.
        gte, lower, true => Lower;
        /// The documents whose next field is less than `bound`.
        lt, upper, false => Upper;
        /// The documents whose next field is at most `bound`.
        lte, upper, true => Upper;
    }
}

macro_rules! from_index {
    ($($(#[$doc:meta])* $name:ident -> $result:ident<$field:ident>;)*) => {
        $($(#[$doc])*
        pub fn $name(self, value: impl IntoKey<F::Head>) -> $result<T, F::$field> {
            Prefix::whole(self).$name(value)
        })*
    };
}

#[expect(private_bounds, reason = "what an index's fields are is the derive's business")]
impl<T: Document, F: Fields> Index<T, F> {
    /// All documents, in the index's order.
    pub fn all(self) -> Prefix<T, F> {
        Prefix::whole(self)
    }
}

#[expect(private_bounds, reason = "what an index's fields are is the derive's business")]
impl<T: Document, F: HasNext + Fields> Index<T, F> {
    from_index! {
        /// The documents whose first field equals `value`.
        eq -> Prefix<Tail>;
        /// The documents whose first field is greater than `value`.
        gt -> Lower<Head>;
        /// The documents whose first field is at least `value`.
        gte -> Lower<Head>;
        /// The documents whose first field is less than `value`.
        lt -> Upper<Head>;
        /// The documents whose first field is at most `value`.
        lte -> Upper<Head>;
    }
}

impl<T, H> Lower<T, H> {
    /// And less than `bound`.
    pub fn lt(self, bound: impl IntoKey<H>) -> Bounded<T> {
        self.up_to(bound.into_key(), false)
    }

    /// And at most `bound`.
    pub fn lte(self, bound: impl IntoKey<H>) -> Bounded<T> {
        self.up_to(bound.into_key(), true)
    }

    fn up_to(mut self, bound: Option<Value>, inclusive: bool) -> Bounded<T> {
        self.range.upper = Some((bound, inclusive));
        Bounded { range: self.range, types: PhantomData }
    }
}

impl<T, H> Upper<T, H> {
    /// And greater than `bound`.
    pub fn gt(self, bound: impl IntoKey<H>) -> Bounded<T> {
        self.down_to(bound.into_key(), false)
    }

    /// And at least `bound`.
    pub fn gte(self, bound: impl IntoKey<H>) -> Bounded<T> {
        self.down_to(bound.into_key(), true)
    }

    fn down_to(mut self, bound: Option<Value>, inclusive: bool) -> Bounded<T> {
        self.range.lower = Some((bound, inclusive));
        Bounded { range: self.range, types: PhantomData }
    }
}

/// A range with both bounds.
#[derive(Clone, Debug)]
pub struct Bounded<T> {
    range: RangeSpec,
    types: PhantomData<fn() -> T>,
}

impl<T: Document, F: Fields> IntoRange<T> for Index<T, F> {
    fn into_range(self) -> RangeSpec {
        Prefix::whole(self).range
    }
}

impl<T, F> IntoRange<T> for Prefix<T, F> {
    fn into_range(self) -> RangeSpec {
        self.range
    }
}

impl<T, H> IntoRange<T> for Lower<T, H> {
    fn into_range(self) -> RangeSpec {
        self.range
    }
}

impl<T, H> IntoRange<T> for Upper<T, H> {
    fn into_range(self) -> RangeSpec {
        self.range
    }
}

impl<T> IntoRange<T> for Bounded<T> {
    fn into_range(self) -> RangeSpec {
        self.range
    }
}
