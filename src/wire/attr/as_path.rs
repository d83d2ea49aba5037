//! AS_PATH (RFC 4271 4.3 b and 5.1.2): views of the canonical bytes, prepending, and the 2-octet forms of RFC 6793.

use super::AttrSet;
use std::fmt;

/// AS_TRANS, which stands for an AS number that does not fit two octets (RFC 6793 9).
pub const AS_TRANS: u16 = 23456;

/// The value of an AS_PATH with 4-octet numbers, as an [`AttrSet`] holds it; it is well-formed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PathView<'a>(&'a [u8]);

impl<'a> PathView<'a> {
    /// The path of a set of attributes.
    pub fn of(_attrs: &'a AttrSet) -> Self {
        todo!()
    }

    /// The value as it stands on the wire of a 4-octet-AS session.
    pub const fn bytes(self) -> &'a [u8] {
        self.0
    }

    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// All AS numbers in order, sets and confederation segments included.
    pub fn asns(self) -> impl Iterator<Item = u32> + 'a {
        std::iter::empty()
    }

    /// How often `asn` is in the path, for loop checks.
    pub fn count(self, _asn: u32) -> usize {
        todo!()
    }

    pub fn contains(self, _asn: u32) -> bool {
        todo!()
    }

    /// The AS that originated the route: the last number, unless the path is empty or ends in a set.
    pub fn origin_as(self) -> Option<u32> {
        todo!()
    }

    /// Appends the value of the path with `asn` put `times` in front, in segments of at most 255 (RFC 4271 5.1.2).
    pub fn prepend(self, _asn: u32, _times: usize, _out: &mut Vec<u8>) {
        todo!()
    }

    /// Appends the 2-octet form (RFC 6793 4.2.2); true when AS_TRANS stands in it, so that an AS4_PATH is due.
    pub fn narrow(self, _out: &mut Vec<u8>) -> bool {
        todo!()
    }
}

impl fmt::Display for PathView<'_> {
    /// `65001 {65002 65003} (65010)`: sets in braces, confederation sequences in parentheses, confederation sets in brackets.
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}
