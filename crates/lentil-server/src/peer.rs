//! The address of a client, directly connected or behind proxies.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use http::{HeaderMap, HeaderName, header};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies whose headers about their clients' addresses are trusted.
///
/// It is parsed from a list such as `10.0.0.0/8, ::1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

/// A network: an address, and the number of its leading bits that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix: u32,
}

/// An entry of the list of trusted proxies that is neither an address nor a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address or a network; write a list such as 10.0.0.0/8,::1")]
pub struct NetworkError(String);

impl TrustedProxies {
    /// Returns whether this is the address of a trusted proxy.
    pub fn contains(&self, address: IpAddr) -> bool {
        // An IPv4 client of an IPv6 socket has an address such as `::ffff:192.0.2.1`.
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(address))
    }

    /// Returns the client's address: the peer's, or behind trusted proxies the right-most forwarded
    /// address that is not a trusted proxy.
    ///
    /// A client can write anything to the left of that entry. `Forwarded` is used if there is no
    /// `X-Forwarded-For`. At an entry that is not an address, the search ends with the proxy that
    /// wrote it.
    pub fn client_address(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.ip().to_canonical();
        if !self.contains(peer) {
            return peer;
        }
        let has_forwarded_for = headers.contains_key(FORWARDED_FOR);
        let name = if has_forwarded_for {
            FORWARDED_FOR
        } else {
            header::FORWARDED
        };
        let parse = if has_forwarded_for {
            parse_address
        } else {
            parse_forwarded
        };
        // A comma separates entries also within quotation marks. Otherwise a client could open a
        // quotation that hides the entry that a proxy appends.
        let lines = headers.get_all(name).into_iter().rev();
        let entries = lines.flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','));
        self.last_untrusted(peer, entries.map(|entry| parse(entry.trim_ascii())))
    }

    /// Returns the first address, from the peer on, that is not a trusted proxy.
    fn last_untrusted(
        &self,
        peer: IpAddr,
        entries: impl Iterator<Item = Option<IpAddr>>,
    ) -> IpAddr {
        let mut last = peer;
        for entry in entries {
            let Some(address) = entry else { break };
            last = address;
            if !self.contains(address) {
                break;
            }
        }
        last
    }
}

impl FromStr for TrustedProxies {
    type Err = NetworkError;

    fn from_str(list: &str) -> Result<TrustedProxies, NetworkError> {
        let entries = list
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty());
        let networks = entries
            .map(|entry| Network::parse(entry).ok_or_else(|| NetworkError(entry.to_owned())));
        networks.collect::<Result<_, _>>().map(TrustedProxies)
    }
}

impl Network {
    fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().ok()?;
        let address = written.to_canonical();
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) if prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
                // `::ffff:10.0.0.0/104` is `10.0.0.0/8`.
                let mapped = if address == written { 0 } else { 96 };
                prefix.parse::<u32>().ok()?.checked_sub(mapped)?
            }
            Some(_) => return None,
            None => bits,
        };
        (prefix <= bits).then_some(Network { address, prefix })
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= self.prefix
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differing = own.to_bits() ^ other.to_bits();
                differing.leading_zeros() >= self.prefix
            }
            _ => false,
        }
    }
}

/// Returns the address under which a client's limits are counted. An IPv6 client controls a whole
/// /64.
pub(crate) fn share_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// Parses `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?;
    let in_brackets = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address: Option<IpAddr> = match in_brackets {
        Some(address) => address.parse().ok().filter(IpAddr::is_ipv6),
        None => text.parse().ok(),
    };
    let address = match address {
        Some(address) => address,
        None => text.parse::<SocketAddr>().ok()?.ip(),
    };
    Some(address.to_canonical())
}

