use std::collections::BTreeSet;

use smallvec::smallvec;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn link(index: u32, up: bool) -> Link {
    Link { index, name: format!("eth{index}").into(), up, loopback: index == 1 }
}

fn foreign(prefix: &str, hops: Hops, metric: u32) -> KernelRoute {
    let route = Route { prefix: prefix.parse().unwrap(), action: Action::Unicast(hops), metric };
    KernelRoute { route, table: 254, protocol: 4, local: false }
}

fn out(device: u32) -> Hop {
    Hop { via: None, device: Some(Device::Index(device)), onlink: false, weight: 1 }
}

fn gw(via: &str, device: u32) -> Hop {
    Hop { device: Some(Device::Index(device)), ..Hop::via(ip(via)) }
}

/// eth2: 10.0.2.1/24, fd00:2::/64. eth3: 10.0.3.1/24, down: eth4.
fn table() -> NextHops {
    let mut table = NextHops::new(true);
    *table.host_mut() = Host {
        links: [link(1, true), link(2, true), link(3, true), link(4, false)].into_iter().map(|l| (l.index, l)).collect(),
        addresses: BTreeSet::from([(ip("10.0.2.1"), 2), (ip("10.0.3.1"), 3), (ip("127.0.0.1"), 1)]),
        marked: BTreeSet::new(),
    };
    let mut reject = foreign("192.0.2.128/25", smallvec![], 0);
    reject.route.action = Action::Blackhole;
    let half_dead = foreign("198.51.100.0/24", smallvec![gw("10.0.4.9", 4), Hop { weight: 4, ..gw("10.0.3.9", 3) }], 50);
    table.set_routes([
        foreign("0.0.0.0/0", smallvec![gw("10.0.2.254", 2)], 100),
        foreign("10.0.2.0/24", smallvec![out(2)], 0),
        foreign("10.0.3.0/24", smallvec![out(3)], 0),
        foreign("10.0.4.0/24", smallvec![out(4)], 0),
        foreign("fd00:2::/64", smallvec![out(2)], 256),
        foreign("192.0.2.0/24", smallvec![gw("10.0.3.254", 3)], 20),
        foreign("192.0.2.0/24", smallvec![gw("10.0.2.254", 2)], 10),
        foreign("203.0.113.0/24", smallvec![gw("10.0.2.9", 2), Hop { weight: 4, ..gw("10.0.3.9", 3) }], 50),
        reject,
        half_dead,
    ]);
    table
}

#[test]
fn longest_match_lowest_metric_and_live_links_decide() {
    let table = table();
    let reachable = |metric, connected, via: Option<&str>, device| NextHopState::Reachable { metric, connected, via: via.map(ip), device };
    let cases = [
        ("10.0.2.7", reachable(0, true, None, 2)),
        ("fd00:2::7", reachable(256, true, None, 2)),
        ("192.0.2.7", reachable(10, false, Some("10.0.2.254"), 2)),
        ("192.0.2.200", NextHopState::Unreachable(Failure::NextHopRejected)),
        ("8.8.8.8", reachable(100, false, Some("10.0.2.254"), 2)),
        ("198.51.100.1", reachable(50, false, Some("10.0.3.9"), 3)),
        ("10.0.4.1", NextHopState::Unreachable(Failure::LinkDown)),
        ("10.0.3.1", NextHopState::Unreachable(Failure::NextHopOwn)),
        ("fd00:9::1", NextHopState::Unreachable(Failure::NextHopUnresolved)),
        ("fe80::1", reachable(0, true, None, 2)),
    ];
    for (address, state) in cases {
        assert_eq!(table.state(ip(address)), state, "{address}");
    }
    assert_eq!(table.occupant(Key { prefix: "192.0.2.0/24".parse().unwrap(), metric: 20 }), Some(4));
    assert_eq!(table.occupant(Key { prefix: "192.0.2.0/24".parse().unwrap(), metric: 21 }), None);
}

#[test]
fn the_default_route_resolves_only_where_allowed() {
    let mut strict = table();
    strict.via_default = false;
    assert_eq!(strict.state(ip("8.8.8.8")), NextHopState::Unreachable(Failure::NextHopViaDefault));
    assert!(strict.state(ip("10.0.2.7")).is_reachable());
}

