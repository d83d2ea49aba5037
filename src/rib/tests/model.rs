//! Random operations on the tables against a map of all paths that is decided from scratch every time.

use super::*;
use crate::policy::Reason;
use ipnet::IpNet;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const KINDS: [PeerKind; 4] = [PeerKind::Ebgp, PeerKind::Ebgp, PeerKind::Client, PeerKind::NonClient];
const PEERS: std::ops::RangeInclusive<u32> = 1..=4;

#[derive(Clone, Debug)]
enum Op {
    Announce { peer: u32, prefix: u8, path_id: u32, attrs: Attrs, filtered: bool },
    Withdraw { peer: u32, prefix: u8, path_id: u32 },
    Originate { prefix: u8, attrs: Attrs },
    Unoriginate(u8),
    Down { peer: u32, retain: bool },
    Up { peer: u32, other_kind: bool },
    EndOfRib(u32),
    Refresh { peer: u32, end: bool },
    Sweep(u32),
    NextHop { n: u8, resolution: Option<(u32, bool, Option<u8>)> },
    Own(Option<u8>),
    Defer(bool),
    Decide,
}

#[derive(Clone, Copy, Debug)]
struct Attrs {
    neighbor: u32,
    med: u32,
    next_hop: u8,
    local_pref: u32,
}

impl Attrs {
    fn set(self) -> AttrSet {
        set(&[self.neighbor, 9], |a| {
            a.med = Some(self.med);
            a.next_hop = next_hop(self.next_hop).into();
            a.local_pref = Some(self.local_pref);
        })
    }
}

fn next_hop(n: u8) -> IpAddr {
    IpAddr::from([10, 1, n, 1])
}

/// Some of them contain next hops.
fn prefix(n: u8) -> IpNet {
    IpNet::new(IpAddr::from([10, 1, n, 0]), 20 + n).unwrap().trunc()
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let attrs =
        || {
            (1u32..3, 0u32..3, 0u8..3, prop_oneof![5 => Just(100u32), 1 => Just(90)])
                .prop_map(|(neighbor, med, next_hop, local_pref)| Attrs { neighbor, med, next_hop, local_pref })
        };
    let resolution = || prop::option::of((0u32..3, any::<bool>(), prop::option::of(0u8..4)));
    prop::collection::vec(
        prop_oneof![
            20 => (PEERS, 0u8..4, 0u32..2, attrs(), prop::bool::weighted(0.15))
                .prop_map(|(peer, prefix, path_id, attrs, filtered)| Op::Announce { peer, prefix, path_id, attrs, filtered }),
            8 => (PEERS, 0u8..4, 0u32..2).prop_map(|(peer, prefix, path_id)| Op::Withdraw { peer, prefix, path_id }),
            2 => (0u8..4, attrs()).prop_map(|(prefix, attrs)| Op::Originate { prefix, attrs }),
            2 => (0u8..4).prop_map(Op::Unoriginate),
            2 => (PEERS, any::<bool>()).prop_map(|(peer, retain)| Op::Down { peer, retain }),
            3 => (PEERS, prop::bool::weighted(0.2)).prop_map(|(peer, other_kind)| Op::Up { peer, other_kind }),
            2 => PEERS.prop_map(Op::EndOfRib),
            3 => (PEERS, any::<bool>()).prop_map(|(peer, end)| Op::Refresh { peer, end }),
            1 => PEERS.prop_map(Op::Sweep),
            4 => (0u8..3, resolution()).prop_map(|(n, resolution)| Op::NextHop { n, resolution }),
            1 => prop::option::of(0u8..3).prop_map(Op::Own),
            1 => any::<bool>().prop_map(Op::Defer),
            10 => Just(Op::Decide),
        ],
        0..150,
    )
}

#[derive(Clone)]
struct Path {
    attrs: AttrSet,
    filtered: bool,
    stale: bool,
}

type Key = (PeerId, u32);

