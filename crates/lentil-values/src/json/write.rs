use data_encoding::BASE64;

use super::JsonForm;
use super::special::Special;
use crate::value::{Object, Value};

impl Value {
    /// Returns the value as JSON text.
    pub fn to_json(&self, form: JsonForm) -> String {
        let mut text = buffer_for(self.size());
        self.write_json(form, &mut text);
        String::from_utf8(text).expect("JSON is UTF-8")
    }

    /// Appends the value as JSON text, with keys in order and without white space.
    pub fn write_json(&self, form: JsonForm, out: &mut Vec<u8>) {
        match self {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Boolean(true) => out.extend_from_slice(b"true"),
            Value::Boolean(false) => out.extend_from_slice(b"false"),
            Value::Int64(number) => write_int(*number, form, out),
            Value::Float64(number) => write_float(*number, form, out),
            Value::String(text) => write_text(text, out),
            Value::Bytes(bytes) if form == JsonForm::Encoded => {
                write_special(Special::Bytes, bytes, out)
            }
            Value::Bytes(bytes) => write_text(&BASE64.encode(bytes), out),
            Value::Array(elements) => write_array(elements, form, out),
            Value::Object(object) => object.write_json(form, out),
        }
    }

    /// Returns the value as a JSON tree.
    pub fn to_serde_json(&self, form: JsonForm) -> serde_json::Value {
        // Through the text, so that each form has one implementation.
        serde_json::from_str(&self.to_json(form)).expect("the written text is JSON")
    }
}

impl Object {
    /// Returns the object as JSON text.
    pub fn to_json(&self, form: JsonForm) -> String {
        let mut text = buffer_for(self.size());
        self.write_json(form, &mut text);
        String::from_utf8(text).expect("JSON is UTF-8")
    }

    /// Appends the object as JSON text, as [`Value::write_json`] does.
    pub fn write_json(&self, form: JsonForm, out: &mut Vec<u8>) {
        out.push(b'{');
        self.write_fields(form, out);
        out.push(b'}');
    }

    /// Appends the fields as [`Object::write_json`] does, without the braces.
    pub fn write_fields(&self, form: JsonForm, out: &mut Vec<u8>) {
        for (at, (name, value)) in self.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_text(name.as_str(), out);
            out.push(b':');
            value.write_json(form, out);
        }
    }
}

/// Returns a buffer with the usual length of the JSON of a value of this size.
fn buffer_for(size: usize) -> Vec<u8> {
    Vec::with_capacity(size + size / 4 + 16)
}

fn write_array(elements: &[Value], form: JsonForm, out: &mut Vec<u8>) {
    out.push(b'[');
    for (at, element) in elements.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        element.write_json(form, out);
    }
    out.push(b']');
}

fn write_int(number: i64, form: JsonForm, out: &mut Vec<u8>) {
    match form {
        JsonForm::Encoded => write_special(Special::Integer, &number.to_le_bytes(), out),
        JsonForm::Clean | JsonForm::JavaScript => write_text(&number.to_string(), out),
    }
}

fn write_float(number: f64, form: JsonForm, out: &mut Vec<u8>) {
    let is_negative_zero = number == 0.0 && number.is_sign_negative();
    match form {
        // `JSON.stringify(-0)` is `0`, so Convex sends -0 as a `$float`, too.
        JsonForm::Encoded if !number.is_finite() || is_negative_zero => {
            write_special(Special::Float, &number.to_le_bytes(), out);
        }
        JsonForm::JavaScript if !number.is_finite() => out.extend_from_slice(b"null"),
        JsonForm::JavaScript => {
            out.extend_from_slice(ryu_js::Buffer::new().format(number).as_bytes())
        }
        // JSON has no literals for NaN and the infinities.
        JsonForm::Clean if number.is_nan() => write_text("NaN", out),
        JsonForm::Clean if number.is_infinite() => {
            write_text(
                if number > 0.0 {
                    "Infinity"
                } else {
                    "-Infinity"
                },
                out,
            );
        }
        JsonForm::Encoded | JsonForm::Clean => {
            serde_json::to_writer(out, &number)
                .expect("a finite number is JSON, and writing to memory does not fail");
        }
    }
}

fn write_special(special: Special, bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"");
    out.extend_from_slice(special.key().as_bytes());
    out.extend_from_slice(b"\":\"");
    out.extend_from_slice(BASE64.encode(bytes).as_bytes());
    out.extend_from_slice(b"\"}");
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    // Most text needs no escapes. A fold without an early exit is vectorised, and faster than
    // `any`.
    let is_escaped = |byte: u8| (byte < b' ') | (byte == b'"') | (byte == b'\\');
    if !text.bytes().fold(false, |any, byte| any | is_escaped(byte)) {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    serde_json::to_writer(out, text).expect("text is JSON, and writing to memory does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_values::object;

    #[test]
    fn each_form_writes_every_type() {
        let float = Value::Float64;
        for (value, encoded, clean, javascript) in [
            (Value::Null, "null", "null", "null"),
            (
                Value::Int64(5),
                r#"{"$integer":"BQAAAAAAAAA="}"#,
                r#""5""#,
                r#""5""#,
            ),
            (float(1.0), "1.0", "1.0", "1"),
            (
                float(1_234_567_890.0),
                "1234567890.0",
                "1234567890.0",
                "1234567890",
            ),
            (float(0.1), "0.1", "0.1", "0.1"),
            (float(1e21), "1e+21", "1e+21", "1e+21"),
            (
                float(f64::NAN),
                r#"{"$float":"AAAAAAAA+H8="}"#,
                r#""NaN""#,
                "null",
            ),
            (
                float(f64::INFINITY),
                r#"{"$float":"AAAAAAAA8H8="}"#,
                r#""Infinity""#,
                "null",
            ),
            (
                float(f64::NEG_INFINITY),
                r#"{"$float":"AAAAAAAA8P8="}"#,
                r#""-Infinity""#,
                "null",
            ),
            (float(-0.0), r#"{"$float":"AAAAAAAAAIA="}"#, "-0.0", "0"),
            (
                Value::Bytes(vec![0, 1, 255]),
                r#"{"$bytes":"AAH/"}"#,
                r#""AAH/""#,
                r#""AAH/""#,
            ),
            (Value::Bytes(vec![]), r#"{"$bytes":""}"#, r#""""#, r#""""#),
            ("é\"\n".into(), r#""é\"\n""#, r#""é\"\n""#, r#""é\"\n""#),
            (
                object(&[
                    ("b", true.into()),
                    ("a", Value::Array(vec![false.into(), Value::Null])),
                ]),
                r#"{"a":[false,null],"b":true}"#,
                r#"{"a":[false,null],"b":true}"#,
                r#"{"a":[false,null],"b":true}"#,
            ),
        ] {
            assert_eq!(value.to_json(JsonForm::Encoded), encoded);
            assert_eq!(value.to_json(JsonForm::Clean), clean);
            assert_eq!(value.to_json(JsonForm::JavaScript), javascript);
        }
    }

    #[test]
    fn integers_are_little_endian_base64() {
        for (number, base64) in [
            (0, "AAAAAAAAAAA="),
            (1, "AQAAAAAAAAA="),
            (-1, "//////////8="),
            (256, "AAEAAAAAAAA="),
            (i64::MAX, "/////////38="),
            (i64::MIN, "AAAAAAAAAIA="),
        ] {
            assert_eq!(
                Value::Int64(number).to_json(JsonForm::Encoded),
                format!(r#"{{"$integer":"{base64}"}}"#)
            );
        }
    }
}
