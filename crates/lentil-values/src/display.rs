//! The text of values in messages, in the notation of JavaScript: `{a: "x", n: 3, big: 5n}`.

use std::fmt::{self, Write};

use crate::name::check_identifier;
use crate::value::{Object, Value};

/// The number of bytes that a message shows of a value.
const MAX_SHOWN_BYTES: usize = 200;

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        truncate(f, |out| write_value(out, self))
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        truncate(f, |out| write_object(out, self))
    }
}

/// Text of a client in an error message. Prints in quotes, and a long text is truncated with `…`.
#[derive(Clone, Copy, Debug)]
pub struct Excerpt<'t>(pub &'t str);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        truncate(f, |out| write_text(out, self.0))
    }
}

/// Prints the output of `write`, and truncates it with `…` if it is too long.
fn truncate(
    f: &mut fmt::Formatter<'_>,
    write: impl Fn(&mut Truncated) -> fmt::Result,
) -> fmt::Result {
    let mut out = Truncated(String::new());
    // The only error of `Truncated` is that it is full, so the error is not passed on.
    let is_complete = write(&mut out).is_ok();
    f.write_str(&out.0)?;
    if is_complete {
        Ok(())
    } else {
        f.write_char('…')
    }
}

/// Accepts at most [`MAX_SHOWN_BYTES`] bytes, so that formatting stops early for a large value.
struct Truncated(String);

impl Write for Truncated {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MAX_SHOWN_BYTES - self.0.len();
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        if text.len() <= room {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

fn write_value(out: &mut Truncated, value: &Value) -> fmt::Result {
    match value {
        Value::Null => out.write_str("null"),
        Value::Int64(number) => write!(out, "{number}n"),
        Value::Float64(number) => write_float(out, *number),
        Value::Boolean(boolean) => write!(out, "{boolean}"),
        Value::String(text) => write_text(out, text),
        Value::Bytes(bytes) => write!(out, "bytes of length {}", bytes.len()),
        Value::Array(elements) => write_list(out, ('[', ']'), elements.iter(), write_value),
        Value::Object(object) => write_object(out, object),
    }
}

fn write_object(out: &mut Truncated, object: &Object) -> fmt::Result {
    write_list(out, ('{', '}'), object.iter(), |out, (name, value)| {
        // As in JavaScript, where a key needs quotes unless it is an identifier.
        match check_identifier(name.as_str()) {
            Ok(()) => out.write_str(name.as_str())?,
            Err(_) => write_text(out, name.as_str())?,
        }
        out.write_str(": ")?;
        write_value(out, value)
    })
}

/// Writes at most the visible part of a text, quoted as in JSON.
fn write_text(out: &mut Truncated, text: &str) -> fmt::Result {
    // Truncated before it is quoted: quoting reads the whole text, which may have megabytes.
    let shown = &text[..text.floor_char_boundary(MAX_SHOWN_BYTES)];
    let quoted = serde_json::to_string(shown).expect("text is JSON");
    out.write_str(&quoted)
}

fn write_float(out: &mut Truncated, number: f64) -> fmt::Result {
    // JavaScript prints -0 as `0`, but here the two are different values and index keys.
    if number == 0.0 && number.is_sign_negative() {
        return out.write_str("-0");
    }
    out.write_str(ryu_js::Buffer::new().format(number))
}

fn write_list<T>(
    out: &mut Truncated,
    (open, close): (char, char),
    items: impl Iterator<Item = T>,
    write_item: impl Fn(&mut Truncated, T) -> fmt::Result,
) -> fmt::Result {
    out.write_char(open)?;
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.write_str(", ")?;
        }
        write_item(out, item)?;
    }
    out.write_char(close)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_values::object;

    #[test]
    fn a_value_prints_in_the_notation_of_javascript() {
        let list = Value::Array(vec![
            Value::Float64(1.0),
            Value::Float64(-0.0),
            Value::Float64(f64::NAN),
            true.into(),
        ]);
        let value = object(&[
            ("a", "x\"".into()),
            ("n", Value::Int64(5)),
            ("z", list),
            ("b", Value::Bytes(vec![1])),
        ]);
        assert_eq!(
            value.to_string(),
            r#"{a: "x\"", b: bytes of length 1, n: 5n, z: [1, -0, NaN, true]}"#
        );
        let odd = object(&[("", "\n".into()), ("a b", Value::Float64(1.5))]);
        assert_eq!(odd.to_string(), r#"{"": "\n", "a b": 1.5}"#);
    }

    #[test]
    fn an_excerpt_is_quoted_and_truncated() {
        assert_eq!(Excerpt("a \"b\"\n").to_string(), r#""a \"b\"\n""#);
        let shown = Excerpt(&"\0".repeat(1 << 20)).to_string();
        assert!(shown.len() <= MAX_SHOWN_BYTES + '…'.len_utf8(), "{shown}");
    }

    #[test]
    fn a_long_value_is_truncated() {
        let shown = Value::from("é".repeat(10_000)).to_string();
        assert!(
            shown.len() <= MAX_SHOWN_BYTES + '…'.len_utf8() && shown.ends_with('…'),
            "{shown}"
        );
    }
}
