//! The numbers of native documents in their table's tree, and the range of numbers of an interval of `by_id` or
//! `by_creation_time`.
//!
//! A native document's number is made of the first eight bytes of its id, which are its creation time, and no other
//! native document of the table has it. So numbers order as the ids do, and neither index needs entries. A key of
//! `by_creation_time` is a tag, the eight bytes of the creation time, and the id, which begins with the same eight
//! bytes; so an interval of them is an interval of ids.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use lentil_store::{IndexRef, StoreError, StoredDocument};
use lentil_values::{IndexKey, InternalId, Interval, KeyWriter, TableNumber, Value, after_prefix};
use rusqlite::Connection;

use crate::tables::documents::Documents;

/// The least number of a native document, made at minus infinity. Only a NaN gives a lower one.
pub(crate) const FIRST_NATIVE: i64 = i64::MIN + (1 << 52) - 1;

/// An interval of no numbers.
const NONE: RangeInclusive<i64> = RangeInclusive::new(0, -1);

/// Returns the number that a document's id encodes; `None` when only a foreign document can have its id and creation
/// time.
pub(crate) fn native_number(document: &StoredDocument) -> Option<i64> {
    let number = number_by_id(document.id.internal);
    let is_native =
        number >= FIRST_NATIVE && document.id.internal.is_made_at(document.creation_time);
    is_native.then_some(number)
}

/// Returns the number of a native document in the file.
pub(crate) fn number_by_id(id: InternalId) -> i64 {
    number_at(&id.0)
}

/// The first eight bytes of the ids of native documents that have this number.
pub(crate) fn id_prefix(number: i64) -> [u8; 8] {
    (number as u64 ^ 1 << 63).to_be_bytes()
}

/// The number of the ids that begin with the first eight of these bytes, or as many as there are and zeros.
fn number_at(id: &[u8]) -> i64 {
    let mut first = [0; 8];
    let given = id.len().min(8);
    first[..given].copy_from_slice(&id[..given]);
    (u64::from_be_bytes(first) ^ 1 << 63) as i64
}

/// The numbers of the native documents that are in an interval of the table's `by_id`, or of its `by_creation_time`.
pub(crate) fn numbers(
    conn: &Connection,
    index: IndexRef,
    interval: &Interval,
) -> Result<RangeInclusive<i64>, StoreError> {
    let interval = match index {
        IndexRef::ByCreationTime(_) => Cow::Owned(ids(interval)),
        _ => Cow::Borrowed(interval),
    };
    if interval.is_empty() {
        return Ok(NONE);
    }
    let least = |bound: &[u8]| least_number(conn, index.table(), bound);
    let Some(start) = least(&interval.start)? else {
        return Ok(NONE);
    };
    let start = start.max(FIRST_NATIVE);
    let above = interval.end.as_deref().map_or(Ok(None), least)?;
    Ok(match above.map(|above| above.checked_sub(1)) {
        None => start..=i64::MAX,
        Some(Some(end)) => start..=end,
        Some(None) => NONE,
    })
}

/// The least number from which on all ids are at or above `bound`; `None` when there is none.
fn least_number(
    conn: &Connection,
    table: TableNumber,
    bound: &[u8],
) -> Result<Option<i64>, StoreError> {
    let number = number_at(bound);
    if bound.len() <= 8 || number < FIRST_NATIVE {
        return Ok(Some(number));
    }
    // The document that has the number may have an id below the bound.
    let found =
        Documents::of(conn, table)?.map_or(Ok(None), |mut documents| documents.at(number))?;
    let is_below = found.is_some_and(|found| found.document.id.internal.as_bytes()[..] < *bound);
    Ok(if is_below {
        number.checked_add(1)
    } else {
        Some(number)
    })
}

/// A document's key in `by_id`.
pub(crate) fn id_key(document: &StoredDocument) -> IndexKey {
    IndexKey::from_bytes(document.id.internal.0.to_vec())
}

/// A document's key in `by_creation_time`.
pub(crate) fn time_key(document: &StoredDocument) -> IndexKey {
    let mut key = KeyWriter::new();
    key.push(Some(&Value::Float64(document.creation_time)));
    key.push_id(document.id.internal);
    key.finish()
}

/// The ids of the native documents whose keys are in `interval`.
fn ids(interval: &Interval) -> Interval {
    let Some(start) = least_id_of(&interval.start) else {
        return Interval::none();
    };
    Interval {
        start,
        end: interval.end.as_deref().and_then(least_id_of),
    }
}

