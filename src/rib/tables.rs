//! The tables of all families behind one door: what comes in, what changed, what is in use.

use super::attrs::{AttrId, Interner};
use super::choose::Chooser;
use super::decide::Rules;
use super::dest::{Key, Touch, Work};
use super::nexthop::{NextHopInterest, NextHops, Resolution};
use super::peer::{Peer, PeerInfo, Peers, PrefixCounters};
use super::table::{Arrival, Table};
use super::{DestId, PeerId};
use crate::policy::{PeerKind, Reason};
use crate::wire::attr::AttrSet;
use crate::wire::nlri::Nlri;
use crate::wire::{Asn, Family, FamilySet, RouterId};
use foldhash::fast::FixedState;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr};

/// What the tables need to know of the speaker.
#[derive(Clone, Debug)]
pub struct Params {
    pub local_as: Asn,
    pub router_id: RouterId,
    pub rules: Rules,
    /// Most paths in a multipath set; 1 is no multipath.
    pub multipath: usize,
    /// Paths may share traffic although their AS_PATHs differ (only the lengths are equal).
    pub multipath_relax: bool,
    /// Next hops are resolved by the caller ([`Rib::poll_next_hop`]); without, all resolve at cost 0.
    pub next_hop_tracking: bool,
    /// Makes hash values unpredictable for those who choose prefixes and attributes.
    pub seed: u64,
}

/// Outcome of [`Rib::decide`]. The ids stay valid until the next `decide` of the family, even where no path is left.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Changed {
    pub family: Family,
    /// Destinations whose winner, or the attributes of their winner, changed.
    pub best: Vec<DestId>,
    /// Destinations of which anything changed: a path, its eligibility, its cost. Includes `best`.
    pub paths: Vec<DestId>,
}

impl Changed {
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }
}

/// Memory in use, in bytes, and what it holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Memory {
    pub destinations: usize,
    pub paths: usize,
    pub attribute_sets: usize,
    pub next_hops: usize,
    pub prefix_map_bytes: usize,
    pub destination_bytes: usize,
    /// Path lists of destinations with more than one path.
    pub path_list_bytes: usize,
    /// Which peer has a path for which destination.
    pub peer_bytes: usize,
    pub attribute_bytes: usize,
    pub attribute_index_bytes: usize,
    pub next_hop_bytes: usize,
}

impl Memory {
    pub const fn total_bytes(&self) -> usize {
        self.prefix_map_bytes
            + self.destination_bytes
            + self.path_list_bytes
            + self.peer_bytes
            + self.attribute_bytes
            + self.attribute_index_bytes
            + self.next_hop_bytes
    }
}

/// All routes of the speaker.
#[derive(Debug)]
pub struct Rib {
    pub(super) v4: Table<u32>,
    pub(super) v6: Table<u128>,
    pub(super) attrs: Interner,
    pub(super) peers: Peers,
    params: Params,
}

/// Runs an expression on the table of a family, whatever its key.
macro_rules! on_table {
    ($rib:expr, $family:expr, $table:ident => $body:expr) => {
        match $family {
            Family::Ipv4Unicast => {
                let $table = &mut $rib.v4;
                $body
            }
            Family::Ipv6Unicast => {
                let $table = &mut $rib.v6;
                $body
            }
        }
    };
}
pub(super) use on_table;

impl Rib {
    pub fn new(params: Params) -> Self {
        let hasher = FixedState::with_seed(params.seed);
        let local = PeerInfo {
            addr: Ipv4Addr::UNSPECIFIED.into(),
            asn: params.local_as,
            router_id: params.router_id,
            kind: PeerKind::Local,
            end_of_rib: FamilySet::NONE,
        };
        let mut peers = Peers::with_hasher(hasher);
        peers.insert(PeerId::LOCAL, Peer { up: true, ..Peer::new(local) });
        Self {
            v4: Table::new(params.seed),
            v6: Table::new(params.seed),
            attrs: Interner::new(params.seed, NextHops::new(params.seed, params.next_hop_tracking)),
            peers,
            params,
        }
    }

    /// Routes of an UPDATE, import policy applied; `filtered` says that it rejected them, and why. An identical route that is
    /// there already changes nothing, except that it is not stale any more. NLRI of another family are left out.
    ///
    /// From a peer without a session, nothing is taken: what arrives late would never be removed.
    pub fn announce(&mut self, peer: PeerId, family: Family, nlri: &[Nlri], attrs: &AttrSet, filtered: Option<Reason>) {
        let Some(from) = self.peers.get_mut(&peer).filter(|p| p.up) else { return };
        let from = &mut from.families[family.index()];
        let attr = self.attrs.intern(attrs, peer);
        let (interner, rules) = (&mut self.attrs, &self.params.rules);
        on_table!(self, family, table => {
            for Nlri { prefix, path_id } in nlri {
                let Some(prefix) = Key::split(prefix) else { continue };
                let arrival = Arrival { source: peer, path_id_rx: *path_id, attr, filtered };
                table.announce(prefix, arrival, from, interner, |interner, a| rules.med(interner.get(a)));
            }
        });
        self.attrs.release(attr);
    }

