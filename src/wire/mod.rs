//! Bytes <-> BGP messages: framing lengths, OPEN and capabilities, UPDATE and path attributes, NLRI, NOTIFICATION,
//! ROUTE-REFRESH, and the RFC 7606 verdict on what is malformed.
//!
//! Invariants: decoding never panics and never allocates more than a small multiple of its input; an encoded value cannot be
//! illegal, because illegal values cannot be built; attributes leave this room in one canonical form ([`attr::AttrSet`]).
//!
//! Must never know: sockets, time, peers, configuration.

pub mod attr;
pub mod bmp;
pub mod capability;
pub mod message;
pub mod mrt;
pub mod nlri;
pub mod notification;
pub mod open;
pub mod refresh;
pub mod update;
pub mod verdict;

pub use attr::{AttrSet, PathAttributes};
pub use bmp::{BmpDown, BmpPeer, bmp_end_of_rib, bmp_initiation, bmp_peer_down, bmp_peer_up, bmp_route, bmp_statistics, bmp_termination};
pub use capability::{AddPathMode, Capability, GracefulRestart, LlgrFamily, Role};
pub use message::{HEADER_LEN, Header, MAX_EXTENDED, MAX_MESSAGE, MessageType, decode_header, keepalive};
pub use mrt::{MrtEntry, MrtPeer, mrt_peers, mrt_prefix};
pub use nlri::{Nlri, encode_nlri, nlri_len};
pub use notification::{CeaseCode, FsmState, Notification};
pub use open::Open;
pub use refresh::{RefreshKind, RouteRefresh};
pub use update::{Reach, Update, UpdateContext, decode_update, end_of_rib};
pub use verdict::{AttributeFault, FaultAction, FaultKind};

use std::fmt;
use std::net::Ipv4Addr;
use std::num::NonZeroU32;

/// An autonomous system number, 1..=4294967295 (RFC 6793); AS 0 cannot be built (RFC 7607).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Asn(NonZeroU32);

impl Asn {
    /// `None` for AS 0.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }

    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for Asn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A BGP identifier: any non-zero 32-bit value (RFC 6286), written as a dotted quad.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RouterId(NonZeroU32);

impl RouterId {
    /// `None` for 0.0.0.0.
    pub const fn new(id: u32) -> Option<Self> {
        match NonZeroU32::new(id) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }

    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for RouterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ipv4Addr::from(self.0.get()).fmt(f)
    }
}

/// A route reflection cluster id (RFC 4456), written as a dotted quad.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClusterId(pub u32);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ipv4Addr::from(self.0).fmt(f)
    }
}

/// An address family that we route (RFC 4760).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Family {
    Ipv4Unicast,
    Ipv6Unicast,
}

impl Family {
    pub const ALL: [Self; 2] = [Self::Ipv4Unicast, Self::Ipv6Unicast];

    pub const fn afi_safi(self) -> AfiSafi {
        match self {
            Self::Ipv4Unicast => AfiSafi { afi: 1, safi: 1 },
            Self::Ipv6Unicast => AfiSafi { afi: 2, safi: 1 },
        }
    }

    /// `None` for a family that we do not route.
    pub const fn from_afi_safi(pair: AfiSafi) -> Option<Self> {
        match (pair.afi, pair.safi) {
            (1, 1) => Some(Self::Ipv4Unicast),
            (2, 1) => Some(Self::Ipv6Unicast),
            _ => None,
        }
    }

    /// The longest prefix of the family, in bits.
    pub const fn max_prefix_len(self) -> u8 {
        match self {
            Self::Ipv4Unicast => 32,
            Self::Ipv6Unicast => 128,
        }
    }

    /// The family of a prefix.
    pub const fn of(prefix: &ipnet::IpNet) -> Self {
        match prefix {
            ipnet::IpNet::V4(_) => Self::Ipv4Unicast,
            ipnet::IpNet::V6(_) => Self::Ipv6Unicast,
        }
    }

    /// 0 for IPv4, 1 for IPv6: for arrays with one entry a family.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4Unicast => "ipv4-unicast",
            Self::Ipv6Unicast => "ipv6-unicast",
        })
    }
}

/// A set of families, one bit each.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct FamilySet(u8);

impl FamilySet {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self(3);

    pub fn insert(&mut self, family: Family) {
        self.0 |= 1 << family.index();
    }

    pub fn remove(&mut self, family: Family) {
        self.0 &= !(1 << family.index());
    }

    pub const fn contains(self, family: Family) -> bool {
        self.0 & (1 << family.index()) != 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn iter(self) -> impl Iterator<Item = Family> {
        Family::ALL.into_iter().filter(move |f| self.contains(*f))
    }
}

impl FromIterator<Family> for FamilySet {
    fn from_iter<I: IntoIterator<Item = Family>>(families: I) -> Self {
        let mut set = Self::NONE;
        families.into_iter().for_each(|f| set.insert(f));
        set
    }
}

/// An AFI/SAFI pair as it stands on the wire, known or not.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AfiSafi {
    pub afi: u16,
    pub safi: u8,
}

#[cfg(test)]
mod tests;