#[derive(Clone, Copy)]
struct Session {
    info: PeerInfo,
    up: bool,
    awaits: bool,
    refreshing: bool,
}

struct Model {
    paths: BTreeMap<IpNet, BTreeMap<Key, Path>>,
    best: BTreeMap<IpNet, Key>,
    peers: BTreeMap<PeerId, Session>,
    watched: BTreeMap<IpAddr, Resolution>,
    own: Option<IpAddr>,
    deferred: bool,
}

impl Model {
    fn is_up(&self, peer: PeerId) -> bool {
        self.peers.get(&peer).is_some_and(|s| s.up)
    }

    fn remove(&mut self, gone: impl Fn(&IpNet, Key, &Path) -> bool) {
        for (prefix, paths) in &mut self.paths {
            paths.retain(|key, path| !gone(prefix, *key, path));
            if self.best.get(prefix).is_some_and(|b| !paths.contains_key(b)) {
                self.best.remove(prefix);
            }
        }
    }

    fn mark_stale(&mut self, peer: PeerId) {
        self.paths.values_mut().flatten().filter(|(k, _)| k.0 == peer).for_each(|(_, p)| p.stale = true);
    }

    fn count(&self, peer: PeerId, which: impl Fn(&Path) -> bool) -> u32 {
        self.paths.values().flatten().filter(|(k, p)| k.0 == peer && which(p)).count() as u32
    }

    fn cost(&self, prefix: &IpNet, key: Key, path: &Path) -> Option<u32> {
        let address = path.attrs.next_hop().address();
        match self.watched.get(&address) {
            _ if path.filtered => None,
            _ if key.0 == PeerId::LOCAL => Some(0),
            _ if self.own == Some(address) => None,
            Some(Resolution::Reachable { cost, connected, through }) => {
                let recursive = through.is_some_and(|t| prefix.contains(&address) && prefix.prefix_len() >= t.prefix_len());
                (*connected || !recursive).then_some(*cost)
            }
            _ => None,
        }
    }

    /// Winner of each neighbor AS, then the winner of those; every path is looked at.
    fn choose(&self, prefix: &IpNet) -> Option<Key> {
        let paths = self.paths.get(prefix)?;
        let incumbent = self.best.get(prefix).and_then(|key| {
            let info = &self.peers[&key.0].info;
            (info.kind == PeerKind::Ebgp && self.cost(prefix, *key, &paths[key]).is_some()).then_some(info.router_id.get())
        });
        let candidates: Vec<_> = paths
            .iter()
            .filter_map(|(key, path)| {
                let (info, cost) = (self.peers[&key.0].info, self.cost(prefix, *key, path)?);
                Some(Candidate {
                    attrs: &path.attrs,
                    kind: info.kind,
                    router_id: info.router_id.get(),
                    addr: info.addr,
                    cost,
                    incumbent,
                    path_id: key.1,
                    source: key.0,
                })
            })
            .collect();
        let wins = |a: &Candidate<'_>, others: &[Candidate<'_>]| {
            others.iter().all(|b| (a.source, a.path_id) == (b.source, b.path_id) || decide(a, b, &Rules::default()).0.is_lt())
        };
        let neighbors: BTreeSet<_> = candidates.iter().map(|c| c.attrs.head().neighbor_as).collect();
        let winners: Vec<_> = neighbors
            .iter()
            .filter_map(|n| {
                let group: Vec<_> = candidates.iter().filter(|c| c.attrs.head().neighbor_as == *n).copied().collect();
                group.iter().find(|c| wins(c, &group)).copied()
            })
            .collect();
        winners.iter().find(|c| wins(c, &winners)).map(|c| (c.source, c.path_id))
    }
}

struct Run {
    rib: Rib,
    model: Model,
    /// What the last decisions said: winner and its attributes.
    seen: BTreeMap<IpNet, (Key, AttrSet)>,
    /// Path identifiers to send, as long as the path lives and is accepted.
    sent: BTreeMap<(IpNet, Key), u32>,
}

