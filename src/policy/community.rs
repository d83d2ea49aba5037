//! Patterns of communities: a community as it is written ([`crate::wire::attr::community`]), or one with `*` for parts of it:
//! `64512:*`, `64512:*:*`, `rt:64512:*`, `soo:*:*`.

use crate::wire::attr::community::{Community, ExtCommunity, LargeCommunity, ParseCommunityError};
use std::fmt;

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

    /// Reads `64512:100`, `64512:*`, `*:666`, `no-export`.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let Some([(high, high_mask), (low, low_mask)]) = parts(text, u32::from(u16::MAX)) else {
            let Community(value) = text.parse()?;
            return Ok(Self { value, mask: u32::MAX });
        };
        Ok(Self { value: high << 16 | low, mask: high_mask << 16 | low_mask })
    }
}

impl LargePattern {
    pub const ANY: Self = Self { value: [0; 3], mask: [0; 3] };

    pub fn matches(&self, community: [u32; 3]) -> bool {
        community.iter().zip(self.mask).zip(self.value).all(|((part, mask), value)| part & mask == value)
    }

    /// Reads `64512:1:2`, `64512:*:*`.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let Some(parts) = parts::<3>(text, u32::MAX) else {
            let LargeCommunity(value) = text.parse()?;
            return Ok(Self { value, mask: [u32::MAX; 3] });
        };
        Ok(Self { value: parts.map(|(value, _)| value), mask: parts.map(|(_, mask)| mask) })
    }
}

impl ExtPattern {
    pub const ANY: Self = Self { value: 0, mask: 0 };

    pub fn matches(&self, community: [u8; 8]) -> bool {
        u64::from_be_bytes(community) & self.mask == self.value
    }

    /// Reads `rt:64512:100`, `rt:64512:*`, `soo:192.0.2.1:*`, `rt:*:*`, `0x` and 16 digits.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        // The layout follows from the administrator, so a number stands in for the star while it is read.
        let (any_number, zero) = match text.strip_suffix(":*") {
            Some(rest) => (true, format!("{}:0", rest.replace(":*", ":0"))),
            None => (false, text.to_owned()),
        };
        let ExtCommunity(octets) = zero.parse()?;
        let (value, kind) = (u64::from_be_bytes(octets), octets[0]);
        let mask = match (any_number, text.ends_with(":*:*")) {
            (false, _) => u64::MAX,
            // The three layouts are types 0, 1 and 2.
            (true, true) => 0xfcff << 48,
            (true, false) if kind == 0 => 0xffff_ffff << 32,
            (true, false) => 0xffff_ffff_ffff << 16,
        };
        Ok(Self { value, mask })
    }
}

/// Why a text is not a pattern, or not a community.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PatternError(ParseCommunityError);

impl From<ParseCommunityError> for PatternError {
    fn from(error: ParseCommunityError) -> Self {
        Self(error)
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for PatternError {}

/// Value and mask of each part where at least one is `*`; `None` when none is, or the text is wrong.
fn parts<const N: usize>(text: &str, full: u32) -> Option<[(u32, u32); N]> {
    if !text.contains('*') {
        return None;
    }
    let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?.filter(|n| *n <= full);
    let part = |part: &str| if part == "*" { Some((0, 0)) } else { number(part).map(|n| (n, full)) };
    text.split(':').map(part).collect::<Option<Vec<_>>>()?.try_into().ok()
}
