/// A complete HTTP response, of which the load generator needs only the status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HttpResponse {
    pub(crate) status: u16,
}

impl HttpResponse {
    /// Parses a response; `None` while it is incomplete.
    pub(crate) fn parse(bytes: &[u8]) -> Option<HttpResponse> {
        let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&bytes[..head_end]).ok()?;
        let length = head.split("\r\n").find_map(content_length).unwrap_or(0);
        let is_whole = bytes.len() >= head_end + 4 + length;
        let status = head.get(9..12)?.parse().ok()?;
        is_whole.then_some(HttpResponse { status })
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
    fn an_incomplete_response_is_not_parsed() {
        let text = b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\ndate: now\r\n\r\nhello";
        for cut in 0..text.len() {
            assert_eq!(HttpResponse::parse(&text[..cut]), None, "{cut}");
        }
        assert_eq!(
            HttpResponse::parse(text),
            Some(HttpResponse { status: 404 })
        );
    }
}
