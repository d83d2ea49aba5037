//! What makes two members share a group.

use crate::policy::{Chain, PeerKind};
use crate::wire::capability::Role;
use crate::wire::{Asn, ClusterId, Family};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Everything that can change an octet or a choice: members with equal keys get the same messages.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct GroupKey {
    pub family: Family,
    /// What the members are to us; never [`PeerKind::Local`].
    pub kind: PeerKind,
    pub chain: Chain,
    pub next_hop: NextHopRule,
    /// The AS that we prepend towards eBGP.
    pub local_as: Asn,
    pub cluster_id: ClusterId,
    pub add_path: AddPath,
    pub four_octet_as: bool,
    /// Longest message in octets: 4096, or 65535 (RFC 8654).
    pub max_message: usize,
    /// IPv4 routes may have an IPv6 next hop (RFC 8950).
    pub extended_next_hop: bool,
    /// The members know LLGR_STALE (RFC 9494 4.3).
    pub llgr_aware: bool,
    /// Our role on the sessions (RFC 9234 4).
    pub role: Option<Role>,
}

/// How the next hop of advertised routes is chosen.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum NextHopMode {
    /// eBGP: ourselves; iBGP: unchanged (RFC 4271 5.1.3). What we originate: ourselves, unless it was given an address.
    #[default]
    Auto,
    /// Always ourselves, on reflected routes too.
    SelfAddress,
    Unchanged,
}

/// The mode, and our addresses towards the members.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct NextHopRule {
    pub mode: NextHopMode,
    pub v4: Option<Ipv4Addr>,
    pub v6: Option<Ipv6Addr>,
    /// Our link-local address, where the members share a link with us.
    pub v6_link_local: Option<Ipv6Addr>,
}

/// How many paths of a prefix the members get (RFC 7911); all but `Off` send path ids.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum AddPath {
    #[default]
    Off,
    Best(u16),
    All,
}
