use crate::json::Writer;

/// A long message, split into `TransitionChunk` messages by an iterator. The client concatenates
/// their texts.
///
/// Npm clients support chunks since version 1.28. Only a `Ping` may be sent between two chunks.
#[derive(Debug)]
pub struct Chunks {
    message: String,
    id: String,
    bytes: usize,
    total: usize,
    /// The number of the next chunk.
    number: usize,
    /// The position of the next chunk in the message.
    at: usize,
}

impl Chunks {
    /// Splits the message into chunks of up to this many bytes, but at least one character.
    pub fn new(message: String, id: &str, bytes: usize) -> Chunks {
        // A character has up to four bytes. A smaller chunk could make no progress.
        let bytes = bytes.max(4);
        // Each chunk carries the total. This loop must cut the message where `next` does.
        let mut total = 0;
        let mut at = 0;
        while at < message.len() {
            at += message[at..].floor_char_boundary(bytes);
            total += 1;
        }
        Chunks {
            message,
            id: id.to_owned(),
            bytes,
            total,
            number: 0,
            at: 0,
        }
    }

    /// Returns the number of bytes in the chunks that remain.
    pub fn remaining(&self) -> usize {
        self.message.len() - self.at
    }
}

impl Iterator for Chunks {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let rest = &self.message[self.at..];
        if rest.is_empty() {
            return None;
        }
        let part = &rest[..rest.floor_char_boundary(self.bytes)];
        debug_assert!(
            !part.is_empty(),
            "a chunk has room for a character of four bytes"
        );
        let mut json = Writer::object();
        json.text("type", "TransitionChunk")
            .text("chunk", part)
            .raw("partNumber", &self.number.to_string())
            .raw("totalParts", &self.total.to_string())
            .text("transitionId", &self.id);
        self.at += part.len();
        self.number += 1;
        Some(json.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::Chunks;

    #[test]
    fn chunks_are_cut_between_characters_and_concatenate_to_the_message() {
        let message = "aé😀".repeat(100);
        for bytes in [1, 5, 64, 10_000] {
            let parts: Vec<String> = Chunks::new(message.clone(), "t", bytes).collect();
            let read = parts
                .iter()
                .map(|part| serde_json::from_str::<serde_json::Value>(part).unwrap());
            let texts: String = read
                .clone()
                .map(|part| part["chunk"].as_str().unwrap().to_owned())
                .collect();
            assert_eq!(texts, message);
            for (number, part) in read.enumerate() {
                assert_eq!(
                    (part["partNumber"].as_u64(), part["totalParts"].as_u64()),
                    (Some(number as u64), Some(parts.len() as u64))
                );
            }
        }
    }
}
