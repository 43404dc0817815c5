use crate::json::Writer;

/// A long message as `TransitionChunk`s of about `bytes` bytes, whose texts in order are the message.
///
/// Only npm clients from 1.28 on put them together; nothing but a `Ping` may come between two of them.
pub fn chunks(message: &str, id: &str, bytes: usize) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let end = rest.floor_char_boundary(bytes.max(4));
        let (part, after) = rest.split_at(end);
        parts.push(part);
        rest = after;
    }
    let total = parts.len().to_string();
    let write = |(number, part): (usize, &&str)| {
        let mut json = Writer::object();
        json.text("type", "TransitionChunk")
            .text("chunk", part)
            .raw("partNumber", &number.to_string());
        json.raw("totalParts", &total).text("transitionId", id);
        json.finish()
    };
    parts.iter().enumerate().map(write).collect()
}

#[cfg(test)]
mod tests {
    use super::chunks;

    #[test]
    fn the_parts_are_the_whole_and_are_cut_between_characters() {
        let message = "aé😀".repeat(100);
        for bytes in [1, 5, 64, 10_000] {
            let parts = chunks(&message, "t", bytes);
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
