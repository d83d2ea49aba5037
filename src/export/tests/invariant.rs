//! Invariant J by random operations: when a member has read the whole journal, it holds exactly what slots advertise and is not
//! kept from it. Real bytes, decoded; and without any one of the rules it does not hold.

use super::*;
use crate::export::cursor::{Cursor, Poll, Slices};
use crate::export::journal::View;
use crate::export::log::{Log, Rule};
use crate::export::pack::Packer;
use crate::export::route::{NOBODY, Route};
use crate::export::slot::SPAN;
use crate::rib::PeerId;
use crate::wire::nlri::Nlri;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};

const KEYS: u32 = 8;
const PEERS: u32 = 6;
const SHARDS: usize = 2;

/// A seeded generator (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

/// A best path: a version that only grows, and whom it is not for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Truth {
    version: u32,
    but: [PeerId; 2],
}

/// What group `index` makes of a truth: group 1 has a policy of its own.
fn wanted(index: usize, key: u32, truth: Truth) -> Option<Truth> {
    (index == 0 || key.is_multiple_of(2) || !truth.version.is_multiple_of(3)).then_some(truth)
}

/// The names of keys; a key gets a new prefix when nobody remembers it.
struct Names {
    generation: [u8; KEYS as usize],
    add_path: bool,
}

impl Names {
    fn nlri(&self, key: u32) -> Nlri {
        // With add-path two keys are paths of one prefix.
        let (dest, path_id) = if self.add_path { (key / 2, 1 + key % 2) } else { (key, 0) };
        let octet = self.generation[if self.add_path { dest as usize * 2 } else { dest as usize }];
        let prefix: IpNet = format!("10.{dest}.{octet}.0/24").parse().unwrap();
        Nlri { prefix, path_id }
    }
}

struct Side {
    log: Log,
    packer: Packer,
    views: Vec<View>,
    unbuilt: BTreeSet<u32>,
}

struct Member {
    peer: PeerId,
    group: usize,
    shard: usize,
    cursor: Cursor,
    /// The shard has the cursor.
    attached: bool,
    /// An unfinished message.
    bytes: Vec<u8>,
    /// What the peer holds: the version of each NLRI.
    holds: BTreeMap<Nlri, u32>,
    /// Highest version that was ever read of an NLRI in this group.
    newest: BTreeMap<Nlri, u32>,
    stale: BTreeSet<Nlri>,
    refreshing: bool,
    end_of_rib: usize,
    /// What was there when it joined is not newer.
    since: u32,
    asks: bool,
}

struct World {
    random: Random,
    sides: Vec<Side>,
    names: Names,
    truth: BTreeMap<u32, Truth>,
    members: Vec<Member>,
    version: u32,
}

impl World {
    fn new(seed: u64, broken: Option<Rule>) -> Self {
        let mut random = Random(seed);
        let add_path = random.chance(25);
        let mut group_key = key();
        group_key.add_path = if add_path { AddPath::All } else { AddPath::Off };
        // Low bits of chunk numbers wrap in the middle of the run.
        let first = SPAN - random.below(100) as u64;
        let side = |_| {
            let mut log = Log::starting_at(first, SHARDS);
            log.broken = broken;
            let views = (0..SHARDS).map(|shard| View::new(log.journal().clone(), shard)).collect();
            Side { log, packer: Packer::new(group_key.clone()), views, unbuilt: BTreeSet::new() }
        };
        let names = Names { generation: [0; KEYS as usize], add_path };
        let mut world = Self { sides: (0..2).map(side).collect(), names, truth: BTreeMap::new(), members: Vec::new(), version: 0, random };
        // Some routes are there before the groups are.
        for key in 0..KEYS / 2 {
            let truth = world.new_truth();
            world.truth.insert(key, truth);
            world.sides.iter_mut().for_each(|side| _ = side.unbuilt.insert(key));
        }
        world
    }

    fn new_truth(&mut self) -> Truth {
        let source = PeerId(self.random.below(PEERS as usize + 1) as u32);
        let injector = if self.random.chance(30) { PeerId(self.random.below(PEERS as usize + 1) as u32) } else { NOBODY };
        Truth { version: self.version, but: [source, if injector == source { NOBODY } else { injector }] }
    }