impl Run {
    fn new() -> Self {
        let rib = Rib::new(Params { next_hop_tracking: true, ..params() });
        let local = Session { info: *rib.peer(PeerId::LOCAL).unwrap(), up: true, awaits: false, refreshing: false };
        let model = Model {
            paths: BTreeMap::new(),
            best: BTreeMap::new(),
            peers: [(PeerId::LOCAL, local)].into(),
            watched: BTreeMap::new(),
            own: None,
            deferred: false,
        };
        let mut run = Self { rib, model, seen: BTreeMap::new(), sent: BTreeMap::new() };
        PEERS.for_each(|peer| run.apply(&Op::Up { peer, other_kind: false }));
        run
    }

    fn announce(&mut self, peer: PeerId, prefix: IpNet, path_id: u32, attrs: Attrs, filtered: bool) {
        let attrs = attrs.set();
        let reason = filtered.then_some(Reason::DeniedByPolicy(3));
        self.rib.announce(peer, V4, &[Nlri { prefix, path_id }], &attrs, reason);
        if !self.model.is_up(peer) {
            return;
        }
        self.model.paths.entry(prefix).or_default().insert((peer, path_id), Path { attrs, filtered, stale: false });
        if filtered {
            self.sent.remove(&(prefix, (peer, path_id)));
        }
    }

