use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;

/// A timestamp on the wire: nanoseconds since the Unix epoch, as eight little-endian bytes in
/// base64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WireTimestamp(pub u64);

/// A text is not a timestamp.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a timestamp, eight bytes in base64 such as \"AAAAAAAAAAA=\"")]
pub struct WireTimestampError;

impl fmt::Display for WireTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Written as base64, because a number in JavaScript has only 53 exact bits.
        f.write_str(&BASE64.encode(&self.0.to_le_bytes()))
    }
}

impl FromStr for WireTimestamp {
    type Err = WireTimestampError;

    fn from_str(text: &str) -> Result<WireTimestamp, WireTimestampError> {
        let bytes = BASE64
            .decode(text.as_bytes())
            .map_err(|_| WireTimestampError)?;
        let bytes = bytes.try_into().map_err(|_| WireTimestampError)?;
        Ok(WireTimestamp(u64::from_le_bytes(bytes)))
    }
}

impl<'de> serde::Deserialize<'de> for WireTimestamp {
    fn deserialize<D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<WireTimestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_have_the_official_text() {
        for (nanos, text) in [
            (0, "AAAAAAAAAAA="),
            (1, "AQAAAAAAAAA="),
            (1_700_000_000_000_000_000, "AAAqNv6clxc="),
        ] {
            assert_eq!(WireTimestamp(nanos).to_string(), text);
            assert_eq!(text.parse(), Ok(WireTimestamp(nanos)));
        }
        for text in ["", "AAAA", "AAAAAAAAAAAA", "é", "AAAAAAAAAAA"] {
            assert!(text.parse::<WireTimestamp>().is_err(), "{text}");
        }
    }
}
