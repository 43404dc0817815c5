use std::fmt;

use data_encoding::BASE64;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use crate::value::Value;

/// An object with one field that encodes a value which plain JSON does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    Integer,
    Float,
    Bytes,
}

impl Special {
    pub(super) fn of(key: &str) -> Option<Special> {
        [Special::Integer, Special::Float, Special::Bytes]
            .into_iter()
            .find(|special| special.key() == key)
    }

    pub(super) fn key(self) -> &'static str {
        match self {
            Special::Integer => "$integer",
            Special::Float => "$float",
            Special::Bytes => "$bytes",
        }
    }

    /// Reads the rest of the object after the key.
    pub(super) fn rest_of<'de, A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let value = entries.next_value_seed(self)?;
        match entries.next_key::<IgnoredAny>()? {
            None => Ok(value),
            Some(_) => Err(A::Error::custom(format!(
                "`{}` must be its object's only field",
                self.key()
            ))),
        }
    }

    fn decode(self, text: &str) -> Option<Value> {
        let bytes = BASE64.decode(text.as_bytes()).ok()?;
        match self {
            Special::Bytes => Some(Value::Bytes(bytes)),
            Special::Integer => Some(Value::Int64(i64::from_le_bytes(bytes.try_into().ok()?))),
            Special::Float => {
                let number = f64::from_le_bytes(bytes.try_into().ok()?);
                // Convex accepts zero here. Every other plain number must be a JSON number.
                let is_plain = number.is_finite() && number != 0.0;
                (!is_plain).then_some(Value::Float64(number))
            }
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Special::Bytes => "base64 with padding",
            Special::Integer => "eight little-endian bytes in base64",
            Special::Float => {
                "eight little-endian bytes in base64, of NaN, an infinity or -0; write other numbers as JSON numbers"
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Special {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Special {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "base64 text in `{}`", self.key())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.decode(text).ok_or_else(|| {
            E::custom(format!(
                "malformed `{}`: expected {}",
                self.key(),
                self.expected()
            ))
        })
    }
}
