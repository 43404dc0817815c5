//! Which number a document has in its table's tree, and which numbers an interval of `by_id` or `by_creation_time` is.
//!
//! A document's number is made of the first eight bytes of its id, which are its creation time: no two of a table
//! have the same. So numbers order as the ids do, and neither index needs entries. A key of `by_creation_time` is a
//! tag, the eight bytes of the creation time, and the id, which begins with the same eight bytes; so an interval of
//! them is an interval of ids.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use lentil_store::{IndexRef, StoreError};
use lentil_values::{IndexKey, InternalId, Interval, KeyWriter, TableNumber, Value, after_prefix};
use rusqlite::Connection;

use crate::documents::Documents;

/// An interval of no numbers.
const NONE: RangeInclusive<i64> = RangeInclusive::new(0, -1);

/// Under which number the file has a document.
pub(crate) fn number_of(id: InternalId) -> i64 {
    number_at(&id.0)
}

/// The least id of those whose documents have this number, without the zeros at its end.
pub(crate) fn least_id(number: i64) -> Vec<u8> {
    (number as u64 ^ 1 << 63).to_be_bytes().to_vec()
}

/// The number of the ids that begin with the first eight of these bytes, or as many as there are and zeros.
fn number_at(id: &[u8]) -> i64 {
    let mut first = [0; 8];
    let given = id.len().min(8);
    first[..given].copy_from_slice(&id[..given]);
    (u64::from_be_bytes(first) ^ 1 << 63) as i64
}

/// The numbers of the documents that are in an interval of the table's `by_id`, or of its `by_creation_time`.
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
    if bound.len() <= 8 {
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

/// The key in `by_id` of the document with this id.
pub(crate) fn id_key(id: InternalId) -> IndexKey {
    IndexKey::from_bytes(id.0.to_vec())
}

/// The key in `by_creation_time` of the document with this id.
pub(crate) fn time_key(id: InternalId) -> IndexKey {
    let mut key = KeyWriter::new();
    key.push(Some(&Value::Float64(id.creation_prefix())));
    key.push_id(id);
    key.finish()
}

/// The ids of the documents whose keys are in `interval`.
fn ids(interval: &Interval) -> Interval {
    let Some(start) = least_id_of(&interval.start) else {
        return Interval::none();
    };
    Interval {
        start,
        end: interval.end.as_deref().and_then(least_id_of),
    }
}

/// The least id whose key in `by_creation_time` is at or above `bound`; `None` when there is none.
fn least_id_of(bound: &[u8]) -> Option<Vec<u8>> {
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
    use lentil_store::StoredDocument;
    use lentil_values::{DocumentId, Object};
    use proptest::prelude::*;

    use super::*;
    use crate::documents;

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
                let mut bytes = time_key(InternalId::at(time, random)).into_bytes();
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

    proptest! {
        #[test]
        fn an_interval_of_ids_is_the_interval_of_their_numbers(
            randoms in prop::collection::vec(prop::option::of(0_u8..3), 4), start in near_id(), end in prop::option::of(near_id())
        ) {
            let (conn, table) = (Connection::open_in_memory().unwrap(), TableNumber::FIRST_USER);
            documents::create_tree(&conn, table).unwrap();
            let times = randoms.iter().zip(0_u8..).filter_map(|(random, time)| Some((f64::from(time), (*random)?.into())));
            let ids: Vec<_> = times.map(|(time, random)| (time, InternalId::at(time, random))).collect();
            for (creation_time, internal) in &ids {
                let id = DocumentId { table, internal: *internal };
                let document = StoredDocument { id, creation_time: *creation_time, fields: Object::new() };
                documents::insert(&conn, id, &documents::encode(&document)).unwrap();
            }
            let interval = Interval { start, end };
            let numbers = numbers(&conn, IndexRef::ById(table), &interval).unwrap();
            for (_, id) in &ids {
                prop_assert_eq!(numbers.contains(&number_of(*id)), interval.contains(id.as_bytes()), "{:?}", id);
            }
        }

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
