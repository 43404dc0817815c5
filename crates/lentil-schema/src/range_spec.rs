use std::borrow::Cow;
use std::ops::Bound;

use lentil_values::{InternalId, Interval, KeyWriter, Value, after_prefix};

/// A range of an index: equal in the first fields, then bounded in the next.
///
/// Typed ranges, `Job::BY_JOB_ID.eq("…")`, lower to it; tools that know a table only by its name fill it by hand.
///
/// ```
/// use std::ops::Bound;
/// use lentil_schema::{KeyPart, RangeSpec};
///
/// let done = RangeSpec { eq: vec![KeyPart::Field(Some("done".into()))], ..RangeSpec::all("jobs", "by_status") };
/// let recent = RangeSpec { lower: Bound::Included(KeyPart::Field(Some(5.0.into()))), ..done };
/// assert!(!recent.interval().is_empty());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RangeSpec {
    /// The table.
    pub table: Cow<'static, str>,
    /// The index, `by_id` and `by_creation_time` included.
    pub index: Cow<'static, str>,
    /// What the first fields equal. After an index's own fields come `_creationTime` and the id.
    pub eq: Vec<KeyPart>,
    /// The least that the next field may be.
    pub lower: Bound<KeyPart>,
    /// The greatest that the next field may be.
    pub upper: Bound<KeyPart>,
}

/// What one field of an index is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyPart {
    /// The value of a field; `None` is a missing one, which orders below every value.
    Field(Option<Value>),
    /// The document's own id, which ends every index, and is all there is to `by_id`.
    Id(InternalId),
}

impl RangeSpec {
    /// All of an index.
    pub fn all(
        table: impl Into<Cow<'static, str>>,
        index: impl Into<Cow<'static, str>>,
    ) -> RangeSpec {
        let (lower, upper) = (Bound::Unbounded, Bound::Unbounded);
        RangeSpec {
            table: table.into(),
            index: index.into(),
            eq: Vec::new(),
            lower,
            upper,
        }
    }

    /// The index keys in the range.
    ///
    /// Keys are the encoded fields, the encoded `_creationTime`, and the id's 16 bytes; those of `by_id` are the id
    /// alone. There is no bracketing by type: below 5.0 there are also all integers, null, and missing fields.
    pub fn interval(&self) -> Interval {
        let mut prefix = KeyWriter::new();
        self.eq.iter().for_each(|part| part.write(&mut prefix));
        let within = |part: &KeyPart| {
            let mut key = prefix.clone();
            part.write(&mut key);
            key.finish().into_bytes()
        };
        let start = match &self.lower {
            Bound::Unbounded => Some(prefix.as_bytes().to_vec()),
            Bound::Included(part) => Some(within(part)),
            Bound::Excluded(part) => after_prefix(&within(part)),
        };
        let end = match &self.upper {
            Bound::Unbounded => after_prefix(prefix.as_bytes()),
            Bound::Included(part) => after_prefix(&within(part)),
            Bound::Excluded(part) => Some(within(part)),
        };
        // Nothing is above the greatest id.
        start.map_or_else(Interval::none, |start| Interval { start, end })
    }
}

impl KeyPart {
    fn write(&self, key: &mut KeyWriter) {
        match self {
            KeyPart::Field(value) => key.push(value.as_ref()),
            KeyPart::Id(id) => key.push_id(*id),
        }
    }
}

/// What a query can be put to: an index, a range of one, or a whole table.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no range of an index of `{T}`",
    label = "no range of `{T}`",
    note = "write `{T}::all()`, or a range of an index: `{T}::BY_….eq(…)`"
)]
pub trait IntoRange<T> {
    /// The range.
    fn into_range(self) -> RangeSpec;
}

#[cfg(test)]
mod tests {
    use lentil_values::IndexKey;
    use proptest::prelude::*;

    use super::*;

    /// A document as an index of one or two fields sees it.
    type Entry = (Vec<Option<Value>>, f64, InternalId);

