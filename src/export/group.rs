//! One update group: keeps what it advertises in step with the tables, and its members' way in and out.

use super::chunk::NlriOf;
use super::cursor::Cursor;
use super::desire::{Originators, desire};
use super::journal::Journal;
use super::key::{AddPath, GroupKey};
use super::keys::PathKeys;
use super::log::{Log, Stats};
use super::pack::Packer;
use super::route::RouteId;
use crate::policy::{PeerKind, Reason};
use crate::rib::{AttrId, Changed, DestId, DestRef, DumpCursor, PathRef, PeerId, Rib};
use crate::wire::attr::AttrSet;
use crate::wire::message::HEADER_LEN;
use crate::wire::nlri::Nlri;
use crate::wire::update::{UpdateContext, decode_update};
use crate::wire::{Family, FamilySet};
use bytes::{Bytes, BytesMut};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use ipnet::IpNet;
use smallvec::SmallVec;
use std::sync::Arc;

/// Names a group while the process lives.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct GroupId(pub u32);

#[derive(Clone, Copy, Debug)]
pub struct Params {
    /// How many shards read the journal.
    pub shards: usize,
}

/// The member of a shard whose [`Cursor::need`] is this, or less, holds back more tombstones than the journal may keep: it is
/// to be reset (Cease, Out of Resources).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Laggard {
    pub shard: usize,
    pub need: u64,
}

/// A route of Adj-RIB-Out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Advertised {
    pub nlri: Nlri,
    /// As the member gets them.
    pub attrs: AttrSet,
}

/// Peers with equal [`GroupKey`]s, and what is advertised to them.
#[derive(Debug)]
pub struct Group {
    id: GroupId,
    log: Log,
    packer: Packer,
    /// With add-path only.
    paths: PathKeys,
    originators: Originators,
    /// Outcomes of this turn, where they do not depend on the prefix.
    memo: HashMap<(AttrId, PeerId), Result<RouteId, Reason>, FixedState>,
    /// Uses of routes that end with the turn.
    turn: Vec<RouteId>,
    /// How far the walk over the tables is; `None` when it is done.
    build: Option<DumpCursor>,
    /// End-of-RIB waits for route selection (RFC 4724 4.1).
    deferred: bool,
}

/// Destinations that a step of [`Group::view`] looks at.
const VIEW_STEP: u32 = 4096;

impl Group {
    pub fn new(id: GroupId, key: GroupKey, params: Params) -> Self {
        Self {
            id,
            log: Log::new(params.shards),
            packer: Packer::new(key),
            paths: PathKeys::default(),
            originators: Originators::default(),
            memo: HashMap::default(),
            turn: Vec::new(),
            build: Some(DumpCursor::default()),
            deferred: false,
        }
    }

    /// Brings the destinations that changed in step with the tables and publishes the difference. To be called after every
    /// [`Rib::decide`] of the family, before the next one. True when there is something to read for members.
    pub fn sync(&mut self, rib: &mut Rib, changed: &Changed) -> bool {
        if changed.family != self.family() {
            return false;
        }
        let ids = if self.packer.sends_path_ids() { &changed.paths } else { &changed.best };
        for id in ids {
            self.update(rib, *id);
        }
        self.publish(rib)
    }

    /// Walks 4096 more destinations of the tables: to be called in each turn while the group is not complete. True when there is
    /// nothing left to walk.
    pub fn build_step(&mut self, rib: &mut Rib) -> bool {
        if self.build.is_some() {
            let ids: Vec<DestId> = rib.dump(self.family(), &mut self.build).map(|dest| dest.id()).collect();
            for id in ids {
                self.update(rib, id);
            }
            self.publish(rib);
            self.note_complete();
        }
        self.build.is_none()
    }

    /// Walks the tables again: something changed that the tables do not tell, such as the kind of a source.
    pub fn rebuild(&mut self) {
        self.build = Some(DumpCursor::default());
    }

    /// Whether route selection is deferred after our own restart, so that End-of-RIB has to wait (RFC 4724 4.1). When selection
    /// begins, nothing is selected yet: the group is complete after it has walked the tables again.
    pub fn set_deferred(&mut self, deferred: bool) {
        if std::mem::replace(&mut self.deferred, deferred) && !deferred {
            self.build.get_or_insert_default();
        }
    }

    fn note_complete(&self) {
        let journal = self.log.journal();
        if self.build.is_none() && !self.deferred && journal.complete_at() == u64::MAX {
            journal.set_complete(journal.tail());
        }
    }

