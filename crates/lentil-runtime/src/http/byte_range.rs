use std::ops::Range;

use http::{HeaderMap, HeaderName, header};

/// The bytes of a file that a request selects (RFC 9110, sections 13 and 14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All bytes: 200.
    Whole,
    /// A range: 206.
    Part(Range<u64>),
    /// None, because the client has the file: 304.
    NotModified,
    /// None, because the client expects another file: 412.
    NotMatching,
    /// None, because the range lies beyond the end, or there are several ranges: 416.
    Unsatisfiable,
}

/// The two ways to compare entity tags.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    /// Ignores a `W/` before a tag.
    Weak,
}

/// Evaluates the conditions of a request, and then its range.
pub(crate) fn select(headers: &HeaderMap, etag: &str, size: u64) -> Selection {
    // The order of evaluation is that of RFC 9110, section 13.2.2.
    let has_if_match = headers.contains_key(header::IF_MATCH);
    if has_if_match && !matches_any(headers, &header::IF_MATCH, etag, Comparison::Strong) {
        return Selection::NotMatching;
    }
    if matches_any(headers, &header::IF_NONE_MATCH, etag, Comparison::Weak) {
        return Selection::NotModified;
    }
    // The client would join the range to the beginning of another file.
    let if_range = headers.get(header::IF_RANGE);
    // Byte equality is the strong comparison that `If-Range` requires (RFC 9110, section 13.1.5).
    if if_range.is_some_and(|value| value.as_bytes() != etag.as_bytes()) {
        return Selection::Whole;
    }
    let mut ranges = headers.get_all(header::RANGE).iter();
    let Some(range) = ranges.next() else {
        return Selection::Whole;
    };
    if ranges.next().is_some() {
        return Selection::Unsatisfiable;
    }
    match range.to_str() {
        Ok(range) => parse_range(range, size),
        Err(_) => Selection::Whole,
    }
}

/// Returns whether a header lists this tag or `*`.
fn matches_any(headers: &HeaderMap, name: &HeaderName, etag: &str, comparison: Comparison) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| {
            let tag = match comparison {
                Comparison::Strong => tag,
                Comparison::Weak => tag.strip_prefix("W/").unwrap_or(tag),
            };
            tag == "*" || tag == etag
        })
}

/// Parses a `Range` header. A malformed one is ignored, as the RFC requires.
fn parse_range(header: &str, size: u64) -> Selection {
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
    let range = match (parse_bound(first), parse_bound(last)) {
        // Such a range is invalid, not unsatisfiable (RFC 9110, section 14.1.1).
        (Bound::At(first), Bound::At(last)) if last < first => return Selection::Whole,
        (Bound::At(first), Bound::At(last)) => first..size.min(last.saturating_add(1)),
        (Bound::At(first), Bound::Open) => first..size,
        // A suffix longer than the file selects the whole file (RFC 9110, section 14.1.2).
        (Bound::Open, Bound::At(suffix)) => size.saturating_sub(suffix)..size,
        _ => return Selection::Whole,
    };
    if range.is_empty() {
        Selection::Unsatisfiable
    } else {
        Selection::Part(range)
    }
}

/// One side of the `-` in a range.
enum Bound {
    At(u64),
    Open,
    Malformed,
}

fn parse_bound(text: &str) -> Bound {
    if text.is_empty() {
        return Bound::Open;
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Bound::Malformed;
    }
    // A number above 64 bits lies beyond the end of every file.
    Bound::At(text.parse().unwrap_or(u64::MAX))
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
    fn every_form_of_a_range_is_parsed() {
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
    fn ranges_beyond_the_end_and_several_ranges_are_refused() {
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
    fn malformed_ranges_are_ignored() {
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
            "an empty file has no ranges"
        );
    }

    #[test]
    fn conditions_are_evaluated_before_the_range() {
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
            "a weak tag never matches strongly"
        );
        assert_eq!(with(header::IF_MATCH, "*"), Selection::Part(0..2));
        assert_eq!(with(header::IF_RANGE, "\"abc\""), Selection::Part(0..2));
        assert_eq!(with(header::IF_RANGE, "\"x\""), Selection::Whole);
    }

    proptest::proptest! {
        #[test]
        fn every_part_is_within_the_file(text in "(bytes=)?[ -~]{0,24}", size: u64) {
            if let Selection::Part(range) = selected(size, &[(header::RANGE, &text)]) {
                proptest::prop_assert!(range.start < range.end && range.end <= size);
            }
        }
    }
}
