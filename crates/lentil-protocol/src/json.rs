//! Writing JSON by hand: a message is mostly values, which write themselves.

use lentil_values::{JsonForm, Value};

/// A JSON object that is being written.
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub(crate) fn object() -> Writer {
        Writer { out: vec![b'{'] }
    }

    /// Begins a field.
    fn name(&mut self, name: &str) {
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// A field whose value is JSON already.
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

    /// A field that is a list of objects; `write` writes the fields of each.
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
        String::from_utf8(self.out).expect("only text has been written")
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a text can be written to memory");
}
