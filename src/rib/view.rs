//! Reading the tables: one destination and its paths, lookups by prefix, dumps in slices, and why a path is not the best.

use super::attrs::AttrId;
use super::choose::{Chooser, Indices};
use super::decide::Step;
use super::dest::{Dest, Key, Path};
use super::tables::Rib;
use super::{DestId, PeerId};
use crate::policy::Reason;
use crate::wire::attr::AttrSet;
use crate::wire::{Family, Nlri};
use ipnet::IpNet;
use smallvec::SmallVec;

/// A destination, as it is now.
#[derive(Clone, Copy)]
pub struct DestRef<'a> {
    rib: &'a Rib,
    family: Family,
    id: DestId,
    prefix: IpNet,
    paths: &'a [Path],
    best: Option<usize>,
}

/// One path of a destination.
#[derive(Clone, Copy, Debug)]
pub struct PathRef<'a> {
    pub source: PeerId,
    pub attr_id: AttrId,
    pub attrs: &'a AttrSet,
    /// Path identifier as received; 0 without add-path.
    pub path_id_rx: u32,
    /// Path identifier to send: unique in the destination, never 0, and the same for the life of the path. 0 for a path that
    /// import rejected.
    pub path_id_tx: u32,
    /// Left from before a restart or a refresh, and not seen again yet.
    pub stale: bool,
}

/// What the decision process makes of a path.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The best path; the step that told it from the runner-up.
    Best(Step),
    /// Shares traffic with the best path; the step at which it lost the first place.
    Multipath(Step),
    /// The step at which it lost.
    NotBest(Step),
    /// Eligible, but no decision has been made since it came, or decisions are deferred.
    Undecided,
    /// Rejected by import policy, or without a usable next hop.
    Ineligible(Reason),
}

/// A path and what the decision process makes of it.
#[derive(Clone, Copy, Debug)]
pub struct PathView<'a> {
    pub path: PathRef<'a>,
    pub verdict: Verdict,
    /// Interior cost of the next hop, where it is usable.
    pub cost: Option<u32>,
}

/// Where a dump goes on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DumpCursor(u32);

impl DumpCursor {
    /// The place as a number, for those who give it away and get it back.
    pub const fn position(self) -> u32 {
        self.0
    }

    /// A place that [`DumpCursor::position`] named; any number is a place.
    pub const fn at(position: u32) -> Self {
        Self(position)
    }
}

/// Destinations that one step of a dump looks at.
const DUMP_STEP: u32 = 4096;

impl<'a> DestRef<'a> {
    pub fn id(&self) -> DestId {
        self.id
    }

    pub fn family(&self) -> Family {
        self.family
    }

    pub fn prefix(&self) -> IpNet {
        self.prefix
    }

    /// The entry of Loc-RIB, as of the last decision.
    pub fn best(&self) -> Option<PathRef<'a>> {
        self.best.map(|b| self.path(b))
    }

    /// The eligible paths, in no particular order.
    pub fn paths(&self) -> impl Iterator<Item = PathRef<'a>> {
        let (this, chooser) = (*self, self.rib.chooser());
        let eligible = move |i: &usize| chooser.check(&this.paths[*i], || this.prefix).is_ok();
        (0..self.paths.len()).filter(eligible).map(move |i| this.path(i))
    }

    /// All paths of Adj-RIB-In, rejected ones included.
    pub fn all_paths(&self) -> impl Iterator<Item = PathRef<'a>> {
        let this = *self;
        (0..self.paths.len()).map(move |i| this.path(i))
    }

    /// At most `limit` eligible paths in order of preference (RFC 7911, best N).
    pub fn ranked(&self, limit: usize) -> SmallVec<[PathRef<'a>; 4]> {
        self.collect(|c| c.ranked(self.paths, self.best, limit, || self.prefix))
    }

    /// The best path and those that share traffic with it.
    pub fn multipath(&self) -> SmallVec<[PathRef<'a>; 4]> {
        self.collect(|c| c.multipath(self.paths, self.best, || self.prefix))
    }

    /// All paths of Adj-RIB-In with what the decision process makes of them.
    pub fn explain(&self) -> Vec<PathView<'a>> {
        let chooser = self.rib.chooser();
        let sharing = chooser.multipath(self.paths, self.best, || self.prefix);
        let verdict = |i: usize| match chooser.check(&self.paths[i], || self.prefix) {
            Err(reason) => Verdict::Ineligible(reason),
            Ok(_) => match self.best.and_then(|b| Some((b, chooser.step(self.paths, b, i, || self.prefix)?))) {
                Some((best, step)) if best == i => Verdict::Best(step),
                Some((_, step)) if sharing.contains(&i) => Verdict::Multipath(step),
                Some((_, step)) => Verdict::NotBest(step),
                None => Verdict::Undecided,
            },
        };
        let cost = |i: usize| chooser.check(&self.paths[i], || self.prefix).ok();
        (0..self.paths.len()).map(|i| PathView { path: self.path(i), verdict: verdict(i), cost: cost(i) }).collect()
    }

    fn collect(&self, choose: impl FnOnce(Chooser<'a>) -> Indices) -> SmallVec<[PathRef<'a>; 4]> {
        choose(self.rib.chooser()).into_iter().map(|i| self.path(i)).collect()
    }

    fn path(&self, index: usize) -> PathRef<'a> {
        let path = &self.paths[index];
        let epoch = self.rib.peers.get(&path.source).map(|p| p.families[self.family.index()].epoch);
        PathRef {
            source: path.source,
            attr_id: path.attr,
            attrs: self.rib.attrs.get(path.attr),
            path_id_rx: path.path_id_rx,
            path_id_tx: path.path_id_tx(),
            stale: epoch != Some(path.epoch()),
        }
    }
}

