//! The host that a request names (RFC 9112, section 3.2, and RFC 9113, section 8.3.1).

use std::net::Ipv6Addr;

use http::request::Parts;
use http::{HeaderValue, Version, header};

/// Checks that the request names one well-formed host.
///
/// HTTP/1.1 requires the header `Host`, also with an absolute target. HTTP/1.0 does not require it.
/// In HTTP/2 the pseudo-header `:authority` replaces it.
///
/// # Errors
/// The message that the client receives.
pub(crate) fn check(request: &Parts) -> Result<(), &'static str> {
    let mut hosts = request.headers.get_all(header::HOST).into_iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err("the header Host is repeated; send it once");
    }
    if host.is_some_and(|host| !is_authority(host.as_bytes())) {
        return Err("the header Host is malformed; send a host name or an address, and a port");
    }
    let authority = request.uri.authority();
    if authority.is_some_and(|authority| !is_authority(authority.as_str().as_bytes())) {
        return Err("the target's host is malformed; send a host name or an address, and a port");
    }
    match request.version {
        Version::HTTP_09 | Version::HTTP_10 => Ok(()),
        Version::HTTP_11 if host.is_some() => Ok(()),
        Version::HTTP_11 => Err("the header Host is missing; HTTP/1.1 requires it"),
        _ => check_http2(request, host),
    }
}

fn check_http2(request: &Parts, host: Option<&HeaderValue>) -> Result<(), &'static str> {
    match (request.uri.authority(), host) {
        (None, None) => Err("`:authority` is missing; HTTP/2 requires it"),
        (Some(authority), Some(host))
            if !host
                .as_bytes()
                .eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            Err("`:authority` and the header Host name different hosts")
        }
        _ => Ok(()),
    }
}

/// Returns whether this is a `uri-host [ ":" port ]` of RFC 3986, with a host that is not empty.
fn is_authority(text: &[u8]) -> bool {
    if let Some(literal) = text.strip_prefix(b"[") {
        let Some(end) = literal.iter().position(|&byte| byte == b']') else {
            return false;
        };
        let address = str::from_utf8(&literal[..end]).unwrap_or_default();
        let rest = &literal[end + 1..];
        let has_valid_rest = rest.is_empty() || rest.strip_prefix(b":").is_some_and(is_port);
        return address.parse::<Ipv6Addr>().is_ok() && has_valid_rest;
    }
    let end = text.iter().position(|&byte| byte == b':');
    let (name, port) = match end {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &b""[..]),
    };
    !name.is_empty() && is_name(name) && is_port(port)
}

/// Returns whether this is a `reg-name`. An IPv4 address is one too.
fn is_name(name: &[u8]) -> bool {
    let mut rest = name;
    while let [first, after @ ..] = rest {
        rest = match first {
            byte if byte.is_ascii_alphanumeric() => after,
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+'
            | b',' | b';' | b'=' => after,
            b'%' => match after {
                [high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    after
                }
                _ => return false,
            },
            _ => return false,
        };
    }
    true
}

fn is_port(port: &[u8]) -> bool {
    port.is_empty() || str::from_utf8(port).is_ok_and(is_port_number)
}

fn is_port_number(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn hosts_follow_rfc_3986() {
        for host in [
            "test",
            "example.com:3210",
            "127.0.0.1",
            "[::1]",
            "[2001:db8::1]:80",
            "a_b-c.d",
            "x%2Dy",
            "x:",
            "sub!delims,too",
        ] {
            assert!(is_authority(host.as_bytes()), "{host}");
        }
        for host in [
            "", ":80", "a b", "a/b", "a@b", "a?b", "a#b", "a:b", "a:+1", "a:1:2", "a:65536",
            "[::1", "[x]", "[::1]x", "::1", "a%2", "a%zz", "a\\b", "a<b", "é",
        ] {
            assert!(!is_authority(host.as_bytes()), "{host:?}");
        }
    }

    fn is_accepted(version: Version, uri: &str, hosts: &[&str]) -> bool {
        let mut request = Request::builder().version(version).uri(uri);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        check(&request.body(()).unwrap().into_parts().0).is_ok()
    }

    #[test]
    fn each_version_has_its_own_rule() {
        let http10 = Version::HTTP_10;
        let http11 = Version::HTTP_11;
        let http2 = Version::HTTP_2;
        for (version, uri, hosts, expected) in [
            (http11, "/", &["a"][..], true),
            (http11, "/", &[], false),
            (http11, "/", &["a", "a"], false),
            (http11, "/", &["a b"], false),
            (http11, "http://a/", &[], false),
            (http11, "http://a/", &["b"], true),
            (http11, "http://u@a/", &["a"], false),
            (http11, "http://a:99999/", &["a"], false),
            (http10, "/", &[], true),
            (http10, "/", &["a", "b"], false),
            (http10, "/", &["a b"], false),
            (http2, "http://a/", &[], true),
            (http2, "http://a/", &["A"], true),
            (http2, "http://a/", &["b"], false),
            (http2, "http://u:p@a/", &[], false),
            (http2, "http://a:99999/", &[], false),
            (http2, "/", &["a"], true),
            (http2, "/", &[], false),
        ] {
            assert_eq!(
                is_accepted(version, uri, hosts),
                expected,
                "{version:?} {uri} {hosts:?}"
            );
        }
    }
}