/// Returns the interval of the keys in `by_id` or `by_creation_time` that documents of this number can have.
pub(crate) fn keys_of(index: IndexRef, number: i64) -> Interval {
    let prefix = id_prefix(number);
    match index {
        IndexRef::ByCreationTime(_) => Interval::prefix(&[&[time_tag()], &prefix[..]].concat()),
        _ => Interval::prefix(&prefix),
    }
}

/// Returns the byte that keys of `by_creation_time` begin with.
fn time_tag() -> u8 {
    let mut time = KeyWriter::new();
    time.push(Some(&Value::Float64(0.0)));
    time.as_bytes()[0]
}

/// The least id of a native document whose key in `by_creation_time` is at or above `bound`; `None` when there is none.
fn least_id_of(bound: &[u8]) -> Option<Vec<u8>> {
    let tag = time_tag();
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
    use lentil_values::{DocumentId, Object};
    use proptest::prelude::*;

    use super::*;
    use crate::tables::documents;
    use crate::tables::foreign::ForeignTables;

    fn made_at(creation_time: f64, random: u64) -> StoredDocument {
        StoredDocument {
            id: DocumentId {
                table: TableNumber::FIRST_USER,
                internal: InternalId::at(creation_time, random),
            },
            creation_time,
            fields: Object::new(),
        }
    }

    fn bound() -> impl Strategy<Value = Vec<u8>> {
        let near = (
            any::<f64>(),
            any::<u64>(),
            0_usize..30,
            any::<u8>(),
            0_usize..25,
        );
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..28),
            near.prop_map(|(time, random, cut, byte, at)| {
                let mut bytes = time_key(&made_at(time, random)).into_bytes();
                let at = at % bytes.len();
                bytes[at] = byte;
                bytes.truncate(cut);
                bytes
            })
        ]
    }

    /// Ids near each other: of few times, of which each has one document.
    fn near_id() -> impl Strategy<Value = Vec<u8>> {
        (0_u8..4, 0_u8..3, 0_usize..18).prop_map(|(time, random, length)| {
            let mut id = InternalId::at(f64::from(time), random.into()).0.to_vec();
            id.resize(length, 0);
            id
        })
    }

    #[test]
    fn only_a_nan_has_a_number_below_the_native_ones() {
        let number = |time| native_number(&made_at(time, 1));
        assert_eq!(number(f64::NEG_INFINITY), Some(FIRST_NATIVE));
        assert_eq!(number(f64::NAN.copysign(-1.0)), None);
        assert!(number(f64::NAN.copysign(1.0)).is_some());
        let mut other = made_at(5.0, 1);
        other.creation_time = 6.0;
        assert_eq!(native_number(&other), None);
    }

    proptest! {
        #[test]
        fn an_interval_of_ids_is_the_interval_of_their_numbers(
            randoms in prop::collection::vec(prop::option::of(0_u8..3), 4), start in near_id(), end in prop::option::of(near_id())
        ) {
            let (conn, table) = (Connection::open_in_memory().unwrap(), TableNumber::FIRST_USER);
            documents::create_tree(&conn, table).unwrap();
            let times = randoms.iter().zip(0_u8..).filter_map(|(random, time)| Some((f64::from(time), (*random)?.into())));
            let ids: Vec<_> = times.map(|(time, random)| made_at(time, random)).map(|document| {
                let json = documents::encode(&document);
                documents::insert(&conn, &mut ForeignTables::default(), &document, &json).unwrap();
                document.id.internal
            }).collect();
            let interval = Interval { start, end };
            let numbers = numbers(&conn, IndexRef::ById(table), &interval).unwrap();
            for id in &ids {
                prop_assert_eq!(numbers.contains(&number_by_id(*id)), interval.contains(id.as_bytes()), "{:?}", id);
            }
        }

        #[test]
        fn an_interval_of_keys_is_the_interval_of_their_ids(
            start in bound(), end in prop::option::of(bound()), time: f64, random: u64, cut in prop::option::of(8_usize..26)
        ) {
            let mut interval = Interval { start, end };
            let document = made_at(time, random);
            // Bounds that are keys themselves, or begin as keys do.
            if let Some(cut) = cut {
                interval.start = time_key(&document).into_bytes();
                interval.start.truncate(cut);
            }
            for document in [document, made_at(time, random.wrapping_add(1)), made_at(-time, 0), made_at(0.0, u64::MAX)] {
                let id = document.id.internal;
                prop_assert_eq!(ids(&interval).contains(id.as_bytes()), interval.contains(time_key(&document).as_bytes()));
            }
        }
    }
}
