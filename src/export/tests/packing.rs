//! Messages: packed full, never too long, and in the form that each kind of member takes.

use super::*;
use crate::export::chunk::CHUNK;
use crate::export::log::Log;
use crate::export::pack::Packer;
use crate::export::route::{NOBODY, Route};
use crate::rib::PeerId;
use crate::wire::RouterId;
use crate::wire::attr::{Aggregator, Opaque, Segment, SegmentKind};
use crate::wire::capability::Role;
use crate::wire::nlri::{Nlri, nlri_len};
use bytes::BytesMut;
use ipnet::IpNet;

fn route(set: AttrSet) -> Route {
    Route { attrs: Some(set), but: [PeerId(1), NOBODY], reflected_from: None, own_next_hop: false, keep_med: false }
}

fn reflected(set: AttrSet) -> Route {
    Route { reflected_from: RouterId::new(0x0A00_0009), ..route(set) }
}

fn v4(key: u32) -> Nlri {
    // Lengths differ, so that messages end at odd places.
    let prefix = Ipv4Addr::from(0x0A00_0000 | key << 8);
    IpNet::new(prefix.into(), 24).unwrap().into()
}

fn v6(key: u32) -> Nlri {
    let prefix = Ipv6Addr::from(0x2001_0db8_0000_0000_0000_0000_0000_0000 | u128::from(key) << 64);
    IpNet::new(prefix.into(), 64).unwrap().into()
}

/// One UPDATE for key 0.
fn message(key: &GroupKey, route: &Route) -> Vec<u8> {
    let mut packer = Packer::new(key.clone());
    assert!(packer.fits(route));
    packer.begin(route);
    let mut out = BytesMut::new();
    let nlri = if key.family == Family::Ipv4Unicast { v4 } else { v6 };
    assert_eq!(packer.update([0].into_iter(), &nlri, &mut out), 1);
    out.to_vec()
}

/// The attributes of an UPDATE as (flags, code, value), checked for legal lengths.
fn attributes_of(message: &[u8]) -> Vec<(u8, u8, Vec<u8>)> {
    let len = usize::from(u16::from_be_bytes([message[21], message[22]]));
    let mut rest = &message[23..23 + len];
    let mut found = Vec::new();
    while let [flags, code, tail @ ..] = rest {
        let extended = flags & 0x10 != 0;
        let (len, value) =
            if extended { (usize::from(u16::from_be_bytes([tail[0], tail[1]])), &tail[2..]) } else { (usize::from(tail[0]), &tail[1..]) };
        assert_eq!(extended, len > 255, "extended length exactly where it is needed");
        assert_eq!(flags & 0x0F, 0, "unused flags are clear");
        found.push((*flags, *code, value[..len].to_vec()));
        rest = &value[len..];
    }
    found
}

fn codes(message: &[u8]) -> Vec<u8> {
    attributes_of(message).into_iter().map(|(_, code, _)| code).collect()
}

fn value(message: &[u8], code: u8) -> Option<Vec<u8>> {
    attributes_of(message).into_iter().find(|(_, c, _)| *c == code).map(|(.., value)| value)
}

/// Publishes routes for keys `0..n` and returns what a plain member reads, chunk by chunk.
fn published(key: &GroupKey, n: u32, route: impl Fn(u32) -> Route) -> Vec<Vec<u8>> {
    let nlri = if key.family == Family::Ipv4Unicast { v4 } else { v6 };
    let mut log = Log::new(1);
    let mut packer = Packer::new(key.clone());
    for k in 0..n {
        let id = log.routes.intern(route(k));
        log.stage(k, Some(id));
    }
    log.publish(&mut packer, &nlri);
    read_all(&log)
}

fn read_all(log: &Log) -> Vec<Vec<u8>> {
    let mut view = crate::export::View::new(log.journal().clone(), 0);
    view.load(0);
    let mut next = 0;
    let mut chunks = Vec::new();
    while next < log.journal().tail() {
        view.load(next);
        let Some(chunk) = view.run(next).0.first() else { break };
        let span = chunk.span(PeerId(99), 0, 0).unwrap();
        chunks.push(chunk.bytes[span].to_vec());
        next = chunk.number + 1;
    }
    chunks
}

