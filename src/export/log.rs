//! The writer's side of a journal: which key is live in which chunk, whom a withdraw is owed, when dead entries go.
//!
//! Rules (proved by the random operations of `tests.rs`): an update is for all but the peers it must not go to; such a peer is
//! owed a withdraw while it may hold an older route of the key; a tombstone stays until everybody has read it; before somebody
//! reads from the start, chunks are freed of dead entries, since he skips the withdraws.

use super::chunk::{Builder, CHUNK, Entry, Finished, Meta, NlriOf};
use super::journal::{Chunk, Journal};
use super::key_list::KeyList;
use super::members::Members;
use super::pack::Packer;
use super::route::{NOBODY, Route, RouteId, Routes};
use super::slot::{SPAN, Slot};
use crate::rib::{Arena, PeerId};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Dead octets that a journal may always have.
const SLACK: u64 = 1 << 20;
/// Chunks that one call rebuilds at most: 2 MiB, half of which is dead when it is due.
const REBUILDS: usize = 64;
/// Chunks above what the octets need before small ones are merged.
const SMALL_CHUNKS: usize = 64;
/// Newest chunks, which are not merged.
const FRESH: usize = 16;
/// Chunks that are so far behind the newest are encoded again, so that slots can do with a few bits of a number.
const OLD: u64 = if cfg!(test) { 8 } else { SPAN / 2 };
/// Tombstones that a journal may always have.
const TOMBSTONES: u64 = 65_536;

/// The rules that a journal stands on; tests leave out one each to show that it is needed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Rule {
    /// A peer that does not get the new route is owed a withdraw of the old one.
    Owes,
    /// Also when a tombstone lies between.
    TombstoneOwes,
    /// Only what a peer has read for certain ends the debt.
    Need,
    /// The debt is paid by a withdraw for that peer only.
    OnlyWithdraw,
    /// Who reads from the start finds no dead entries below his floor.
    Clean,
    /// Tombstones stay until all have read them.
    TombstoneNeed,
}

#[derive(Debug)]
pub(super) struct Log {
    journal: Arc<Journal>,
    /// Indexed by key.
    slots: Arena<Slot>,
    pub routes: Routes,
    pub members: Members,
    metas: BTreeMap<u64, Meta>,
    /// Chunks in which a tombstone, or a dead entry, is.
    with_tombstones: BTreeSet<u64>,
    dirty: BTreeSet<u64>,
    /// Keys that changed since the last publish.
    staged: Vec<u32>,
    /// Chunks that died since the last publish.
    gone: Vec<u64>,
    advertised: u64,
    /// Of these, how many are not for a peer.
    excluded: HashMap<PeerId, u64, FixedState>,
    tombstones: u64,
    bytes: u64,
    dead: u64,
    messages: u64,
    encoded: u64,
    #[cfg(test)]
    pub broken: Option<Rule>,
}

impl Log {
    pub fn new(shards: usize) -> Self {
        Self::starting_at(0, shards)
    }

    /// Whose first chunk has the number `tail`.
    pub fn starting_at(tail: u64, shards: usize) -> Self {
        Self {
            journal: Arc::new(Journal::new(tail, shards)),
            slots: Arena::new(),
            routes: Routes::new(),
            members: Members::new(shards),
            metas: BTreeMap::new(),
            with_tombstones: BTreeSet::new(),
            dirty: BTreeSet::new(),
            staged: Vec::new(),
            gone: Vec::new(),
            advertised: 0,
            excluded: HashMap::default(),
            tombstones: 0,
            bytes: 0,
            dead: 0,
            messages: 0,
            encoded: 0,
            #[cfg(test)]
            broken: None,
        }
    }

    /// Sets what `key` advertises from now on. False when it does so already.
    pub fn stage(&mut self, key: u32, new: Option<RouteId>) -> bool {
        let old = self.slot(key);
        let pending = self.journal.tail();
        let slot = match new {
            Some(id) if old.advertises() && old.route_id() == id => return false,
            Some(id) => {
                self.routes.retain(id);
                let owes = self.routes.get(id).but.map(|peer| self.owes(peer, old));
                Slot::route(id, pending, owes)
            }
            None if !old.advertises() => return false,
            None => {
                let owes = self.routes.get(old.route_id()).but.map(|peer| self.owes(peer, old));
                Slot::tombstone(self.routes.intern_shadow(old.route_id()), pending, owes)
            }
        };
        self.count(slot, 1);
        self.replace(key, slot);
        self.staged.push(key);
        true
    }

