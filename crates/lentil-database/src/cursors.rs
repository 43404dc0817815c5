use lentil_call::{Code, Error, Result};
use lentil_schema::RangeSpec;
use lentil_store::{IndexRef, Order};
use lentil_values::{Interval, Object, Value, successor};

use crate::scan::Scan;

/// The most bytes of a cursor, and so of a journal. Clients send both back, and live queries hold
/// them.
///
/// A cursor contains the key of a document of at most 1 MiB. Escaping may double the key, and
/// hexadecimal digits double it again.
pub const MAX_CURSOR_BYTES: usize = (4 << 20) + (16 << 10);

/// Writes and reads the cursors of one query. A cursor is the query's fingerprint, then the key of
/// the last row, or `-` for the end.
pub(crate) struct Cursors {
    fingerprint: String,
    order: Order,
}

impl Cursors {
    pub(crate) fn new(range: &RangeSpec, index: IndexRef, order: Order) -> Cursors {
        Cursors {
            fingerprint: fingerprint(range, index, order),
            order,
        }
    }

    pub(crate) fn after(&self, key: &[u8]) -> String {
        format!(
            "{}{}",
            self.fingerprint,
            data_encoding::HEXLOWER.encode(key)
        )
    }

    pub(crate) fn end(&self) -> String {
        format!("{}-", self.fingerprint)
    }

    pub(crate) fn is_end(&self, cursor: &str) -> bool {
        cursor.ends_with('-')
    }

    /// Returns the key in `cursor`; `None` at the end of the query.
    fn position(&self, cursor: &str) -> Result<Option<Vec<u8>>> {
        let invalid = || {
            let data = [
                // The npm client's `usePaginatedQuery` starts again from the first page when it
                // receives these two fields.
                ("isConvexSystemError", Value::Boolean(true)),
                ("paginationError", "InvalidCursor".into()),
            ];
            let data =
                data.map(|(name, value)| (lentil_values::FieldName::from_static(name), value));
            Error::with_data(
                Code::InvalidCursor,
                "InvalidCursor: the cursor belongs to another query; start again from the first page",
                Object::from_iter(data),
            )
        };
        // The cursor comes from a client, and the journal of a live query would keep it.
        if cursor.len() > MAX_CURSOR_BYTES {
            return Err(invalid());
        }
        let position = cursor
            .strip_prefix(self.fingerprint.as_str())
            .ok_or_else(invalid)?;
        if position == "-" {
            return Ok(None);
        }
        data_encoding::HEXLOWER
            .decode(position.as_bytes())
            .map(Some)
            .map_err(|_| invalid())
    }

    pub(crate) fn start_after(&self, scan: &mut Scan, cursor: &str) -> Result<()> {
        let rest = match (self.position(cursor)?, self.order) {
            (None, _) => Interval {
                start: Vec::new(),
                end: Some(Vec::new()),
            },
            (Some(key), Order::Asc) => Interval {
                start: successor(&key),
                end: None,
            },
            (Some(key), Order::Desc) => Interval {
                start: Vec::new(),
                end: Some(key),
            },
        };
        scan.restrict(&rest);
        Ok(())
    }

    pub(crate) fn end_at(&self, scan: &mut Scan, cursor: &str) -> Result<()> {
        if let Some(key) = self.position(cursor)? {
            let until = match self.order {
                Order::Asc => Interval {
                    start: Vec::new(),
                    end: Some(successor(&key)),
                },
                Order::Desc => Interval {
                    start: key,
                    end: None,
                },
            };
            scan.restrict(&until);
        }
        Ok(())
    }
}

/// Returns sixteen hexadecimal digits that distinguish queries: FNV-1a over table, index, interval
/// and direction.
///
/// `index` distinguishes an index from an earlier one of the same name over other fields, whose
/// keys differ in meaning.
fn fingerprint(range: &RangeSpec, index: IndexRef, order: Order) -> String {
    let interval = range.interval();
    let end = interval.end.as_deref();
    let order: &[u8] = match order {
        Order::Asc => b"asc",
        Order::Desc => b"desc",
    };
    let generation = match index {
        IndexRef::Declared(_, id) => id.0,
        IndexRef::ById(_) | IndexRef::ByCreationTime(_) => 0,
    };
    let parts: [&[u8]; 7] = [
        range.table.as_bytes(),
        range.index.as_bytes(),
        &generation.to_le_bytes(),
        order,
        &interval.start,
        end.unwrap_or_default(),
        // An interval without an end differs from one that ends at the empty key.
        &[u8::from(end.is_some())],
    ];
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    // FNV-1a, because it is the same in each process: clients keep cursors across restarts.
    let hash = parts.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, part| {
        // The lengths keep the parts apart: `ab`, `c` must not hash as `a`, `bc`.
        let length = (part.len() as u64).to_le_bytes();
        length
            .iter()
            .chain(part.iter())
            .fold(hash, |hash, byte| step(hash, *byte))
    });
    format!("{hash:016x}")
}
