//! Groups over real tables, read by real cursors.

use super::*;
use crate::export::{Cursor, Group, GroupId, Params, Poll, Slices, View};
use crate::policy::Reason;
use crate::rib::{self, PeerId, PeerInfo, Rib};
use crate::wire::RouterId;
use crate::wire::nlri::Nlri;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;

const V4: Family = Family::Ipv4Unicast;

/// A group with its members, and what they hold.
struct Bench {
    group: Group,
    view: View,
    members: BTreeMap<PeerId, (Cursor, BTreeMap<Nlri, AttrSet>)>,
    /// Of members that read nothing.
    stalled: Vec<Cursor>,
    end_of_ribs: usize,
}

impl Bench {
    fn new(key: GroupKey) -> Self {
        let group = Group::new(GroupId(1), key, Params { shards: 1 });
        let view = View::new(group.journal(), 0);
        Self { group, view, members: BTreeMap::new(), stalled: Vec::new(), end_of_ribs: 0 }
    }

    fn join(&mut self, peer: u32, rib: &Rib) {
        let cursor = self.group.join(PeerId(peer), 0, rib);
        self.view.attach(&cursor);
        self.members.insert(PeerId(peer), (cursor, BTreeMap::new()));
    }

    fn leave(&mut self, peer: u32) {
        self.group.leave(PeerId(peer));
        self.members.remove(&PeerId(peer));
    }

    /// All members read all they can; returns octets.
    fn read(&mut self) -> usize {
        let mut total = 0;
        for (cursor, holds) in self.members.values_mut() {
            let mut bytes = Vec::new();
            loop {
                match cursor.poll(&mut self.view) {
                    Poll::Idle => break,
                    Poll::Data => {
                        let mut slices = Slices::new();
                        cursor.slices(&self.view, &mut slices, 256 * 1024);
                        let before = bytes.len();
                        slices.iter().for_each(|s| bytes.extend_from_slice(s));
                        let n = bytes.len() - before;
                        drop(slices);
                        cursor.advance(&self.view, n);
                        total += n;
                    }
                    Poll::EndOfRib => self.end_of_ribs += 1,
                    other => panic!("{other:?}"),
                }
            }
            for update in take_updates(&mut bytes, self.group.key()) {
                for nlri in update.withdrawn.iter().flat_map(|(_, nlri)| nlri) {
                    holds.remove(nlri);
                }
                for reach in update.reach {
                    holds.extend(reach.nlri.iter().map(|nlri| (*nlri, reach.attrs.clone())));
                }
            }
        }
        self.view.publish(self.members.values().map(|(cursor, _)| cursor).chain(&self.stalled).map(Cursor::need));
        total
    }

    fn turn(&mut self, rib: &mut Rib) -> usize {
        let changed = rib.decide(V4);
        self.turn_with(rib, &changed)
    }

    fn turn_with(&mut self, rib: &mut Rib, changed: &rib::Changed) -> usize {
        while !self.group.build_step(rib) {}
        self.group.sync(rib, changed);
        assert_eq!(self.group.maintain(rib), None);
        let octets = self.read();
        for (peer, (_, holds)) in &self.members {
            let (mut from, mut view) = (Some(0), BTreeMap::new());
            while from.is_some() {
                view.extend(self.group.view(rib, *peer, &mut from).into_iter().map(|a| (a.nlri, a.attrs)));
            }
            assert_eq!(&view, holds, "Adj-RIB-Out of {peer:?}");
            assert_eq!(self.group.advertised(*peer), holds.len() as u64);
        }
        octets
    }

    /// The prefixes that a peer holds.
    fn prefixes(&self, peer: u32) -> Vec<String> {
        self.members[&PeerId(peer)].1.keys().map(|nlri| nlri.prefix.to_string()).collect()
    }
}