#[test]
fn hops_are_resolved_expanded_and_left_out_when_dead() {
    let table = table();
    let resolve = |hops: Hops| {
        let route = Route { prefix: "10.9.0.0/24".parse().unwrap(), action: Action::Unicast(hops), metric: 5 };
        table.resolve(&route).map(|r| match r.action {
            Action::Unicast(hops) => hops.to_vec(),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(resolve(smallvec![Hop::via(ip("10.0.2.7"))]), Ok(vec![gw("10.0.2.7", 2)]));
    assert_eq!(resolve(smallvec![Hop::via(ip("fd00:2::7"))]), Ok(vec![gw("fd00:2::7", 2)]));
    assert_eq!(resolve(smallvec![Hop::via(ip("192.0.2.7"))]), Ok(vec![gw("10.0.2.254", 2)]));
    // Two next hops behind the same gateway share one hop with the weight of both.
    let merged = resolve(smallvec![Hop::via(ip("192.0.2.7")), Hop::via(ip("192.0.2.8")), Hop::via(ip("10.0.3.7"))]);
    assert_eq!(merged, Ok(vec![Hop { weight: 2, ..gw("10.0.2.254", 2) }, gw("10.0.3.7", 3)]));
    let weighted = resolve(smallvec![Hop { weight: 2, ..Hop::via(ip("203.0.113.1")) }]);
    assert_eq!(weighted, Ok(vec![Hop { weight: 2, ..gw("10.0.2.9", 2) }, Hop { weight: 8, ..gw("10.0.3.9", 3) }]));
    assert_eq!(resolve(smallvec![Hop::via(ip("10.0.4.7")), Hop::via(ip("10.0.3.7"))]), Ok(vec![gw("10.0.3.7", 3)]));
    assert_eq!(resolve(smallvec![Hop::via(ip("10.0.4.7"))]), Err(Failure::LinkDown));
    assert_eq!(resolve(smallvec![Hop::via(ip("10.0.2.1"))]), Err(Failure::NextHopOwn));
    assert_eq!(resolve(smallvec![Hop::via(ip("fe80::1"))]), Err(Failure::Incomplete));
    assert_eq!(resolve(smallvec![]), Err(Failure::Incomplete));
    let named = |name: &str| Hop { device: Some(Device::Name(name.into())), onlink: true, ..Hop::via(ip("172.16.0.1")) };
    assert_eq!(resolve(smallvec![named("eth3")]), Ok(vec![Hop { onlink: true, ..gw("172.16.0.1", 3) }]));
    assert_eq!(resolve(smallvec![named("eth4")]), Err(Failure::LinkDown));
    assert_eq!(resolve(smallvec![named("eth9")]), Err(Failure::NoDevice));
}

#[test]
fn martians_and_own_addresses_are_refused() {
    let table = table();
    let refusal = |prefix: &str| {
        let route = Route { prefix: prefix.parse().unwrap(), action: Action::Blackhole, metric: 5 };
        table.resolve(&route).err()
    };
    for prefix in [
        "127.0.0.0/8",
        "127.0.0.1/32",
        "0.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/4",
        "255.255.255.255/32",
        "::1/128",
        "::/128",
        "fe80::/10",
        "ff02::/16",
        "::ffff:10.0.0.0/104",
    ] {
        assert_eq!(refusal(prefix), Some(Failure::Martian), "{prefix}");
    }
    for prefix in ["0.0.0.0/0", "::/0", "0.0.0.0/1", "10.0.2.0/24", "10.0.2.2/32", "2001:db8::/32"] {
        assert_eq!(refusal(prefix), None, "{prefix}");
    }
    assert_eq!(refusal("10.0.2.1/32"), Some(Failure::OwnAddress));
}

#[test]
fn covers_any_finds_addresses_within_a_prefix() {
    let set = [(ip("10.0.2.7"), ()), (ip("fd00::7"), ())].into_iter().collect();
    let covers = |prefix: &str| covers_any(&prefix.parse().unwrap(), &set);
    assert!(covers("10.0.2.0/24") && covers("0.0.0.0/0") && covers("fd00::/64") && covers("10.0.2.7/32"));
    assert!(!covers("10.0.3.0/24") && !covers("10.0.2.8/32") && !covers("fd01::/16"));
}