    /// A peer becomes a member, read by a shard. The cursor is for [`View::attach`](super::View::attach) there. `rib` must know
    /// the peer. Members that join without a publish between them share the work. [`is_complete`](Self::is_complete) may be
    /// false afterwards: routes that name the new member as their originator are looked at again.
    pub fn join(&mut self, peer: PeerId, shard: usize, rib: &Rib) -> Cursor {
        let again = rib.peer(peer).and_then(|info| self.originators.learn(info.router_id, peer));
        if again.is_some_and(|old| old == PeerId::LOCAL || self.log.excludes(old)) {
            self.build.get_or_insert_default();
        }
        self.clean(rib);
        let tail = self.log.journal().tail();
        let attached = self.log.members.join(peer, shard, tail);
        Cursor::new(peer, tail, attached)
    }

    /// The peer's session is down, or it moves to another group. False when it was no member.
    pub fn leave(&mut self, peer: PeerId) -> bool {
        self.log.members.leave(peer)
    }

    /// A cursor said [`Poll::AskClean`](super::Poll::AskClean). Its shard is to be woken afterwards.
    pub fn refresh(&mut self, rib: &Rib) {
        self.clean(rib);
    }

    fn clean(&mut self, rib: &Rib) {
        let Self { log, packer, paths, .. } = self;
        let (family, add_path) = (packer.key().family, packer.sends_path_ids());
        log.clean(packer, &nlri_of(rib, family, add_path.then_some(paths)));
    }

    /// Withdraws for a member that moves to `new`, to be sent after its last message from this group and before its first one
    /// from that: what it may hold and does not get there. Its cursor must be [retired](Cursor::retire) by now, since what it read
    /// here later would stay with it; the new cursor [follows](Cursor::follow) it. `new` should be complete. Both groups must have the same family, and
    /// add-path both or neither.
    pub fn farewell(&self, new: &Self, peer: PeerId, rib: &Rib) -> Vec<Bytes> {
        let add_path = self.packer.sends_path_ids();
        let kept = |key: u32| {
            let same = if add_path { new.paths.find(self.paths.get(key).0, self.paths.get(key).1) } else { Some(key) };
            same.is_some_and(|key| new.log.advertises(key, peer))
        };
        let keys: Vec<u32> = self.log.keys().filter(|key| !kept(*key)).collect();
        let mut packer = Packer::new(self.packer.key().clone());
        let nlri = nlri_of(rib, self.family(), add_path.then_some(&self.paths));
        let mut messages = Vec::new();
        let mut rest = keys.as_slice();
        while !rest.is_empty() {
            let mut out = BytesMut::new();
            rest = &rest[packer.withdraw(rest.iter().copied(), &nlri, &mut out)..];
            messages.push(out.freeze());
        }
        messages
    }

    /// To be called after each turn: forgets what all members have read, and keeps the journal small. Returns who has to go
    /// for that.
    pub fn maintain(&mut self, rib: &mut Rib) -> Option<Laggard> {
        for key in self.log.free_tombstones() {
            self.release(rib, key);
        }
        let Self { log, packer, paths, .. } = self;
        let (family, add_path) = (packer.key().family, packer.sends_path_ids());
        log.compact(packer, &nlri_of(rib, family, add_path.then_some(paths)));
        self.log.laggard().map(|(shard, need)| Laggard { shard, need })
    }

    /// Lets go of all destinations; the last thing that happens to a group.
    pub fn close(mut self, rib: &mut Rib) {
        let keys: Vec<u32> = self.log.keys().collect();
        for key in keys {
            self.release(rib, key);
        }
    }

    fn release(&mut self, rib: &mut Rib, key: u32) {
        let dest = self.dest_of(key);
        if self.packer.sends_path_ids() {
            self.paths.remove(key);
        }
        rib.release_dest(self.family(), dest);
    }

    fn dest_of(&self, key: u32) -> DestId {
        if self.packer.sends_path_ids() { self.paths.get(key).0 } else { DestId(key) }
    }

