//! The table of one address family: prefixes to destinations, the list of destinations to decide, and the life of their ids.

use super::arena::Arena;
use super::attrs::{AttrId, Interner};
use super::dest::{Dest, Key, Path, State, Touch};
use super::peer::PeerFamily;
use super::{DestId, PeerId};
use crate::policy::Reason;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

#[derive(Debug)]
pub(super) struct Table<K> {
    by_prefix: HashTable<u32>,
    hasher: FixedState,
    dests: Arena<Dest<K>>,
    free: Vec<u32>,
    dirty: Vec<DestId>,
    doomed: Vec<DestId>,
    /// Destinations of each prefix length, so that a longest match tries only lengths that exist.
    lengths: Vec<u32>,
    paths: usize,
    /// Bytes of path lists outside their destination.
    list_bytes: usize,
    /// Decisions are put off (RFC 4724 4.1).
    pub(super) deferred: bool,
}

/// A route on its way into the table; the caller holds its attribute set meanwhile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) source: PeerId,
    pub(super) path_id_rx: u32,
    pub(super) attr: AttrId,
    pub(super) filtered: Option<Reason>,
}

impl<K: Key> Table<K> {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            by_prefix: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            dests: Arena::new(),
            free: Vec::new(),
            dirty: Vec::new(),
            doomed: Vec::new(),
            lengths: vec![0; usize::from(K::BITS) + 1],
            paths: 0,
            list_bytes: 0,
            deferred: false,
        }
    }

    /// Adds or replaces the path `(source, path_id_rx)` of a prefix. An identical one is only refreshed. `med` is as compared.
    pub(super) fn announce(
        &mut self,
        (addr, len): (K, u8),
        arrival: Arrival,
        from: &mut PeerFamily,
        attrs: &mut Interner,
        med: impl Fn(&Interner, AttrId) -> u32,
    ) {
        let id = self.find(addr, len).unwrap_or_else(|| self.insert(addr, len));
        let dest = &mut self.dests[id.0];
        let (index, relevant) = match dest.position(arrival.source, arrival.path_id_rx) {
            Some(index) => {
                let path = &mut dest.paths_mut()[index];
                if path.epoch() != from.epoch {
                    path.set_epoch(from.epoch);
                    from.counters.stale -= 1;
                }
                if path.attr == arrival.attr && path.filtered() == arrival.filtered {
                    return;
                }
                attrs.hold(arrival.attr);
                attrs.release(path.attr);
                (index, replace(dest, index, arrival, from))
            }
            None => {
                attrs.hold(arrival.attr);
                self.paths += 1;
                from.dests.insert(id.0);
                self.list_bytes -= dest.list_bytes();
                add(dest, arrival, from);
                self.list_bytes += dest.list_bytes();
                (dest.paths().len() - 1, arrival.filtered.is_none())
            }
        };
        dest.note_med(index, |a| med(attrs, a));
        if relevant {
            dest.touch(index);
            self.mark_dirty(id);
        }
    }

    /// Removes a path; a path that is not there is no error (RFC 4271 3.1 allows redundant withdrawals).
    pub(super) fn withdraw(&mut self, (addr, len): (K, u8), key: (PeerId, u32), from: &mut PeerFamily, attrs: &mut Interner) {
        let Some(id) = self.find(addr, len) else { return };
        if let Some(index) = self.dests[id.0].position(key.0, key.1) {
            self.remove_path(id, index, from, attrs);
            if !self.dests[id.0].paths().iter().any(|p| p.source == key.0) {
                from.dests.remove(id.0);
            }
        }
    }

    /// Removes the paths of `source` that `gone` selects.
    pub(super) fn remove_all(&mut self, source: PeerId, from: &mut PeerFamily, attrs: &mut Interner, gone: impl Fn(&Path) -> bool) {
        let mut at = Some(0);
        while let Some(id) = at.and_then(|a| from.dests.next(a)) {
            at = id.checked_add(1);
            let mut left = false;
            let mut index = 0;
            while let Some(path) = self.dests[id].paths().get(index) {
                if path.source == source && gone(path) {
                    self.remove_path(DestId(id), index, from, attrs);
                    continue;
                }
                left |= path.source == source;
                index += 1;
            }
            if !left {
                from.dests.remove(id);
            }
        }
    }

    /// Marks the destinations where a path of `source` has an attribute set that `concerned` selects.
    pub(super) fn touch_paths(&mut self, source: PeerId, from: &PeerFamily, touch: Touch, concerned: impl Fn(AttrId) -> bool) {
        for id in from.dests.iter() {
            let dest = &mut self.dests[id];
            let mut found = false;
            for index in 0..dest.paths().len() {
                let path = dest.paths()[index];
                if path.source == source && path.filtered().is_none() && concerned(path.attr) {
                    found = true;
                    dest.touch_in_place(index, touch);
                }
            }
            if found {
                self.mark_dirty(DestId(id));
            }
        }
    }

    /// The attribute sets of the stale paths of `source`, each once.
    pub(super) fn stale_attrs(&self, source: PeerId, from: &PeerFamily) -> Vec<AttrId> {
        let paths = from.dests.iter().flat_map(|id| self.dests[id].paths());
        let mut found: Vec<AttrId> = paths.filter(|p| p.source == source && p.epoch() != from.epoch).map(|p| p.attr).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Gives the stale paths of `source` the attribute set that `change` names; they stay stale. The caller holds both sets.
    pub(super) fn rewrite_stale(
        &mut self,
        source: PeerId,
        from: &PeerFamily,
        attrs: &mut Interner,
        change: impl Fn(AttrId) -> Option<AttrId>,
    ) {
        for id in from.dests.iter() {
            let dest = &mut self.dests[id];
            let mut dirty = false;
            for index in 0..dest.paths().len() {
                let path = &mut dest.paths_mut()[index];
                if path.source == source
                    && path.epoch() != from.epoch
                    && let Some(new) = change(path.attr)
                {
                    attrs.hold(new);
                    attrs.release(std::mem::replace(&mut path.attr, new));
                    if path.filtered().is_none() {
                        dest.touch_in_place(index, Touch::Path);
                        dirty = true;
                    }
                }
            }
            if dirty {
                self.mark_dirty(DestId(id));
            }
        }
    }

    /// Sets the epoch of the stale paths of `source`.
    pub(super) fn renumber_stale(&mut self, source: PeerId, from: &PeerFamily, epoch: u8) {
        for id in from.dests.iter() {
            let stale = self.dests[id].paths_mut().iter_mut().filter(|p| p.source == source && p.epoch() != from.epoch);
            stale.for_each(|p| p.set_epoch(epoch));
        }
    }

    /// The destinations that wait for a decision.
    pub(super) fn take_dirty(&mut self) -> Vec<DestId> {
        std::mem::take(&mut self.dirty)
    }

    /// Frees the ids that the last decision left without paths, as far as nobody holds them.
    pub(super) fn reap(&mut self) {
        for id in std::mem::take(&mut self.doomed) {
            let dest = &mut self.dests[id.0];
            if !dest.take_doomed() {
                continue;
            }
            dest.set_free();
            let (addr, len) = dest.key();
            let hash = self.hasher.hash_one((addr, len));
            if let Ok(found) = self.by_prefix.find_entry(hash, |&i| i == id.0) {
                found.remove();
            }
            self.lengths[usize::from(len)] -= 1;
            self.free.push(id.0);
        }
    }

    /// Puts a destination on the list of those to free, if nothing refers to it any more.
    pub(super) fn doom(&mut self, id: DestId) {
        if self.dests[id.0].set_doomed() {
            self.doomed.push(id);
        }
    }

    pub(super) fn hold(&mut self, id: DestId) {
        self.dests[id.0].hold();
    }

    pub(super) fn release(&mut self, id: DestId) {
        self.dests[id.0].release();
        self.doom(id);
    }

    pub(super) fn get(&self, id: DestId) -> Option<&Dest<K>> {
        self.dests.get(id.0).filter(|d| !d.is_free())
    }

    /// `id` must be in use.
    pub(super) fn dest_mut(&mut self, id: DestId) -> &mut Dest<K> {
        &mut self.dests[id.0]
    }

    pub(super) fn find(&self, addr: K, len: u8) -> Option<DestId> {
        let hash = self.hasher.hash_one((addr, len));
        self.by_prefix.find(hash, |&i| self.dests[i].key() == (addr, len)).map(|&i| DestId(i))
    }

    /// Destinations with a path that contain `addr/len` (itself included), the longest first.
    pub(super) fn covering(&self, addr: K, len: u8) -> impl Iterator<Item = DestId> {
        let lengths = (0..=len).rev().filter(|l| self.lengths[usize::from(*l)] > 0);
        lengths.filter_map(move |l| self.find(addr.truncate(l), l)).filter(|id| !self.dests[id.0].paths().is_empty())
    }

    /// One more than the highest id.
    pub(super) fn end(&self) -> u32 {
        self.dests.len()
    }

    /// Destinations in use, and paths.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.by_prefix.len(), self.paths)
    }

    /// Bytes of the prefix map, of the destinations, and of path lists outside of them.
    pub(super) fn memory(&self) -> (usize, usize, usize) {
        let lists = (self.free.capacity() + self.dirty.capacity() + self.doomed.capacity()) * size_of::<DestId>();
        (self.by_prefix.allocation_size(), self.dests.memory() + lists, self.list_bytes)
    }

    pub(super) fn mark_dirty(&mut self, id: DestId) {
        if self.dests[id.0].set_dirty() {
            self.dirty.push(id);
        }
    }

    fn insert(&mut self, addr: K, len: u8) -> DestId {
        if self.by_prefix.len() == self.by_prefix.capacity() {
            self.grow();
        }
        let dest = Dest::new(addr, len);
        let id = match self.free.pop() {
            Some(id) => {
                self.dests[id] = dest;
                id
            }
            None => self.dests.push(dest),
        };
        let (dests, hasher) = (&self.dests, &self.hasher);
        self.by_prefix.insert_unique(hasher.hash_one((addr, len)), id, |&i| hasher.hash_one(dests[i].key()));
        self.lengths[usize::from(len)] += 1;
        DestId(id)
    }

    /// Builds the prefix map anew with twice the room, from the destinations in their order in memory: the map's own way to grow
    /// visits them in random order, and needs the old map and the new one at once.
    fn grow(&mut self) {
        let room = 2 * self.by_prefix.len().max(16);
        self.by_prefix = HashTable::new();
        let (dests, hasher) = (&self.dests, &self.hasher);
        let hash = |&i: &u32| hasher.hash_one(dests[i].key());
        self.by_prefix.reserve(room, hash);
        for id in (0..dests.len()).filter(|id| !dests[*id].is_free()) {
            self.by_prefix.insert_unique(hash(&id), id, hash);
        }
    }

    /// All but the peer's set of destinations, which depends on its other paths.
    fn remove_path(&mut self, id: DestId, index: usize, from: &mut PeerFamily, attrs: &mut Interner) {
        let dest = &mut self.dests[id.0];
        let was_best = dest.best() == Some(index);
        self.list_bytes -= dest.list_bytes();
        let path = dest.remove(index);
        self.list_bytes += dest.list_bytes();
        self.paths -= 1;
        let counters = &mut from.counters;
        counters.received -= 1;
        counters.best -= u32::from(was_best);
        counters.stale -= u32::from(path.epoch() != from.epoch);
        attrs.release(path.attr);
        if path.filtered().is_some() {
            counters.filtered -= 1;
            self.doom(id);
        } else {
            counters.accepted -= 1;
            self.mark_dirty(id);
        }
    }
}