/// Parses the address in an element of `Forwarded`, such as `for="[2001:db8::1]:4711";proto=https`.
fn parse_forwarded(element: &[u8]) -> Option<IpAddr> {
    let value = element.split(|&byte| byte == b';').find_map(|pair| {
        let at = pair.iter().position(|&byte| byte == b'=')?;
        let name = pair[..at].trim_ascii();
        name.eq_ignore_ascii_case(b"for")
            .then(|| pair[at + 1..].trim_ascii())
    })?;
    let quoted = value
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    parse_address(quoted.unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &str, peer: &str, lines: &[(HeaderName, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, line) in lines {
            headers.append(name, line.parse().unwrap());
        }
        let trusted: TrustedProxies = trusted.parse().unwrap();
        let peer = SocketAddr::new(peer.parse().unwrap(), 1);
        trusted.client_address(peer, &headers).to_string()
    }

    #[test]
    fn forwarding_headers_of_untrusted_peers_are_ignored() {
        let line = [(FORWARDED_FOR, "192.0.2.1")];
        assert_eq!(client("", "10.0.0.1", &line), "10.0.0.1");
        assert_eq!(client("10.1.0.0/16", "10.0.0.1", &line), "10.0.0.1");
        assert_eq!(client("10.0.0.0/16", "10.0.0.1", &line), "192.0.2.1");
        assert_eq!(client("10.0.0.1", "::ffff:10.0.0.1", &line), "192.0.2.1");
        assert_eq!(
            client("::ffff:10.0.0.0/104", "10.9.9.9", &line),
            "192.0.2.1"
        );
        assert_eq!(client("0.0.0.0/0", "10.0.0.1", &line), "192.0.2.1");
    }

    #[test]
    fn right_most_untrusted_entry_is_the_client() {
        for (lines, expected) in [
            (&["6.6.6.6, 192.0.2.1"][..], "192.0.2.1"),
            (&["6.6.6.6, 192.0.2.1, 10.0.0.2"], "192.0.2.1"),
            (&["6.6.6.6", "192.0.2.1", " 10.0.0.2 "], "192.0.2.1"),
            (&["10.0.0.3,10.0.0.2"], "10.0.0.3"),
            (&["192.0.2.1:4711"], "192.0.2.1"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["[2001:db8::1]:80"], "2001:db8::1"),
            (&["::ffff:192.0.2.1"], "192.0.2.1"),
            // An entry that is not an address counts as the proxy that wrote it.
            (&["6.6.6.6, unknown"], "10.0.0.1"),
            (&["6.6.6.6, unknown, 10.0.0.2"], "10.0.0.2"),
            (&["192.0.2.1,"], "10.0.0.1"),
            (&[""], "10.0.0.1"),
            (&[], "10.0.0.1"),
        ] {
            let lines: Vec<_> = lines.iter().map(|line| (FORWARDED_FOR, *line)).collect();
            assert_eq!(
                client("10.0.0.0/8", "10.0.0.1", &lines),
                expected,
                "{lines:?}"
            );
        }
    }

    #[test]
    fn forwarded_is_used_without_x_forwarded_for() {
        for (line, expected) in [
            ("for=192.0.2.1", "192.0.2.1"),
            (
                "for=6.6.6.6, For=\"192.0.2.1:80\";proto=https;by=10.0.0.1",
                "192.0.2.1",
            ),
            ("by=x;for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("for=6.6.6.6;x=\", for=192.0.2.1", "192.0.2.1"),
            ("for=6.6.6.6;x=\", for=\"[2001:db8::1]\"", "2001:db8::1"),
            ("for=192.0.2.1, for=10.0.0.2", "192.0.2.1"),
            ("for=_hidden", "10.0.0.1"),
            ("proto=https", "10.0.0.1"),
        ] {
            let lines = [(header::FORWARDED, line)];
            assert_eq!(client("10.0.0.0/8", "10.0.0.1", &lines), expected, "{line}");
        }
        let both = [
            (header::FORWARDED, "for=6.6.6.6"),
            (FORWARDED_FOR, "192.0.2.1"),
        ];
        assert_eq!(client("10.0.0.0/8", "10.0.0.1", &both), "192.0.2.1");
    }

    #[test]
    fn list_with_an_invalid_entry_is_refused() {
        for list in [
            "10.0.0.0/33",
            "::1/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "localhost",
            "::1/x",
        ] {
            assert!(list.parse::<TrustedProxies>().is_err(), "{list}");
        }
        assert_eq!("".parse(), Ok(TrustedProxies::default()));
    }

    #[test]
    fn ipv6_client_is_counted_with_its_network() {
        let shared = |text: &str| share_address(text.parse().unwrap()).to_string();
        assert_eq!(shared("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(shared("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(shared("192.0.2.1"), "192.0.2.1");
    }
}
