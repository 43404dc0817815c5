//! Index keys: bytes that order as the values they encode.
//!
//! A value is encoded as a tag byte, which orders the types, and its content in an order-preserving
//! form. Text, bytes, arrays and objects end with a zero byte. Inside text and bytes, the byte 0 is
//! written `01 01` and the byte 1 `01 02`. No encoding is therefore a prefix of another, and a
//! sequence of encodings orders as the sequence of values:
//!
//! ```text
//! missing  01        1.0    20 bff0000000000000     "ab"       23 61 62 00
//! null     03        false  21                      [null]     25 03 00
//! 5n       14 05     true   22                      {a: null}  26 01 61 00 03 00
//! ```
//!
//! The byte 01 precedes each field name of an object, so that the end of the object (00) orders
//! before a further field. An integer has as few bytes as it needs. Its tag encodes the number of
//! bytes and the sign.

use crate::id::{InternalId, from_ordered_bits, ordered_bits};
use crate::limits::MAX_NESTING;
use crate::name::FieldName;
use crate::value::{Object, Value};

// Every stored index contains these tags, so that a change of one needs a new storage format.
const UNDEFINED: u8 = 0x01;
const NULL: u8 = 0x03;
/// The tag of integers from 0 to 255. It grows by one for each further byte; a negative one-byte
/// integer has one less.
const INT: u8 = 0x14;
const FLOAT: u8 = 0x20;
const FALSE: u8 = 0x21;
const TRUE: u8 = 0x22;
const STRING: u8 = 0x23;
const BYTES: u8 = 0x24;
const ARRAY: u8 = 0x25;
const OBJECT: u8 = 0x26;

// 01 has three meanings, which the position distinguishes: a missing field occurs only between
// values, an escape only inside text and bytes, and a field's tag only inside an object.
const END: u8 = 0x00;
const ESCAPE: u8 = 0x01;
const FIELD: u8 = 0x01;

/// The key of an index entry: encoded values, usually followed by an id.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndexKey(Vec<u8>);

impl IndexKey {
    /// Returns the key with these bytes, which a store has kept.
    pub fn from_bytes(bytes: Vec<u8>) -> IndexKey {
        IndexKey(bytes)
    }

    /// Returns the bytes, which order as the key does.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the bytes, owned.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Returns the last 16 bytes as the id that [`KeyWriter::push_id`] wrote, or `None` if the key
    /// is shorter.
    pub fn id(&self) -> Option<InternalId> {
        self.0.last_chunk::<16>().map(|bytes| InternalId(*bytes))
    }
}

/// Builds an index key value by value.
#[derive(Clone, Debug, Default)]
pub struct KeyWriter(Vec<u8>);

impl KeyWriter {
    /// Returns a writer of an empty key.
    pub fn new() -> KeyWriter {
        // Most keys contain at most the text of an id, a time and an id.
        KeyWriter(Vec::with_capacity(64))
    }

    /// Appends a value. `None` is a missing field, which orders before all values.
    pub fn push(&mut self, value: Option<&Value>) {
        match value {
            None => self.0.push(UNDEFINED),
            Some(value) => write(value, &mut self.0),
        }
    }

    /// Appends the 16 bytes of the id that ends the key.
    pub fn push_id(&mut self, id: InternalId) {
        self.0.extend_from_slice(&id.0);
    }

    /// Returns the bytes written until now.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the finished key.
    pub fn finish(self) -> IndexKey {
        IndexKey(self.0)
    }
}

fn write(value: &Value, key: &mut Vec<u8>) {
    match value {
        Value::Null => key.push(NULL),
        Value::Int64(number) => write_int(*number, key),
        Value::Float64(number) => {
            key.push(FLOAT);
            key.extend_from_slice(&ordered_bits(*number).to_be_bytes());
        }
        Value::Boolean(false) => key.push(FALSE),
        Value::Boolean(true) => key.push(TRUE),
        Value::String(text) => write_ended(STRING, text.as_bytes(), key),
        Value::Bytes(bytes) => write_ended(BYTES, bytes, key),
        Value::Array(elements) => {
            key.push(ARRAY);
            for element in elements {
                write(element, key);
            }
            key.push(END);
        }
        Value::Object(object) => {
            key.push(OBJECT);
            for (name, value) in object.iter() {
                write_ended(FIELD, name.as_str().as_bytes(), key);
                write(value, key);
            }
            key.push(END);
        }
    }
}

/// Writes a tag, the escaped content and the end.
fn write_ended(tag: u8, content: &[u8], key: &mut Vec<u8>) {
    key.push(tag);
    for part in content.split_inclusive(|byte| matches!(*byte, END | ESCAPE)) {
        match part.split_last() {
            Some((last @ (&END | &ESCAPE), plain)) => {
                key.extend_from_slice(plain);
                key.extend_from_slice(&[ESCAPE, last + 1]);
            }
            _ => key.extend_from_slice(part),
        }
    }
    key.push(END);
}

