use std::fmt;
use std::str::FromStr;

use crate::display::Excerpt;

/// A UUID, such as the id of a client's session or of a file.
///
/// It is compared and stored as 128 bits: texts that differ only in case are the same UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(u128);

/// A text is not a UUID.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a UUID such as 67e55044-10b1-426f-9247-bb680e5fe0c8, got {0}")]
pub struct UuidError(String);

/// The positions of the dashes in the text.
const DASHES: [usize; 4] = [8, 13, 18, 23];

/// The number of characters in the text.
const TEXT_LENGTH: usize = 36;

impl Uuid {
    /// Returns the version 4 UUID with these random bits.
    pub fn from_random_bits(bits: u128) -> Uuid {
        // RFC 9562: the version is in bits 76 to 79, and the variant in bits 62 and 63.
        Uuid(bits & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62)
    }
}

impl FromStr for Uuid {
    type Err = UuidError;

    /// Parses 8, 4, 4, 4 and 12 hexadecimal digits of either case, separated by dashes.
    fn from_str(text: &str) -> Result<Uuid, UuidError> {
        let error = || UuidError(Excerpt(text).to_string());
        if text.len() != TEXT_LENGTH {
            return Err(error());
        }
        let mut bits = 0;
        for (at, byte) in text.bytes().enumerate() {
            let digit = char::from(byte).to_digit(16);
            match (DASHES.contains(&at), digit) {
                (true, None) if byte == b'-' => {}
                (false, Some(digit)) => bits = bits << 4 | u128::from(digit),
                _ => return Err(error()),
            }
        }
        Ok(Uuid(bits))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        write!(
            f,
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        )
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_does_not_matter() {
        let lower: Uuid = "67e55044-10b1-426f-9247-bb680e5fe0c8".parse().unwrap();
        let upper: Uuid = "67E55044-10B1-426F-9247-BB680E5FE0C8".parse().unwrap();
        assert_eq!(lower, upper);
        assert_eq!(upper.to_string(), "67e55044-10b1-426f-9247-bb680e5fe0c8");
    }

    #[test]
    fn random_bits_make_a_version_4_uuid() {
        let all_ones = Uuid::from_random_bits(u128::MAX).to_string();
        assert_eq!(all_ones, "ffffffff-ffff-4fff-bfff-ffffffffffff");
        let all_zeros = Uuid::from_random_bits(0).to_string();
        assert_eq!(all_zeros, "00000000-0000-4000-8000-000000000000");
    }

    #[test]
    fn malformed_texts_are_rejected_and_quoted() {
        for text in [
            "",
            "session",
            "67e5504410b1426f9247bb680e5fe0c8",
            "{67e55044-10b1-426f-9247-bb680e5fe0c8}",
            "67e55044-10b1-426f-9247-bb680e5fe0c",
            "67e55044-10b1-426f-9247-bb680e5fe0c88",
            "67e55044-10b1-426f-9247-bb680e5fe0cg",
            "67e55044010b1-426f-9247-bb680e5fe0c8",
            "-7e55044-10b1-426f-9247-bb680e5fe0c8",
            "67e55044-10b1-426f-9247-bb680e5fe0\u{e9}",
            "+7e55044-10b1-426f-9247-bb680e5fe0c8",
        ] {
            let error = text.parse::<Uuid>().unwrap_err().to_string();
            assert!(error.contains(&format!("got {text:?}")), "{error}");
        }
        let error = "x".repeat(1 << 20).parse::<Uuid>().unwrap_err();
        assert!(error.to_string().len() < 400, "{error}");
    }

    proptest! {
        #[test]
        fn every_uuid_round_trips(bits: u128) {
            let uuid = Uuid(bits);
            prop_assert_eq!(uuid.to_string().parse(), Ok(uuid));
        }

        #[test]
        fn no_text_panics(text: String, near in "[0-9a-fA-F-]{34,38}") {
            let _ = (text.parse::<Uuid>(), near.parse::<Uuid>());
        }
    }
}