impl Rib {
    /// A destination by id; `None` if the id is not in use. One without paths is still there as long as it is held, and until
    /// the decision after the one that reported its last change.
    pub fn dest(&self, family: Family, id: DestId) -> Option<DestRef<'_>> {
        match family {
            Family::Ipv4Unicast => self.v4.get(id).map(|d| self.dest_ref(family, id, d)),
            Family::Ipv6Unicast => self.v6.get(id).map(|d| self.dest_ref(family, id, d)),
        }
    }

    /// Exactly this prefix (host bits are ignored), if it has a path.
    pub fn lookup(&self, prefix: &IpNet) -> Option<DestRef<'_>> {
        self.covering(prefix).find(|d| d.prefix == prefix.trunc())
    }

    /// Whether the peer has this very path, and import accepted it.
    pub fn has_accepted(&self, peer: PeerId, nlri: &Nlri) -> bool {
        let path = |d: DestRef<'_>| d.all_paths().any(|p| p.source == peer && p.path_id_rx == nlri.path_id && p.path_id_tx != 0);
        self.lookup(&nlri.prefix).is_some_and(path)
    }

    /// The longest prefix that contains `prefix`, itself included, and has a path.
    pub fn longest_match(&self, prefix: &IpNet) -> Option<DestRef<'_>> {
        self.covering(prefix).next()
    }

    /// The prefixes that contain `prefix`, itself included, the longest first.
    pub fn covering(&self, prefix: &IpNet) -> impl Iterator<Item = DestRef<'_>> {
        let prefix = prefix.trunc();
        let v4 = u32::split(&prefix).into_iter().flat_map(|(addr, len)| self.v4.covering(addr, len));
        let v6 = u128::split(&prefix).into_iter().flat_map(|(addr, len)| self.v6.covering(addr, len));
        v4.chain(v6).filter_map(move |id| self.dest(Family::of(&prefix), id))
    }

    /// One step of a dump of a family: the destinations with a path among the next 4096 ids. Moves the cursor on, or clears it
    /// at the end. A destination that is there during the whole dump appears exactly once, whatever else changes meanwhile.
    pub fn dump(&self, family: Family, cursor: &mut Option<DumpCursor>) -> impl Iterator<Item = DestRef<'_>> {
        let from = cursor.map_or(u32::MAX, |c| c.0);
        let end = match family {
            Family::Ipv4Unicast => self.v4.end(),
            Family::Ipv6Unicast => self.v6.end(),
        };
        let to = from.saturating_add(DUMP_STEP).min(end);
        *cursor = (to < end).then_some(DumpCursor(to));
        (from..to).filter_map(move |id| self.dest(family, DestId(id))).filter(|d| !d.paths.is_empty())
    }

    /// One step of a dump of the prefixes within `prefix`, itself included. See [`Rib::dump`]: it looks at all destinations,
    /// since no table in order of prefixes is kept.
    pub fn covered(&self, prefix: &IpNet, cursor: &mut Option<DumpCursor>) -> impl Iterator<Item = DestRef<'_>> {
        let prefix = prefix.trunc();
        self.dump(Family::of(&prefix), cursor).filter(move |d| prefix.contains(&d.prefix))
    }

    /// One step of a dump of Adj-RIB-In of a peer: up to 4096 destinations with a path of it. See [`Rib::dump`].
    pub fn dump_peer(&self, peer: PeerId, family: Family, cursor: &mut Option<DumpCursor>) -> impl Iterator<Item = DestRef<'_>> {
        let dests = self.peers.get(&peer).map(|p| &p.families[family.index()].dests);
        let mut ids = Vec::new();
        let mut from = cursor.take().map(|c| c.0);
        while let Some(next) = from.and_then(|f| dests?.next(f)) {
            if ids.len() == DUMP_STEP as usize {
                *cursor = Some(DumpCursor(next));
                break;
            }
            ids.push(next);
            from = next.checked_add(1);
        }
        ids.into_iter().filter_map(move |id| self.dest(family, DestId(id)))
    }

    fn dest_ref<'a, K: Key>(&'a self, family: Family, id: DestId, dest: &'a Dest<K>) -> DestRef<'a> {
        DestRef { rib: self, family, id, prefix: dest.prefix(), paths: dest.paths(), best: dest.best() }
    }
}
