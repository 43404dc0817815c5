use std::borrow::Cow;
use std::str::FromStr;

use lentil_values::{DocumentId, Interval, KeyWriter, Value, after_prefix};

/// A range of an index: equal in the first fields, then bounded in the next.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeSpec {
    /// The table.
    pub table: Cow<'static, str>,
    /// The index, `by_id` and `by_creation_time` included.
    pub index: Cow<'static, str>,
    /// The values that the first fields equal; `None` is a missing field. After the index's own fields come
    /// `_creationTime` and `_id`.
    pub eq: Vec<Option<Value>>,
    /// The lower bound of the next field, and whether it is in the range.
    pub lower: Option<(Option<Value>, bool)>,
    /// The upper bound of the next field, and whether it is in the range.
    pub upper: Option<(Option<Value>, bool)>,
    /// How many fields the index has before `_id`; needed to write an id as keys do.
    pub id_at: usize,
}

impl RangeSpec {
    /// All of an index whose own fields are this many (`by_creation_time` has none, with `_creationTime` after it).
    pub fn all(table: impl Into<Cow<'static, str>>, index: impl Into<Cow<'static, str>>, fields: usize) -> RangeSpec {
        let index = index.into();
        let id_at = if index == "by_id" { 0 } else { fields + 1 };
        RangeSpec { table: table.into(), index, eq: Vec::new(), lower: None, upper: None, id_at }
    }

    /// The index keys in the range.
    ///
    /// Keys are the encoded fields, the encoded `_creationTime`, and the id's 16 bytes; those of `by_id` are the id
    /// alone. There is no type bracketing: `lt` also finds missing fields and the types that order below.
    pub fn interval(&self) -> Interval {
        let mut prefix = KeyWriter::new();
        for (at, value) in self.eq.iter().enumerate() {
            self.push(&mut prefix, at, value.as_ref());
        }
        let within = |bound: &Option<Value>| {
            let mut key = prefix.clone();
            self.push(&mut key, self.eq.len(), bound.as_ref());
            key.finish().into_bytes()
        };
        let start = match &self.lower {
            None => Some(prefix.as_bytes().to_vec()),
            Some((bound, true)) => Some(within(bound)),
            Some((bound, false)) => after_prefix(&within(bound)),
        };
        let end = match &self.upper {
            None => after_prefix(prefix.as_bytes()),
            Some((bound, true)) => after_prefix(&within(bound)),
            Some((bound, false)) => Some(within(bound)),
        };
        // No key is above a bound that nothing follows.
        start.map_or_else(Interval::none, |start| Interval { start, end })
    }

    fn push(&self, key: &mut KeyWriter, at: usize, value: Option<&Value>) {
        if at < self.id_at {
            return key.push(value);
        }
        let id = value.and_then(Value::as_str).and_then(|text| DocumentId::from_str(text).ok());
        key.push_id(id.expect("the field at `id_at` is compared with ids").internal);
    }
}

/// What a query can be put to: an index, a range of one, or a whole table.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no range of an index of `{T}`",
    label = "no range of `{T}`",
    note = "write `{T}::all()`, an index such as `{T}::BY_CREATION_TIME.all()`, or a range such as `{T}::BY_….eq(…)`"
)]
pub trait IntoRange<T> {
    /// The range.
    fn into_range(self) -> RangeSpec;
}
