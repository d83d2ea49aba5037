//! What the tables know of a peer: who it is, how many routes it has, which destinations, and which of them are stale.

use super::PeerId;
use super::idset::IdSet;
use crate::policy::{PeerKind, Reason};
use crate::wire::{Asn, FamilySet, RouterId};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::net::IpAddr;

/// Who a peer is, as far as the decision process and the encoder care.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerInfo {
    /// Remote address of the session.
    pub addr: IpAddr,
    pub asn: Asn,
    /// BGP identifier from the peer's OPEN.
    pub router_id: RouterId,
    pub kind: PeerKind,
    /// Families for which the peer will send End-of-RIB (it has the graceful restart capability, RFC 4724 2).
    pub end_of_rib: FamilySet,
}

/// Routes of one peer and family.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PrefixCounters {
    /// Paths in Adj-RIB-In.
    pub received: u32,
    /// Of these, not rejected on import.
    pub accepted: u32,
    /// Of these, kept but rejected on import.
    pub filtered: u32,
    /// Destinations whose best path is of this peer, as of the last decision.
    pub best: u32,
    /// Paths that wait to be refreshed or swept.
    pub stale: u32,
}

impl PrefixCounters {
    /// The counter of paths that import accepted, or rejected.
    pub(super) fn of(&mut self, filtered: Option<Reason>) -> &mut u32 {
        if filtered.is_some() { &mut self.filtered } else { &mut self.accepted }
    }
}

pub(super) type Peers = HashMap<PeerId, Peer, FixedState>;

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) info: PeerInfo,
    /// Has a session now.
    pub(super) up: bool,
    pub(super) families: [PeerFamily; 2],
}

/// State of one peer in one family.
#[derive(Debug, Default)]
pub(super) struct PeerFamily {
    /// Destinations with at least one path of the peer.
    pub(super) dests: IdSet,
    pub(super) counters: PrefixCounters,
    /// Paths of another epoch are stale.
    pub(super) epoch: u8,
    /// Epochs that stale paths may be of, counted back from `epoch`.
    pub(super) old_epochs: u8,
    /// End-of-RIB is due: it sweeps, and a refresh cannot begin before it (RFC 7313 4).
    pub(super) awaits_end_of_rib: bool,
    /// Between BoRR and EoRR (RFC 7313 4).
    pub(super) refreshing: bool,
}

impl Peer {
    pub(super) fn new(info: PeerInfo) -> Self {
        Self { info, up: false, families: Default::default() }
    }

    /// No session and no route: nobody needs it.
    pub(super) fn is_idle(&self) -> bool {
        !self.up && self.families.iter().all(|f| f.dests.is_empty())
    }
}