#[test]
fn all_nlri_of_one_attribute_set_are_packed_full() {
    for (key, nlri) in [
        (key(), v4 as fn(u32) -> Nlri),
        (GroupKey { max_message: 65535, ..key() }, v4),
        (GroupKey { family: Family::Ipv6Unicast, ..key() }, v6),
        (GroupKey { family: Family::Ipv6Unicast, add_path: AddPath::All, ..key() }, v6),
    ] {
        let next_hop = if key.family == Family::Ipv4Unicast { attributes().next_hop } else { NextHop::V6("2001:db8::9".parse().unwrap()) };
        let sets = [1, 2].map(|med| attrs(|a| (a.med, a.next_hop) = (Some(med), next_hop)));
        // The sets alternate; packing brings them together.
        let chunks = published(&key, 40_000, |k| route(sets[k as usize % 2].clone()));
        let limit = key.max_message.min(CHUNK);
        let one = nlri_len(&nlri(0), key.add_path != AddPath::Off);
        let (mut seen, mut short) = (0, 0);
        for mut chunk in chunks {
            assert!(chunk.len() <= CHUNK);
            let mut rest = chunk.as_slice();
            while !rest.is_empty() {
                let len = usize::from(u16::from_be_bytes([rest[16], rest[17]]));
                short += usize::from(len + one <= limit);
                rest = &rest[len..];
            }
            seen += take_updates(&mut chunk, &key).iter().map(|u| u.reach[0].nlri.len()).sum::<usize>();
        }
        assert_eq!(seen, 40_000);
        assert_eq!(short, 2, "only the last message of each set has room for more");
    }
}

#[test]
fn chunks_hold_withdraws_before_updates() {
    let mut log = Log::new(1);
    let mut packer = Packer::new(key());
    let first = log.routes.intern(route(attrs(|_| {})));
    (0..10).for_each(|k| _ = log.stage(k, Some(first)));
    log.publish(&mut packer, &v4);
    let second = log.routes.intern(route(attrs(|a| a.med = Some(5))));
    (0..5).for_each(|k| _ = log.stage(k, Some(second)));
    (5..10).for_each(|k| _ = log.stage(k, None));
    log.publish(&mut packer, &v4);
    let mut chunks = read_all(&log);
    assert_eq!(chunks.len(), 1, "the first chunk is dead altogether");
    let updates = take_updates(&mut chunks[0], &key());
    assert_eq!((updates.len(), updates[0].withdrawn[0].1.len(), updates[1].reach[0].nlri.len()), (2, 5, 5));
}

#[test]
fn reflection_adds_originator_and_cluster_and_nothing_else() {
    let plain = attrs(|a| (a.med, a.communities) = (Some(7), vec![3]));
    let sent = message(&key(), &reflected(plain.clone()));
    assert_eq!(codes(&sent), [1, 2, 3, 4, 5, 8, 9, 10]);
    assert_eq!(value(&sent, 9).unwrap(), [10, 0, 0, 9]);
    assert_eq!(value(&sent, 10).unwrap(), CLUSTER.to_be_bytes());
    assert_eq!(value(&sent, 3).unwrap(), [198, 51, 100, 7]);
    // Both are there already: the originator stays, the cluster goes in front.
    let again = attrs(|a| (a.originator_id, a.cluster_list) = (RouterId::new(1), vec![ClusterId(2); 64]));
    let sent = message(&key(), &reflected(again));
    assert_eq!(value(&sent, 9).unwrap(), [0, 0, 0, 1]);
    let clusters = value(&sent, 10).unwrap();
    assert_eq!((clusters.len(), &clusters[..8]), (260, &[192, 0, 2, 1, 0, 0, 0, 2][..]));
    // A route that is not reflected keeps what it has; without LOCAL_PREF it gets the default.
    let sent = message(&key(), &route(attrs(|a| a.local_pref = None)));
    assert_eq!((codes(&sent), value(&sent, 5).unwrap()), (vec![1, 2, 3, 5], vec![0, 0, 0, 100]));
}