    /// Whether `peer`, which does not get what comes next, may still hold an older route of the slot.
    fn owes(&self, peer: PeerId, old: Slot) -> bool {
        let Some(need) = self.members.need(peer, &self.journal) else { return false };
        if old.is_vacant() || peer == NOBODY || self.breaks(Rule::Owes) {
            return false;
        }
        if old.is_tombstone() && self.breaks(Rule::TombstoneOwes) {
            return false;
        }
        let unread = need <= old.chunk(self.journal.tail()) && !self.breaks(Rule::Need);
        match self.routes.get(old.route_id()).exclusion(peer) {
            Some(place) => old.owes()[place] && unread,
            // He got the old route; only the tombstone's withdraw can have reached him since.
            None => old.advertises() || unread,
        }
    }

    /// Encodes what was staged as new chunks. False when there was nothing.
    pub fn publish(&mut self, packer: &mut Packer, nlri: NlriOf<'_>) -> bool {
        let new = self.encode_staged(packer, nlri);
        let published = !new.is_empty();
        let gone = std::mem::take(&mut self.gone);
        if published || !gone.is_empty() {
            self.journal.apply(&gone, Vec::new(), new);
        }
        published
    }

    fn encode_staged(&mut self, packer: &mut Packer, nlri: NlriOf<'_>) -> Vec<Chunk> {
        let keys = std::mem::take(&mut self.staged);
        let packed = self.pack(keys, packer, nlri);
        (self.journal.tail()..).zip(packed).map(|(number, builder)| self.install(builder, number, packer, nlri)).collect()
    }

    /// Encodes keys in their order on the wire.
    fn pack(&self, keys: Vec<u32>, packer: &mut Packer, nlri: NlriOf<'_>) -> Vec<Builder> {
        let mut done = Vec::new();
        let mut current = Builder::default();
        self.add(&mut current, &self.entries(keys), packer, nlri, Some(&mut done));
        if !current.is_empty() {
            done.push(current);
        }
        done
    }

    fn entries(&self, keys: Vec<u32>) -> Vec<Entry> {
        let mut entries: Vec<Entry> = keys.into_iter().filter_map(|key| Entry::new(key, self.slot(key))).collect();
        entries.sort_unstable();
        entries.dedup();
        entries
    }

    /// Encodes entries. `full` takes what there is whenever another message would make the chunk too long; without it, all go into one.
    fn add(&self, builder: &mut Builder, entries: &[Entry], packer: &mut Packer, nlri: NlriOf<'_>, mut full: Option<&mut Vec<Builder>>) {
        for bucket in entries.chunk_by(Entry::shares_messages) {
            let Some(first) = bucket.first() else { continue };
            let route = self.routes.get(first.route);
            packer.begin(route);
            let mut rest = bucket;
            while !rest.is_empty() {
                let taken = builder.add(packer, rest, nlri, route.but, self.debts(*first));
                if taken.overfull
                    && let Some(full) = &mut full
                {
                    let next = builder.split_last();
                    full.push(std::mem::replace(builder, next));
                }
                rest = &rest[taken.entries..];
            }
        }
    }

    /// Whom the chunk owes a withdraw for an entry.
    fn debts(&self, entry: Entry) -> [bool; 2] {
        if self.breaks(Rule::OnlyWithdraw) && !entry.is_tombstone() { [false; 2] } else { entry.owes }
    }

    /// Finishes a chunk and makes it the one in which its keys are live.
    fn install(&mut self, builder: Builder, number: u64, packer: &mut Packer, nlri: NlriOf<'_>) -> Chunk {
        let Finished { chunk, keys, encoded } = builder.finish(number, packer, nlri);
        let mut tombstones = 0;
        for key in &keys {
            let slot = &mut self.slots[*key];
            *slot = slot.at(number);
            tombstones += u32::from(slot.is_tombstone());
        }
        let meta = Meta { live: keys.len() as u32, tombstones, len: chunk.bytes.len() as u32, keys: KeyList::new(&keys) };
        if tombstones > 0 {
            self.with_tombstones.insert(number);
        }
        self.bytes += u64::from(meta.len);
        self.messages += encoded.0 as u64;
        self.encoded += encoded.1 as u64;
        self.metas.insert(number, meta);
        chunk
    }