    /// Routes withdrawn by an UPDATE; those that are not there are no error.
    pub fn withdraw(&mut self, peer: PeerId, family: Family, nlri: &[Nlri]) {
        let Some(from) = self.peers.get_mut(&peer).filter(|p| p.up) else { return };
        let from = &mut from.families[family.index()];
        on_table!(self, family, table => {
            for Nlri { prefix, path_id } in nlri {
                let Some(prefix) = Key::split(prefix) else { continue };
                table.withdraw(prefix, (peer, *path_id), from, &mut self.attrs);
            }
        });
    }

    /// The peer became a client, or is one no more (RFC 4456). True when that is news: its destinations then count as changed.
    pub fn set_kind(&mut self, peer: PeerId, kind: PeerKind) -> bool {
        let news = self.peers.get_mut(&peer).is_some_and(|p| std::mem::replace(&mut p.info.kind, kind) != kind);
        if news {
            self.touch_peer(peer);
        }
        news
    }

    /// A route of our own. One prefix has one: several origins of a prefix are merged by the caller.
    pub fn originate(&mut self, prefix: IpNet, attrs: &AttrSet) {
        self.announce(PeerId::LOCAL, Family::of(&prefix), &[Nlri::from(prefix)], attrs, None);
    }

    pub fn unoriginate(&mut self, prefix: IpNet) {
        self.withdraw(PeerId::LOCAL, Family::of(&prefix), &[Nlri::from(prefix)]);
    }

    /// Decides every destination that changed since the last call, once. Nothing while the family is deferred.
    pub fn decide(&mut self, family: Family) -> Changed {
        on_table!(self, family, table => table.reap());
        self.touch_changed_next_hops(family);
        self.attrs.next_hops.forget_users(|user| self.peers.contains_key(user));
        let mut changed = Changed { family, best: Vec::new(), paths: Vec::new() };
        on_table!(self, family, table => {
            if table.deferred {
                return changed;
            }
            changed.paths = table.take_dirty();
            let decider = Decider { attrs: &self.attrs, params: &self.params, family };
            changed.best.extend(changed.paths.iter().copied().filter(|id| decider.decide(table, *id, &mut self.peers)));
        });
        changed
    }

    /// While deferred, [`Rib::decide`] yields nothing, and no destination has a best path that it did not have before
    /// (RFC 4724 4.1, restarting speaker).
    pub fn set_deferred(&mut self, family: Family, deferred: bool) {
        on_table!(self, family, table => table.deferred = deferred);
    }

    /// The resolution of a watched next hop. Takes effect with the next [`Rib::decide`].
    pub fn next_hop_changed(&mut self, address: IpAddr, resolution: Resolution) {
        self.attrs.next_hops.set_resolution(address, resolution);
    }

    /// Whether a next hop in use was not reported on with [`Rib::next_hop_changed`] yet: what is decided now may leave out routes
    /// that are good.
    pub fn awaits_next_hops(&self) -> bool {
        self.attrs.next_hops.awaits_resolution()
    }

    /// Whether a next hop is on a network that this host is on, as far as [`Rib::next_hop_changed`] told.
    pub fn is_connected(&self, address: IpAddr) -> bool {
        self.attrs.next_hops.is_connected(address)
    }

    /// Whether [`Rib::next_hop_changed`] told that nothing leads to a next hop.
    pub fn is_unreachable(&self, address: IpAddr) -> bool {
        self.attrs.next_hops.is_unreachable(address)
    }

    /// The next hops to watch, or to watch no more, one at a time.
    pub fn poll_next_hop(&mut self) -> Option<NextHopInterest> {
        self.attrs.next_hops.poll()
    }

    /// Our own addresses: no route of a peer can use them as next hop (RFC 4271 5.1.3). Takes effect with the next
    /// [`Rib::decide`].
    pub fn set_own_addresses(&mut self, own: &[IpAddr]) {
        self.attrs.next_hops.set_own(own);
    }

    /// A slot names the destination: its id is not reused before [`Rib::release_dest`]. One hold per holder and destination.
    ///
    /// # Panics
    /// If the id is not in use: holders take ids from [`Changed`] or from [`crate::rib::DestRef`] only.
    pub fn hold_dest(&mut self, family: Family, id: DestId) {
        on_table!(self, family, table => table.hold(id));
    }

    pub fn release_dest(&mut self, family: Family, id: DestId) {
        on_table!(self, family, table => table.release(id));
    }

    /// Keeps an attribute set, and with it the meaning of its id, until [`Rib::release_attr`].
    pub fn hold_attr(&mut self, id: AttrId) {
        self.attrs.hold(id);
    }

    pub fn release_attr(&mut self, id: AttrId) {
        self.attrs.release(id);
    }

