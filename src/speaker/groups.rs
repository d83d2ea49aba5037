//! The update groups of all families: who belongs where, who joins, who moves, and which groups nobody needs any more.

use super::rib_task::Live;
use crate::export::{AddPath, Group, GroupId, GroupKey, Journal, NextHopRule, Params, Stats};
use crate::net::{Joined, Leave};
use crate::policy::Reason;
use crate::rib::{Changed, DestId, PeerId, Rib};
use crate::wire::Family;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// All update groups.
pub struct Groups {
    shards: usize,
    groups: BTreeMap<GroupId, Entry>,
    next: u32,
    members: BTreeMap<(PeerId, Family), GroupId>,
    /// Peers to be joined at the end of the turn, so that those of one turn share the work.
    joins: Vec<Place>,
    /// Members that change to a group that may not be complete yet.
    moves: Vec<Move>,
    /// Our addresses with the interface that has them, for next hops of the other family.
    addresses: Vec<(u32, IpAddr)>,
    deferred: bool,
}

struct Entry {
    group: Group,
    /// Since when it has no member.
    empty_since: Option<Instant>,
}

/// A member to be and its group.
struct Place {
    peer: PeerId,
    family: Family,
    shard: usize,
    session: u32,
    group: GroupId,
}

/// A member on its way to another group. First it stops to read the old one: what that publishes later is neither for it, nor in
/// what it is told to forget.
struct Move {
    to: Place,
    /// The shard was asked to stop.
    asked: bool,
    /// It has stopped.
    left: bool,
}

/// A message for a shard.
pub enum ForShard {
    Leave { shard: usize, leave: Leave },
    Join { shard: usize, joined: Box<Joined> },
}

/// What upkeep found.
#[derive(Default)]
pub struct Upkeep {
    /// Members that hold back too much: the shard, the journal, and the need that they have or are below of.
    pub laggards: Vec<(usize, Arc<Journal>, u64)>,
}

impl Groups {
    pub fn new(shards: usize) -> Self {
        Self {
            shards,
            groups: BTreeMap::new(),
            next: 0,
            members: BTreeMap::new(),
            joins: Vec::new(),
            moves: Vec::new(),
            addresses: Vec::new(),
            deferred: false,
        }
    }

    /// Addresses of this host; sessions that come up from now on use them.
    pub fn set_addresses(&mut self, addresses: Vec<(u32, IpAddr)>) {
        self.addresses = addresses;
    }

    /// A session is up: its families get their groups at the end of the turn.
    pub fn join(&mut self, peer: PeerId, live: &Live) {
        for family in live.negotiated.families.iter() {
            let group = self.group_for(self.key(live, family));
            self.joins.push(Place { peer, family, shard: live.shard, session: live.session, group });
        }
    }

    /// New rules of an established peer: it moves where its key says, as soon as that group is complete.
    pub fn change(&mut self, peer: PeerId, live: &Live) {
        let (former, others) = std::mem::take(&mut self.moves).into_iter().partition::<Vec<_>, _>(|m| m.to.peer == peer);
        self.moves = others;
        for family in live.negotiated.families.iter() {
            let group = self.group_for(self.key(live, family));
            match self.joins.iter_mut().find(|j| j.peer == peer && j.family == family) {
                Some(join) => join.group = group,
                None => {
                    let former = former.iter().find(|m| m.to.family == family);
                    let (asked, left) = former.map_or((false, false), |m| (m.asked, m.left));
                    // Who has stopped to read has to be told to begin again, also in the group that it is in.
                    if asked || self.members.get(&(peer, family)) != Some(&group) {
                        let to = Place { peer, family, shard: live.shard, session: live.session, group };
                        self.moves.push(Move { to, asked, left });
                    }
                }
            }
        }
    }

    /// Looks at all destinations again, in slices: something that all depend on has changed.
    pub fn rebuild(&mut self) {
        self.groups.values_mut().for_each(|e| e.group.rebuild());
    }

    pub fn leave(&mut self, peer: PeerId, now: Instant) {
        self.joins.retain(|j| j.peer != peer);
        self.moves.retain(|m| m.to.peer != peer);
        for family in Family::ALL {
            if let Some(id) = self.members.remove(&(peer, family)) {
                self.leave_group(id, peer, now);
            }
        }
    }

    fn leave_group(&mut self, id: GroupId, peer: PeerId, now: Instant) {
        if let Some(entry) = self.groups.get_mut(&id) {
            entry.group.leave(peer);
            if entry.group.members() == 0 {
                entry.empty_since = Some(now);
            }
        }
    }

