/// An HTTP answer that has come whole: the least a client must understand of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
}

impl Answer {
    /// Reads an answer; `None` until all of it is there.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Answer> {
        let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..head_end]).ok()?;
        let length = head.split("\r\n").find_map(content_length).unwrap_or(0);
        let is_whole = bytes.len() >= head_end + 4 + length;
        let status = head.get(9..12)?.parse().ok()?;
        is_whole.then_some(Answer { status })
    }
}

fn content_length(line: &str) -> Option<usize> {
    let (name, value) = line.split_at_checked("content-length:".len())?;
    name.eq_ignore_ascii_case("content-length:")
        .then(|| value.trim().parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_when_it_is_whole() {
        let text = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\ndate: now\r\n\r\nhello";
        for cut in 0..text.len() {
            assert_eq!(Answer::parse(&text[..cut]), None, "{cut}");
        }
        assert_eq!(Answer::parse(text), Some(Answer { status: 404 }));
    }
}