    /// Puts another state into a slot; the old one is dead in its chunk.
    fn replace(&mut self, key: u32, slot: Slot) {
        while self.slots.len() <= key {
            self.slots.push(Slot::VACANT);
        }
        let old = std::mem::replace(&mut self.slots[key], slot);
        if old.is_vacant() {
            return;
        }
        self.count(old, -1);
        self.routes.release(old.route_id());
        let number = old.chunk(self.journal.tail());
        let Some(meta) = self.metas.get_mut(&number) else { return };
        let before = meta.dead();
        meta.live -= 1;
        if old.is_tombstone() {
            meta.tombstones -= 1;
            if meta.tombstones == 0 {
                self.with_tombstones.remove(&number);
            }
        }
        self.dead = self.dead + meta.dead() - before;
        if meta.live == 0 {
            self.forget(number);
            self.gone.push(number);
        } else {
            self.dirty.insert(number);
        }
    }

    /// Takes a chunk out of the accounts.
    fn forget(&mut self, number: u64) -> Option<Meta> {
        let meta = self.metas.remove(&number)?;
        self.bytes -= u64::from(meta.len);
        self.dead -= meta.dead();
        self.dirty.remove(&number);
        self.with_tombstones.remove(&number);
        Some(meta)
    }

    fn count(&mut self, slot: Slot, by: i64) {
        if slot.is_tombstone() {
            self.tombstones = self.tombstones.wrapping_add_signed(by);
            return;
        }
        self.advertised = self.advertised.wrapping_add_signed(by);
        for peer in self.routes.get(slot.route_id()).but {
            if peer != NOBODY {
                let count = self.excluded.entry(peer).or_default();
                *count = count.wrapping_add_signed(by);
                if *count == 0 {
                    self.excluded.remove(&peer);
                }
            }
        }
    }

    /// Frees the chunks of dead entries: before a member reads from the start, since it skips the withdraws.
    pub fn clean(&mut self, packer: &mut Packer, nlri: NlriOf<'_>) {
        if !self.breaks(Rule::Clean) {
            let dirty: Vec<u64> = self.dirty.iter().copied().collect();
            self.rebuild(&dirty, packer, nlri);
        }
        self.journal.set_cleaned();
    }

    /// Frees chunks of their dead entries.
    fn rebuild(&mut self, numbers: &[u64], packer: &mut Packer, nlri: NlriOf<'_>) {
        if !numbers.is_empty() {
            let runs: Vec<Vec<u64>> = numbers.iter().map(|number| vec![*number]).collect();
            self.merge_all(&runs, packer, nlri);
        }
    }

    /// The keys that are live in a chunk, which is taken out of the accounts.
    fn take_keys(&mut self, number: u64) -> Vec<u32> {
        let Some(meta) = self.forget(number) else { return Vec::new() };
        let newest = self.journal.tail();
        let is_live = |slot: Slot| !slot.is_vacant() && slot.chunk(newest) == number;
        meta.keys.iter().filter(|key| is_live(self.slots[*key])).collect()
    }

    /// Makes one chunk with the highest number of a run of chunks, of what is live in them. The others are `gone`.
    fn merge(&mut self, run: &[u64], packer: &mut Packer, nlri: NlriOf<'_>) -> Option<Chunk> {
        let top = *run.last()?;
        let mut builder = Builder::default();
        if run.len() == 1 {
            self.refit(top, &mut builder, packer, nlri);
        } else {
            let keys = run.iter().flat_map(|number| self.take_keys(*number)).collect();
            self.add(&mut builder, &self.entries(keys), packer, nlri, None);
        }
        self.gone.extend(run.iter().filter(|number| **number != top || builder.is_empty()));
        (!builder.is_empty()).then(|| self.install(builder, top, packer, nlri))
    }

    /// Takes over what is live in a chunk: messages of which nothing is dead as they are, the rest encoded anew.
    fn refit(&mut self, number: u64, builder: &mut Builder, packer: &mut Packer, nlri: NlriOf<'_>) {
        let (Some(chunk), Some(meta)) = (self.journal.chunk(number), self.forget(number)) else { return };
        let newest = self.journal.tail();
        let is_live = |key: &u32| {
            let slot = self.slots[*key];
            !slot.is_vacant() && slot.chunk(newest) == number
        };
        let keys: Vec<u32> = meta.keys.iter().collect();
        let mut rest = keys.as_slice();
        let (mut whole, mut loose) = (Vec::new(), Vec::new());
        for frame in chunk.frames() {
            let (own, others) = rest.split_at(frame.count);
            rest = others;
            if own.iter().all(is_live) {
                whole.push((frame, own));
            } else {
                loose.extend(own.iter().copied().filter(is_live));
            }
        }
        let loose = self.entries(loose);
        let (withdraws, updates) = loose.split_at(loose.partition_point(Entry::is_tombstone));
        let first_update = whole.partition_point(|(frame, _)| !frame.is_update);
        for (frames, entries) in [(&whole[..first_update], withdraws), (&whole[first_update..], updates)] {
            for (frame, keys) in frames {
                builder.copy(frame, keys);
                if frame.is_update {
                    self.owe(builder, keys, frame.bytes.len());
                }
            }
            self.add(builder, entries, packer, nlri, None);
        }
    }

