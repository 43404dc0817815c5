use std::borrow::Cow;
use std::ops::Bound;

use lentil_values::{InternalId, Interval, KeyWriter, Value, after_prefix};

/// An untyped range of an index: equalities of the first fields, then bounds of the next field.
///
/// A typed range, such as `Job::BY_JOB_ID.eq("…")`, converts into it. Code that knows a table only
/// by its name builds it by hand.
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
    /// The name of the table.
    pub table: Cow<'static, str>,
    /// The name of the index, which may be `by_id` or `by_creation_time`.
    pub index: Cow<'static, str>,
    /// The values of the first fields. `_creationTime` and the id follow the index's own fields.
    pub eq: Vec<KeyPart>,
    /// The lower bound of the next field.
    pub lower: Bound<KeyPart>,
    /// The upper bound of the next field.
    pub upper: Bound<KeyPart>,
}

/// The value with which a field of an index is compared.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyPart {
    /// The value of a field. `None` is a missing field, which orders before every value.
    Field(Option<Value>),
    /// The document's own id, the last field of every index and the only one of `by_id`.
    Id(InternalId),
}

impl RangeSpec {
    /// Returns the range of all documents in an index.
    pub fn all(
        table: impl Into<Cow<'static, str>>,
        index: impl Into<Cow<'static, str>>,
    ) -> RangeSpec {
        RangeSpec {
            table: table.into(),
            index: index.into(),
            eq: Vec::new(),
            lower: Bound::Unbounded,
            upper: Bound::Unbounded,
        }
    }

    /// Returns the interval of the index keys in the range.
    ///
    /// A key consists of the encoded fields, the encoded `_creationTime`, and the 16 bytes of the
    /// id. A key of `by_id` is the id alone. Bounds compare values of all types: integers, null and
    /// missing fields are also less than 5.0.
    pub fn interval(&self) -> Interval {
        let mut prefix = KeyWriter::new();
        for part in &self.eq {
            part.write(&mut prefix);
        }
        // No encoded value is a prefix of another. The keys with these values are therefore
        // exactly the keys with this prefix, and an interval of bytes is a range of values.
        let with_prefix = |part: &KeyPart| {
            let mut key = prefix.clone();
            part.write(&mut key);
            key.finish().into_bytes()
        };
        let start = match &self.lower {
            Bound::Unbounded => Some(prefix.as_bytes().to_vec()),
            Bound::Included(part) => Some(with_prefix(part)),
            Bound::Excluded(part) => after_prefix(&with_prefix(part)),
        };
        let end = match &self.upper {
            Bound::Unbounded => after_prefix(prefix.as_bytes()),
            Bound::Included(part) => after_prefix(&with_prefix(part)),
            Bound::Excluded(part) => Some(with_prefix(part)),
        };
        match start {
            Some(start) => Interval { start, end },
            // No key follows the greatest id.
            None => Interval::none(),
        }
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

/// The argument of a query: an index, or a range of an index.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a range of an index of `{T}`",
    label = "not a range of `{T}`",
    note = "write `{T}::all()`, or a range of an index: `{T}::BY_….eq(…)`"
)]
pub trait IntoRange<T> {
    /// Converts into the untyped range.
    fn into_range(self) -> RangeSpec;
}

#[cfg(test)]
mod tests {
    use lentil_values::IndexKey;
    use proptest::prelude::*;

    use super::*;

    /// The fields of a document in an index of one or two fields.
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

    /// Returns the parts of an entry in the order of the key.
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
        for part in parts {
            part.write(&mut key);
        }
        key.finish()
    }

    fn order(a: &KeyPart, b: &KeyPart) -> std::cmp::Ordering {
        match (a, b) {
            (KeyPart::Field(a), KeyPart::Field(b)) => a.cmp(b),
            (KeyPart::Id(a), KeyPart::Id(b)) => a.cmp(b),
            _ => unreachable!("parts at the same position have the same kind"),
        }
    }

    /// Generates ranges with the parts of two entries, so that other entries are often equal to
    /// them.
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
        let equal = &entry[..range.eq.len()];
        let next = &entry[range.eq.len()];
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
        fn an_interval_contains_exactly_the_keys_of_the_documents_in_the_range(range in range(), entry in entry()) {
            let parts = parts(&entry);
            prop_assert_eq!(range.interval().contains(key(&parts).as_bytes()), matches(&range, &parts));
        }
    }

    #[test]
    fn no_key_is_above_the_greatest_id() {
        let above = Bound::Excluded(KeyPart::Id(InternalId([0xff; 16])));
        let range = RangeSpec {
            lower: above,
            ..RangeSpec::all("jobs", "by_id")
        };
        assert!(range.interval().is_empty());
    }

    #[test]
    fn a_lower_bound_above_the_upper_bound_matches_nothing() {
        let bound = |number: f64| Bound::Excluded(KeyPart::Field(Some(number.into())));
        let range = RangeSpec {
            lower: bound(9.0),
            upper: bound(5.0),
            ..RangeSpec::all("jobs", "by_creation_time")
        };
        assert!(range.interval().is_empty());
    }
}
