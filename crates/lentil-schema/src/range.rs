use std::marker::PhantomData;
use std::ops::Bound;

use crate::key::{HasNext, IntoKey};
use crate::range_spec::{IntoRange, RangeSpec};

/// A range of an index of `T`'s table. `S` is the state, which determines the comparisons that may
/// follow.
///
/// [`Document`](crate::Document) has an example.
#[must_use = "a range reads nothing until it is passed to `ctx.db.query`"]
pub struct Range<T, S> {
    spec: RangeSpec,
    types: PhantomData<fn() -> (T, S)>,
}

/// The state of a range without bounds. The next comparison is with the first field of `F`.
pub struct Open<F>(PhantomData<F>);

/// The state of a range with a lower bound of the first field of `F`. An upper bound may follow.
pub struct Above<F>(PhantomData<F>);

/// The state of a range with an upper bound of the first field of `F`. A lower bound may follow.
pub struct Below<F>(PhantomData<F>);

/// The state of a range with both bounds. No comparison may follow.
pub struct Between(());

/// A state in which an `eq` may follow.
#[diagnostic::on_unimplemented(
    message = "an `eq` cannot follow a bound",
    label = "after `gt`, `gte`, `lt` or `lte`",
    note = "write every `eq` first, in the order of the index's fields; the next field may then have a lower and an upper bound"
)]
pub trait TakesEq {
    /// The types of the fields without an `eq`.
    type Fields: HasNext;
}

/// A state in which a lower bound may follow.
#[diagnostic::on_unimplemented(
    message = "this range already has a lower bound",
    label = "a second lower bound",
    note = "only the field after the last `eq` can have bounds: one lower and one upper bound"
)]
pub trait TakesLower {
    /// The types of the fields without an `eq`.
    type Fields: HasNext;
    /// The state after the bound.
    type Bounded;
}

/// A state in which an upper bound may follow.
#[diagnostic::on_unimplemented(
    message = "this range already has an upper bound",
    label = "a second upper bound",
    note = "only the field after the last `eq` can have bounds: one lower and one upper bound"
)]
pub trait TakesUpper {
    /// The types of the fields without an `eq`.
    type Fields: HasNext;
    /// The state after the bound.
    type Bounded;
}

impl<F: HasNext> TakesEq for Open<F> {
    type Fields = F;
}

impl<F: HasNext> TakesLower for Open<F> {
    type Fields = F;
    type Bounded = Above<F>;
}

impl<F: HasNext> TakesUpper for Open<F> {
    type Fields = F;
    type Bounded = Below<F>;
}

impl<F: HasNext> TakesLower for Below<F> {
    type Fields = F;
    type Bounded = Between;
}

impl<F: HasNext> TakesUpper for Above<F> {
    type Fields = F;
    type Bounded = Between;
}

impl<T, S> Range<T, S> {
    pub(crate) fn new(spec: RangeSpec) -> Range<T, S> {
        Range {
            spec,
            types: PhantomData,
        }
    }

    // The new state is a type parameter of each method. With a projection of `S` instead, the
    // compiler would report a failed projection, and not the messages of the traits above.

    /// Narrows the range to the documents whose next field equals `value`.
    pub fn eq<F: HasNext>(mut self, value: impl IntoKey<F::Head>) -> Range<T, Open<F::Tail>>
    where
        S: TakesEq<Fields = F>,
    {
        self.spec.eq.push(F::part(value.into_key()));
        Range::new(self.spec)
    }

    /// Narrows the range to the documents whose next field is greater than `bound`.
    pub fn gt<F: HasNext, B>(self, bound: impl IntoKey<F::Head>) -> Range<T, B>
    where
        S: TakesLower<Fields = F, Bounded = B>,
    {
        let lower = Bound::Excluded(F::part(bound.into_key()));
        Range::new(RangeSpec { lower, ..self.spec })
    }

    /// Narrows the range to the documents whose next field is at least `bound`.
    pub fn gte<F: HasNext, B>(self, bound: impl IntoKey<F::Head>) -> Range<T, B>
    where
        S: TakesLower<Fields = F, Bounded = B>,
    {
        let lower = Bound::Included(F::part(bound.into_key()));
        Range::new(RangeSpec { lower, ..self.spec })
    }

    /// Narrows the range to the documents whose next field is less than `bound` or missing.
    pub fn lt<F: HasNext, B>(self, bound: impl IntoKey<F::Head>) -> Range<T, B>
    where
        S: TakesUpper<Fields = F, Bounded = B>,
    {
        let upper = Bound::Excluded(F::part(bound.into_key()));
        Range::new(RangeSpec { upper, ..self.spec })
    }

    /// Narrows the range to the documents whose next field is at most `bound` or missing.
    pub fn lte<F: HasNext, B>(self, bound: impl IntoKey<F::Head>) -> Range<T, B>
    where
        S: TakesUpper<Fields = F, Bounded = B>,
    {
        let upper = Bound::Included(F::part(bound.into_key()));
        Range::new(RangeSpec { upper, ..self.spec })
    }
}

#[diagnostic::do_not_recommend]
impl<T, S> IntoRange<T> for Range<T, S> {
    fn into_range(self) -> RangeSpec {
        self.spec
    }
}

// A derive would require `Clone` of `T` and `S`.
impl<T, S> Clone for Range<T, S> {
    fn clone(&self) -> Range<T, S> {
        Range::new(self.spec.clone())
    }
}
