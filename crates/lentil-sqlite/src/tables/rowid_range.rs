use std::borrow::Cow;
use std::ops::RangeInclusive;

use lentil_store::{IndexRef, StoreError};
use lentil_values::{Interval, TableNumber};
use rusqlite::Connection;

use super::documents::Documents;
use super::rowid::{FIRST_NATIVE, ids_created_in, rowid_of_prefix};

/// A range without rowids.
const EMPTY: RangeInclusive<i64> = RangeInclusive::new(0, -1);

/// Returns the rowids of the native documents in an interval of the table's `by_id` or
/// `by_creation_time`.
pub(crate) fn rowid_range(
    conn: &Connection,
    index: IndexRef,
    interval: &Interval,
) -> Result<RangeInclusive<i64>, StoreError> {
    let interval = match index {
        IndexRef::ByCreationTime(_) => Cow::Owned(ids_created_in(interval)),
        _ => Cow::Borrowed(interval),
    };
    if interval.is_empty() {
        return Ok(EMPTY);
    }
    let table = index.table();
    let Some(start) = least_rowid(conn, table, &interval.start)? else {
        return Ok(EMPTY);
    };
    let start = start.max(FIRST_NATIVE);
    let above = match &interval.end {
        Some(end) => least_rowid(conn, table, end)?,
        None => None,
    };
    Ok(match above {
        None => start..=i64::MAX,
        Some(i64::MIN) => EMPTY,
        Some(above) => start..=above - 1,
    })
}

/// Returns the least rowid from which on all ids are at or above `bound`, or `None` if there is no
/// such rowid.
fn least_rowid(
    conn: &Connection,
    table: TableNumber,
    bound: &[u8],
) -> Result<Option<i64>, StoreError> {
    let rowid = rowid_of_prefix(bound);
    if bound.len() <= 8 || rowid < FIRST_NATIVE {
        return Ok(Some(rowid));
    }
    // The bound continues after the part that the rowid encodes, so the document with this rowid
    // decides.
    let found = match Documents::of(conn, table)? {
        Some(mut documents) => documents.at(rowid)?,
        None => None,
    };
    let is_below = found.is_some_and(|found| found.document.id.internal.as_bytes()[..] < *bound);
    if is_below {
        Ok(rowid.checked_add(1))
    } else {
        Ok(Some(rowid))
    }
}

#[cfg(test)]
mod tests {
    use lentil_store::StoredDocument;
    use lentil_values::{DocumentId, InternalId, Object};
    use proptest::prelude::*;

    use super::*;
    use crate::tables::document_table::DocumentTable;
    use crate::tables::foreign::ForeignTables;
    use crate::tables::rowid::rowid_of;
    use crate::tables::{documents, row};

    /// A bound near ids of four creation times.
    fn near_id() -> impl Strategy<Value = Vec<u8>> {
        (0_u8..4, 0_u8..3, 0_usize..18).prop_map(|(time, random, length)| {
            let mut id = InternalId::at(f64::from(time), random.into()).0.to_vec();
            id.resize(length, 0);
            id
        })
    }

    /// Inserts a document of this creation time; returns its id.
    fn insert(conn: &Connection, creation_time: f64, random: u8) -> InternalId {
        let internal = InternalId::at(creation_time, random.into());
        let document = StoredDocument {
            id: DocumentId {
                table: TableNumber::FIRST_USER,
                internal,
            },
            creation_time,
            fields: Object::new(),
        };
        let json = row::encode(&document);
        documents::insert(conn, &mut ForeignTables::default(), &document, &json).unwrap();
        internal
    }

    proptest! {
        #[test]
        fn interval_of_ids_is_range_of_rowids(
            randoms in prop::collection::vec(prop::option::of(0_u8..3), 4),
            start in near_id(),
            end in prop::option::of(near_id()),
        ) {
            let conn = Connection::open_in_memory().unwrap();
            let table = TableNumber::FIRST_USER;
            DocumentTable(table).create(&conn).unwrap();
            let mut ids = Vec::new();
            for (time, random) in (0_u8..).zip(randoms) {
                if let Some(random) = random {
                    ids.push(insert(&conn, time.into(), random));
                }
            }

            let interval = Interval { start, end };
            let range = rowid_range(&conn, IndexRef::ById(table), &interval).unwrap();
            for id in ids {
                let is_in_interval = interval.contains(id.as_bytes());
                prop_assert_eq!(range.contains(&rowid_of(id)), is_in_interval, "{:?}", id);
            }
        }
    }
}
