//! Document ids.
//!
//! An id is a table number and 16 bytes. Its text is the lowercase Crockford base32 encoding of
//! `VInt(table number) ‖ 16 bytes ‖ checksum`. The checksum is Fletcher-16 (mod 256) of the bytes
//! before it, least significant byte first. Clients treat the text, 31 to 37 characters, as opaque.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use data_encoding::{DecodeKind, Encoding, Specification};

/// The number of a table, which is part of its documents' ids. It is never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableNumber(u32);

impl TableNumber {
    /// The number of an application's first table. Lower numbers are reserved for the system.
    pub const FIRST_USER: TableNumber = TableNumber(10_001);

    /// The number of the first system table.
    pub const FIRST_SYSTEM: TableNumber = TableNumber(513);

    /// Returns the table number, or `None` for 0.
    pub fn new(number: u32) -> Option<TableNumber> {
        (number != 0).then_some(TableNumber(number))
    }

    /// Returns the number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for TableNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The 16 bytes that identify a document in its table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InternalId(pub [u8; 16]);

impl InternalId {
    /// Returns the id of a document created at this time: 8 bytes that order as the time does, then
    /// 8 random ones.
    ///
    /// The ids of later documents are greater, so that new documents are appended to their table.
    pub fn at(creation_time_ms: f64, random: u64) -> InternalId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&ordered_bits(creation_time_ms).to_be_bytes());
        bytes[8..].copy_from_slice(&random.to_be_bytes());
        InternalId(bytes)
    }

    /// Returns whether [`InternalId::at`] can have made the id for this creation time.
    pub fn is_made_at(&self, creation_time_ms: f64) -> bool {
        self.0[..8] == ordered_bits(creation_time_ms).to_be_bytes()
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for InternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

/// Returns bits that order, as an unsigned integer, as the floats do in IEEE 754 total order.
pub(crate) fn ordered_bits(number: f64) -> u64 {
    let bits = number.to_bits();
    // A negative float's bits grow with its magnitude, so all of them are inverted. A positive
    // float only gets the high bit, which orders it above every negative one.
    if bits >> 63 == 0 {
        bits | 1 << 63
    } else {
        !bits
    }
}

/// Inverts [`ordered_bits`].
pub(crate) fn from_ordered_bits(bits: u64) -> f64 {
    f64::from_bits(if bits >> 63 == 1 {
        bits & !(1 << 63)
    } else {
        !bits
    })
}

/// The `_id` of a document.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentId {
    /// The table.
    pub table: TableNumber,
    /// The document in the table.
    pub internal: InternalId,
}

/// A text is not a document id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The text is too short or too long, or no id has its length.
    #[error("a document id has 31 to 37 characters, and not {0}")]
    Length(usize),
    /// The text contains another character than digits and lowercase letters without i, l, o and u.
    #[error("a document id consists of the characters 0-9 and a-z without i, l, o and u")]
    Alphabet,
    /// The checksum does not match: the id is mistyped or truncated.
    #[error("the checksum of the document id does not match: the id is mistyped or truncated")]
    Checksum,
    /// The table number is 0, too large, or encoded in more bytes than necessary.
    #[error("the document id's table number is malformed")]
    Table,
}

/// Up to five bytes of table number, sixteen of the document, and two of checksum.
const MAX_BYTES: usize = 23;
const MAX_CHARACTERS: usize = 37;

static CROCKFORD: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification
        .symbols
        .push_str("0123456789abcdefghjkmnpqrstvwxyz");
    // Otherwise several texts would decode to the same id.
    specification.check_trailing_bits = true;
    specification
        .encoding()
        .expect("32 distinct symbols make an encoding")
});

impl fmt::Display for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; MAX_BYTES];
        let table = write_vint(self.table.0, &mut bytes);
        let end = table + 16;
        bytes[table..end].copy_from_slice(&self.internal.0);
        let checksum = fletcher16(&bytes[..end]);
        bytes[end..end + 2].copy_from_slice(&checksum.to_le_bytes());

        let mut text = [0; MAX_CHARACTERS];
        let text = &mut text[..CROCKFORD.encode_len(end + 2)];
        CROCKFORD.encode_mut(&bytes[..end + 2], text);
        f.write_str(std::str::from_utf8(text).expect("the alphabet is ASCII"))
    }
}

impl fmt::Debug for DocumentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DocumentId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<DocumentId, IdError> {
        // Before the decoding: the text comes from a client and may be long.
        if !(31..=37).contains(&text.len()) {
            return Err(IdError::Length(text.chars().count()));
        }
        let bytes = CROCKFORD
            .decode(text.as_bytes())
            .map_err(|error| not_base32(text, error.kind))?;
        let (payload, checksum) = bytes.split_last_chunk::<2>().ok_or(IdError::Checksum)?;
        if fletcher16(payload) != u16::from_le_bytes(*checksum) {
            return Err(IdError::Checksum);
        }
        let (table, internal) = payload.split_last_chunk::<16>().ok_or(IdError::Table)?;
        Ok(DocumentId {
            table: read_vint(table)?,
            internal: InternalId(*internal),
        })
    }
}