    fn withdraw(&mut self, peer: PeerId, gone: IpNet, path_id: u32) {
        self.rib.withdraw(peer, V4, &[Nlri { prefix: gone, path_id }]);
        let up = self.model.is_up(peer);
        self.model.remove(|prefix, key, _| up && *prefix == gone && key == (peer, path_id));
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Announce { peer, prefix: p, path_id, attrs, filtered } => {
                self.announce(PeerId(peer), prefix(p), path_id, attrs, filtered);
            }
            Op::Withdraw { peer, prefix: p, path_id } => self.withdraw(PeerId(peer), prefix(p), path_id),
            Op::Originate { prefix: p, attrs } => self.announce(PeerId::LOCAL, prefix(p), 0, attrs, false),
            Op::Unoriginate(p) => self.withdraw(PeerId::LOCAL, prefix(p), 0),
            Op::NextHop { n, resolution } => self.resolve(next_hop(n), resolution),
            Op::Own(own) => {
                let own = own.map(next_hop);
                self.rib.set_own_addresses(own.as_slice());
                self.model.own = own;
            }
            Op::Defer(deferred) => {
                self.rib.set_deferred(V4, deferred);
                self.model.deferred = deferred;
            }
            Op::Decide => self.decide(),
            _ => self.apply_to_session(op),
        }
        self.follow_next_hops();
        let paths = &self.model.paths;
        self.sent.retain(|(prefix, key), _| paths[prefix].contains_key(key));
    }

    fn resolve(&mut self, address: IpAddr, resolution: Option<(u32, bool, Option<u8>)>) {
        let resolution = resolution.map_or(Resolution::Unreachable, |(cost, connected, through)| Resolution::Reachable {
            cost,
            connected,
            through: through.map(prefix),
        });
        self.rib.next_hop_changed(address, resolution);
        if let Some(known) = self.model.watched.get_mut(&address) {
            *known = resolution;
        }
    }

    fn apply_to_session(&mut self, op: &Op) {
        let (rib, model) = (&mut self.rib, &mut self.model);
        match *op {
            Op::Up { peer: n, other_kind } => {
                let (id, kind) = (PeerId(n), if other_kind { PeerKind::Client } else { KINDS[n as usize - 1] });
                let info = PeerInfo { end_of_rib: if n == 2 { FamilySet::ALL } else { FamilySet::NONE }, ..peer(n as u8, kind) };
                rib.peer_up(id, info);
                let up = model.peers.get(&id).copied().unwrap_or(Session { info, up: false, awaits: false, refreshing: false });
                let mut next = Session { info, up: true, ..up };
                if !up.up {
                    model.mark_stale(id);
                    (next.refreshing, next.awaits) = (false, n == 2 || model.count(id, |_| true) > 0);
                }
                model.peers.insert(id, next);
            }
            Op::Down { peer, retain } => {
                let id = PeerId(peer);
                rib.peer_down(id, if retain { FamilySet::ALL } else { FamilySet::NONE });
                model.remove(|_, key, path| key.0 == id && (!retain || path.stale));
                model.mark_stale(id);
                model.peers.entry(id).and_modify(|s| (s.up, s.awaits, s.refreshing) = (false, false, false));
            }
            Op::EndOfRib(peer) => {
                rib.end_of_rib(PeerId(peer), V4);
                if model.peers.get_mut(&PeerId(peer)).is_some_and(|s| std::mem::take(&mut s.awaits)) {
                    model.remove(|_, key, path| key.0 == PeerId(peer) && path.stale);
                }
            }
            Op::Refresh { peer, end: false } => {
                let begins = model.peers.get(&PeerId(peer)).is_some_and(|s| s.up && !s.awaits);
                assert_eq!(rib.begin_refresh(PeerId(peer), V4), begins);
                if begins {
                    model.peers.entry(PeerId(peer)).and_modify(|s| s.refreshing = true);
                    model.mark_stale(PeerId(peer));
                }
            }
            Op::Refresh { peer, end: true } => {
                rib.end_refresh(PeerId(peer), V4);
                if model.peers.get_mut(&PeerId(peer)).is_some_and(|s| std::mem::take(&mut s.refreshing)) {
                    model.remove(|_, key, path| key.0 == PeerId(peer) && path.stale);
                }
            }
            Op::Sweep(peer) => {
                rib.sweep_stale(PeerId(peer), FamilySet::ALL);
                model.remove(|_, key, path| key.0 == PeerId(peer) && path.stale);
                model.peers.entry(PeerId(peer)).and_modify(|s| (s.awaits, s.refreshing) = (false, false));
            }
            _ => unreachable!("not about a session: {op:?}"),
        }
        let used: BTreeSet<PeerId> = model.paths.values().flat_map(|p| p.keys().map(|k| k.0)).collect();
        model.peers.retain(|id, s| s.up || used.contains(id));
    }

    /// The next hops that are asked for are those in use, and only those.
    fn follow_next_hops(&mut self) {
        while let Some(interest) = self.rib.poll_next_hop() {
            match interest {
                NextHopInterest::Watch(a) => assert!(self.model.watched.insert(a, Resolution::Unreachable).is_none()),
                NextHopInterest::Unwatch(a) => assert!(self.model.watched.remove(&a).is_some()),
            }
        }
        let all = self.model.paths.values().flat_map(BTreeMap::values).map(|p| p.attrs.next_hop().address());
        let wanted: BTreeSet<IpAddr> = all.filter(|a| self.model.own != Some(*a)).collect();
        assert_eq!(self.model.watched.keys().copied().collect::<BTreeSet<_>>(), wanted);
    }

    fn decide(&mut self) {
        let changed = self.rib.decide(V4);
        if self.model.deferred {
            assert!(changed.is_empty());
            return;
        }
        let (rib, prefix_of) = (&self.rib, |id: &DestId| self.rib.dest(V4, *id).expect("reported ids are valid").prefix());
        let reported: BTreeSet<IpNet> = changed.best.iter().map(prefix_of).collect();
        let touched: BTreeSet<IpNet> = changed.paths.iter().map(prefix_of).collect();
        assert!(reported.is_subset(&touched));
        assert_eq!((reported.len(), touched.len()), (changed.best.len(), changed.paths.len()), "reported twice");
        let prefixes: Vec<IpNet> = self.model.paths.keys().copied().collect();
        for prefix in prefixes {
            let expected = self.model.choose(&prefix);
            let best = rib.lookup(&prefix).and_then(|d| d.best());
            assert_eq!(best.map(|b| (b.source, b.path_id_rx)), expected, "best path of {prefix}");
            match expected {
                Some(key) => self.model.best.insert(prefix, key),
                None => self.model.best.remove(&prefix),
            };
            let now = best.map(|b| ((b.source, b.path_id_rx), b.attrs.clone()));
            assert!(self.seen.get(&prefix) == now.as_ref() || reported.contains(&prefix), "{prefix} changed, and nobody said so");
            match now {
                Some(now) => self.seen.insert(prefix, now),
                None => self.seen.remove(&prefix),
            };
        }
        self.check_paths();
        self.check_counters();
        let again = self.rib.decide(V4);
        assert!(again.is_empty(), "a second decision found work: {again:?}");
    }

    fn check_paths(&mut self) {
        for (prefix, paths) in &self.model.paths {
            let dest = self.rib.lookup(prefix);
            assert_eq!(dest.is_some(), !paths.is_empty());
            let Some(dest) = dest else { continue };
            let found: BTreeMap<Key, (AttrSet, bool)> =
                dest.all_paths().map(|p| ((p.source, p.path_id_rx), (p.attrs.clone(), p.stale))).collect();
            let expected = paths.iter().map(|(k, p)| (*k, (p.attrs.clone(), p.stale))).collect();
            assert_eq!(found, expected, "paths of {prefix}");
            let mut ids = BTreeSet::new();
            for path in dest.all_paths().filter(|p| p.path_id_tx != 0) {
                assert!(ids.insert(path.path_id_tx), "one path identifier for two paths of {prefix}");
                let key = (*prefix, (path.source, path.path_id_rx));
                assert_eq!(*self.sent.entry(key).or_insert(path.path_id_tx), path.path_id_tx, "a path changed its identifier");
            }
            assert_eq!(ids.len(), paths.values().filter(|p| !p.filtered).count());
            let ranked = dest.ranked(usize::MAX);
            assert_eq!(ranked.first().map(|p| p.path_id_tx), dest.best().map(|p| p.path_id_tx));
            assert_eq!(ranked.len(), dest.paths().count());
            assert!(dest.explain().iter().all(|v| v.verdict != Verdict::Undecided));
        }
    }

    fn check_counters(&self) {
        for id in (0..=4).map(PeerId) {
            let (model, found) = (&self.model, self.rib.counters(id, V4));
            let expected = PrefixCounters {
                received: model.count(id, |_| true),
                accepted: model.count(id, |p| !p.filtered),
                filtered: model.count(id, |p| p.filtered),
                best: model.best.values().filter(|k| k.0 == id).count() as u32,
                stale: model.count(id, |p| p.stale),
            };
            assert_eq!(found, expected, "counters of {id:?}");
            let mut cursor = Some(DumpCursor::default());
            let with = model.paths.values().filter(|p| p.keys().any(|k| k.0 == id)).count();
            assert_eq!(self.rib.dump_peer(id, V4, &mut cursor).count(), with);
            assert_eq!(self.rib.peer(id).is_some(), model.peers.contains_key(&id));
        }
    }

    /// Takes everything back: nothing must be left.
    fn finish(mut self) {
        self.apply(&Op::Defer(false));
        PEERS.for_each(|peer| self.apply(&Op::Down { peer, retain: false }));
        (0..4).for_each(|p| self.apply(&Op::Unoriginate(p)));
        self.decide();
        let memory = self.rib.memory();
        let left =
            (memory.destinations, memory.paths, memory.attribute_sets, memory.next_hops, memory.path_list_bytes, memory.attribute_bytes);
        assert_eq!(left, (0, 0, 0, 0, 0, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn behaves_like_a_map_of_all_paths(ops in ops()) {
        let mut run = Run::new();
        ops.iter().for_each(|op| run.apply(op));
        run.apply(&Op::Defer(false));
        run.apply(&Op::Decide);
        run.finish();
    }
}
