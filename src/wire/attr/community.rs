//! Communities of three kinds (RFC 1997, RFC 4360, RFC 8092): their written form and the well-known ones.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// RFC 1997 community, written `64500:1` or by its well-known name.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Community(pub u32);

/// RFC 8092 large community, written `64500:1:2`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LargeCommunity(pub [u32; 3]);

/// RFC 4360 extended community, written `rt:64500:1`, `soo:10.0.0.1:1`, or `0x` and 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ExtCommunity(pub [u8; 8]);

/// A community that cannot be read; says what was expected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ParseCommunityError {
    expected: &'static str,
}

impl fmt::Display for ParseCommunityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.expected)
    }
}

impl std::error::Error for ParseCommunityError {}

impl Community {
    pub const GRACEFUL_SHUTDOWN: Self = Self(0xFFFF_0000);
    pub const LLGR_STALE: Self = Self(0xFFFF_0006);
    pub const NO_LLGR: Self = Self(0xFFFF_0007);
    pub const BLACKHOLE: Self = Self(0xFFFF_029A);
    pub const NO_EXPORT: Self = Self(0xFFFF_FF01);
    pub const NO_ADVERTISE: Self = Self(0xFFFF_FF02);
    pub const NO_EXPORT_SUBCONFED: Self = Self(0xFFFF_FF03);
    pub const NO_PEER: Self = Self(0xFFFF_FF04);

    /// The registered name, such as `no-export`.
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(community, _)| *community == self).map(|(_, name)| *name)
    }
}

impl fmt::Display for Community {
    /// Always the numbers: `65535:65281`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0 >> 16, self.0 & 0xFFFF)
    }
}

impl FromStr for Community {
    type Err = ParseCommunityError;

    /// `64500:1`, a plain number, or a well-known name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some((community, _)) = NAMES.iter().find(|(_, name)| *name == text) {
            return Ok(*community);
        }
        let parsed = match text.split_once(':') {
            Some((high, low)) => number::<u16>(high).zip(number::<u16>(low)).map(|(h, l)| u32::from(h) << 16 | u32::from(l)),
            None => number(text),
        };
        parsed.map(Self).ok_or(ParseCommunityError { expected: "a community: N:N with N up to 65535, or a well-known name" })
    }
}

impl fmt::Display for LargeCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [global, first, second] = self.0;
        write!(f, "{global}:{first}:{second}")
    }
}

impl FromStr for LargeCommunity {
    type Err = ParseCommunityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(':').map(number);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Some(global)), Some(Some(first)), Some(Some(second)), None) => Ok(Self([global, first, second])),
            _ => Err(ParseCommunityError { expected: "a large community: N:N:N with N up to 4294967295" }),
        }
    }
}

impl ExtCommunity {
    /// Whether it may cross an AS border (RFC 4360 2).
    pub const fn is_transitive(self) -> bool {
        let Self([kind, ..]) = self;
        kind & NON_TRANSITIVE == 0
    }
}

impl fmt::Display for ExtCommunity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([kind, subtype, a, b, c, d, e, g]) = *self;
        let name = match subtype {
            ROUTE_TARGET => "rt",
            ROUTE_ORIGIN => "soo",
            _ => return self.fmt_hex(f),
        };
        match kind {
            TWO_OCTET_AS => write!(f, "{name}:{}:{}", u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, g])),
            IPV4 => write!(f, "{name}:{}:{}", Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([e, g])),
            FOUR_OCTET_AS => {
                let asn = u32::from_be_bytes([a, b, c, d]);
                // The mark keeps the written form unambiguous: without it a small number is of the 2-octet type.
                let mark = if asn <= u32::from(u16::MAX) { "L" } else { "" };
                write!(f, "{name}:{asn}{mark}:{}", u16::from_be_bytes([e, g]))
            }
            _ => self.fmt_hex(f),
        }
    }
}

impl ExtCommunity {
    fn fmt_hex(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:016x}", u64::from_be_bytes(self.0))
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some(digits) = text.strip_prefix("0x") {
            let plain = digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit());
            return u64::from_str_radix(digits, 16).ok().filter(|_| plain).map(|value| Self(value.to_be_bytes()));
        }
        let (name, rest) = text.split_once(':')?;
        let subtype = match name {
            "rt" => ROUTE_TARGET,
            "soo" => ROUTE_ORIGIN,
            _ => return None,
        };
        let (admin, local) = rest.split_once(':')?;
        let (kind, value) = if let Ok(address) = admin.parse::<Ipv4Addr>() {
            (IPV4, wide(address.to_bits(), number(local)?))
        } else if let Some(asn) = number::<u16>(admin) {
            (TWO_OCTET_AS, u64::from(asn) << 32 | u64::from(number::<u32>(local)?))
        } else {
            (FOUR_OCTET_AS, wide(number(admin.strip_suffix('L').unwrap_or(admin))?, number(local)?))
        };
        Some(Self((u64::from(kind) << 56 | u64::from(subtype) << 48 | value).to_be_bytes()))
    }
}