/// Returns the reason why a text is not an id in base32. Nonzero trailing bits mean that characters
/// were lost or added.
fn not_base32(text: &str, kind: DecodeKind) -> IdError {
    match kind {
        DecodeKind::Length => IdError::Length(text.len()),
        DecodeKind::Trailing => IdError::Checksum,
        DecodeKind::Symbol | DecodeKind::Padding => IdError::Alphabet,
    }
}

/// Writes a number with seven bits in each byte, and returns the number of bytes, at most five.
fn write_vint(mut number: u32, bytes: &mut [u8]) -> usize {
    let mut length = 0;
    while number >= 0x80 {
        bytes[length] = number as u8 | 0x80;
        number >>= 7;
        length += 1;
    }
    bytes[length] = number as u8;
    length + 1
}

/// Reads `bytes` as one number in its shortest encoding.
fn read_vint(bytes: &[u8]) -> Result<TableNumber, IdError> {
    // The limit on the text's length leaves at most five bytes, so the shift does not overflow.
    debug_assert!(bytes.len() <= 5);
    let mut number = 0_u64;
    for (at, byte) in bytes.iter().enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * at);
    }
    let number = u32::try_from(number).map_err(|_| IdError::Table)?;
    // An id has exactly one text, so that a longer encoding is malformed.
    let mut canonical = [0; 5];
    let length = write_vint(number, &mut canonical);
    TableNumber::new(number)
        .filter(|_| canonical[..length] == *bytes)
        .ok_or(IdError::Table)
}

fn fletcher16(bytes: &[u8]) -> u16 {
    // The sums wrap: Convex's ids use modulo 256, while the usual Fletcher-16 uses modulo 255.
    let (low, high) = bytes.iter().fold((0_u8, 0_u8), |(low, high), byte| {
        let low = low.wrapping_add(*byte);
        (low, high.wrapping_add(low))
    });
    u16::from_be_bytes([high, low])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(table: u32) -> DocumentId {
        let internal = InternalId(std::array::from_fn(|at| at as u8));
        DocumentId {
            table: TableNumber::new(table).unwrap(),
            internal,
        }
    }

    #[test]
    fn ids_have_the_official_text() {
        for (table, text) in [
            (10_001, "j57000820c20a1g7104gm2rc1m70ynr8"),
            (16_385, "g6002001081g81860w40j2gb1g6gw3vt9g"),
            (1, "040020g30g2gc1r81450p30d1r7qke8"),
        ] {
            assert_eq!(id(table).to_string(), text);
            assert_eq!(text.parse(), Ok(id(table)));
        }
        let found: DocumentId = "kg27rxfv99gzp01wmph0gvt92d6hnvy6".parse().unwrap();
        assert_eq!(found.table.get(), 540);
        assert_eq!(found.to_string(), "kg27rxfv99gzp01wmph0gvt92d6hnvy6");
    }

    #[test]
    fn malformed_ids_are_rejected_with_the_reason() {
        let good = id(10_001).to_string();
        assert_eq!("abc".parse::<DocumentId>(), Err(IdError::Length(3)));
        assert_eq!(
            format!("{good}0").parse::<DocumentId>(),
            Err(IdError::Length(33))
        );
        let cut_bits = id(1).to_string().replace("ke8", "ke9");
        assert_eq!(cut_bits.parse::<DocumentId>(), Err(IdError::Checksum));
        assert_eq!(
            good.replace('j', "i").parse::<DocumentId>(),
            Err(IdError::Alphabet)
        );
        assert_eq!(
            good.to_uppercase().parse::<DocumentId>(),
            Err(IdError::Alphabet)
        );
        assert_eq!(
            good.replace("20c", "20d").parse::<DocumentId>(),
            Err(IdError::Checksum)
        );
        assert_eq!(read_vint(&[0]), Err(IdError::Table));
        assert_eq!(read_vint(&[0x81, 0x00]), Err(IdError::Table));
        assert_eq!(read_vint(&[0xff; 5]), Err(IdError::Table));
        assert_eq!(read_vint(&[]), Err(IdError::Table));
    }

    proptest! {
        #[test]
        fn every_id_round_trips(table in 1_u32.., internal: [u8; 16]) {
            let id = DocumentId { table: TableNumber(table), internal: InternalId(internal) };
            let text = id.to_string();
            prop_assert!((31..=37).contains(&text.len()));
            prop_assert_eq!(text.parse(), Ok(id));
        }

        #[test]
        fn every_text_is_rejected_or_the_only_text_of_its_id(text in "[0-9a-z]{29,38}|.*") {
            if let Ok(id) = text.parse::<DocumentId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }

        #[test]
        fn ids_order_by_creation_time(a: f64, b: f64, random: u64) {
            let order = InternalId::at(a, random).cmp(&InternalId::at(b, random));
            prop_assert_eq!(order, a.total_cmp(&b));
            prop_assert!(InternalId::at(a, random).is_made_at(a));
            prop_assert_eq!(InternalId::at(a, random).is_made_at(b), a.total_cmp(&b).is_eq());
        }

        #[test]
        fn texts_order_as_their_ids_within_a_table(a: [u8; 16], b: [u8; 16]) {
            let id = |internal| DocumentId { table: TableNumber::FIRST_USER, internal: InternalId(internal) };
            prop_assert_eq!(id(a).to_string()[..26].cmp(&id(b).to_string()[..26]).then(a.cmp(&b)), a.cmp(&b));
        }
    }
}