    fn field() -> impl Strategy<Value = Option<Value>> {
        let value = prop_oneof![
            Just(Value::Null),
            (-2..2_i64).prop_map(Value::Int64),
            prop_oneof![Just(-0.0), Just(0.0), Just(1.5), Just(f64::NAN)].prop_map(Value::Float64),
            "[a\0]{0,2}".prop_map(Value::String),
        ];
        prop::option::of(value)
    }

    fn id() -> impl Strategy<Value = InternalId> {
        prop_oneof![Just([0; 16]), Just([1; 16]), Just([0xff; 16])].prop_map(InternalId)
    }

    fn entry() -> impl Strategy<Value = Entry> {
        (
            prop::collection::vec(field(), 2),
            prop_oneof![Just(1.0), Just(2.0)],
            id(),
        )
    }

    /// An entry's parts in the order of the key.
    fn parts((fields, time, id): &Entry) -> Vec<KeyPart> {
        let fields = fields
            .iter()
            .cloned()
            .chain([Some(Value::Float64(*time))])
            .map(KeyPart::Field);
        fields.chain([KeyPart::Id(*id)]).collect()
    }

    fn key(parts: &[KeyPart]) -> IndexKey {
        let mut key = KeyWriter::new();
        parts.iter().for_each(|part| part.write(&mut key));
        key.finish()
    }

    fn order(a: &KeyPart, b: &KeyPart) -> std::cmp::Ordering {
        match (a, b) {
            (KeyPart::Field(a), KeyPart::Field(b)) => a.cmp(b),
            (KeyPart::Id(a), KeyPart::Id(b)) => a.cmp(b),
            _ => unreachable!("parts at the same place are of one kind"),
        }
    }

    /// A range whose parts are taken from two entries, so that they are often met.
    fn range() -> impl Strategy<Value = RangeSpec> {
        (entry(), entry(), 0..4_usize, 0..3, 0..3).prop_map(|(a, b, equal, lower, upper)| {
            let bound = |kind, entry: &Entry| match kind {
                0 => Bound::Unbounded,
                1 => Bound::Included(parts(entry)[equal].clone()),
                _ => Bound::Excluded(parts(entry)[equal].clone()),
            };
            let eq = parts(&a)[..equal].to_vec();
            RangeSpec {
                eq,
                lower: bound(lower, &a),
                upper: bound(upper, &b),
                ..RangeSpec::all("jobs", "by_two")
            }
        })
    }

    fn matches(range: &RangeSpec, entry: &[KeyPart]) -> bool {
        let (equal, next) = (&entry[..range.eq.len()], &entry[range.eq.len()]);
        let above = |part: &KeyPart, or_equal: bool| {
            order(next, part).is_gt() || (or_equal && order(next, part).is_eq())
        };
        let below = |part: &KeyPart, or_equal: bool| {
            order(next, part).is_lt() || (or_equal && order(next, part).is_eq())
        };
        let lower = match &range.lower {
            Bound::Unbounded => true,
            Bound::Included(part) => above(part, true),
            Bound::Excluded(part) => above(part, false),
        };
        let upper = match &range.upper {
            Bound::Unbounded => true,
            Bound::Included(part) => below(part, true),
            Bound::Excluded(part) => below(part, false),
        };
        equal
            .iter()
            .zip(&range.eq)
            .all(|(a, b)| order(a, b).is_eq())
            && lower
            && upper
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn an_interval_has_the_keys_of_just_the_documents_in_the_range(range in range(), entry in entry()) {
            let parts = parts(&entry);
            prop_assert_eq!(range.interval().contains(key(&parts).as_bytes()), matches(&range, &parts));
        }
    }

    #[test]
    fn nothing_is_above_the_greatest_id() {
        let above = Bound::Excluded(KeyPart::Id(InternalId([0xff; 16])));
        let range = RangeSpec {
            lower: above,
            ..RangeSpec::all("jobs", "by_id")
        };
        assert!(range.interval().is_empty());
    }

    #[test]
    fn bounds_that_cross_leave_nothing() {
        let bound = |number: f64| Bound::Excluded(KeyPart::Field(Some(number.into())));
        let range = RangeSpec {
            lower: bound(9.0),
            upper: bound(5.0),
            ..RangeSpec::all("jobs", "by_creation_time")
        };
        assert!(range.interval().is_empty());
    }
}
