use std::ops::Range;

use http::{HeaderMap, HeaderName, header};

/// Which of a file's bytes a request wants (RFC 9110, 13 and 14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// All: 200.
    Whole,
    /// These: 206.
    Part(Range<u64>),
    /// None, for the client has them: 304.
    NotModified,
    /// None, for the client wants another file: 412.
    NotMatching,
    /// None, for there are none such, or it asks for several parts: 416.
    Unsatisfiable,
}

/// Reads the conditions first, then the range.
pub(super) fn select(headers: &HeaderMap, etag: &str, size: u64) -> Selection {
    if headers.contains_key(header::IF_MATCH) && !lists(headers, &header::IF_MATCH, etag, false) {
        return Selection::NotMatching;
    }
    if lists(headers, &header::IF_NONE_MATCH, etag, true) {
        return Selection::NotModified;
    }
    // A part of another file than the client has begun with would be of no use to it.
    let if_range = headers.get(header::IF_RANGE);
    if if_range.is_some_and(|value| value.as_bytes() != etag.as_bytes()) {
        return Selection::Whole;
    }
    let mut ranges = headers.get_all(header::RANGE).iter();
    match (ranges.next(), ranges.next()) {
        (None, _) => Selection::Whole,
        (Some(range), None) => range
            .to_str()
            .map_or(Selection::Whole, |range| part(range, size)),
        (Some(_), Some(_)) => Selection::Unsatisfiable,
    }
}

/// Whether a list of tags has this one, or is `*`. In a weak comparison `W/` before a tag says nothing.
fn lists(headers: &HeaderMap, name: &HeaderName, etag: &str, weak: bool) -> bool {
    let values = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| {
            let tag = if weak {
                tag.strip_prefix("W/").unwrap_or(tag)
            } else {
                tag
            };
            tag == "*" || tag == etag
        })
}

/// What is no range of bytes is as if it had not been said.
fn part(header: &str, size: u64) -> Selection {
    let Some((unit, ranges)) = header.split_once('=') else {
        return Selection::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") || size == 0 {
        return Selection::Whole;
    }
    if ranges.contains(',') {
        return Selection::Unsatisfiable;
    }
    let Some((first, last)) = ranges.trim().split_once('-') else {
        return Selection::Whole;
    };
    let range = match (number(first), number(last)) {
        (Some(Some(first)), Some(last)) => {
            if last.is_some_and(|last| last < first) {
                return Selection::Whole;
            }
            first..last.map_or(size, |last| size.min(last.saturating_add(1)))
        }
        (Some(None), Some(Some(suffix))) => size.saturating_sub(suffix)..size,
        _ => return Selection::Whole,
    };
    if range.is_empty() {
        Selection::Unsatisfiable
    } else {
        Selection::Part(range)
    }
}

/// `Some(None)` for nothing at all. A number too large for 64 bits is beyond every file's end.
fn number(text: &str) -> Option<Option<u64>> {
    match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true if text.is_empty() => Some(None),
        true => Some(Some(text.parse().unwrap_or(u64::MAX))),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETAG: &str = "\"abc\"";

    fn selected(size: u64, headers: &[(HeaderName, &str)]) -> Selection {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().unwrap());
        }
        select(&map, ETAG, size)
    }

    fn ranged(range: &str) -> Selection {
        selected(10, &[(header::RANGE, range)])
    }

    #[test]
    fn every_form_of_a_range_is_read() {
        for (text, range) in [
            ("bytes=0-0", 0..1),
            ("bytes=2-4", 2..5),
            ("bytes=9-", 9..10),
            ("bytes=0-", 0..10),
            ("bytes=5-100", 5..10),
            ("bytes=-3", 7..10),
            ("bytes=-100", 0..10),
            ("BYTES=1-1", 1..2),
            ("bytes=1-99999999999999999999999", 1..10),
        ] {
            assert_eq!(ranged(text), Selection::Part(range), "{text}");
        }
    }

    #[test]
    fn a_range_beyond_the_end_and_several_are_refused() {
        for text in [
            "bytes=10-",
            "bytes=10-20",
            "bytes=-0",
            "bytes=0-1,3-4",
            "bytes=,",
            "bytes=99999999999999999999-",
        ] {
            assert_eq!(ranged(text), Selection::Unsatisfiable, "{text}");
        }
        assert_eq!(
            selected(
                10,
                &[(header::RANGE, "bytes=0-1"), (header::RANGE, "bytes=2-3")]
            ),
            Selection::Unsatisfiable
        );
    }

    #[test]
    fn what_is_no_range_is_as_if_it_had_not_been_said() {
        for text in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=4-2",
            "bytes=a-b",
            "bytes=+1-2",
            "lines=1-2",
            "bytes=1",
        ] {
            assert_eq!(ranged(text), Selection::Whole, "{text}");
        }
        assert_eq!(
            selected(0, &[(header::RANGE, "bytes=0-")]),
            Selection::Whole,
            "nothing has no parts"
        );
    }

    #[test]
    fn conditions_come_before_the_range() {
        let range = (header::RANGE, "bytes=0-1");
        let with = |name, value| selected(10, &[(name, value), range.clone()]);
        assert_eq!(
            with(header::IF_NONE_MATCH, "\"abc\""),
            Selection::NotModified
        );
        assert_eq!(
            with(header::IF_NONE_MATCH, "\"x\", W/\"abc\""),
            Selection::NotModified
        );
        assert_eq!(with(header::IF_NONE_MATCH, "*"), Selection::NotModified);
        assert_eq!(with(header::IF_NONE_MATCH, "\"x\""), Selection::Part(0..2));
        assert_eq!(with(header::IF_MATCH, "\"x\""), Selection::NotMatching);
        assert_eq!(
            with(header::IF_MATCH, "W/\"abc\""),
            Selection::NotMatching,
            "a weak tag names no bytes"
        );
        assert_eq!(with(header::IF_MATCH, "*"), Selection::Part(0..2));
        assert_eq!(with(header::IF_RANGE, "\"abc\""), Selection::Part(0..2));
        assert_eq!(with(header::IF_RANGE, "\"x\""), Selection::Whole);
    }

    proptest::proptest! {
        #[test]
        fn no_header_panics_and_every_part_is_within_the_file(text in "(bytes=)?[ -~]{0,24}", size: u64) {
            if let Selection::Part(range) = selected(size, &[(header::RANGE, &text)]) {
                proptest::prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }
}