    /// Adds the debts of an update of `len` octets with these keys.
    fn owe(&self, builder: &mut Builder, keys: &[u32], len: usize) {
        let Some(first) = keys.first().and_then(|key| Entry::new(*key, self.slot(*key))) else { return };
        let but = self.routes.get(first.route).but;
        for (peer, owed) in but.into_iter().zip(self.debts(first)) {
            if owed {
                builder.owe(peer, keys.iter().copied(), len);
            }
        }
    }

    /// Frees tombstones that everybody has read. Returns their keys, which are vacant now.
    pub fn free_tombstones(&mut self) -> Vec<u32> {
        self.members.settle();
        let (least, _) = self.members.least_need(&self.journal, self.journal.tail());
        let least = if self.breaks(Rule::TombstoneNeed) { u64::MAX } else { least };
        let mut freed = Vec::new();
        while let Some(number) = self.with_tombstones.first().copied().filter(|number| *number < least) {
            let keys: Vec<u32> = self.metas.get(&number).map_or(Vec::new(), |meta| meta.keys.iter().collect());
            for key in keys {
                let slot = self.slot(key);
                if slot.is_tombstone() && slot.chunk(self.journal.tail()) == number {
                    self.replace(key, Slot::VACANT);
                    freed.push(key);
                }
            }
            self.with_tombstones.remove(&number);
        }
        self.drop_gone();
        freed
    }

    /// Takes chunks that died out of the journal.
    fn drop_gone(&mut self) {
        let gone = std::mem::take(&mut self.gone);
        if !gone.is_empty() {
            self.journal.apply(&gone, Vec::new(), Vec::new());
        }
    }

    /// Keeps the journal within twice what is live and 1 MiB, and the number of chunks near what their bytes need. A bounded
    /// amount of work a call.
    pub fn compact(&mut self, packer: &mut Packer, nlri: NlriOf<'_>) {
        if self.dead > self.bytes - self.dead + SLACK {
            let mut dirty: Vec<u64> = self.dirty.iter().copied().collect();
            let dead = |number: &u64| std::cmp::Reverse(self.metas.get(number).map_or(0, Meta::dead));
            dirty.sort_by_key(dead);
            dirty.truncate(REBUILDS);
            self.rebuild(&dirty, packer, nlri);
        }
        let ideal = (self.bytes / CHUNK as u64) as usize;
        if self.metas.len() > 2 * ideal + SMALL_CHUNKS {
            self.merge_small(packer, nlri);
        }
        self.renew(packer, nlri);
    }

    /// Moves what is live in the oldest chunks to new ones before their numbers fall out of [`SPAN`]. Members read it again, which
    /// changes nothing for them, and whoever has not come to it yet is told of an end only after it.
    pub fn renew(&mut self, packer: &mut Packer, nlri: NlriOf<'_>) {
        let tail = self.journal.tail();
        let old: Vec<u64> = self.metas.keys().copied().take_while(|number| number + OLD < tail).take(REBUILDS).collect();
        if old.is_empty() {
            return;
        }
        for number in &old {
            let keys = self.take_keys(*number);
            self.staged.extend(keys);
        }
        let new = self.encode_staged(packer, nlri);
        if let Some(last) = new.last() {
            self.journal.complete_after(last.number);
        }
        self.journal.apply(&old, Vec::new(), new);
    }

    /// Merges neighbors that fit into one chunk. The newest ones are left alone: their readers are about to pass them.
    fn merge_small(&mut self, packer: &mut Packer, nlri: NlriOf<'_>) {
        let old = self.metas.len().saturating_sub(FRESH);
        let mut runs: Vec<(usize, Vec<u64>)> = Vec::new();
        for (number, meta) in self.metas.iter().take(old) {
            let len = meta.len as usize;
            match runs.last_mut() {
                Some((sum, run)) if *sum + len <= CHUNK => {
                    *sum += len;
                    run.push(*number);
                }
                _ => runs.push((len, vec![*number])),
            }
        }
        let runs: Vec<Vec<u64>> = runs.into_iter().map(|(_, run)| run).filter(|run| run.len() > 1).collect();
        self.merge_all(&runs, packer, nlri);
    }

