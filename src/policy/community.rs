//! Communities as people write them: standard `64512:100` and the well-known names (RFC 1997), large `64512:1:2` (RFC 8092),
//! extended `rt:64512:100`, `soo:192.0.2.1:5`, `0x0002fc0000000064` (RFC 4360, 5668). Where a pattern is asked for, each part may
//! be `*`.

use std::fmt;
use std::net::Ipv4Addr;

/// Matches a value whose bits under `mask` equal `value`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Pattern<T> {
    value: T,
    mask: T,
}

/// Matches RFC 1997 communities.
pub type StandardPattern = Pattern<u32>;
/// Matches RFC 8092 large communities.
pub type LargePattern = Pattern<[u32; 3]>;
/// Matches RFC 4360 extended communities, as big-endian numbers.
pub type ExtPattern = Pattern<u64>;

impl StandardPattern {
    pub const ANY: Self = Self { value: 0, mask: 0 };

    pub fn matches(&self, community: u32) -> bool {
        community & self.mask == self.value
    }

    /// `64512:100`, `64512:*`, `noExport`.
    pub fn parse(text: &str) -> Result<Self, CommunityError> {
        if let Some(value) = well_known(text) {
            return Ok(Self { value, mask: u32::MAX });
        }
        let [high, low] = parts(text).ok_or(CommunityError::Standard)?;
        let part = |p: &str| wild(p, |p| p.parse::<u16>().ok().map(u32::from), 0xffff).ok_or(CommunityError::Standard);
        let (high, low) = (part(high)?, part(low)?);
        Ok(Self { value: high.0 << 16 | low.0, mask: high.1 << 16 | low.1 })
    }
}

impl LargePattern {
    pub const ANY: Self = Self { value: [0; 3], mask: [0; 3] };

    pub fn matches(&self, community: [u32; 3]) -> bool {
        community.iter().zip(self.mask).zip(self.value).all(|((part, mask), value)| part & mask == value)
    }

    /// `64512:1:2`, `64512:*:*`.
    pub fn parse(text: &str) -> Result<Self, CommunityError> {
        let texts: [&str; 3] = parts(text).ok_or(CommunityError::Large)?;
        let (mut value, mut mask) = ([0; 3], [0; 3]);
        for ((text, value), mask) in texts.iter().zip(&mut value).zip(&mut mask) {
            (*value, *mask) = wild(text, |p| p.parse().ok(), u32::MAX).ok_or(CommunityError::Large)?;
        }
        Ok(Self { value, mask })
    }
}

impl ExtPattern {
    pub const ANY: Self = Self { value: 0, mask: 0 };

    pub fn matches(&self, community: [u8; 8]) -> bool {
        u64::from_be_bytes(community) & self.mask == self.value
    }

    /// `rt:64512:100`, `rt:64512:*`, `soo:192.0.2.1:5`, `0x` and 16 digits.
    pub fn parse(text: &str) -> Result<Self, CommunityError> {
        if let Some(digits) = text.strip_prefix("0x") {
            let value = Some(digits).filter(|d| d.len() == 16).and_then(|d| u64::from_str_radix(d, 16).ok());
            return value.map(|value| Self { value, mask: u64::MAX }).ok_or(CommunityError::Extended);
        }
        let [kind, admin, local] = parts(text).ok_or(CommunityError::Extended)?;
        let subtype = match kind {
            "rt" => 2,
            "soo" => 3,
            _ => return Err(CommunityError::Extended),
        };
        let admin = Administrator::parse(admin).ok_or(CommunityError::Extended)?;
        Ok(admin.pattern(subtype, local).ok_or(CommunityError::Extended)?)
    }
}

/// The administrator of a route target or route origin decides the layout (RFC 4360 3, RFC 5668 2).
enum Administrator {
    Any,
    As2(u16),
    Address(Ipv4Addr),
    As4(u32),
}