fn params() -> rib::Params {
    rib::Params {
        local_as: asn(LOCAL_AS),
        router_id: RouterId::new(CLUSTER).unwrap(),
        rules: rib::Rules::default(),
        multipath: 1,
        multipath_relax: false,
        next_hop_tracking: false,
        seed: 7,
    }
}

fn info(n: u32, kind: PeerKind) -> PeerInfo {
    let asn = if kind == PeerKind::Ebgp { asn(65000 + n) } else { asn(LOCAL_AS) };
    PeerInfo { addr: IpAddr::from([10, 0, 0, n as u8]), asn, router_id: RouterId::new(n).unwrap(), kind, end_of_rib: FamilySet::NONE }
}

/// Peers 1.. of these kinds, all up.
fn tables(kinds: &[PeerKind]) -> Rib {
    let mut rib = Rib::new(params());
    for (n, kind) in (1..).zip(kinds) {
        rib.peer_up(PeerId(n), info(n, *kind));
    }
    rib
}

fn nlri(prefix: &str) -> [Nlri; 1] {
    [prefix.parse::<IpNet>().unwrap().into()]
}

fn announce(rib: &mut Rib, peer: u32, prefix: &str, set: &AttrSet) {
    rib.announce(PeerId(peer), V4, &nlri(prefix), set, None);
}

const CLIENTS: [PeerKind; 3] = [PeerKind::Client; 3];