/// Writes the low bytes of an integer in two's complement, as many as its distance from 0 or -1
/// needs.
fn write_int(number: i64, key: &mut Vec<u8>) {
    // `!number` is the distance from -1: in two's complement, -256 fits in one byte as 0 does.
    let magnitude = if number < 0 { !number } else { number } as u64;
    let width = (8 - magnitude.leading_zeros() as usize / 8).max(1);
    let bytes = number.to_be_bytes();
    key.push(if number < 0 {
        INT - width as u8
    } else {
        INT - 1 + width as u8
    });
    key.extend_from_slice(&bytes[8 - width..]);
}

/// Bytes are not a sequence of encoded values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed index key at byte {at}")]
pub struct KeyError {
    at: usize,
}

/// Decodes the values of a key that does not end with an id.
///
/// # Errors
/// Returns an error if [`KeyWriter::push`] could not have written the bytes.
pub fn decode_key(key: &[u8]) -> Result<Vec<Option<Value>>, KeyError> {
    let mut reader = Reader { key, at: 0 };
    let mut values = Vec::new();
    while reader.at < key.len() {
        if reader.key[reader.at] == UNDEFINED {
            reader.at += 1;
            values.push(None);
        } else {
            values.push(Some(reader.value(0)?));
        }
    }
    Ok(values)
}