    /// Makes one chunk, with the highest number, of each run of chunks.
    pub fn merge_all(&mut self, runs: &[Vec<u64>], packer: &mut Packer, nlri: NlriOf<'_>) {
        let replaced = runs.iter().filter_map(|run| self.merge(run, packer, nlri)).collect();
        // What was below the end of somebody's table may be above it now.
        if let Some(top) = runs.iter().filter(|run| run.len() > 1).filter_map(|run| run.last()).max() {
            self.journal.complete_after(*top);
        }
        let gone = std::mem::take(&mut self.gone);
        self.journal.apply(&gone, replaced, Vec::new());
    }

    /// The shard of the member that holds back too many tombstones, and its `need`.
    pub fn laggard(&self) -> Option<(usize, u64)> {
        if self.tombstones <= self.advertised.max(TOMBSTONES) {
            return None;
        }
        let tail = self.journal.tail();
        let (need, shard) = self.members.least_need(&self.journal, tail);
        Some((shard?, need)).filter(|_| need < tail)
    }

    pub fn slot(&self, key: u32) -> Slot {
        self.slots.get(key).copied().unwrap_or(Slot::VACANT)
    }

    /// What a key advertises.
    pub fn route(&self, key: u32) -> Option<&Route> {
        let slot = self.slot(key);
        slot.advertises().then(|| self.routes.get(slot.route_id()))
    }

    /// Whether `peer` gets the route of a key, if it is a member.
    pub fn advertises(&self, key: u32, peer: PeerId) -> bool {
        self.route(key).is_some_and(|route| route.exclusion(peer).is_none())
    }

    /// Whether `peer` has read for certain what a key says.
    pub fn has_read(&self, key: u32, peer: PeerId) -> bool {
        let slot = self.slot(key);
        slot.advertises() && self.members.need(peer, &self.journal).is_some_and(|need| need > slot.chunk(self.journal.tail()))
    }

    /// Whether any route is kept from `peer`.
    pub fn excludes(&self, peer: PeerId) -> bool {
        self.excluded.contains_key(&peer)
    }

    /// Keys that some member may know of: those of routes and tombstones.
    pub fn keys(&self) -> impl Iterator<Item = u32> {
        (0..self.end()).filter(|key| !self.slot(*key).is_vacant())
    }

    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// One more than the highest key that was ever used.
    pub fn end(&self) -> u32 {
        self.slots.len()
    }

    /// How many routes `peer` gets.
    pub fn advertised_to(&self, peer: PeerId) -> u64 {
        self.advertised - self.excluded.get(&peer).copied().unwrap_or(0)
    }

    pub fn stats(&self) -> Stats {
        Stats {
            members: self.members.len(),
            chunks: self.metas.len(),
            bytes: self.bytes,
            dead_bytes: self.dead,
            routes: self.advertised,
            attribute_sets: self.routes.len(),
            tombstones: self.tombstones,
            messages_encoded: self.messages,
            bytes_encoded: self.encoded,
            memory: self.memory(),
        }
    }

    /// Octets, about.
    fn memory(&self) -> u64 {
        let slots = self.slots.memory();
        let keys: usize = self.metas.values().map(|m| m.keys.memory() + size_of::<Meta>()).sum();
        self.bytes + (slots + keys) as u64 + self.routes.memory() as u64
    }

    #[cfg(test)]
    pub fn chunk_numbers(&self) -> Vec<u64> {
        self.metas.keys().copied().collect()
    }

    /// Test only: whether a rule is left out, to show that the tests need it.
    #[cfg(test)]
    fn breaks(&self, rule: Rule) -> bool {
        self.broken == Some(rule)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "the signature is that of the test build")]
    const fn breaks(&self, _: Rule) -> bool {
        false
    }
}

/// Plain figures of one group.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    pub members: usize,
    pub chunks: usize,
    /// Octets in chunks, and how many of them nobody needs.
    pub bytes: u64,
    pub dead_bytes: u64,
    /// Advertised routes, before split horizon.
    pub routes: u64,
    /// Different sets of attributes and audiences among them, tombstones included.
    pub attribute_sets: usize,
    pub tombstones: u64,
    /// Messages and octets that were ever encoded, however many members read them.
    pub messages_encoded: u64,
    pub bytes_encoded: u64,
    /// Octets of memory, about.
    pub memory: u64,
}
