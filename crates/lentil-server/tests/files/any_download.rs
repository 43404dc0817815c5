//! Any request for a file: the server does not fail, and every response has the bytes of its range.

use proptest::prelude::*;
use proptest::sample::select;

use crate::HttpResponse;
use crate::any_upload::{RUNTIME, header_value, other_headers, start};

/// The bytes that a download requests.
#[derive(Clone, Debug)]
enum RequestedRange {
    All,
    From(u64),
    FromTo(u64, u64),
    Last(u64),
    Other(Vec<u8>),
}

fn requested() -> impl Strategy<Value = RequestedRange> {
    let number = || prop_oneof![4 => 0_u64..60, 1 => any::<u64>()];
    prop_oneof![
        Just(RequestedRange::All),
        number().prop_map(RequestedRange::From),
        (number(), number()).prop_map(|(first, last)| RequestedRange::FromTo(first, last)),
        number().prop_map(RequestedRange::Last),
        header_value().prop_map(RequestedRange::Other),
    ]
}

impl RequestedRange {
    fn header(&self) -> Vec<u8> {
        match self {
            RequestedRange::All => Vec::new(),
            RequestedRange::From(first) => format!("range: bytes={first}-\r\n").into_bytes(),
            RequestedRange::FromTo(first, last) => {
                format!("range: bytes={first}-{last}\r\n").into_bytes()
            }
            RequestedRange::Last(count) => format!("range: bytes=-{count}\r\n").into_bytes(),
            RequestedRange::Other(value) => [b"range: ", &value[..], b"\r\n"].concat(),
        }
    }

    /// Returns the expected status and bytes of a request without conditions.
    fn expected<'c>(&self, content: &'c [u8]) -> Option<(u16, &'c [u8])> {
        let size = content.len() as u64;
        let (first, last) = match *self {
            RequestedRange::All => return Some((200, content)),
            RequestedRange::Other(_) => return None,
            // A range that ends before it begins is ignored.
            RequestedRange::FromTo(first, last) if first > last => return Some((200, content)),
            RequestedRange::From(first) => (first, u64::MAX),
            RequestedRange::FromTo(first, last) => (first, last),
            RequestedRange::Last(0) => return Some((416, &[])),
            RequestedRange::Last(count) => (size.saturating_sub(count), u64::MAX),
        };
        if first >= size {
            return Some((416, &[]));
        }
        Some((206, &content[first as usize..=last.min(size - 1) as usize]))
    }
}

/// A path under `/api/storage/`, usually that of the file.
fn path() -> impl Strategy<Value = Option<String>> {
    prop_oneof![8 => Just(None), 1 => "[!-\"$-~]{0,50}".prop_map(Some), 1 => "[0-9a-f-]{36}".prop_map(Some)]
}

fn check_download(
    response: &HttpResponse,
    method: &str,
    requested: &RequestedRange,
    is_plain: bool,
    content: &[u8],
) {
    let status = response.status;
    assert!(
        matches!(status, 200 | 206 | 304 | 400 | 404 | 405 | 412 | 416),
        "{response:?}"
    );
    if method == "HEAD" || matches!(status, 304 | 412 | 416) {
        assert!(response.body.is_empty(), "{response:?}");
    } else if status == 206 {
        let range = response
            .header("content-range")
            .and_then(|range| range.strip_prefix("bytes "));
        let (range, size) = range.and_then(|range| range.split_once('/')).unwrap();
        let (first, last) = range.split_once('-').unwrap();
        let range = first.parse::<usize>().unwrap()..=last.parse::<usize>().unwrap();
        assert_eq!(size.parse(), Ok(content.len()));
        assert!(response.body == content[range], "{response:?}");
    } else if status == 200 {
        assert!(response.body == content, "{response:?}");
    }
    if let Some((status, bytes)) = requested.expected(content).filter(|_| is_plain) {
        assert_eq!(response.status, status, "{requested:?}: {response:?}");
        assert!(
            method == "HEAD" || response.body == bytes,
            "{requested:?}: {response:?}"
        );
    }
}

#[test]
fn every_response_has_bytes_of_the_file() {
    let running = start();
    let content: Vec<u8> = (0..47).collect();
    let url = RUNTIME.block_on(running.stored(&[], &content));
    let methods = select(vec![
        "GET", "GET", "GET", "HEAD", "POST", "OPTIONS", "DELETE", "PUT", "X",
    ]);
    proptest!(|(method in methods, path in path(), requested in requested(), others in other_headers())| {
        let is_file = path.is_none();
        let path = path.map_or(url.clone(), |path| format!("/api/storage/{path}"));
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n").into_bytes();
        request.extend(requested.header());
        for (name, value) in &others {
            request.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        request.extend(b"\r\n");
        let response = RUNTIME.block_on(running.ask(request));
        let is_plain = is_file && matches!(method, "GET" | "HEAD")
            && others.iter().all(|(name, _)| !name.starts_with("if-") && *name != "range");
        if is_file && matches!(method, "GET" | "HEAD") {
            check_download(&response, method, &requested, is_plain, &content);
        } else {
            assert!(matches!(response.status, 204 | 400 | 401 | 404 | 405), "{response:?}");
        }
    });
}