#[test]
fn reflection_matrix() {
    use PeerKind::{Client, Ebgp, NonClient};
    let mut rib = tables(&[Client, NonClient, Ebgp, Client, NonClient, Ebgp]);
    for (n, prefix) in (1..).zip(["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]) {
        announce(&mut rib, n, prefix, &attrs(|a| a.next_hop = NextHop::V4([10, 0, 0, n as u8].into())));
    }
    rib.originate("10.9.0.0/16".parse().unwrap(), &attrs(|a| a.next_hop = NextHop::V4(Ipv4Addr::UNSPECIFIED)));
    let changed = rib.decide(V4);
    let all = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16", "10.9.0.0/16"];
    for (kind, member, expected) in [
        (Client, 4, &all[..]),
        (Client, 1, &all[1..]),
        (NonClient, 5, &["10.1.0.0/16", "10.3.0.0/16", "10.9.0.0/16"]),
        (Ebgp, 6, &all[..]),
        (Ebgp, 3, &["10.1.0.0/16", "10.2.0.0/16", "10.9.0.0/16"]),
    ] {
        let mut bench = Bench::new(GroupKey { kind, ..key() });
        bench.join(member, &rib);
        bench.turn_with(&mut rib, &changed);
        assert_eq!(bench.prefixes(member), expected, "to {kind:?} {member}");
        let set = |prefix: &str| bench.members[&PeerId(member)].1.get(&nlri(prefix)[0]).unwrap().clone();
        let own = set("10.9.0.0/16");
        assert_eq!(own.next_hop(), NextHop::V4([192, 0, 2, 1].into()));
        if kind != Ebgp && member != 1 {
            let client = set("10.1.0.0/16");
            assert_eq!((client.head().originator_id, client.cluster_list().next()), (RouterId::new(1), Some(CLUSTER)));
            assert_eq!(client.next_hop(), NextHop::V4([10, 0, 0, 1].into()));
            assert_eq!(set("10.3.0.0/16").head().originator_id, None);
        }
        bench.group.close(&mut rib);
    }
}

#[test]
fn the_best_path_moves_between_members_and_each_is_left_with_the_others_route() {
    let mut rib = tables(&CLIENTS);
    let mut bench = Bench::new(key());
    (1..=3).for_each(|n| bench.join(n, &rib));
    announce(&mut rib, 1, "10.1.0.0/16", &attrs(|a| a.local_pref = Some(200)));
    bench.turn(&mut rib);
    assert_eq!((bench.prefixes(1).len(), bench.prefixes(2).len(), bench.prefixes(3).len()), (0, 1, 1));
    announce(&mut rib, 2, "10.1.0.0/16", &attrs(|a| a.local_pref = Some(300)));
    bench.turn(&mut rib);
    assert_eq!((bench.prefixes(1).len(), bench.prefixes(2).len(), bench.prefixes(3).len()), (1, 0, 1));
    rib.withdraw(PeerId(2), V4, &nlri("10.1.0.0/16"));
    bench.turn(&mut rib);
    assert_eq!((bench.prefixes(1).len(), bench.prefixes(2).len(), bench.prefixes(3).len()), (0, 1, 1));
    rib.withdraw(PeerId(1), V4, &nlri("10.1.0.0/16"));
    bench.turn(&mut rib);
    assert_eq!((bench.prefixes(1).len(), bench.prefixes(2).len(), bench.prefixes(3).len()), (0, 0, 0));
}

#[test]
fn a_route_does_not_go_back_to_its_originator() {
    let mut rib = tables(&[PeerKind::Client, PeerKind::Client, PeerKind::Client, PeerKind::NonClient]);
    let mut bench = Bench::new(key());
    (1..=2).for_each(|n| bench.join(n, &rib));
    // Peer 2 passes on what peer 1 injected: neither gets it.
    announce(&mut rib, 2, "10.1.0.0/16", &attrs(|a| a.originator_id = RouterId::new(1)));
    // So does a non-client, with a route of peer 3, who is not here yet.
    announce(&mut rib, 4, "10.3.0.0/16", &attrs(|a| a.originator_id = RouterId::new(3)));
    bench.turn(&mut rib);
    assert_eq!((bench.prefixes(1), bench.prefixes(2)), (vec!["10.3.0.0/16".to_owned()], vec!["10.3.0.0/16".to_owned()]));
    assert_eq!(bench.group.explain(&rib, &"10.1.0.0/16".parse().unwrap(), PeerId(1)), Some(Reason::SplitHorizon));
    bench.join(3, &rib);
    bench.turn(&mut rib);
    assert_eq!(bench.prefixes(3), ["10.1.0.0/16"]);
}

#[test]
fn well_known_communities_and_policy_have_their_reasons() {
    let mut rib = tables(&[PeerKind::Client, PeerKind::Client, PeerKind::Ebgp]);
    for (prefix, community) in
        [("10.1.0.0/16", 0xFFFF_FF01), ("10.2.0.0/16", 0xFFFF_FF02), ("10.3.0.0/16", 0xFFFF_0006), ("10.4.0.0/16", 1)]
    {
        announce(&mut rib, 1, prefix, &attrs(|a| a.communities = vec![community]));
    }
    rib.originate("10.5.0.0/16".parse().unwrap(), &attrs(|a| a.communities = vec![0xFFFF_FF01]));
    announce(&mut rib, 1, "10.6.0.0/16", &attrs(|a| a.communities = (0..1100).collect()));
    let changed = rib.decide(V4);
    let mut reasons = |key: GroupKey, peer: u32| {
        let mut bench = Bench::new(key);
        bench.join(peer, &rib);
        bench.turn_with(&mut rib, &changed);
        let found = (1..=6).map(|n| bench.group.explain(&rib, &format!("10.{n}.0.0/16").parse().unwrap(), PeerId(peer)).unwrap()).collect();
        bench.group.close(&mut rib);
        found
    };
    use Reason::{Advertised, NoPolicy, TooLong, WellKnownCommunity};
    let to_client: Vec<Reason> = reasons(key(), 2);
    assert_eq!(to_client, [Advertised, WellKnownCommunity, WellKnownCommunity, Advertised, Advertised, TooLong]);
    let ebgp = GroupKey { kind: PeerKind::Ebgp, llgr_aware: true, ..key() };
    assert_eq!(reasons(ebgp.clone(), 3), [WellKnownCommunity, WellKnownCommunity, Advertised, Advertised, Advertised, TooLong]);
    // RFC 8212: without policy, eBGP gets what is our own.
    let chain = Chain::new(Vec::new(), crate::policy::AtEnd::OnlyLocal);
    assert_eq!(reasons(GroupKey { chain, ..ebgp }, 3)[3..], [NoPolicy, Advertised, NoPolicy]);
}

#[test]
fn what_is_not_reflected_or_not_read_yet_has_its_reason() {
    let mut rib = tables(&[PeerKind::NonClient, PeerKind::NonClient, PeerKind::Client]);
    announce(&mut rib, 1, "10.1.0.0/16", &attrs(|_| {}));
    let changed = rib.decide(V4);
    let prefix = "10.1.0.0/16".parse().unwrap();
    let mut others = Bench::new(GroupKey { kind: PeerKind::NonClient, ..key() });
    others.join(2, &rib);
    others.turn_with(&mut rib, &changed);
    assert_eq!(others.group.explain(&rib, &prefix, PeerId(2)), Some(Reason::NotReflected));
    let mut clients = Bench::new(key());
    clients.join(3, &rib);
    while !clients.group.build_step(&mut rib) {}
    clients.group.sync(&mut rib, &changed);
    assert_eq!(clients.group.explain(&rib, &prefix, PeerId(3)), Some(Reason::PendingSend), "published, and not read");
    clients.read();
    clients.group.maintain(&mut rib);
    assert_eq!(clients.group.explain(&rib, &prefix, PeerId(3)), Some(Reason::Advertised));
    others.group.close(&mut rib);
    clients.group.close(&mut rib);
}

#[test]
fn what_stops_fitting_is_withdrawn() {
    let mut rib = tables(&CLIENTS);
    let mut bench = Bench::new(key());
    bench.join(2, &rib);
    announce(&mut rib, 1, "10.1.0.0/16", &attrs(|_| {}));
    bench.turn(&mut rib);
    assert_eq!(bench.prefixes(2).len(), 1);
    announce(&mut rib, 1, "10.1.0.0/16", &attrs(|a| a.communities = (0..1100).collect()));
    bench.turn(&mut rib);
    assert_eq!(bench.prefixes(2).len(), 0);
}

#[test]
fn destination_ids_are_reused_only_when_the_withdraw_is_read() {
    let mut rib = tables(&CLIENTS);
    let mut bench = Bench::new(key());
    (2..=3).for_each(|n| bench.join(n, &rib));
    for round in 0..20 {
        let (old, new) = (format!("10.{round}.0.0/16"), format!("10.{}.0.0/16", round + 1));
        announce(&mut rib, 1, &old, &attrs(|_| {}));
        let changed = rib.decide(V4);
        bench.group.sync(&mut rib, &changed);
        rib.withdraw(PeerId(1), V4, &nlri(&old));
        announce(&mut rib, 1, &new, &attrs(|_| {}));
        // Nobody has read when the next one takes the place; turn_with compares what they hold in the end.
        bench.turn(&mut rib);
        assert_eq!(bench.prefixes(2), [new]);
    }
    let stats = bench.group.stats();
    assert_eq!((stats.routes, stats.tombstones <= 1), (1, true));
    assert!(bench.group.stats().chunks <= 3);
}

#[test]
fn add_path_sends_all_or_the_best() {
    let mut rib = tables(&[PeerKind::Client; 4]);
    for n in 1..=3 {
        announce(&mut rib, n, "10.1.0.0/16", &attrs(|a| a.local_pref = Some(100 * n)));
    }
    let changed = rib.decide(V4);
    let mut all = Bench::new(GroupKey { add_path: AddPath::All, ..key() });
    let mut best = Bench::new(GroupKey { add_path: AddPath::Best(2), ..key() });
    for bench in [&mut all, &mut best] {
        bench.join(3, &rib);
        bench.join(4, &rib);
        bench.turn_with(&mut rib, &changed);
    }
    let prefs = |bench: &Bench, peer: u32| {
        let mut prefs: Vec<u32> = bench.members[&PeerId(peer)].1.values().map(|a| a.head().local_pref().unwrap()).collect();
        prefs.sort_unstable();
        prefs
    };
    assert_eq!((prefs(&all, 4), prefs(&all, 3)), (vec![100, 200, 300], vec![100, 200]));
    assert_eq!((prefs(&best, 4), prefs(&best, 3)), (vec![200, 300], vec![200]));
    rib.withdraw(PeerId(2), V4, &nlri("10.1.0.0/16"));
    let changed = rib.decide(V4);
    for bench in [&mut all, &mut best] {
        bench.turn_with(&mut rib, &changed);
    }
    assert_eq!((prefs(&all, 4), prefs(&best, 4)), (vec![100, 300], vec![100, 300]));
    rib.peer_down(PeerId(1), FamilySet::NONE);
    rib.peer_down(PeerId(3), FamilySet::NONE);
    let changed = rib.decide(V4);
    for bench in [&mut all, &mut best] {
        bench.leave(3);
        bench.turn_with(&mut rib, &changed);
        assert_eq!(prefs(bench, 4), [0; 0]);
    }
}

#[test]
fn a_group_is_built_in_slices_and_end_of_rib_waits() {
    let mut rib = tables(&CLIENTS);
    let prefixes: Vec<Nlri> = (0..5_000u32).map(|n| IpNet::new(Ipv4Addr::from(0x0A00_0000 | n << 8).into(), 24).unwrap().into()).collect();
    rib.announce(PeerId(1), V4, &prefixes, &attrs(|_| {}), None);
    rib.decide(V4);
    let mut bench = Bench::new(key());
    bench.join(2, &rib);
    assert!(!bench.group.build_step(&mut rib));
    bench.read();
    assert_eq!((bench.prefixes(2).len(), bench.end_of_ribs), (4096, 0));
    bench.group.set_deferred(true);
    assert!(bench.group.build_step(&mut rib));
    bench.read();
    assert_eq!((bench.prefixes(2).len(), bench.end_of_ribs), (5_000, 0));
    // What is selected when selection begins comes first.
    bench.group.set_deferred(false);
    bench.read();
    assert_eq!(bench.end_of_ribs, 0);
    while !bench.group.build_step(&mut rib) {}
    bench.read();
    assert_eq!(bench.end_of_ribs, 1);
    // With an empty table End-of-RIB goes out as well.
    let mut empty = Bench::new(GroupKey { kind: PeerKind::NonClient, ..key() });
    empty.join(3, &tables(&CLIENTS));
    empty.turn(&mut tables(&CLIENTS));
    assert_eq!(empty.end_of_ribs, 1);
}

#[test]
fn members_cost_no_encoding() {
    let mut rib = tables(&[PeerKind::Client; 60]);
    for n in 1..=60u32 {
        let prefixes: Vec<Nlri> =
            (0..10).map(|i| IpNet::new(Ipv4Addr::from(0x0A00_0000 | n << 16 | i << 8).into(), 24).unwrap().into()).collect();
        rib.announce(PeerId(n), V4, &prefixes, &attrs(|a| a.next_hop = NextHop::V4([10, 0, 0, n as u8].into())), None);
    }
    let mut bench = Bench::new(key());
    bench.turn(&mut rib);
    let encoded = bench.group.stats().messages_encoded;
    assert_eq!(encoded, 60, "one message for each attribute set");
    (1..=60).for_each(|n| bench.join(n, &rib));
    bench.read();
    assert!((1..=60).all(|n| bench.prefixes(n).len() == 590));
    assert_eq!(bench.end_of_ribs, 60);
    // All drop and come back.
    (1..=60).for_each(|n| bench.leave(n));
    (1..=60).for_each(|n| bench.join(n, &rib));
    bench.read();
    assert!((1..=60).all(|n| bench.prefixes(n).len() == 590));
    assert_eq!(bench.group.stats().messages_encoded, encoded);
    // What changed meanwhile is encoded, and what it shared a message with; all other messages are copied for who comes next.
    announce(&mut rib, 1, "10.1.0.0/24", &attrs(|a| a.med = Some(1)));
    bench.turn(&mut rib);
    bench.leave(7);
    bench.join(7, &rib);
    bench.read();
    assert_eq!(bench.group.stats().messages_encoded, encoded + 2);
    assert_eq!(bench.prefixes(7).len(), 590);
}

#[test]
fn a_journal_stays_within_its_bounds_while_one_member_reads_nothing() {
    let mut rib = tables(&CLIENTS);
    let mut bench = Bench::new(key());
    bench.join(2, &rib);
    bench.turn(&mut rib);
    let prefixes: Vec<Nlri> = (0..2_000u32).map(|n| IpNet::new(Ipv4Addr::from(0x0A00_0000 | n << 8).into(), 24).unwrap().into()).collect();
    rib.announce(PeerId(1), V4, &prefixes, &attrs(|_| {}), None);
    let mut seed = 1u32;
    for round in 0..3_000u32 {
        let picked: Vec<Nlri> = (0..20)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                prefixes[seed as usize / 7 % prefixes.len()]
            })
            .collect();
        rib.announce(PeerId(1), V4, &picked, &attrs(|a| a.communities = (round..round + 40).collect()), None);
        let changed = rib.decide(V4);
        bench.group.sync(&mut rib, &changed);
        assert_eq!(bench.group.maintain(&mut rib), None);
        let stats = bench.group.stats();
        assert!(stats.bytes <= 2 * (stats.bytes - stats.dead_bytes) + (1 << 20), "{stats:?}");
        assert!(stats.chunks <= 2 * (stats.bytes / (32 << 10)) as usize + 66, "{stats:?}");
    }
    let octets = bench.read();
    assert_eq!(bench.prefixes(2).len(), 2_000);
    assert!(octets < 2 << 20, "{octets} octets for the newest state only");
}