    /// Brings all groups of the family in step with the tables. True when there is something to read.
    pub fn sync(&mut self, rib: &mut Rib, changed: &Changed) -> bool {
        self.groups.values_mut().fold(false, |any, e| e.group.sync(rib, changed) | any)
    }

    pub fn is_building(&self) -> bool {
        self.groups.values().any(|e| !e.group.is_complete())
    }

    /// One slice of work for each group that is not complete. True when there was any.
    pub fn build(&mut self, rib: &mut Rib) -> bool {
        let unfinished = self.groups.values_mut().filter(|e| !e.group.is_complete());
        unfinished.fold(false, |_, e| {
            e.group.build_step(rib);
            true
        })
    }

    /// Makes members of those who wait, now that the turn has published; those who come from another group first leave it.
    pub fn take_joins(&mut self, rib: &Rib, now: Instant) -> Vec<ForShard> {
        let mut out: Vec<ForShard> = Vec::new();
        for place in std::mem::take(&mut self.joins) {
            out.extend(self.enter(place, Vec::new(), rib));
        }
        let mut moves = std::mem::take(&mut self.moves);
        let is_complete = |m: &Move| self.groups.get(&m.to.group).is_none_or(|e| e.group.is_complete());
        for m in moves.iter_mut().filter(|m| !m.asked && is_complete(m)) {
            m.asked = true;
            let leave = Leave { peer: m.to.peer, session: m.to.session, family: m.to.family };
            out.push(ForShard::Leave { shard: m.to.shard, leave });
        }
        let (ready, waiting) = moves.into_iter().partition::<Vec<_>, _>(|m| m.left && is_complete(m));
        self.moves = waiting;
        for place in ready.into_iter().map(|m| m.to) {
            let old = self.members.get(&(place.peer, place.family)).copied();
            let farewell = old.map_or_else(Vec::new, |old| self.farewell(old, &place, rib));
            if let Some(old) = old {
                self.leave_group(old, place.peer, now);
            }
            out.extend(self.enter(place, farewell, rib));
        }
        out
    }

    /// A member has stopped to read the group that it leaves.
    pub fn left(&mut self, leave: Leave) {
        let is_it = |m: &&mut Move| (m.to.peer, m.to.session, m.to.family) == (leave.peer, leave.session, leave.family);
        self.moves.iter_mut().filter(is_it).for_each(|m| m.left = true);
    }

    fn farewell(&self, old: GroupId, place: &Place, rib: &Rib) -> Vec<bytes::Bytes> {
        match (self.groups.get(&old), self.groups.get(&place.group)) {
            (Some(old), Some(new)) => old.group.farewell(&new.group, place.peer, rib),
            _ => Vec::new(),
        }
    }

    fn enter(&mut self, place: Place, farewell: Vec<bytes::Bytes>, rib: &Rib) -> Option<ForShard> {
        let Place { peer, family, shard, session, group: id } = place;
        let entry = self.groups.get_mut(&id)?;
        entry.empty_since = None;
        let cursor = entry.group.join(peer, shard, rib);
        let journal = entry.group.journal();
        self.members.insert((peer, family), id);
        Some(ForShard::Join { shard, joined: Box::new(Joined { peer, session, family, cursor, journal, farewell }) })
    }

    /// A member asked for the table again.
    pub fn refresh(&mut self, rib: &Rib, peer: PeerId, family: Family) {
        let id = self.members.get(&(peer, family));
        if let Some(entry) = id.and_then(|id| self.groups.get_mut(id)) {
            entry.group.refresh(rib);
        }
    }

    /// After each turn: keeps the journals small, and ends groups that have been empty for a while. A cluster that reconnects finds
    /// its group as it was.
    pub fn maintain(&mut self, rib: &mut Rib, now: Instant) -> Upkeep {
        let mut upkeep = Upkeep::default();
        for entry in self.groups.values_mut() {
            if let Some(laggard) = entry.group.maintain(rib) {
                upkeep.laggards.push((laggard.shard, entry.group.journal(), laggard.need));
            }
        }
        let over = |e: &Entry| e.empty_since.is_some_and(|at| now.saturating_duration_since(at) >= KEEP_EMPTY);
        let wanted = |id: &GroupId| self.joins.iter().chain(self.moves.iter().map(|m| &m.to)).any(|p| p.group == *id);
        let ended: Vec<_> = self.groups.iter().filter(|(id, e)| over(e) && !wanted(id)).map(|(id, _)| *id).collect();
        for id in ended {
            if let Some(entry) = self.groups.remove(&id) {
                entry.group.close(rib);
            }
        }
        upkeep
    }

