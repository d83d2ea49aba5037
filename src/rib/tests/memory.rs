//! Sizes, bytes per route, and that nothing is left behind.

use super::super::attrs::Interner;
use super::super::dest::{Dest, Path};
use super::super::nexthop::NextHops;
use super::*;
use std::net::Ipv4Addr;

#[test]
fn sizes_are_as_planned() {
    assert_eq!(size_of::<Path>(), 20);
    assert_eq!(size_of::<Dest<u32>>(), 32);
    assert_eq!(size_of::<Dest<u128>>(), 48);
    assert_eq!(size_of::<Option<AttrId>>(), 8);
}

fn routes(count: u32) -> Vec<Nlri> {
    (0..count).map(|i| Nlri::from(ipnet::IpNet::new(Ipv4Addr::from(0x0a00_0000 + (i << 8)).into(), 24).unwrap())).collect()
}

#[test]
fn a_table_with_one_path_costs_less_than_60_bytes_a_route() {
    const ROUTES: u32 = 200_000;
    let mut rib = rib(&[PeerKind::Client]);
    for (i, chunk) in (0..).zip(routes(ROUTES).chunks(4096)) {
        rib.announce(PeerId(1), V4, chunk, &set(&[i], |_| {}), None);
        rib.decide(V4);
    }
    let memory = rib.memory();
    assert_eq!((memory.destinations, memory.paths), (200_000, 200_000));
    let per_route = memory.total_bytes() / ROUTES as usize;
    assert!(per_route < 60, "{per_route} bytes a route: {memory:?}");
    assert_eq!(rib.counters(PeerId(1), V4).best, ROUTES);
}

#[test]
fn further_paths_cost_less_than_40_bytes_each() {
    const ROUTES: u32 = 20_000;
    let mut rib = rib(&[PeerKind::Client; 8]);
    let total = |rib: &Rib| rib.memory().total_bytes();
    let routes = routes(ROUTES);
    let mut before = 0;
    for peer in 1..=8 {
        if peer == 2 {
            before = total(&rib);
        }
        rib.announce(PeerId(peer), V4, &routes, &set(&[7], |_| {}), None);
        rib.decide(V4);
    }
    let per_path = (total(&rib) - before) / (ROUTES as usize * 7);
    assert!(per_path < 40, "{per_path} bytes a further path");
}

#[test]
fn a_thousand_peers_with_ten_routes_cost_little_beside_them() {
    let mut rib = rib(&[]);
    let routes = routes(10_000);
    for (n, chunk) in (1..).zip(routes.chunks(10)) {
        rib.peer_up(PeerId(n), peer(1, PeerKind::Client));
        rib.announce(PeerId(n), V4, chunk, &set(&[7], |_| {}), None);
    }
    rib.decide(V4);
    let per_peer = rib.memory().peer_bytes / 1000;
    assert!(per_peer < 900, "{per_peer} bytes a peer");
    rib.peer_down(PeerId(500), FamilySet::NONE);
    assert_eq!(rib.decide(V4).best.len(), 10);
}

#[test]
fn the_interner_gives_everything_back() {
    let mut interner = Interner::new(1, NextHops::new(1, false));
    let sets: Vec<AttrSet> =
        (0..100_000u32).map(|i| set(&[i % 1000 + 1, i], |a| a.next_hop = IpAddr::from([10, 0, 0, (i % 9) as u8]).into())).collect();
    let ids: Vec<AttrId> = sets.iter().map(|s| interner.intern(s, PeerId(1))).collect();
    assert_eq!((interner.len(), interner.next_hops.len()), (100_000, 9));
    for (set, id) in sets.iter().zip(&ids) {
        let copy = AttrSet::from(&PathAttributes::from(set));
        assert_eq!(interner.intern(&copy, PeerId(1)), *id, "equal sets have equal ids");
        interner.release(*id);
        assert_eq!(interner.get(*id), set);
    }
    ids.iter().for_each(|id| interner.release(*id));
    assert_eq!((interner.len(), interner.set_bytes(), interner.next_hops.len()), (0, 0, 0));
    assert!(sets.iter().zip(&ids).all(|(s, _)| interner.intern(s, PeerId(1)).0 < 100_000), "freed ids are used again");
}
