//! A destination and its paths. Sizes are pinned by tests: one IPv4 destination with one path is 32 octets and no allocation of
//! its own.

use super::PeerId;
use super::attrs::AttrId;
use crate::policy::Reason;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::hash::Hash;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The address half of a prefix.
pub(super) trait Key: Copy + Eq + Hash + std::fmt::Debug {
    const BITS: u8;

    /// Address and length; `None` for a prefix of the other family.
    fn split(prefix: &IpNet) -> Option<(Self, u8)>;
    fn join(self, len: u8) -> IpNet;
    /// Clears the bits behind the first `len`.
    fn truncate(self, len: u8) -> Self;
}

impl Key for u32 {
    const BITS: u8 = 32;

    fn split(prefix: &IpNet) -> Option<(Self, u8)> {
        match prefix {
            IpNet::V4(p) => Some((p.addr().to_bits(), p.prefix_len())),
            IpNet::V6(_) => None,
        }
    }

    fn join(self, len: u8) -> IpNet {
        Ipv4Net::new(Ipv4Addr::from_bits(self), len).expect("a stored length is one of its family").into()
    }

    fn truncate(self, len: u8) -> Self {
        self & Self::MAX.checked_shl(u32::from(<Self as Key>::BITS - len)).unwrap_or(0)
    }
}

impl Key for u128 {
    const BITS: u8 = 128;

    fn split(prefix: &IpNet) -> Option<(Self, u8)> {
        match prefix {
            IpNet::V4(_) => None,
            IpNet::V6(p) => Some((p.addr().to_bits(), p.prefix_len())),
        }
    }

    fn join(self, len: u8) -> IpNet {
        Ipv6Net::new(Ipv6Addr::from_bits(self), len).expect("a stored length is one of its family").into()
    }

    fn truncate(self, len: u8) -> Self {
        self & Self::MAX.checked_shl(u32::from(<Self as Key>::BITS - len)).unwrap_or(0)
    }
}

/// One route as a peer announced it: entry of Adj-RIB-In and candidate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    pub(super) source: PeerId,
    /// Path identifier as received, 0 without add-path.
    pub(super) path_id_rx: u32,
    pub(super) attr: AttrId,
    pub(super) state: State,
}

/// `epoch` is the peer's at the time of the last announcement; it stands in both variants to fill what would be padding.
#[derive(Clone, Copy, Debug)]
pub(super) enum State {
    /// `tx` is the path identifier under which we pass it on: unique in the destination, kept as long as the path is accepted.
    Accepted {
        epoch: u8,
        tx: u32,
    },
    Filtered {
        epoch: u8,
        reason: Reason,
    },
}

impl Path {
    pub(super) fn epoch(&self) -> u8 {
        match self.state {
            State::Accepted { epoch, .. } | State::Filtered { epoch, .. } => epoch,
        }
    }

    pub(super) fn set_epoch(&mut self, now: u8) {
        match &mut self.state {
            State::Accepted { epoch, .. } | State::Filtered { epoch, .. } => *epoch = now,
        }
    }

    /// Why import rejected it.
    pub(super) fn filtered(&self) -> Option<Reason> {
        match self.state {
            State::Accepted { .. } => None,
            State::Filtered { reason, .. } => Some(reason),
        }
    }

    /// 0 for a filtered path.
    pub(super) fn path_id_tx(&self) -> u32 {
        match self.state {
            State::Accepted { tx, .. } => tx,
            State::Filtered { .. } => 0,
        }
    }
}

#[derive(Debug)]
pub(super) struct Dest<K> {
    paths: Paths,
    addr: K,
    len: u8,
    flags: u8,
    /// Groups whose slots name this destination.
    holds: u16,
}

#[derive(Debug)]
enum Paths {
    None,
    One(Path),
    Many(Box<Many>),
}

#[derive(Debug)]
struct Many {
    paths: Vec<Path>,
    best: u32,
    /// The only path that changed since the last decision, if that suffices to decide.
    challenger: u32,
}

/// `Many::best`, `Many::challenger`: none.
const NONE: u32 = u32::MAX;

/// Bits of `Dest::flags`.
mod flag {
    /// In the list of destinations to decide.
    pub(super) const DIRTY: u8 = 1;
    /// The one path is best (`Paths::One`).
    pub(super) const ONE_IS_BEST: u8 = 2;
    /// The next decision looks at all paths.
    pub(super) const RESCAN: u8 = 4;
    /// The best path was replaced or removed since the last decision.
    pub(super) const BEST_TOUCHED: u8 = 8;
    /// Paths may differ in MED; unset, they do not.
    pub(super) const MED_DIFFERS: u8 = 16;
    /// In the list of destinations that may be freed.
    pub(super) const DOOMED: u8 = 32;
    /// Not in use.
    pub(super) const FREE: u8 = 64;
}