/// Appends a path.
fn add<K: Key>(dest: &mut Dest<K>, arrival: Arrival, from: &mut PeerFamily) {
    let Arrival { source, path_id_rx, attr, filtered } = arrival;
    let state = state(dest, filtered, from.epoch);
    dest.push(Path { source, path_id_rx, attr, state });
    from.counters.received += 1;
    *from.counters.of(filtered) += 1;
}

/// Gives the path at `index` other attributes or another verdict; `true` if the decision may depend on it.
fn replace<K: Key>(dest: &mut Dest<K>, index: usize, arrival: Arrival, from: &mut PeerFamily) -> bool {
    let was = dest.paths()[index].filtered();
    let new = match (was, arrival.filtered) {
        (None, None) => dest.paths()[index].state,
        _ => state(dest, arrival.filtered, from.epoch),
    };
    let path = &mut dest.paths_mut()[index];
    path.attr = arrival.attr;
    path.state = new;
    *from.counters.of(was) -= 1;
    *from.counters.of(arrival.filtered) += 1;
    was.is_none() || arrival.filtered.is_none()
}

fn state<K: Key>(dest: &Dest<K>, filtered: Option<Reason>, epoch: u8) -> State {
    match filtered {
        None => State::Accepted { epoch, tx: dest.unused_tx() },
        Some(reason) => State::Filtered { epoch, reason },
    }
}