    /// Brings some keys of a group in step and publishes.
    fn sync(&mut self, index: usize, keys: &[u32]) {
        let Side { log, packer, unbuilt, .. } = &mut self.sides[index];
        let mut turn = Vec::new();
        for key in keys {
            unbuilt.remove(key);
            let route = self.truth.get(key).and_then(|truth| wanted(index, *key, *truth)).map(|truth| {
                let set = attrs(|a| (a.med, a.local_pref) = (Some(truth.version), Some(100 + index as u32)));
                let route = Route { attrs: Some(set), but: truth.but, reflected_from: None, own_next_hop: false, keep_med: false };
                log.routes.intern(route)
            });
            log.stage(*key, route);
            turn.extend(route);
        }
        let names = &self.names;
        log.publish(packer, &|key| names.nlri(key));
        turn.into_iter().for_each(|id| log.routes.release(id));
        if unbuilt.is_empty() && log.journal().complete_at() == u64::MAX {
            log.journal().set_complete(log.journal().tail());
        }
    }

    fn change(&mut self) {
        self.version += 1;
        let shared = self.random.chance(50).then(|| self.new_truth());
        let mut keys: Vec<u32> = (0..=self.random.below(4)).map(|_| self.random.below(KEYS as usize) as u32).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in &keys {
            let forgotten = |k: u32| !self.truth.contains_key(&k) && self.sides.iter().all(|side| side.log.slot(k).is_vacant());
            let twin = if self.names.add_path { key ^ 1 } else { *key };
            if forgotten(*key) && forgotten(twin) {
                let named = if self.names.add_path { *key as usize / 2 * 2 } else { *key as usize };
                self.names.generation[named] = self.names.generation[named].wrapping_add(1);
            }
            if self.random.chance(30) {
                self.truth.remove(key);
            } else if !self.random.chance(10) {
                let truth = shared.unwrap_or_else(|| self.new_truth());
                self.truth.insert(*key, truth);
            }
        }
        (0..2).for_each(|index| self.sync(index, &keys));
    }

    fn build(&mut self, index: usize) {
        let keys: Vec<u32> = self.sides[index].unbuilt.iter().copied().take(2).collect();
        self.sync(index, &keys);
    }

    fn clean(&mut self, index: usize) {
        let Side { log, packer, .. } = &mut self.sides[index];
        let names = &self.names;
        log.clean(packer, &|key| names.nlri(key));
    }

    fn join(&mut self, peer: PeerId, group: usize, old: Option<&Member>) -> Member {
        let shard = peer.0 as usize % SHARDS;
        self.clean(group);
        let log = &mut self.sides[group].log;
        let tail = log.journal().tail();
        let attached = log.members.join(peer, shard, tail);
        let mut cursor = Cursor::new(peer, tail, attached);
        if let Some(old) = old {
            cursor.follow(&old.cursor);
        }
        Member {
            peer,
            group,
            shard,
            cursor,
            attached: false,
            bytes: Vec::new(),
            holds: old.map_or_else(BTreeMap::new, |o| o.holds.clone()),
            newest: BTreeMap::new(),
            stale: old.map_or_else(BTreeSet::new, |o| o.stale.clone()),
            refreshing: old.is_some_and(|o| o.refreshing),
            end_of_rib: old.map_or(0, |o| o.end_of_rib),
            since: self.version,
            asks: false,
        }
    }

    fn leave(&mut self, at: usize) -> Member {
        let member = self.members.swap_remove(at);
        self.sides[member.group].log.members.leave(member.peer);
        member
    }

