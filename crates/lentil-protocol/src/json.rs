//! A writer of JSON objects. Messages consist mostly of values, which append their own JSON.

use lentil_values::{JsonForm, Value};

/// Appends the fields of a JSON object to a buffer.
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub(crate) fn object() -> Writer {
        Writer { out: vec![b'{'] }
    }

    /// Writes the name of a field.
    fn name(&mut self, name: &str) {
        // A written value ends in another byte, so that `{` is always the beginning of an object.
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
        // The names are literals of this crate, which need no escapes.
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// Writes a field with a value in JSON.
    pub(crate) fn raw(&mut self, name: &str, json: &str) -> &mut Writer {
        self.name(name);
        self.out.extend_from_slice(json.as_bytes());
        self
    }

    pub(crate) fn text(&mut self, name: &str, text: &str) -> &mut Writer {
        self.name(name);
        write_text(&mut self.out, text);
        self
    }

    pub(crate) fn optional_text(&mut self, name: &str, text: Option<&str>) -> &mut Writer {
        match text {
            Some(text) => self.text(name, text),
            None => self.raw(name, "null"),
        }
    }

    pub(crate) fn texts(&mut self, name: &str, texts: &[String]) -> &mut Writer {
        self.name(name);
        self.out.push(b'[');
        for (at, text) in texts.iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            write_text(&mut self.out, text);
        }
        self.out.push(b']');
        self
    }

    pub(crate) fn value(&mut self, name: &str, value: &Value, form: JsonForm) -> &mut Writer {
        self.name(name);
        value.write_json(form, &mut self.out);
        self
    }

    /// Writes a field with a list of objects. `write` writes the fields of one object.
    pub(crate) fn objects<T>(
        &mut self,
        name: &str,
        items: &[T],
        write: impl Fn(&T, &mut Writer),
    ) -> &mut Writer {
        self.name(name);
        self.out.push(b'[');
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            self.out.push(b'{');
            write(item, self);
            self.out.push(b'}');
        }
        self.out.push(b']');
        self
    }

    pub(crate) fn finish(mut self) -> String {
        self.out.push(b'}');
        String::from_utf8(self.out).expect("the writer appends only UTF-8")
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("writing to memory does not fail");
}