struct Reader<'k> {
    key: &'k [u8],
    at: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, KeyError> {
        match self.byte()? {
            NULL => Ok(Value::Null),
            FALSE => Ok(Value::Boolean(false)),
            TRUE => Ok(Value::Boolean(true)),
            // NaN and -0 keep their bits, so that a decoded key encodes to the same bytes.
            FLOAT => Ok(Value::Float64(from_ordered_bits(u64::from_be_bytes(
                self.take()?,
            )))),
            STRING => String::from_utf8(self.ended()?)
                .map(Value::String)
                .map_err(|_| self.error()),
            BYTES => self.ended().map(Value::Bytes),
            // The limit bounds the recursion.
            ARRAY | OBJECT if depth == MAX_NESTING => Err(self.error()),
            ARRAY => self.array(depth),
            OBJECT => self.object(depth),
            tag => self.int(tag),
        }
    }

    fn int(&mut self, tag: u8) -> Result<Value, KeyError> {
        let (width, fill) = match tag {
            0x14..=0x1b => (usize::from(tag - INT) + 1, 0x00),
            0x0c..=0x13 => (usize::from(INT - tag), 0xff),
            _ => return Err(self.error()),
        };
        let mut bytes = [fill; 8];
        for byte in &mut bytes[8 - width..] {
            *byte = self.byte()?;
        }
        let number = i64::from_be_bytes(bytes);
        // Equal values must have equal keys, so that an integer with leading bytes is malformed.
        let mut canonical = Vec::with_capacity(9);
        write_int(number, &mut canonical);
        if self.key[..self.at].ends_with(&canonical) {
            Ok(Value::Int64(number))
        } else {
            Err(self.error())
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, KeyError> {
        let mut elements = Vec::new();
        while !self.at_end()? {
            elements.push(self.value(depth + 1)?);
        }
        Ok(Value::Array(elements))
    }

    fn object(&mut self, depth: usize) -> Result<Value, KeyError> {
        let mut fields: Vec<(FieldName, Value)> = Vec::new();
        while !self.at_end()? {
            if self.byte()? != FIELD {
                return Err(self.error());
            }
            let name = String::from_utf8(self.ended()?).map_err(|_| self.error())?;
            let name = FieldName::new(name).map_err(|_| self.error())?;
            // Equal objects must have equal keys, so that fields out of order are malformed.
            if fields.last().is_some_and(|(last, _)| *last >= name) {
                return Err(self.error());
            }
            fields.push((name, self.value(depth + 1)?));
        }
        Ok(Value::Object(Object::from_iter(fields)))
    }

    /// Consumes the end of an array or object if it is next, and returns whether it was.
    fn at_end(&mut self) -> Result<bool, KeyError> {
        let ends = *self.key.get(self.at).ok_or_else(|| self.error())? == END;
        self.at += usize::from(ends);
        Ok(ends)
    }

    fn ended(&mut self) -> Result<Vec<u8>, KeyError> {
        let mut content = Vec::new();
        loop {
            match self.byte()? {
                END => return Ok(content),
                ESCAPE => match self.byte()? {
                    escaped @ 1..=2 => content.push(escaped - 1),
                    _ => return Err(self.error()),
                },
                byte => content.push(byte),
            }
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], KeyError> {
        let bytes = self.key[self.at..]
            .first_chunk::<N>()
            .ok_or_else(|| self.error())?;
        self.at += N;
        Ok(*bytes)
    }

    fn byte(&mut self) -> Result<u8, KeyError> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn error(&self) -> KeyError {
        KeyError { at: self.at }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::test_values::{any_value, ascending};

    fn key(values: &[Option<Value>]) -> Vec<u8> {
        let mut writer = KeyWriter::new();
        for value in values {
            writer.push(value.as_ref());
        }
        writer.finish().into_bytes()
    }

    fn tuple() -> impl Strategy<Value = Vec<Option<Value>>> {
        prop::collection::vec(prop::option::weighted(0.9, any_value()), 0..3)
    }

    #[test]
    fn keys_order_as_the_official_client_orders_values() {
        let mut keys = vec![key(&[None])];
        keys.extend(ascending().into_iter().map(|value| key(&[Some(value)])));
        assert!(keys.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn integers_of_every_width_order_and_round_trip() {
        let mut numbers: Vec<i64> = (0..63)
            .flat_map(|bit| [1 << bit, (1 << bit) - 1, -(1 << bit), -(1 << bit) - 1])
            .collect();
        numbers.extend([i64::MIN, i64::MAX]);
        numbers.sort_unstable();
        numbers.dedup();
        let keys: Vec<_> = numbers
            .iter()
            .map(|number| key(&[Some(Value::Int64(*number))]))
            .collect();
        assert!(keys.is_sorted_by(|a, b| a < b));
        assert!(
            numbers
                .iter()
                .zip(&keys)
                .all(|(number, key)| decode_key(key) == Ok(vec![Some(Value::Int64(*number))]))
        );
    }

    #[test]
    fn the_stored_bytes_are_fixed() {
        let object =
            |value| Value::Object(Object::from_iter([(FieldName::from_static("a"), value)]));
        for (value, bytes) in [
            (None, "01"),
            (Some(Value::Null), "03"),
            (Some(Value::Int64(5)), "1405"),
            (Some(Value::Int64(-1)), "13ff"),
            (Some(Value::Int64(256)), "150100"),
            (Some(Value::Int64(i64::MIN)), "0c8000000000000000"),
            (Some(Value::Float64(1.0)), "20bff0000000000000"),
            (Some(false.into()), "21"),
            (Some(true.into()), "22"),
            (Some("ab".into()), "23616200"),
            (Some(Value::Bytes(vec![0, 1, 2, 255])), "240101010202ff00"),
            (Some(Value::Array(vec![Value::Null])), "250300"),
            (Some(object(Value::Null)), "260161000300"),
        ] {
            assert_eq!(data_encoding::HEXLOWER.encode(&key(&[value])), bytes);
        }
    }

    #[test]
    fn malformed_keys_are_rejected_with_the_position() {
        for (hex, at) in [
            ("", None),
            ("00", Some(1)),
            ("150005", Some(3)),   // an integer with more bytes than necessary
            ("236162", Some(3)),   // text without an end
            ("23ff00", Some(3)),   // text that is not UTF-8
            ("24010300", Some(3)), // an unknown escape
            ("260161000301610003", Some(8)), // a field twice
            ("2601620003016100030000", Some(8)), // fields out of order
            ("260124000300", Some(4)), // a field name that begins with `$`
        ] {
            let key = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
            assert_eq!(
                decode_key(&key).err(),
                at.map(|at| KeyError { at }),
                "{hex}"
            );
        }
    }

    #[test]
    fn a_key_nests_as_deeply_as_values_and_not_more() {
        let nested = |levels: usize| [vec![ARRAY; levels], vec![END; levels]].concat();
        assert!(decode_key(&nested(MAX_NESTING)).is_ok());
        assert_eq!(
            decode_key(&nested(MAX_NESTING + 1)),
            Err(KeyError {
                at: MAX_NESTING + 1
            })
        );
        assert!(decode_key(&vec![ARRAY; 1_000_000]).is_err());
    }

    proptest! {
        #[test]
        fn keys_order_as_sequences_of_values(a in tuple(), b in tuple()) {
            prop_assert_eq!(key(&a).cmp(&key(&b)), a.cmp(&b));
        }

        #[test]
        fn keys_order_as_single_values(a in any_value(), b in any_value()) {
            prop_assert_eq!(key(&[Some(a.clone())]).cmp(&key(&[Some(b.clone())])), a.cmp(&b));
        }

        #[test]
        fn every_key_round_trips(values in tuple()) {
            prop_assert_eq!(decode_key(&key(&values)), Ok(values));
        }

        #[test]
        fn bytes_are_rejected_or_are_the_only_key_of_their_values(bytes in prop::collection::vec(prop_oneof![0_u8..0x28, any::<u8>()], 0..40)) {
            if let Ok(values) = decode_key(&bytes) {
                prop_assert_eq!(key(&values), bytes);
            }
        }

        #[test]
        fn ids_order_after_the_values_before_them(a in tuple(), b in tuple(), id_a: [u8; 16], id_b: [u8; 16]) {
            let entry = |values: &[Option<Value>], id| [key(values), InternalId(id).0.to_vec()].concat();
            prop_assert_eq!(entry(&a, id_a).cmp(&entry(&a, id_b)), id_a.cmp(&id_b));
            if a.len() == b.len() && a != b {
                prop_assert_eq!(entry(&a, id_a).cmp(&entry(&b, id_b)), a.cmp(&b));
            }
        }

        #[test]
        fn the_id_is_read_from_the_end_of_a_key(value in any_value(), id: [u8; 16]) {
            let mut writer = KeyWriter::new();
            writer.push(Some(&value));
            writer.push_id(InternalId(id));
            prop_assert_eq!(writer.finish().id(), Some(InternalId(id)));
        }
    }
}
