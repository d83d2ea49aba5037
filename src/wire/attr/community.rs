//! Communities of three kinds (RFC 1997, RFC 4360, RFC 8092): their written form and the well-known ones.

use std::fmt;
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
        todo!()
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
    fn from_str(_text: &str) -> Result<Self, Self::Err> {
        todo!()
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

    fn from_str(_text: &str) -> Result<Self, Self::Err> {
        todo!()
    }
}

impl ExtCommunity {
    /// Whether it may cross an AS border (RFC 4360 2).
    pub const fn is_transitive(self) -> bool {
        self.0[0] & 0x40 == 0
    }
}

impl fmt::Display for ExtCommunity {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl FromStr for ExtCommunity {
    type Err = ParseCommunityError;

    fn from_str(_text: &str) -> Result<Self, Self::Err> {
        todo!()
    }
}