#[test]
fn ebgp_gets_our_as_in_front_and_nothing_that_is_internal() {
    let ebgp = GroupKey { kind: PeerKind::Ebgp, ..key() };
    let set = attrs(|a| {
        a.as_path.0.push(Segment { kind: SegmentKind::Sequence, asns: vec![65001] });
        (a.med, a.originator_id, a.cluster_list) = (Some(9), RouterId::new(1), vec![ClusterId(2)]);
        a.ext_communities = vec![[0, 2, 0, 0, 0, 0, 0, 1], [0x40, 4, 0, 0, 0, 0, 0, 1]];
        a.opaque = vec![Opaque { flags: 0xE0, code: 99, value: [1, 2, 3].into() }];
    });
    let own = Route { own_next_hop: true, ..route(set.clone()) };
    let sent = message(&ebgp, &own);
    assert_eq!(codes(&sent), [1, 2, 3, 16, 99]);
    assert_eq!(value(&sent, 2).unwrap(), [2, 2, 0, 0, 0xFC, 0, 0, 0, 0xFD, 0xE9]);
    assert_eq!(value(&sent, 3).unwrap(), [192, 0, 2, 1]);
    assert_eq!(value(&sent, 16).unwrap(), [0, 2, 0, 0, 0, 0, 0, 1]);
    assert_eq!(attributes_of(&sent).last().unwrap(), &(0xE0, 99, vec![1, 2, 3]));
    let sent = message(&ebgp, &Route { keep_med: true, ..own });
    assert_eq!(value(&sent, 4).unwrap(), [0, 0, 0, 9]);
    // Nothing transitive is left of the extended communities: no empty attribute.
    let sent = message(&ebgp, &route(attrs(|a| a.ext_communities = vec![[0x43, 0, 0, 0, 0, 0, 0, 1]])));
    assert_eq!(value(&sent, 16), None);
}

#[test]
fn roles_mark_what_goes_down_or_sideways() {
    let to_customer = GroupKey { kind: PeerKind::Ebgp, role: Some(Role::Provider), ..key() };
    assert_eq!(value(&message(&to_customer, &route(attrs(|_| {}))), 35).unwrap(), LOCAL_AS.to_be_bytes());
    assert_eq!(value(&message(&to_customer, &route(attrs(|a| a.otc = Some(7)))), 35).unwrap(), [0, 0, 0, 7]);
    let to_provider = GroupKey { role: Some(Role::Customer), ..to_customer };
    assert_eq!(value(&message(&to_provider, &route(attrs(|_| {}))), 35), None);
}

#[test]
fn two_octet_peers_get_as_trans_only_where_it_is_due() {
    let old = GroupKey { four_octet_as: false, kind: PeerKind::Ebgp, ..key() };
    let path = |asns: &[u32]| {
        let asns = asns.to_vec();
        attrs(|a| {
            a.as_path.0.push(Segment { kind: SegmentKind::Sequence, asns: asns.clone() });
            a.aggregator = Some(Aggregator { asn: asn(asns[0]), id: 0x0A00_0001 });
        })
    };
    let sent = message(&old, &route(path(&[65001])));
    assert_eq!(codes(&sent), [1, 2, 3, 7]);
    assert_eq!(value(&sent, 2).unwrap(), [2, 2, 0xFC, 0, 0xFD, 0xE9]);
    assert_eq!(value(&sent, 7).unwrap(), [0xFD, 0xE9, 10, 0, 0, 1]);
    let sent = message(&old, &route(path(&[400_000])));
    assert_eq!(codes(&sent), [1, 2, 3, 7, 17, 18]);
    assert_eq!(value(&sent, 2).unwrap(), [2, 2, 0xFC, 0, 0x5B, 0xA0]);
    assert_eq!(value(&sent, 17).unwrap(), [2, 2, 0, 0, 0xFC, 0, 0, 6, 0x1A, 0x80]);
    assert_eq!(value(&sent, 7).unwrap(), [0x5B, 0xA0, 10, 0, 0, 1]);
    assert_eq!(value(&sent, 18).unwrap(), [0, 6, 0x1A, 0x80, 10, 0, 0, 1]);
}