/// A peer that stops reading delays nobody: counted, since clocks lie on busy machines.
#[test]
fn beside_stalled_members_the_others_read_and_the_group_encodes_what_they_did_before() {
    let prefixes: Vec<Nlri> = (0..2_000u32).map(|n| IpNet::new(Ipv4Addr::from(0x0A00_0000 | n << 8).into(), 24).unwrap().into()).collect();
    let work = |stalled: u32| {
        let mut rib = tables(&CLIENTS);
        let mut bench = Bench::new(key());
        bench.join(2, &rib);
        for n in 0..stalled {
            let cursor = bench.group.join(PeerId(100 + n), 0, &rib);
            bench.view.attach(&cursor);
            bench.stalled.push(cursor);
        }
        let mut octets = 0;
        for round in 0..1_000u32 {
            let picked: Vec<Nlri> = (0..20).map(|i| prefixes[(round * 977 + i * 131) as usize % prefixes.len()]).collect();
            if round % 7 == 6 {
                rib.withdraw(PeerId(1), V4, &picked);
            } else {
                rib.announce(PeerId(1), V4, &picked, &attrs(|a| a.communities = (round..round + 40).collect()), None);
            }
            let changed = rib.decide(V4);
            bench.group.sync(&mut rib, &changed);
            assert_eq!(bench.group.maintain(&mut rib), None);
            octets += bench.read();
        }
        [octets as u64, bench.group.stats().messages_encoded, bench.group.stats().bytes_encoded]
    };
    let (alone, beside) = (work(0), work(20));
    println!("octets read, messages and octets encoded: {alone:?}, and {beside:?} beside 20 that read nothing");
    assert!(alone.iter().zip(beside).all(|(alone, beside)| beside * 10 <= alone * 11), "{alone:?} {beside:?}");
}