    /// Whether every member has been written all that its group has to say.
    pub fn are_read(&self) -> bool {
        self.groups.values().all(|e| e.group.is_read())
    }

    /// When the next empty group ends.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.groups.values().filter_map(|e| e.empty_since).min().map(|at| at + KEEP_EMPTY)
    }

    /// Whether End-of-RIB waits for route selection (RFC 4724 4.1).
    pub fn set_deferred(&mut self, deferred: bool) {
        if std::mem::replace(&mut self.deferred, deferred) == deferred {
            return;
        }
        self.groups.values_mut().for_each(|e| e.group.set_deferred(deferred));
    }

    /// The group that a peer reads.
    pub fn of(&self, peer: PeerId, family: Family) -> Option<&Group> {
        Some(&self.groups.get(self.members.get(&(peer, family))?)?.group)
    }

    /// Whether a destination is announced to anybody.
    pub fn advertises(&self, family: Family, dest: DestId) -> bool {
        let groups = || self.groups.values().map(|e| &e.group);
        groups().any(|g| g.key().family == family && g.members() > 0 && g.advertises(dest))
    }

    /// Whether an established peer was sent the prefix; costs the same however many routes there are.
    pub fn has_sent(&self, rib: &Rib, prefix: &IpNet, peer: PeerId) -> bool {
        self.of(peer, Family::of(prefix)).is_some_and(|group| group.has_sent(rib, prefix, peer))
    }

    pub fn advertised(&self, peer: PeerId, family: Family) -> u64 {
        self.of(peer, family).map_or(0, |g| g.advertised(peer))
    }

    /// Why a peer gets a prefix or not; `None` where there is no such route.
    pub fn explain(&mut self, rib: &Rib, prefix: &IpNet, peer: PeerId) -> Option<Reason> {
        let id = self.members.get(&(peer, Family::of(prefix))).copied();
        match id.and_then(|id| self.groups.get_mut(&id)) {
            Some(entry) => entry.group.explain(rib, prefix, peer),
            None => rib.lookup(prefix).map(|_| Reason::NoSession),
        }
    }

    pub fn stats(&self) -> impl Iterator<Item = (GroupId, &GroupKey, Stats)> {
        self.groups.iter().map(|(id, e)| (*id, e.group.key(), e.group.stats()))
    }

    fn group_for(&mut self, key: GroupKey) -> GroupId {
        if let Some((id, _)) = self.groups.iter().find(|(_, e)| *e.group.key() == key) {
            return *id;
        }
        let id = GroupId(self.next);
        self.next += 1;
        let mut group = Group::new(id, key, Params { shards: self.shards });
        group.set_deferred(self.deferred);
        self.groups.insert(id, Entry { group, empty_since: None });
        id
    }

    fn key(&self, live: &Live, family: Family) -> GroupKey {
        let session = &live.negotiated;
        let add_path = if session.add_path_tx.contains(family) { live.rules.add_path_send } else { AddPath::Off };
        GroupKey {
            family,
            kind: live.kind,
            chain: live.rules.export.clone(),
            next_hop: self.next_hop(live),
            local_as: session.local_as,
            cluster_id: live.rules.cluster_id,
            add_path,
            four_octet_as: session.four_octet_as,
            max_message: session.max_send,
            extended_next_hop: session.extended_next_hop.contains(family),
            llgr_aware: session.llgr_aware,
            role: live.rules.role,
        }
    }

    /// Our addresses towards a peer: that of the session, and for the other family one of the same interface.
    fn next_hop(&self, live: &Live) -> NextHopRule {
        let local = live.negotiated.local_addr.ip();
        let mut rule = NextHopRule { mode: live.rules.next_hop, ..NextHopRule::default() };
        put(&mut rule, local);
        let interface = self.addresses.iter().find(|(_, a)| *a == local).map(|(i, _)| *i);
        for (_, address) in self.addresses.iter().filter(|(i, _)| Some(*i) == interface) {
            put(&mut rule, *address);
        }
        rule
    }
}

/// Takes an address where its kind has none yet.
fn put(rule: &mut NextHopRule, address: IpAddr) {
    match address {
        IpAddr::V4(a) => _ = rule.v4.get_or_insert(a),
        IpAddr::V6(a) if a.is_unicast_link_local() => _ = rule.v6_link_local.get_or_insert(a),
        IpAddr::V6(a) => _ = rule.v6.get_or_insert(a),
    }
}

/// A group without members is kept this long.
const KEEP_EMPTY: Duration = Duration::from_secs(60);
