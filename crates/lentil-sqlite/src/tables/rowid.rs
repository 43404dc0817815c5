//! The rowids of native documents, and how keys of `by_id` and `by_creation_time` map to them.
//!
//! The first eight bytes of a native document's id are its creation time. They also give its rowid
//! (the column `number`), and no other native document of the table has the same eight bytes. So
//! rowids order as ids do, and neither index needs entries:
//!
//! ```text
//! id                        time (8 bytes) ‖ random (8 bytes)
//! key of by_id                               time ‖ random
//! key of by_creation_time   tag (1 byte) ‖ time ‖ time ‖ random
//! rowid                     time, as a signed integer
//! ```
//!
//! An interval of `by_creation_time` is therefore an interval of ids, and an interval of ids is an
//! interval of rowids ([`rowid_range`](super::rowid_range)).

use lentil_store::{IndexRef, StoredDocument};
use lentil_values::{IndexKey, InternalId, Interval, KeyWriter, Value, after_prefix};

/// The least rowid of a native document: of one created at minus infinity. Only a NaN gives a lower
/// one.
pub(crate) const FIRST_NATIVE: i64 = i64::MIN + (1 << 52) - 1;

/// Returns the rowid that a document's id encodes. Returns `None` if only a foreign document can
/// have its id and creation time.
pub(crate) fn native_rowid(document: &StoredDocument) -> Option<i64> {
    let rowid = rowid_of(document.id.internal);
    let is_native =
        rowid >= FIRST_NATIVE && document.id.internal.is_made_at(document.creation_time);
    is_native.then_some(rowid)
}

/// Returns the rowid of the native document with this id.
pub(crate) fn rowid_of(id: InternalId) -> i64 {
    rowid_of_prefix(&id.0)
}

/// Returns the first eight bytes of the ids of native documents that have this rowid.
pub(crate) fn id_prefix(rowid: i64) -> [u8; 8] {
    (rowid as u64 ^ 1 << 63).to_be_bytes()
}

/// Returns the rowid of ids that begin with the first eight of these bytes; missing bytes count as
/// zeros.
pub(super) fn rowid_of_prefix(id: &[u8]) -> i64 {
    let mut first = [0; 8];
    let given = id.len().min(8);
    first[..given].copy_from_slice(&id[..given]);
    (u64::from_be_bytes(first) ^ 1 << 63) as i64
}

/// Returns a document's key in `by_id`.
pub(crate) fn id_key(document: &StoredDocument) -> IndexKey {
    IndexKey::from_bytes(document.id.internal.0.to_vec())
}

/// Returns a document's key in `by_creation_time`.
pub(crate) fn creation_time_key(document: &StoredDocument) -> IndexKey {
    let mut key = KeyWriter::new();
    key.push(Some(&Value::Float64(document.creation_time)));
    key.push_id(document.id.internal);
    key.finish()
}

/// Returns the interval of the keys in `by_id` or `by_creation_time` that documents with this rowid
/// can have.
pub(crate) fn keys_of(index: IndexRef, rowid: i64) -> Interval {
    let prefix = id_prefix(rowid);
    match index {
        IndexRef::ByCreationTime(_) => {
            Interval::prefix(&[&[creation_time_tag()], &prefix[..]].concat())
        }
        _ => Interval::prefix(&prefix),
    }
}

/// Returns the interval of the ids of native documents whose keys in `by_creation_time` are in
/// `interval`.
pub(super) fn ids_created_in(interval: &Interval) -> Interval {
    let Some(start) = least_id_from(&interval.start) else {
        return Interval::none();
    };
    Interval {
        start,
        end: interval.end.as_deref().and_then(least_id_from),
    }
}

/// Returns the least id of a native document whose key in `by_creation_time` is at or above
/// `bound`, or `None` if there is no such id.
fn least_id_from(bound: &[u8]) -> Option<Vec<u8>> {
    let tag = creation_time_tag();
    let rest = match bound.split_first() {
        Some((first, _)) if *first > tag => return None,
        Some((first, rest)) if *first == tag => rest,
        _ => return Some(Vec::new()),
    };
    match rest.split_at_checked(8) {
        None => Some(rest.to_vec()),
        Some((time, id)) if id.starts_with(time) => Some(id.to_vec()),
        Some((time, id)) if id < time => Some(time.to_vec()),
        Some((time, _)) => after_prefix(time),
    }
}

/// Returns the byte that keys of `by_creation_time` begin with.
fn creation_time_tag() -> u8 {
    let mut key = KeyWriter::new();
    key.push(Some(&Value::Float64(0.0)));
    key.as_bytes()[0]
}

#[cfg(test)]
mod tests {
    use lentil_values::{DocumentId, Object, TableNumber};
    use proptest::prelude::*;

    use super::*;

    fn created_at(creation_time: f64, random: u64) -> StoredDocument {
        StoredDocument {
            id: DocumentId {
                table: TableNumber::FIRST_USER,
                internal: InternalId::at(creation_time, random),
            },
            creation_time,
            fields: Object::new(),
        }
    }

    /// A bound of an interval of `by_creation_time`: any bytes, or a key with a byte changed and
    /// the end cut off.
    fn bound() -> impl Strategy<Value = Vec<u8>> {
        let near_a_key = (
            any::<f64>(),
            any::<u64>(),
            0_usize..30,
            any::<u8>(),
            0_usize..25,
        );
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..28),
            near_a_key.prop_map(|(time, random, length, byte, at)| {
                let mut bytes = creation_time_key(&created_at(time, random)).into_bytes();
                let at = at % bytes.len();
                bytes[at] = byte;
                bytes.truncate(length);
                bytes
            })
        ]
    }

    #[test]
    fn only_nan_has_a_rowid_below_native_documents() {
        let rowid = |time| native_rowid(&created_at(time, 1));
        assert_eq!(rowid(f64::NEG_INFINITY), Some(FIRST_NATIVE));
        assert_eq!(rowid(f64::NAN.copysign(-1.0)), None);
        assert!(rowid(f64::NAN.copysign(1.0)).is_some());
        let mut other = created_at(5.0, 1);
        other.creation_time = 6.0;
        assert_eq!(native_rowid(&other), None);
    }

    proptest! {
        #[test]
        fn interval_of_keys_is_interval_of_ids(
            start in bound(),
            end in prop::option::of(bound()),
            time: f64,
            random: u64,
            length in prop::option::of(8_usize..26),
        ) {
            let mut interval = Interval { start, end };
            let document = created_at(time, random);
            // Bounds that are keys themselves, or prefixes of keys.
            if let Some(length) = length {
                interval.start = creation_time_key(&document).into_bytes();
                interval.start.truncate(length);
            }
            let documents = [
                document,
                created_at(time, random.wrapping_add(1)),
                created_at(-time, 0),
                created_at(0.0, u64::MAX),
            ];
            for document in documents {
                let is_in_ids = ids_created_in(&interval).contains(document.id.internal.as_bytes());
                let is_in_keys = interval.contains(creation_time_key(&document).as_bytes());
                prop_assert_eq!(is_in_ids, is_in_keys);
            }
        }
    }
}