#[test]
fn who_holds_back_too_many_tombstones_is_named() {
    let mut rib = tables(&CLIENTS);
    let mut bench = Bench::new(key());
    (2..=3).for_each(|n| bench.join(n, &rib));
    bench.turn(&mut rib);
    let prefixes: Vec<Nlri> = (0..65_600u32).map(|n| IpNet::new(Ipv4Addr::from(0x0A00_0000 | n << 8).into(), 24).unwrap().into()).collect();
    for announced in [true, false] {
        if announced {
            rib.announce(PeerId(1), V4, &prefixes, &attrs(|_| {}), None);
        } else {
            rib.withdraw(PeerId(1), V4, &prefixes);
        }
        let changed = rib.decide(V4);
        bench.group.sync(&mut rib, &changed);
    }
    let need = bench.members[&PeerId(2)].0.need();
    let laggard = bench.group.maintain(&mut rib).unwrap();
    assert_eq!((laggard.shard, laggard.need), (0, need));
    bench.read();
    assert_eq!(bench.group.maintain(&mut rib), None);
    let stats = bench.group.stats();
    assert_eq!((stats.tombstones, stats.bytes, stats.chunks, stats.attribute_sets), (0, 0, 0, 0));
}

#[test]
fn a_move_to_another_group_withdraws_what_is_not_there() {
    let mut rib = tables(&[PeerKind::Client, PeerKind::Client, PeerKind::NonClient]);
    announce(&mut rib, 1, "10.1.0.0/16", &attrs(|_| {}));
    announce(&mut rib, 3, "10.3.0.0/16", &attrs(|_| {}));
    let changed = rib.decide(V4);
    let mut clients = Bench::new(key());
    let mut others = Bench::new(GroupKey { kind: PeerKind::NonClient, ..key() });
    clients.join(2, &rib);
    clients.turn_with(&mut rib, &changed);
    others.turn_with(&mut rib, &changed);
    let mut bytes: Vec<u8> = clients.group.farewell(&others.group, PeerId(2), &rib).concat();
    let farewell = take_updates(&mut bytes, &key());
    assert_eq!(farewell[0].withdrawn[0].1, nlri("10.3.0.0/16"));
    let mut old = clients.members.remove(&PeerId(2)).unwrap().0;
    old.retire();
    assert_eq!(old.poll(&mut clients.view), Poll::Idle);
    clients.group.leave(PeerId(2));
    others.join(2, &rib);
    others.members.get_mut(&PeerId(2)).unwrap().0.follow(&old);
    others.read();
    assert_eq!((others.prefixes(2), others.end_of_ribs), (vec!["10.1.0.0/16".to_owned()], 0));
}