    /// One poll of a member, and one write of any length. False when it was idle.
    fn read(&mut self, at: usize) -> Result<bool, String> {
        let member = &mut self.members[at];
        let side = &mut self.sides[member.group];
        let view = &mut side.views[member.shard];
        if !member.attached {
            view.attach(&member.cursor);
            member.attached = true;
        }
        let need = member.cursor.need();
        let poll = member.cursor.poll(view);
        assert_eq!(member.cursor.at_boundary(), member.bytes.is_empty(), "message boundaries");
        match poll {
            Poll::Idle => return Ok(false),
            Poll::AskClean => member.asks = true,
            Poll::EndOfRib => {
                member.end_of_rib += 1;
                assert_eq!(member.end_of_rib, 1, "End-of-RIB is sent once");
                assert!(side.unbuilt.is_empty(), "End-of-RIB before the group is complete");
                for (key, truth) in self.truth.iter().filter(|(_, truth)| truth.version <= member.since) {
                    let gets = wanted(member.group, *key, *truth).is_some_and(|t| !t.but.contains(&member.peer));
                    let holds = member.holds.get(&self.names.nlri(*key));
                    assert!(!gets || holds == Some(&truth.version), "End-of-RIB before a route that was there");
                }
            }
            Poll::BeginRefresh => {
                member.stale = member.holds.keys().copied().collect();
                member.refreshing = true;
                assert_eq!(member.end_of_rib, 1, "BoRR before End-of-RIB");
            }
            Poll::EndRefresh => {
                assert!(std::mem::take(&mut member.refreshing), "EoRR without BoRR");
                for nlri in std::mem::take(&mut member.stale) {
                    member.holds.remove(&nlri);
                }
            }
            Poll::Data => {
                let mut slices = Slices::new();
                let limit = 1 + self.random.below(400);
                if !member.bytes.is_empty() && self.random.chance(20) {
                    member.cursor.rest_of_message(&mut slices);
                } else {
                    member.cursor.slices(view, &mut slices, limit);
                }
                let mut offered: Vec<u8> = slices.iter().flat_map(|s| s.iter().copied()).collect();
                assert!(!offered.is_empty(), "data, but none");
                offered.truncate(1 + self.random.below(offered.len()));
                drop(slices);
                let messages = member.cursor.advance(view, offered.len());
                member.bytes.extend(offered);
                let updates = take_updates(&mut member.bytes, side.packer.key());
                assert_eq!(updates.len(), messages, "messages are counted");
                member.apply(updates)?;
            }
        }
        assert!(member.cursor.need() >= need, "need never falls");
        Ok(true)
    }

    /// Moves a member to the other group, as the RIB task and the shard do it together.
    fn move_member(&mut self, at: usize) -> Result<(), String> {
        self.members[at].cursor.retire();
        while self.read(at)? {}
        let old = self.leave(at);
        let new = 1 - old.group;
        let kept = |key: u32| self.sides[new].log.advertises(key, old.peer);
        let lost: Vec<Nlri> = self.sides[old.group].log.keys().filter(|key| !kept(*key)).map(|key| self.names.nlri(key)).collect();
        let mut member = self.join(old.peer, new, Some(&old));
        lost.iter().for_each(|nlri| _ = member.holds.remove(nlri));
        self.members.push(member);
        Ok(())
    }

    fn serve_refreshes(&mut self) {
        for index in 0..2 {
            if self.members.iter().any(|m| m.group == index && m.asks) {
                self.clean(index);
                self.members.iter_mut().filter(|m| m.group == index).for_each(|m| m.asks = false);
            }
        }
    }

    fn publish_need(&mut self) {
        let (index, shard) = (self.random.below(2), self.random.below(SHARDS));
        let needs = self.members.iter().filter(|m| m.attached && m.group == index && m.shard == shard).map(|m| m.cursor.need());
        self.sides[index].views[shard].publish(needs);
    }

    fn renew(&mut self) {
        for Side { log, packer, .. } in &mut self.sides {
            let names = &self.names;
            log.renew(packer, &|key| names.nlri(key));
        }
    }

    fn merge(&mut self) {
        let index = self.random.below(2);
        let numbers = self.sides[index].log.chunk_numbers();
        if numbers.is_empty() {
            return;
        }
        let from = self.random.below(numbers.len());
        let to = from + self.random.below(numbers.len() - from);
        let Side { log, packer, .. } = &mut self.sides[index];
        let names = &self.names;
        let runs = if self.random.chance(50) { vec![numbers[from..=to].to_vec()] } else { vec![vec![numbers[from]]] };
        log.merge_all(&runs, packer, &|key| names.nlri(key));
    }

