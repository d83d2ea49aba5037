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

/// The best path, if there is one, stands first; a challenger second. A list has no room to spare: most of the memory of a table
/// with many paths is here.
#[derive(Debug)]
enum Paths {
    None,
    One(Path),
    Many(Box<[Path]>),
}

/// Bits of `Dest::flags`.
mod flag {
    /// In the list of destinations to decide.
    pub(super) const DIRTY: u8 = 1;
    /// The first path is the best one.
    pub(super) const HAS_BEST: u8 = 2;
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
    /// The second path is the only one that changed since the last decision, and not for less than to become the best.
    pub(super) const CHALLENGED: u8 = 128;
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
            Paths::Many(list) => list,
        }
    }

    pub(super) fn paths_mut(&mut self) -> &mut [Path] {
        match &mut self.paths {
            Paths::None => &mut [],
            Paths::One(path) => std::slice::from_mut(path),
            Paths::Many(list) => list,
        }
    }

    /// Index of the best path, as of the last decision; `None` too when that path was removed since.
    pub(super) fn best(&self) -> Option<usize> {
        (self.flags & flag::HAS_BEST != 0).then_some(0)
    }

    pub(super) fn position(&self, source: PeerId, path_id_rx: u32) -> Option<usize> {
        self.paths().iter().position(|p| p.source == source && p.path_id_rx == path_id_rx)
    }

    /// All paths are to be looked at: eligibility, cost or peer of the one at `index` may be another. Moves no path.
    pub(super) fn touch_in_place(&mut self, index: usize, touch: Touch) {
        let replaced = touch == Touch::Path && self.best() == Some(index);
        self.flags |= flag::RESCAN | if replaced { flag::BEST_TOUCHED } else { 0 };
    }

    /// What the next decision has to look at, once `DIRTY` says that there is one.
    pub(super) fn work(&self) -> Work {
        let med = self.flags & flag::MED_DIFFERS != 0;
        match &self.paths {
            Paths::None => Work::Nothing,
            _ if med => Work::AllWithMed,
            _ if self.flags & flag::RESCAN != 0 => Work::All,
            _ if self.flags & flag::CHALLENGED != 0 => Work::Challenger(1),
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
        self.flags &= !(flag::DIRTY | flag::RESCAN | flag::BEST_TOUCHED | flag::CHALLENGED | flag::HAS_BEST);
        if let Some(best) = best {
            self.paths_mut().swap(0, best);
            self.flags |= flag::HAS_BEST;
        }
        if self.paths().len() < 2 {
            self.flags &= !flag::MED_DIFFERS;
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
            Paths::Many(list) => size_of_val(&**list),
            _ => 0,
        }
    }

    pub(super) fn key(&self) -> (K, u8) {
        (self.addr, self.len)
    }

    /// Appends a path.
    pub(super) fn push(&mut self, path: Path) {
        // A new destination is not read back: what was just written may still be on its way to memory.
        if matches!(self.paths, Paths::None) {
            self.paths = Paths::One(path);
            return;
        }
        self.paths = match std::mem::replace(&mut self.paths, Paths::None) {
            Paths::None => Paths::One(path),
            Paths::One(first) => Paths::Many(Box::new([first, path])),
            Paths::Many(list) => {
                let mut list = list.into_vec();
                list.reserve_exact(1);
                list.push(path);
                Paths::Many(list.into_boxed_slice())
            }
        };
    }

    /// Removes the path at `index`; the last one takes its place.
    pub(super) fn remove(&mut self, index: usize) -> Path {
        let challenged = self.flags & flag::CHALLENGED != 0;
        match index {
            0 if self.best().is_some() => {
                self.flags |= flag::RESCAN | flag::BEST_TOUCHED;
                self.flags &= !(flag::HAS_BEST | flag::CHALLENGED);
            }
            // The challenger may take the first place, where nobody looks for it.
            0 if challenged => {
                self.flags |= flag::RESCAN;
                self.flags &= !flag::CHALLENGED;
            }
            1 => self.flags &= !flag::CHALLENGED,
            _ => {}
        }
        match std::mem::replace(&mut self.paths, Paths::None) {
            Paths::Many(list) => {
                let mut list = list.into_vec();
                let removed = list.swap_remove(index);
                self.paths = match *list {
                    [only] => Paths::One(only),
                    _ => Paths::Many(list.into_boxed_slice()),
                };
                removed
            }
            Paths::One(only) => only,
            Paths::None => unreachable!("an index into the paths of a destination without any"),
        }
    }

    /// A path identifier that no path of this destination has.
    pub(super) fn unused_tx(&self) -> u32 {
        let ids = || self.paths().iter().map(Path::path_id_tx);
        let above = ids().max().unwrap_or(0).checked_add(1);
        above.or_else(|| (1..=u32::MAX).find(|id| ids().all(|i| i != *id))).expect("a destination has fewer than 2^32 paths")
    }

    /// The path at `index` is new or has other attributes. May move it, so that the next decision finds it.
    pub(super) fn touch(&mut self, index: usize) {
        if self.best() == Some(index) {
            self.flags |= flag::RESCAN | flag::BEST_TOUCHED;
        } else if self.flags & flag::CHALLENGED != 0 {
            self.flags |= if index == 1 { 0 } else { flag::RESCAN };
        } else if let Paths::Many(list) = &mut self.paths {
            list.swap(1, index);
            self.flags |= flag::CHALLENGED;
        } else {
            self.flags |= flag::RESCAN;
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

/// Why [`Dest::touch_in_place`] touches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Touch {
    /// Eligibility or cost may be another.
    Cost,
    /// Attributes, or facts about the peer, are others.
    Path,
}
