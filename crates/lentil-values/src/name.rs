use std::borrow::{Borrow, Cow};
use std::fmt;

/// The name of an object's field: up to 1,024 printable ASCII characters, the first of which is not
/// `$`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
// The derives name fields by literals, which cost no allocation as a `Cow`.
pub struct FieldName(Cow<'static, str>);

/// A name is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// A field name has more than 1,024 characters.
    #[error("a field name has {0} characters; the limit is {MAX_FIELD_NAME}")]
    TooLong(usize),
    /// A field name begins with `$`, which has a meaning in the JSON encoding of values.
    #[error("the field name {0:?} begins with `$`, which is reserved")]
    Dollar(String),
    /// A field name contains a character that is not printable ASCII.
    #[error("the field name {0:?} contains a character that is not printable ASCII")]
    NotAscii(String),
    /// The name of a table, an index, a function or a validator's field is not an identifier.
    #[error(
        "{0:?} is not a valid name: use up to 64 letters, digits and `_`; begin with a letter or `_`, and do not use `_` alone"
    )]
    NotIdentifier(String),
}

const MAX_FIELD_NAME: usize = 1_024;

impl FieldName {
    /// Checks a name.
    ///
    /// # Errors
    /// Returns [`NameError`] if the name is too long, begins with `$`, or is not printable ASCII.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Result<FieldName, NameError> {
        let name = name.into();
        // The length is checked first: the other errors contain the whole name.
        if name.len() > MAX_FIELD_NAME {
            return Err(NameError::TooLong(name.len()));
        }
        if name.starts_with('$') {
            return Err(NameError::Dollar(name.into_owned()));
        }
        if !is_printable(name.as_bytes()) {
            return Err(NameError::NotAscii(name.into_owned()));
        }
        Ok(FieldName(name))
    }

    /// Returns a literal as a name.
    ///
    /// # Panics
    /// Panics if the name is not valid. In a constant, this is a compile error.
    pub const fn from_static(name: &'static str) -> FieldName {
        let bytes = name.as_bytes();
        let begins_well = bytes.is_empty() || bytes[0] != b'$';
        assert!(
            begins_well && bytes.len() <= MAX_FIELD_NAME && is_printable(bytes),
            "a literal field name is well formed"
        );
        FieldName(Cow::Borrowed(name))
    }

    /// Returns the bytes that the name has allocated: none if it is a literal.
    pub(crate) fn allocated(&self) -> usize {
        match &self.0 {
            Cow::Borrowed(_) => 0,
            Cow::Owned(name) => name.capacity(),
        }
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// A loop, because iterators do not work in a `const fn`.
const fn is_printable(mut text: &[u8]) -> bool {
    while let [first, rest @ ..] = text {
        if *first < b' ' || *first > b'~' {
            return false;
        }
        text = rest;
    }
    true
}

impl Borrow<str> for FieldName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<FieldName> for String {
    fn from(name: FieldName) -> String {
        name.0.into_owned()
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Checks the name of a table, an index, a function or a validator's field.
///
/// # Errors
/// Returns [`NameError::NotIdentifier`] unless the name consists of up to 64 letters, digits and
/// `_`, does not begin with a digit, and contains another character than `_`.
pub fn check_identifier(name: &str) -> Result<(), NameError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if begins_well && name.len() <= 64 && name.chars().all(legal) && name.chars().any(|c| c != '_')
    {
        return Ok(());
    }
    // The name may come from a client, and have any length.
    Err(NameError::NotIdentifier(name.chars().take(80).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_names_are_those_that_the_official_client_accepts() {
        for name in ["", "a", "a b", "_x", "a$", &"x".repeat(1_024)] {
            assert!(FieldName::new(name.to_owned()).is_ok(), "{name}");
        }
        for name in ["$x", "é", "a\n", &"x".repeat(1_025)] {
            assert!(FieldName::new(name.to_owned()).is_err(), "{name}");
        }
    }

    #[test]
    fn a_literal_name_is_checked_at_compile_time() {
        const NAME: FieldName = FieldName::from_static("jobId");
        assert_eq!(NAME, FieldName::new("jobId").unwrap());
        for name in ["$x", "\u{e9}", "a\u{7f}"] {
            assert!(
                std::panic::catch_unwind(|| FieldName::from_static(name)).is_err(),
                "{name}"
            );
        }
    }

    #[test]
    fn identifiers_look_like_variable_names() {
        for name in ["a", "_a", "by_jobId", "A9", &"x".repeat(64)] {
            assert!(check_identifier(name).is_ok(), "{name}");
        }
        for name in ["", "_", "__", "9a", "a-b", "é", &"x".repeat(65)] {
            assert!(check_identifier(name).is_err(), "{name}");
        }
    }
}