impl FromStr for ExtCommunity {
    type Err = ParseCommunityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text).ok_or(ParseCommunityError { expected: "an extended community: rt:N:N, soo:N:N, or 0x and 16 hex digits" })
    }
}

/// Four octets of administrator and two of number, at the low end.
fn wide(administrator: u32, local: u16) -> u64 {
    u64::from(administrator) << 16 | u64::from(local)
}

/// A decimal number; unlike `FromStr` of the integers, no sign.
fn number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

/// IANA's registry of well-known communities, as far as they matter to a speaker.
const NAMES: [(Community, &str); 8] = [
    (Community::GRACEFUL_SHUTDOWN, "graceful-shutdown"),
    (Community::LLGR_STALE, "llgr-stale"),
    (Community::NO_LLGR, "no-llgr"),
    (Community::BLACKHOLE, "blackhole"),
    (Community::NO_EXPORT, "no-export"),
    (Community::NO_ADVERTISE, "no-advertise"),
    (Community::NO_EXPORT_SUBCONFED, "no-export-subconfed"),
    (Community::NO_PEER, "no-peer"),
];
const NON_TRANSITIVE: u8 = 0x40;
const TWO_OCTET_AS: u8 = 0;
const IPV4: u8 = 1;
const FOUR_OCTET_AS: u8 = 2;
const ROUTE_TARGET: u8 = 2;
const ROUTE_ORIGIN: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_communities_are_read_as_they_are_written() {
        for (text, value) in [("64500:1", 0xFBF4_0001), ("0:0", 0), ("65535:65535", u32::MAX), ("no-export", 0xFFFF_FF01), ("7", 7)] {
            assert_eq!(text.parse(), Ok(Community(value)), "{text}");
        }
        for text in ["", ":", "1:", "65536:1", "1:65536", "1:2:3", "+1:2", "no-such", "4294967296", " 1:2"] {
            assert!(text.parse::<Community>().is_err(), "{text}");
        }
        assert_eq!(Community::NO_EXPORT.to_string(), "65535:65281");
        assert_eq!(Community::NO_EXPORT.name(), Some("no-export"));
        assert_eq!(Community(1).name(), None);
    }

    #[test]
    fn large_communities_are_read_as_they_are_written() {
        assert_eq!("4200000000:1:2".parse(), Ok(LargeCommunity([4_200_000_000, 1, 2])));
        assert_eq!(LargeCommunity([1, 2, 3]).to_string(), "1:2:3");
        for text in ["1:2", "1:2:3:4", "1::3", "1:2:4294967296", "a:b:c"] {
            assert!(text.parse::<LargeCommunity>().is_err(), "{text}");
        }
    }

    #[test]
    fn extended_communities_are_written_and_read_back() {
        for (text, octets) in [
            ("rt:64500:1", [0, 2, 0xFB, 0xF4, 0, 0, 0, 1]),
            ("soo:10.0.0.1:7", [1, 3, 10, 0, 0, 1, 0, 7]),
            ("rt:4200000000:9", [2, 2, 0xFA, 0x56, 0xEA, 0, 0, 9]),
            ("rt:100L:9", [2, 2, 0, 0, 0, 100, 0, 9]),
            ("0x40040000fde90000", [0x40, 4, 0, 0, 0xFD, 0xE9, 0, 0]),
        ] {
            assert_eq!(text.parse(), Ok(ExtCommunity(octets)), "{text}");
            assert_eq!(ExtCommunity(octets).to_string(), text);
        }
        for text in ["rt:1", "rt:65536:65536", "xx:1:1", "0x12", "0x+123456789abcdef", "rt:10.0.0.1:65536"] {
            assert!(text.parse::<ExtCommunity>().is_err(), "{text}");
        }
        assert!(!ExtCommunity([0x40, 4, 0, 0, 0, 0, 0, 0]).is_transitive());
        assert!(ExtCommunity([0, 2, 0, 0, 0, 0, 0, 0]).is_transitive());
    }
}