    /// Stages what a destination is to advertise.
    fn update(&mut self, rib: &mut Rib, id: DestId) {
        let mut wanted: SmallVec<[(u32, RouteId); 4]> = SmallVec::new();
        if let Some(dest) = rib.dest(self.family(), id) {
            for path in self.choose(&dest) {
                if let Ok(route) = self.route(rib, &dest.prefix(), &path) {
                    wanted.push((path.path_id_tx, route));
                }
            }
        }
        if !self.packer.sends_path_ids() {
            self.stage(rib, id, id.0, wanted.first().map(|(_, route)| *route));
            return;
        }
        let known: SmallVec<[u32; 4]> = self.paths.of_dest(id).into();
        for key in known {
            let path_id = self.paths.get(key).1;
            if !wanted.iter().any(|(wanted, _)| *wanted == path_id) {
                self.stage(rib, id, key, None);
            }
        }
        for (path_id, route) in wanted {
            let key = self.paths.insert(id, path_id);
            self.stage(rib, id, key, Some(route));
        }
    }

    /// The paths that the group looks at.
    fn choose<'a>(&self, dest: &DestRef<'a>) -> SmallVec<[PathRef<'a>; 4]> {
        match self.packer.key().add_path {
            AddPath::Off => dest.best().into_iter().collect(),
            AddPath::Best(n) => dest.ranked(usize::from(n)),
            // Nothing is selected while selection is deferred.
            AddPath::All if dest.best().is_none() => SmallVec::new(),
            AddPath::All => dest.paths().collect(),
        }
    }

    fn stage(&mut self, rib: &mut Rib, dest: DestId, key: u32, route: Option<RouteId>) {
        let vacant = self.log.slot(key).is_vacant();
        if self.log.stage(key, route) && vacant {
            rib.hold_dest(self.family(), dest);
        }
    }

    /// What a path is advertised as; it has a use until the end of the turn.
    fn route(&mut self, rib: &Rib, prefix: &IpNet, path: &PathRef<'_>) -> Result<RouteId, Reason> {
        let remember = !self.packer.key().chain.depends_on_prefix();
        let which = (path.attr_id, path.source);
        if remember && let Some(known) = self.memo.get(&which) {
            return *known;
        }
        let route = desire(path, prefix, rib, &mut self.packer, &mut self.originators).map(|route| {
            let id = self.log.routes.intern(route);
            self.turn.push(id);
            id
        });
        if remember {
            self.memo.insert(which, route);
        }
        route
    }

    fn publish(&mut self, rib: &Rib) -> bool {
        let Self { log, packer, paths, .. } = self;
        let (family, add_path) = (packer.key().family, packer.sends_path_ids());
        let published = log.publish(packer, &nlri_of(rib, family, add_path.then_some(paths)));
        self.memo.clear();
        for id in self.turn.drain(..) {
            self.log.routes.release(id);
        }
        published
    }

    /// What the members read.
    pub fn journal(&self) -> Arc<Journal> {
        self.log.journal().clone()
    }

    pub fn id(&self) -> GroupId {
        self.id
    }

    pub fn key(&self) -> &GroupKey {
        self.packer.key()
    }

    fn family(&self) -> Family {
        self.packer.key().family
    }

    /// Whether the walk over the tables is done.
    pub fn is_complete(&self) -> bool {
        self.build.is_none()
    }

    /// Whether all members have read the whole journal, as far as their shards have said.
    pub fn is_read(&self) -> bool {
        let (journal, members) = (self.journal(), &self.log.members);
        let tail = journal.tail();
        members.least_need(&journal, tail).0 >= tail
    }

    pub fn members(&self) -> usize {
        self.log.members.len()
    }

    pub fn has_member(&self, peer: PeerId) -> bool {
        self.log.members.contains(peer)
    }

    /// Whether a destination is advertised to members, split horizon aside.
    pub fn advertises(&self, dest: DestId) -> bool {
        let plain = [dest.0];
        let keys = if self.packer.sends_path_ids() { self.paths.of_dest(dest) } else { &plain };
        keys.iter().any(|key| self.log.slot(*key).advertises())
    }

    /// Whether `peer` was sent a route of the prefix, and has it still: in its Adj-RIB-Out, and read for certain.
    pub fn has_sent(&self, rib: &Rib, prefix: &IpNet, peer: PeerId) -> bool {
        let Some(dest) = rib.lookup(prefix) else { return false };
        let plain = [dest.id().0];
        let keys = if self.packer.sends_path_ids() { self.paths.of_dest(dest.id()) } else { &plain };
        keys.iter().any(|key| self.log.advertises(*key, peer) && self.log.has_read(*key, peer))
    }

    /// How many routes `peer` is sent, as a counter.
    pub fn advertised(&self, peer: PeerId) -> u64 {
        self.log.advertised_to(peer)
    }

    /// The next routes of the Adj-RIB-Out of `peer`, from the slots; at most 4096 a call. `from` starts at `Some(0)` and is
    /// `None` after the last.
    pub fn view(&self, rib: &Rib, peer: PeerId, from: &mut Option<u32>) -> Vec<Advertised> {
        let start = from.unwrap_or(u32::MAX);
        let end = start.saturating_add(VIEW_STEP).min(self.log.end());
        *from = (end < self.log.end()).then_some(end);
        let mut packer = Packer::new(self.key().clone());
        let nlri = nlri_of(rib, self.family(), self.packer.sends_path_ids().then_some(&self.paths));
        let mut sets: HashMap<RouteId, Option<AttrSet>, FixedState> = HashMap::default();
        let keys = (start..end).filter(|key| self.log.advertises(*key, peer));
        let sent = |key: u32| {
            let set = sets.entry(self.log.slot(key).route_id()).or_insert_with(|| self.as_sent(&mut packer, key, &nlri));
            Some(Advertised { nlri: nlri(key), attrs: set.clone()? })
        };
        keys.filter_map(sent).collect()
    }

    /// The routes of one prefix that `peer` is sent.
    pub fn view_prefix(&self, rib: &Rib, peer: PeerId, prefix: &IpNet) -> Vec<Advertised> {
        let Some(dest) = rib.lookup(prefix) else { return Vec::new() };
        let plain = [dest.id().0];
        let keys = if self.packer.sends_path_ids() { self.paths.of_dest(dest.id()) } else { &plain };
        let mut packer = Packer::new(self.key().clone());
        let nlri = nlri_of(rib, self.family(), self.packer.sends_path_ids().then_some(&self.paths));
        let keys = keys.iter().filter(|key| self.log.advertises(**key, peer));
        keys.filter_map(|key| Some(Advertised { nlri: nlri(*key), attrs: self.as_sent(&mut packer, *key, &nlri)? })).collect()
    }

    /// The attributes of a key as its message has them: encoded and decoded again, so that nothing is said twice.
    fn as_sent(&self, packer: &mut Packer, key: u32, nlri: NlriOf<'_>) -> Option<AttrSet> {
        packer.begin(self.log.route(key)?);
        let mut out = BytesMut::new();
        packer.update(std::iter::once(key), nlri, &mut out);
        let families = FamilySet::from_iter([self.family()]);
        let context = UpdateContext {
            four_octet_as: self.key().four_octet_as,
            ebgp: self.key().kind == PeerKind::Ebgp,
            families,
            add_path_rx: if self.packer.sends_path_ids() { families } else { FamilySet::NONE },
            extended_next_hop: families,
            enforce_first_as: None,
            allow_as_set: true,
            default_local_pref: None,
        };
        let update = decode_update(out.get(HEADER_LEN..)?, &context).ok()?;
        update.reach.into_iter().next().map(|reach| reach.attrs)
    }

    /// Why `peer` gets a prefix or not: [`Reason::Advertised`], [`Reason::PendingSend`], or what stands against it. `None` where
    /// there is no such route. With add-path the first path that is sent counts.
    pub fn explain(&mut self, rib: &Rib, prefix: &IpNet, peer: PeerId) -> Option<Reason> {
        let dest = rib.lookup(prefix)?;
        if !self.has_member(peer) {
            return Some(Reason::NoSession);
        }
        let mut reason = Reason::NotBest;
        for path in self.choose(&dest) {
            match desire(&path, &dest.prefix(), rib, &mut self.packer, &mut self.originators) {
                Err(why) => reason = why,
                Ok(route) if route.exclusion(peer).is_some() => reason = Reason::SplitHorizon,
                Ok(_) => {
                    let key = if self.packer.sends_path_ids() { self.paths.find(dest.id(), path.path_id_tx) } else { Some(dest.id().0) };
                    let read = key.is_some_and(|key| self.log.has_read(key, peer));
                    return Some(if read { Reason::Advertised } else { Reason::PendingSend });
                }
            }
        }
        Some(reason)
    }

    pub fn stats(&self) -> Stats {
        let mut stats = self.log.stats();
        stats.memory += self.paths.memory() as u64;
        stats
    }
}

/// How the keys of a group become NLRI.
fn nlri_of<'a>(rib: &'a Rib, family: Family, paths: Option<&'a PathKeys>) -> impl Fn(u32) -> Nlri + 'a {
    move |key| {
        let (dest, path_id) = paths.map_or((DestId(key), 0), |paths| paths.get(key));
        let dest = rib.dest(family, dest).expect("a slot holds its destination");
        Nlri { prefix: dest.prefix(), path_id }
    }
}