impl Administrator {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Any);
        }
        if let Ok(address) = text.parse() {
            return Some(Self::Address(address));
        }
        let asn: u32 = text.parse().ok()?;
        Some(u16::try_from(asn).map_or(Self::As4(asn), Self::As2))
    }

    fn pattern(&self, subtype: u64, local: &str) -> Option<ExtPattern> {
        let (kind, admin, admin_mask, local_bits) = match *self {
            // Types 0 to 2: any layout; only "everything" can be asked of the local part then.
            Self::Any => {
                let any_type = ExtPattern { value: subtype << 48, mask: 0xfcff << 48 };
                return (local == "*").then_some(any_type);
            }
            Self::As2(asn) => (0, u64::from(asn) << 32, 0xffff_u64 << 32, 32),
            Self::Address(address) => (1, u64::from(u32::from(address)) << 16, 0xffff_ffff << 16, 16),
            Self::As4(asn) => (2, u64::from(asn) << 16, 0xffff_ffff << 16, 16),
        };
        let limit = (1_u64 << local_bits) - 1;
        let (local, local_mask) = wild(local, |p| p.parse().ok().filter(|n| *n <= limit), limit)?;
        Some(ExtPattern { value: kind << 56 | subtype << 48 | admin | local, mask: 0xffff << 48 | admin_mask | local_mask })
    }
}

/// A standard community without wildcard.
pub fn parse_standard(text: &str) -> Result<u32, CommunityError> {
    let pattern = StandardPattern::parse(text)?;
    if pattern.mask == u32::MAX { Ok(pattern.value) } else { Err(CommunityError::Wildcard) }
}

/// A large community without wildcard.
pub fn parse_large(text: &str) -> Result<[u32; 3], CommunityError> {
    let pattern = LargePattern::parse(text)?;
    if pattern.mask == [u32::MAX; 3] { Ok(pattern.value) } else { Err(CommunityError::Wildcard) }
}

/// An extended community without wildcard.
pub fn parse_ext(text: &str) -> Result<[u8; 8], CommunityError> {
    let pattern = ExtPattern::parse(text)?;
    if pattern.mask == u64::MAX { Ok(pattern.value.to_be_bytes()) } else { Err(CommunityError::Wildcard) }
}

/// A standard community as [`parse_standard`] reads it, never as a name.
pub fn format_standard(community: u32) -> String {
    format!("{}:{}", community >> 16, community & 0xffff)
}

/// A large community as [`parse_large`] reads it.
pub fn format_large([global, one, two]: [u32; 3]) -> String {
    format!("{global}:{one}:{two}")
}

/// The name of a well-known community.
pub fn name(community: u32) -> Option<&'static str> {
    WELL_KNOWN.iter().find(|(_, value)| *value == community).map(|(name, _)| *name)
}

fn well_known(text: &str) -> Option<u32> {
    let plain = |s: &str| s.replace(['-', '_'], "").to_ascii_lowercase();
    WELL_KNOWN.iter().find(|(name, _)| plain(name) == plain(text)).map(|(_, value)| *value)
}

fn parts<const N: usize>(text: &str) -> Option<[&str; N]> {
    text.split(':').collect::<Vec<_>>().try_into().ok()
}

/// Value and mask of one part: `*` is (0, 0).
fn wild<T: Default>(text: &str, parse: impl Fn(&str) -> Option<T>, full: T) -> Option<(T, T)> {
    if text == "*" { Some((T::default(), T::default())) } else { Some((parse(text)?, full)) }
}

/// Why a text is not a community.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CommunityError {
    Standard,
    Large,
    Extended,
    Wildcard,
}

impl fmt::Display for CommunityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standard => "expected ASN:VALUE with both in 0..=65535, or a well-known name such as noExport",
            Self::Large => "expected ASN:VALUE:VALUE with each in 0..=4294967295",
            Self::Extended => "expected rt:ADMIN:VALUE, soo:ADMIN:VALUE (ADMIN an AS number or IPv4 address) or 0x and 16 hex digits",
            Self::Wildcard => "a wildcard can be matched and removed, but not added",
        })
    }
}

impl std::error::Error for CommunityError {}

/// IANA "BGP Well-known Communities"; `-` and `_` and case do not matter when read.
const WELL_KNOWN: [(&str, u32); 8] = [
    ("gracefulShutdown", 0xffff_0000),
    ("acceptOwn", 0xffff_0001),
    ("llgrStale", 0xffff_0006),
    ("noLlgr", 0xffff_0007),
    ("blackhole", 0xffff_029a),
    ("noExport", 0xffff_ff01),
    ("noAdvertise", 0xffff_ff02),
    ("noExportSubconfed", 0xffff_ff03),
];
