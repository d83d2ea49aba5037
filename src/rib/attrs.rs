//! The attribute interner: every distinct attribute set once, named by a `u32`, counted, freed with its last holder.

use super::arena::Arena;
use super::nexthop::NextHops;
use super::{PeerId, nexthop::NextHopId};
use crate::wire::attr::AttrSet;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// An interned attribute set. Two ids that are held at the same time are equal exactly when the sets are equal.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AttrId(pub(super) u32);

/// Attribute sets by id. It owns the next hops too: a next hop is of interest as long as a set names it.
#[derive(Debug)]
pub(super) struct Interner {
    entries: Arena<Entry>,
    free: Vec<u32>,
    by_set: HashTable<u32>,
    hasher: FixedState,
    /// Bytes of all sets.
    set_bytes: usize,
    pub(super) next_hops: NextHops,
}

#[derive(Debug)]
struct Entry {
    /// `None` while the id is free.
    set: Option<AttrSet>,
    refs: u32,
    next_hop: NextHopId,
}

impl Interner {
    pub(super) fn new(seed: u64, next_hops: NextHops) -> Self {
        Self {
            entries: Arena::new(),
            free: Vec::new(),
            by_set: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            set_bytes: 0,
            next_hops,
        }
    }

    /// The id of `set`, held once more. `user` is remembered as a peer whose routes use the next hop.
    pub(super) fn intern(&mut self, set: &AttrSet, user: PeerId) -> AttrId {
        let hash = self.hasher.hash_one(set);
        let found = self.by_set.find(hash, |&i| self.entries[i].set.as_ref() == Some(set)).copied();
        let index = found.unwrap_or_else(|| self.insert(hash, set));
        let entry = &mut self.entries[index];
        entry.refs += 1;
        self.next_hops.add_user(entry.next_hop, user);
        AttrId(index)
    }

    /// One more holder of a set that is held already.
    pub(super) fn hold(&mut self, id: AttrId) {
        let entry = &mut self.entries[id.0];
        debug_assert!(entry.refs > 0, "only a held set can be held again");
        entry.refs += 1;
    }

    /// One holder less; the last one frees the set.
    pub(super) fn release(&mut self, id: AttrId) {
        let entry = &mut self.entries[id.0];
        debug_assert!(entry.refs > 0, "only a held set can be released");
        entry.refs -= 1;
        if entry.refs > 0 {
            return;
        }
        let next_hop = entry.next_hop;
        let Some(set) = entry.set.take() else { return };
        let hash = self.hasher.hash_one(&set);
        if let Ok(found) = self.by_set.find_entry(hash, |&i| i == id.0) {
            found.remove();
        }
        self.set_bytes -= set.size();
        self.free.push(id.0);
        self.next_hops.release(next_hop);
    }

    pub(super) fn get(&self, id: AttrId) -> &AttrSet {
        self.entries[id.0].set.as_ref().expect("an attribute id is used only while it is held")
    }

    pub(super) fn next_hop(&self, id: AttrId) -> NextHopId {
        self.entries[id.0].next_hop
    }

    /// Sets in use.
    pub(super) fn len(&self) -> usize {
        self.by_set.len()
    }

    /// Bytes of the sets themselves.
    pub(super) fn set_bytes(&self) -> usize {
        self.set_bytes
    }

    /// Bytes of the id table and the index.
    pub(super) fn index_bytes(&self) -> usize {
        self.entries.memory() + self.free.capacity() * 4 + self.by_set.allocation_size()
    }

    fn insert(&mut self, hash: u64, set: &AttrSet) -> u32 {
        let next_hop = self.next_hops.intern(set.next_hop().address());
        let entry = Entry { set: Some(set.clone()), refs: 0, next_hop };
        let index = match self.free.pop() {
            Some(index) => {
                self.entries[index] = entry;
                index
            }
            None => self.entries.push(entry),
        };
        self.set_bytes += set.size();
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.by_set.insert_unique(hash, index, |&i| hasher.hash_one(entries[i].set.as_ref().expect("the index names sets in use")));
        index
    }
}
