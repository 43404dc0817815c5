//! Which entries of the file are an index.
//!
//! `by_creation_time` has none of its own. A key of it is a tag, the eight bytes of the creation time, and the id, which
//! begins with the same eight bytes. So its keys order as the ids do, and an interval of them is an interval of ids.

use lentil_store::IndexRef;
use lentil_values::{IndexKey, InternalId, Interval, KeyWriter, TableNumber, Value, after_prefix};

/// A stretch of the file's entries.
pub(crate) struct Entries {
    pub(crate) index_id: i64,
    pub(crate) keys: Interval,
}

impl Entries {
    /// The entries of an interval of an index.
    pub(crate) fn of(index: IndexRef, interval: &Interval) -> Entries {
        match index {
            IndexRef::ById(table) => Entries { index_id: by_id(table), keys: interval.clone() },
            IndexRef::ByCreationTime(table) => Entries { index_id: by_id(table), keys: ids(interval) },
            IndexRef::Declared(index) => Entries { index_id: index.0.into(), keys: interval.clone() },
        }
    }
}

/// Under which number the file has a table's `by_id`: what declared indexes have is positive.
pub(crate) fn by_id(table: TableNumber) -> i64 {
    -i64::from(table.get())
}

/// The key of an index that an entry stands for; `None` when the file is damaged.
pub(crate) fn key(index: IndexRef, entry: &[u8]) -> Option<IndexKey> {
    Some(match index {
        IndexRef::ByCreationTime(_) => time_key(InternalId(entry.try_into().ok()?)),
        IndexRef::ById(_) | IndexRef::Declared(_) => IndexKey::from_bytes(entry.to_vec()),
    })
}

/// The key in `by_creation_time` of the document with this id.
fn time_key(id: InternalId) -> IndexKey {
    let mut key = KeyWriter::new();
    key.push(Some(&Value::Float64(id.creation_prefix())));
    key.push_id(id);
    key.finish()
}

/// The ids of the documents whose keys are in `interval`.
fn ids(interval: &Interval) -> Interval {
    let Some(start) = least_id(&interval.start) else { return Interval::none() };
    Interval { start, end: interval.end.as_deref().and_then(least_id) }
}

/// The least id whose key is at or above `bound`; `None` when there is none.
fn least_id(bound: &[u8]) -> Option<Vec<u8>> {
    let tag = time_key(InternalId([0; 16])).as_bytes()[0];
    match bound.split_first() {
        Some((first, _)) if *first > tag => None,
        Some((first, rest)) if *first == tag => match rest.split_at_checked(8) {
            None => Some(rest.to_vec()),
            Some((time, id)) if id.starts_with(time) => Some(id.to_vec()),
            Some((time, id)) if id < time => Some(time.to_vec()),
            Some((time, _)) => after_prefix(time),
        },
        _ => Some(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bound() -> impl Strategy<Value = Vec<u8>> {
        let near = (any::<f64>(), any::<u64>(), 0_usize..30, any::<u8>(), 0_usize..25);
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..28),
            near.prop_map(|(time, random, cut, byte, at)| {
                let mut bytes = time_key(InternalId::at(time, random)).into_bytes();
                let at = at % bytes.len();
                bytes[at] = byte;
                bytes.truncate(cut);
                bytes
            })
        ]
    }

    proptest! {
        #[test]
        fn an_interval_of_keys_is_the_interval_of_their_ids(
            start in bound(), end in prop::option::of(bound()), time: f64, random: u64, cut in prop::option::of(8_usize..26)
        ) {
            let mut interval = Interval { start, end };
            let id = InternalId::at(time, random);
            // Bounds that are keys themselves, or begin as keys do.
            if let Some(cut) = cut {
                interval.start = time_key(id).into_bytes();
                interval.start.truncate(cut);
            }
            for id in [id, InternalId::at(time, random.wrapping_add(1)), InternalId::at(-time, 0), InternalId::at(0.0, u64::MAX)] {
                prop_assert_eq!(ids(&interval).contains(id.as_bytes()), interval.contains(time_key(id).as_bytes()));
            }
        }
    }
}