impl<K: Key> Dest<K> {
    pub(super) fn new(addr: K, len: u8) -> Self {
        Self { paths: Paths::None, addr, len, flags: 0, holds: 0 }
    }

    pub(super) fn prefix(&self) -> IpNet {
        self.addr.join(self.len)
    }

    pub(super) fn paths(&self) -> &[Path] {
        match &self.paths {
            Paths::None => &[],
            Paths::One(path) => std::slice::from_ref(path),
            Paths::Many(many) => &many.paths,
        }
    }

    pub(super) fn paths_mut(&mut self) -> &mut [Path] {
        match &mut self.paths {
            Paths::None => &mut [],
            Paths::One(path) => std::slice::from_mut(path),
            Paths::Many(many) => &mut many.paths,
        }
    }

    /// Index of the best path, as of the last decision; `None` too when that path was removed since.
    pub(super) fn best(&self) -> Option<usize> {
        match &self.paths {
            Paths::Many(many) => (many.best != NONE).then_some(many.best as usize),
            Paths::One(_) => (self.flags & flag::ONE_IS_BEST != 0).then_some(0),
            Paths::None => None,
        }
    }

    pub(super) fn position(&self, source: PeerId, path_id_rx: u32) -> Option<usize> {
        self.paths().iter().position(|p| p.source == source && p.path_id_rx == path_id_rx)
    }

    /// A path whose attributes are as before became eligible or ineligible, or costs another amount to reach.
    pub(super) fn touch_cost(&mut self) {
        self.flags |= flag::RESCAN;
    }

    /// What the next decision has to look at, once `DIRTY` says that there is one.
    pub(super) fn work(&self) -> Work {
        let med = self.flags & flag::MED_DIFFERS != 0;
        match &self.paths {
            Paths::None => Work::Nothing,
            _ if med => Work::AllWithMed,
            _ if self.flags & flag::RESCAN != 0 => Work::All,
            Paths::Many(many) if many.challenger != NONE => Work::Challenger(many.challenger as usize),
            _ => Work::Nothing,
        }
    }

    /// Records whether the paths differ in MED.
    pub(super) fn set_med_differs(&mut self, differ: bool) {
        self.flags = if differ { self.flags | flag::MED_DIFFERS } else { self.flags & !flag::MED_DIFFERS };
    }

    /// Ends a decision: `true` if the winner or its attributes are others than at the end of the last one.
    pub(super) fn decided(&mut self, best: Option<usize>) -> bool {
        let changed = self.flags & flag::BEST_TOUCHED != 0 || self.best() != best;
        self.set_best(best);
        self.flags &= !(flag::DIRTY | flag::RESCAN | flag::BEST_TOUCHED);
        match &mut self.paths {
            Paths::Many(many) => many.challenger = NONE,
            _ => self.flags &= !flag::MED_DIFFERS,
        }
        changed
    }

    /// `true` if it was clean.
    pub(super) fn set_dirty(&mut self) -> bool {
        let was = self.flags & flag::DIRTY != 0;
        self.flags |= flag::DIRTY;
        !was
    }

    /// `true` if nothing but the list of the dead refers to it, and it was not on that list.
    pub(super) fn set_doomed(&mut self) -> bool {
        let new = self.is_unused() && self.flags & (flag::DIRTY | flag::DOOMED) == 0;
        self.flags |= if new { flag::DOOMED } else { 0 };
        new
    }

    /// Leaves the list of the dead: `true` if it is to be freed.
    pub(super) fn take_doomed(&mut self) -> bool {
        self.flags &= !flag::DOOMED;
        self.is_unused() && self.flags & flag::DIRTY == 0
    }

    fn is_unused(&self) -> bool {
        self.paths().is_empty() && self.holds == 0
    }

    pub(super) fn is_free(&self) -> bool {
        self.flags & flag::FREE != 0
    }

    pub(super) fn set_free(&mut self) {
        self.flags = flag::FREE;
    }

    /// One more group has a slot for this destination. The count sticks at its maximum: such a destination is never freed.
    pub(super) fn hold(&mut self) {
        self.holds = self.holds.saturating_add(1);
    }