#[test]
fn mp_reach_comes_first() {
    let next_hop = NextHop::V6("2001:db8::9".parse().unwrap());
    let v6_key = GroupKey { family: Family::Ipv6Unicast, ..key() };
    let sent = message(&v6_key, &reflected(attrs(|a| a.next_hop = next_hop)));
    assert_eq!(codes(&sent), [14, 1, 2, 5, 9, 10]);
    // RFC 8950: the same for IPv4 with an IPv6 next hop, and only where it was negotiated.
    let v4_key = GroupKey { extended_next_hop: true, ..key() };
    let sent = message(&v4_key, &route(attrs(|a| a.next_hop = next_hop)));
    assert_eq!(codes(&sent), [14, 1, 2, 5]);
    assert_eq!(value(&sent, 14).unwrap()[..4], [0, 1, 1, 16]);
    let refused = Packer::new(key()).next_hop(&attrs(|a| a.next_hop = next_hop), false);
    assert_eq!(refused, Err(crate::policy::Reason::NextHopFamily));
    // An IPv4 next hop travels in NEXT_HOP, cap 5 or not.
    assert_eq!(codes(&message(&v4_key, &route(attrs(|_| {})))), [1, 2, 3, 5]);
}

#[test]
fn next_hop_rules() {
    let at = |mode, kind, next_hop: NextHop, source| {
        let rule = NextHopRule { mode, ..key().next_hop };
        let packer = Packer::new(GroupKey { kind, next_hop: rule, ..key() });
        packer.takes_own_next_hop(&attrs(|a| a.next_hop = next_hop), source)
    };
    let theirs = attributes().next_hop;
    let unset = NextHop::V4(Ipv4Addr::UNSPECIFIED);
    use NextHopMode::{Auto, SelfAddress, Unchanged};
    assert!(at(Auto, PeerKind::Ebgp, theirs, PeerKind::Client));
    assert!(!at(Auto, PeerKind::Client, theirs, PeerKind::Client));
    assert!(!at(Auto, PeerKind::Client, theirs, PeerKind::Ebgp));
    // What we originate goes out with the address that it was given, and with ours where it was given none.
    assert!(!at(Auto, PeerKind::Client, theirs, PeerKind::Local));
    assert!(!at(Auto, PeerKind::Ebgp, theirs, PeerKind::Local));
    assert!(at(Auto, PeerKind::Client, unset, PeerKind::Local));
    assert!(at(SelfAddress, PeerKind::NonClient, theirs, PeerKind::Client));
    assert!(!at(Unchanged, PeerKind::Ebgp, theirs, PeerKind::Local));
    assert!(at(Unchanged, PeerKind::Ebgp, unset, PeerKind::Local));
    // Policy has the last word.
    let packer = Packer::new(key());
    assert!(packer.takes_own_next_hop(&attrs(|a| a.tags = crate::policy::NEXT_HOP_SELF), PeerKind::Client));
    let ebgp = Packer::new(GroupKey { kind: PeerKind::Ebgp, ..key() });
    assert!(!ebgp.takes_own_next_hop(&attrs(|a| a.tags = crate::policy::NEXT_HOP_UNCHANGED), PeerKind::Local));
}

#[test]
fn attributes_that_fill_a_message_are_refused_and_nearly_full_ones_fit() {
    let with = |n: u32| route(attrs(|a| a.communities = (0..n).collect()));
    let mut packer = Packer::new(key());
    let most = (0..1100).rev().find(|n| packer.fits(&with(*n))).unwrap();
    assert!((950..1020).contains(&most), "{most}");
    assert!(message(&key(), &with(most)).len() <= 4096);
    let long = GroupKey { max_message: 65535, ..key() };
    assert!(Packer::new(long.clone()).fits(&with(1100)));
    // More than a chunk: the message makes one of its own.
    let chunks = published(&long, 3, |_| with(10_000));
    assert_eq!(chunks.len(), 1);
    assert!(chunks[0].len() > CHUNK);
}
