//! Who reads a journal, and what the writer knows of how far they are: never more than is true, often less.

use super::journal::Journal;
use crate::rib::PeerId;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug)]
pub(super) struct Members {
    of: HashMap<PeerId, Member, FixedState>,
    /// Members whose shard had not taken over the cursor when it was last looked.
    joining: Vec<(PeerId, Member)>,
    /// How many members each shard has.
    shards: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Member {
    shard: usize,
    /// Where it joined; its `need` until the shard counts it.
    floor: u64,
    attached: Arc<AtomicBool>,
}

impl Member {
    fn need(&self, journal: &Journal) -> u64 {
        if self.attached.load(Ordering::Acquire) { journal.published_need(self.shard) } else { self.floor }
    }
}

impl Members {
    pub fn new(shards: usize) -> Self {
        Self { of: HashMap::default(), joining: Vec::new(), shards: vec![0; shards] }
    }

    /// Returns what the shard sets when it has taken the cursor over.
    pub fn join(&mut self, peer: PeerId, shard: usize, floor: u64) -> Arc<AtomicBool> {
        self.leave(peer);
        self.shards[shard] += 1;
        let attached = Arc::new(AtomicBool::new(false));
        let member = Member { shard, floor, attached: attached.clone() };
        self.of.insert(peer, member.clone());
        self.joining.push((peer, member));
        attached
    }

    pub fn leave(&mut self, peer: PeerId) -> bool {
        let Some(member) = self.of.remove(&peer) else { return false };
        self.shards[member.shard] -= 1;
        self.joining.retain(|(joining, _)| *joining != peer);
        true
    }

    /// Forgets that members were joining where their shards count them.
    pub fn settle(&mut self) {
        self.joining.retain(|(_, member)| !member.attached.load(Ordering::Acquire));
    }

    /// The `need` of a member, or less; `None` for a peer that is no member.
    pub fn need(&self, peer: PeerId, journal: &Journal) -> Option<u64> {
        Some(self.of.get(&peer)?.need(journal))
    }

    /// The least `need` of all members, and the shard of the member that has it; `tail` where there is none.
    pub fn least_need(&self, journal: &Journal, tail: u64) -> (u64, Option<usize>) {
        let published = (0..self.shards.len()).filter(|s| self.shards[*s] > 0).map(|s| (journal.published_need(s), Some(s)));
        let joining = self.joining.iter().map(|(_, member)| (member.need(journal), Some(member.shard)));
        published.chain(joining).min().map_or((tail, None), |(need, shard)| (need.min(tail), shard))
    }

    pub fn contains(&self, peer: PeerId) -> bool {
        self.of.contains_key(&peer)
    }

    pub fn len(&self) -> usize {
        self.of.len()
    }
}