    pub(super) fn release(&mut self) {
        debug_assert!(self.holds > 0, "only a held destination can be released");
        if self.holds != u16::MAX {
            self.holds = self.holds.saturating_sub(1);
        }
    }

    /// Bytes of the path list outside the destination.
    pub(super) fn list_bytes(&self) -> usize {
        match &self.paths {
            Paths::Many(many) => size_of::<Many>() + many.paths.capacity() * size_of::<Path>(),
            _ => 0,
        }
    }

    pub(super) fn key(&self) -> (K, u8) {
        (self.addr, self.len)
    }

    fn set_best(&mut self, best: Option<usize>) {
        self.flags &= !flag::ONE_IS_BEST;
        match &mut self.paths {
            Paths::Many(many) => many.best = best.map_or(NONE, |b| b as u32),
            Paths::One(_) if best.is_some() => self.flags |= flag::ONE_IS_BEST,
            _ => {}
        }
    }

    pub(super) fn push(&mut self, path: Path) {
        match std::mem::replace(&mut self.paths, Paths::None) {
            Paths::None => self.paths = Paths::One(path),
            Paths::One(first) => {
                let best = if self.flags & flag::ONE_IS_BEST != 0 { 0 } else { NONE };
                self.flags &= !flag::ONE_IS_BEST;
                self.paths = Paths::Many(Box::new(Many { paths: vec![first, path], best, challenger: NONE }));
            }
            Paths::Many(mut many) => {
                // A quarter more at a time: most of the memory of a table with many paths is here.
                if many.paths.len() == many.paths.capacity() {
                    many.paths.reserve_exact(many.paths.len() / 4 + 1);
                }
                many.paths.push(path);
                self.paths = Paths::Many(many);
            }
        }
    }

    pub(super) fn remove(&mut self, index: usize) -> Path {
        let was_best = self.best() == Some(index);
        if was_best {
            self.flags |= flag::RESCAN | flag::BEST_TOUCHED;
        }
        match std::mem::replace(&mut self.paths, Paths::None) {
            Paths::Many(mut many) => {
                let last = (many.paths.len() - 1) as u32;
                let removed = many.paths.swap_remove(index);
                for place in [&mut many.best, &mut many.challenger] {
                    *place = match *place {
                        at if at == index as u32 => NONE,
                        at if at == last => index as u32,
                        at => at,
                    };
                }
                match *many.paths {
                    [only] => {
                        self.flags |= if many.best == 0 { flag::ONE_IS_BEST } else { 0 };
                        self.flags |= if many.challenger == 0 { flag::RESCAN } else { 0 };
                        self.paths = Paths::One(only);
                    }
                    _ => self.paths = Paths::Many(many),
                }
                removed
            }
            Paths::One(only) => {
                self.flags &= !flag::ONE_IS_BEST;
                only
            }
            Paths::None => unreachable!("an index into the paths of a destination without any"),
        }
    }

    /// A path identifier that no path of this destination has.
    pub(super) fn unused_tx(&self) -> u32 {
        let ids = || self.paths().iter().map(Path::path_id_tx);
        let above = ids().max().unwrap_or(0).checked_add(1);
        above.or_else(|| (1..=u32::MAX).find(|id| ids().all(|i| i != *id))).expect("a destination has fewer than 2^32 paths")
    }

    /// The path at `index` is new or has other attributes.
    pub(super) fn touch(&mut self, index: usize) {
        if self.best() == Some(index) {
            self.flags |= flag::RESCAN | flag::BEST_TOUCHED;
            return;
        }
        match &mut self.paths {
            Paths::Many(many) if many.challenger == NONE || many.challenger == index as u32 => many.challenger = index as u32,
            _ => self.flags |= flag::RESCAN,
        }
    }

    /// All paths have the same MED until this notes that the one at `index` differs from another.
    pub(super) fn note_med(&mut self, index: usize, med: impl Fn(AttrId) -> u32) {
        if self.flags & flag::MED_DIFFERS == 0
            && let [first, second, ..] = self.paths()
        {
            let other = if index == 0 { second } else { first };
            if med(self.paths()[index].attr) != med(other.attr) {
                self.flags |= flag::MED_DIFFERS;
            }
        }
    }
}

/// What a decision has to look at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Work {
    /// The best path, or none, stays.
    Nothing,
    /// Only this path can have become better than the best.
    Challenger(usize),
    All,
    /// All, and they may differ in MED.
    AllWithMed,
}