    /// The set behind an id that is held, or that a path has.
    pub fn attrs(&self, id: AttrId) -> &AttrSet {
        self.attrs.get(id)
    }

    /// `None` for a peer without session and without routes.
    pub fn peer(&self, peer: PeerId) -> Option<&PeerInfo> {
        Some(&self.peers.get(&peer)?.info)
    }

    /// Routes of a peer, counted as they come and go; all 0 for an unknown peer.
    pub fn counters(&self, peer: PeerId, family: Family) -> PrefixCounters {
        self.peers.get(&peer).map(|p| p.families[family.index()].counters).unwrap_or_default()
    }

    /// Prefixes and paths of a family.
    pub fn size(&self, family: Family) -> (usize, usize) {
        match family {
            Family::Ipv4Unicast => self.v4.counts(),
            Family::Ipv6Unicast => self.v6.counts(),
        }
    }

    /// Memory of the tables of a family, in bytes, without what both families share.
    pub fn table_bytes(&self, family: Family) -> usize {
        let (map, dests, paths) = match family {
            Family::Ipv4Unicast => self.v4.memory(),
            Family::Ipv6Unicast => self.v6.memory(),
        };
        map + dests + paths
    }

    /// Walks the peers and the next hops, not the routes.
    pub fn memory(&self) -> Memory {
        let (v4, v6) = (self.v4.memory(), self.v6.memory());
        let (counts4, counts6) = (self.v4.counts(), self.v6.counts());
        let sets: usize = self.peers.values().flat_map(|p| &p.families).map(|f| f.dests.memory()).sum();
        Memory {
            destinations: counts4.0 + counts6.0,
            paths: counts4.1 + counts6.1,
            attribute_sets: self.attrs.len(),
            next_hops: self.attrs.next_hops.len(),
            prefix_map_bytes: v4.0 + v6.0,
            destination_bytes: v4.1 + v6.1,
            path_list_bytes: v4.2 + v6.2,
            peer_bytes: sets + self.peers.allocation_size(),
            attribute_bytes: self.attrs.set_bytes(),
            attribute_index_bytes: self.attrs.index_bytes(),
            next_hop_bytes: self.attrs.next_hops.memory(),
        }
    }

    pub(super) fn chooser(&self) -> Chooser<'_> {
        chooser(&self.attrs, &self.peers, &self.params)
    }

    /// Facts about the peer are others: its paths are decided anew, and reported.
    pub(super) fn touch_peer(&mut self, peer: PeerId) {
        let Some(entry) = self.peers.get(&peer) else { return };
        for family in Family::ALL {
            let from = &entry.families[family.index()];
            on_table!(self, family, table => table.touch_paths(peer, from, Touch::Path, |_| true));
        }
    }

    /// Marks the destinations that use a next hop whose usability or cost changed: all of them with one walk over the routes of
    /// the peers that used such a next hop. An index from next hops to routes would cost every route; this costs none.
    fn touch_changed_next_hops(&mut self, family: Family) {
        let Some((changed, users)) = self.attrs.next_hops.take_changed(family.index()) else { return };
        let attrs = &self.attrs;
        for source in users {
            let Some(peer) = self.peers.get(&source) else { continue };
            let from = &peer.families[family.index()];
            on_table!(self, family, table => table.touch_paths(source, from, Touch::Cost, |a| changed.contains(attrs.next_hop(a).index())));
        }
    }
}

fn chooser<'a>(attrs: &'a Interner, peers: &'a Peers, params: &'a Params) -> Chooser<'a> {
    let Params { rules, multipath, multipath_relax, .. } = params;
    Chooser { attrs, peers, rules, multipath: *multipath, multipath_relax: *multipath_relax }
}

/// One turn of decisions.
struct Decider<'a> {
    attrs: &'a Interner,
    params: &'a Params,
    family: Family,
}

impl Decider<'_> {
    /// Decides one destination; `true` if its winner changed.
    fn decide<K: Key>(&self, table: &mut Table<K>, id: DestId, peers: &mut Peers) -> bool {
        let dest = table.dest_mut(id);
        let (work, old) = (dest.work(), dest.best());
        let new = chooser(self.attrs, peers, self.params).choose(dest.paths(), old, work, || dest.prefix());
        if work == Work::AllWithMed {
            let mut meds = dest.paths().iter().map(|p| self.params.rules.med(self.attrs.get(p.attr)));
            let first = meds.next();
            let differ = meds.any(|m| Some(m) != first);
            dest.set_med_differs(differ);
        }
        if old != new {
            let mut count = |best: Option<usize>, step: fn(&mut u32)| {
                let source = best.and_then(|b| dest.paths().get(b)).map(|p| p.source);
                if let Some(peer) = source.and_then(|s| peers.get_mut(&s)) {
                    step(&mut peer.families[self.family.index()].counters.best);
                }
            };
            count(old, |best| *best -= 1);
            count(new, |best| *best += 1);
        }
        let changed = dest.decided(new);
        table.doom(id);
        changed
    }
}
