//! Who reads a journal, and what the writer knows of how far they are: never more than is true, often less.

use super::journal::Journal;
use crate::rib::PeerId;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

#[derive(Debug)]
pub(super) struct Members {
    of: HashMap<PeerId, Member, FixedState>,
    /// Members whose shard has not taken over the cursor yet, oldest first.
    pins: Vec<Pin>,
    /// Per shard: members, and joins ever.
    shards: Vec<(usize, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    shard: usize,
    join: u64,
    floor: u64,
}

#[derive(Clone, Copy, Debug)]
struct Pin {
    peer: PeerId,
    shard: usize,
    join: u64,
    floor: u64,
}

impl Members {
    pub fn new(shards: usize) -> Self {
        Self { of: HashMap::default(), pins: Vec::new(), shards: vec![(0, 0); shards] }
    }

    /// Returns the number of the join within its shard.
    pub fn join(&mut self, peer: PeerId, shard: usize, floor: u64) -> u64 {
        self.leave(peer);
        let (members, joins) = &mut self.shards[shard];
        *members += 1;
        *joins += 1;
        let join = *joins;
        self.of.insert(peer, Member { shard, join, floor });
        self.pins.push(Pin { peer, shard, join, floor });
        join
    }

    pub fn leave(&mut self, peer: PeerId) -> bool {
        let Some(member) = self.of.remove(&peer) else { return false };
        self.shards[member.shard].0 -= 1;
        self.pins.retain(|pin| pin.peer != peer);
        true
    }

    /// Forgets pins that shards have taken over.
    pub fn settle(&mut self, journal: &Journal) {
        if !self.pins.is_empty() {
            self.pins.retain(|pin| journal.seen_joins(pin.shard) < pin.join);
        }
    }

    /// The `need` of a member, or less; `None` for a peer that is no member.
    pub fn need(&self, peer: PeerId, journal: &Journal) -> Option<u64> {
        let member = self.of.get(&peer)?;
        let attached = journal.seen_joins(member.shard) >= member.join;
        Some(if attached { journal.published_need(member.shard) } else { member.floor })
    }

    /// The least `need` of all members, and the shard of the member that has it; `tail` where there is none.
    pub fn least_need(&self, journal: &Journal, tail: u64) -> (u64, Option<usize>) {
        let published = (0..self.shards.len()).filter(|s| self.shards[*s].0 > 0).map(|s| (journal.published_need(s), Some(s)));
        let pinned = self.pins.iter().filter(|p| journal.seen_joins(p.shard) < p.join).map(|p| (p.floor, Some(p.shard)));
        published.chain(pinned).min().map_or((tail, None), |(need, shard)| (need.min(tail), shard))
    }

    pub fn contains(&self, peer: PeerId) -> bool {
        self.of.contains_key(&peer)
    }

    pub fn len(&self) -> usize {
        self.of.len()
    }
}
