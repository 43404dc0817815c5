use std::marker::PhantomData;
use std::ops::Bound;

use crate::key::{HasNext, IntoKey};
use crate::range_spec::{IntoRange, RangeSpec};

/// A typed range of an index of `T`'s table; `S` says what may still be added to it.
#[must_use = "a range reads nothing before it is given to `ctx.db.query`"]
pub struct Range<T, S> {
    spec: RangeSpec,
    types: PhantomData<fn() -> (T, S)>,
}

/// The state of a range without bounds: the next `eq` or bound is for the first field of `F`.
pub struct Open<F>(PhantomData<F>);

/// The state of a range whose first field of `F` has a lower bound: an upper one may follow.
pub struct Above<F>(PhantomData<F>);

/// The state of a range whose first field of `F` has an upper bound: a lower one may follow.
pub struct Below<F>(PhantomData<F>);

/// The state of a range with both bounds: nothing may follow.
pub struct Between(());

/// The states of a range to which an `eq` can be added.
#[diagnostic::on_unimplemented(
    message = "an `eq` cannot follow a bound",
    label = "after `gt`, `gte`, `lt` or `lte`",
    note = "equalities come first, in the order of the index's fields; then the next field may have a lower and an upper bound"
)]
pub trait TakesEq {
    /// The fields that are not fixed yet.
    type Fields: HasNext;
}

/// The states of a range to which a lower bound can be added.
#[diagnostic::on_unimplemented(
    message = "this range has a lower bound already",
    label = "a second lower bound",
    note = "one field, the one after the last `eq`, may have one lower and one upper bound"
)]
pub trait TakesLower {
    /// The fields that are not fixed yet.
    type Fields: HasNext;
    /// The state with the bound.
    type Bounded;
}

/// The states of a range to which an upper bound can be added.
#[diagnostic::on_unimplemented(
    message = "this range has an upper bound already",
    label = "a second upper bound",
    note = "one field, the one after the last `eq`, may have one lower and one upper bound"
)]
pub trait TakesUpper {
    /// The fields that are not fixed yet.
    type Fields: HasNext;
    /// The state with the bound.
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

    // What comes out is a parameter of each method, not a projection of `S`: with one, the compiler would not get as far
    // as saying what our traits have to say of a state that does not fit.

    /// The documents whose next field equals `value`.
    pub fn eq<F: HasNext>(mut self, value: impl IntoKey<F::Head>) -> Range<T, Open<F::Tail>>
    where
        S: TakesEq<Fields = F>,
    {
        self.spec.eq.push(F::part(value.into_key()));
        Range::new(self.spec)
    }

    /// The documents whose next field is greater than `bound`.
    pub fn gt<F: HasNext, B>(self, bound: impl IntoKey<F::Head>) -> Range<T, B>
    where
        S: TakesLower<Fields = F, Bounded = B>,
    {
        let lower = Bound::Excluded(F::part(bound.into_key()));
        Range::new(RangeSpec { lower, ..self.spec })
    }

    /// The documents whose next field is at least `bound`.
    pub fn gte<F: HasNext, B>(self, bound: impl IntoKey<F::Head>) -> Range<T, B>
    where
        S: TakesLower<Fields = F, Bounded = B>,
    {
        let lower = Bound::Included(F::part(bound.into_key()));
        Range::new(RangeSpec { lower, ..self.spec })
    }

    /// The documents whose next field is less than `bound`; those that lack it are among them.
    pub fn lt<F: HasNext, B>(self, bound: impl IntoKey<F::Head>) -> Range<T, B>
    where
        S: TakesUpper<Fields = F, Bounded = B>,
    {
        let upper = Bound::Excluded(F::part(bound.into_key()));
        Range::new(RangeSpec { upper, ..self.spec })
    }

    /// The documents whose next field is at most `bound`; those that lack it are among them.
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

// By hand, because the derive would ask the same of `T` and `S`.
impl<T, S> Clone for Range<T, S> {
    fn clone(&self) -> Range<T, S> {
        Range::new(self.spec.clone())
    }
}