    fn step(&mut self) -> Result<(), String> {
        let some = (!self.members.is_empty()).then(|| self.random.below(self.members.len().max(1)));
        match (self.random.below(100), some) {
            (0..=31, _) => self.change(),
            (32..=66, Some(at)) => _ = self.read(at)?,
            (67..=73, _) => {
                let peer = PeerId(1 + self.random.below(PEERS as usize) as u32);
                if self.members.iter().all(|m| m.peer != peer) {
                    let group = self.random.below(2);
                    let member = self.join(peer, group, None);
                    self.members.push(member);
                }
            }
            (74..=76, Some(at)) => _ = self.leave(at),
            (77..=79, Some(at)) => {
                let enhanced = self.random.chance(50);
                self.members[at].cursor.request_refresh(enhanced);
            }
            (80..=82, Some(at)) => self.move_member(at)?,
            (83..=86, _) => self.serve_refreshes(),
            (87..=89, _) => {
                let index = self.random.below(2);
                self.build(index);
            }
            (90..=92, _) => (0..2).for_each(|index| _ = self.sides[index].log.free_tombstones()),
            (93..=94, _) => self.merge(),
            (95, _) => self.renew(),
            (96..=99, _) => self.publish_need(),
            _ => {}
        }
        Ok(())
    }

    /// Lets everybody read everything and compares.
    fn check(&mut self) -> Result<(), String> {
        for index in 0..2 {
            while !self.sides[index].unbuilt.is_empty() {
                self.build(index);
            }
        }
        for at in 0..self.members.len() {
            loop {
                while self.read(at)? {}
                if !self.members.iter().any(|m| m.asks) {
                    break;
                }
                self.serve_refreshes();
            }
        }
        for member in &self.members {
            let gets = |(key, truth): (&u32, &Truth)| {
                let truth = wanted(member.group, *key, *truth).filter(|t| !t.but.contains(&member.peer))?;
                Some((self.names.nlri(*key), truth.version))
            };
            let expected: BTreeMap<Nlri, u32> = self.truth.iter().filter_map(gets).collect();
            if member.holds != expected {
                return Err(format!("peer {:?} holds {:?}, not {expected:?}", member.peer, member.holds));
            }
            let count = self.sides[member.group].log.advertised_to(member.peer);
            assert_eq!(count, expected.len() as u64, "the counter of {:?}", member.peer);
        }
        Ok(())
    }
}

impl Member {
    fn apply(&mut self, updates: Vec<Update>) -> Result<(), String> {
        for update in updates {
            for nlri in update.withdrawn.iter().flat_map(|(_, nlri)| nlri) {
                self.holds.remove(nlri);
                self.stale.remove(nlri);
            }
            for reach in &update.reach {
                let head = reach.attrs.head();
                assert_eq!(head.local_pref(), Some(100 + self.group as u32), "a message of another group");
                let version = reach.attrs.med().unwrap();
                for nlri in &reach.nlri {
                    let newest = self.newest.entry(*nlri).or_default();
                    if version < *newest {
                        return Err(format!("{nlri:?}: version {version} overtook {newest}"));
                    }
                    *newest = version;
                    self.holds.insert(*nlri, version);
                    self.stale.remove(nlri);
                }
            }
        }
        Ok(())
    }
}

fn run(seed: u64, broken: Option<Rule>) -> Result<(), String> {
    let mut world = World::new(seed, broken);
    for _ in 0..150 {
        world.step()?;
        if world.random.chance(6) {
            world.check()?;
        }
    }
    world.check()
}

/// Two thousand, or as many as `FUZZ_RUNS` asks for.
fn seeds() -> std::ops::Range<u64> {
    0..std::env::var("FUZZ_RUNS").map_or(2_000, |n| n.parse().expect("a number"))
}

#[test]
fn members_hold_what_slots_advertise() {
    for seed in seeds() {
        if let Err(wrong) = run(seed, None) {
            panic!("seed {seed}: {wrong}");
        }
    }
}

#[test]
fn every_rule_is_needed() {
    for rule in [Rule::Owes, Rule::TombstoneOwes, Rule::Need, Rule::OnlyWithdraw, Rule::Clean, Rule::TombstoneNeed] {
        let failing = (0..4_000).find(|seed| run(*seed, Some(rule)).is_err());
        assert!(failing.is_some(), "{rule:?} can be left out and nobody notices");
    }
}