#[test]
fn a_refresh_storm_is_one_dump_at_a_time() {
    let mut rib = tables(&CLIENTS);
    announce(&mut rib, 1, "10.1.0.0/16", &attrs(|_| {}));
    let mut bench = Bench::new(key());
    bench.join(2, &rib);
    // Asked before End-of-RIB: served after it (RFC 7313 4.1).
    let mut polls = Vec::new();
    bench.group.build_step(&mut rib);
    let changed = rib.decide(V4);
    bench.group.sync(&mut rib, &changed);
    let cursor = &mut bench.members.get_mut(&PeerId(2)).unwrap().0;
    for _ in 0..20 {
        (0..100).for_each(|_| cursor.request_refresh(true));
        let poll = cursor.poll(&mut bench.view);
        match poll {
            Poll::Data => {
                let mut slices = Slices::new();
                cursor.slices(&bench.view, &mut slices, usize::MAX);
                let n = slices.iter().map(|s| s.len()).sum();
                drop(slices);
                assert_eq!(cursor.advance(&bench.view, n), 1);
            }
            Poll::AskClean => bench.group.refresh(&rib),
            _ => {}
        }
        polls.push(poll);
        if polls.len() == 8 {
            break;
        }
    }
    use Poll::{AskClean, BeginRefresh, Data, EndOfRib, EndRefresh};
    assert_eq!(polls[polls.iter().position(|p| *p == EndOfRib).unwrap()..][..5], [EndOfRib, AskClean, BeginRefresh, Data, EndRefresh]);
}
