//! What routes look like on the other side: reflection, add-path, next hops, communities, policy, many of them.

use crate::lab::{Lab, PATIENCE, always, eventually, v4, v6};
use crate::peers::{ALL, Kind, Peer, Setup, one_of_each};
use crate::us::{ACCEPT_ALL, Kubgpd, neighbor, networks};
use std::time::Duration;

#[test]
fn reflection() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let us = lab.host(1);
    let set_up = |kind, host: &crate::lab::Host| {
        let n = host.number;
        Peer::start(kind, host, Setup::new(host, 64512).both_families().networks(&[&format!("10.{n}.0.0/24"), &format!("fd{n:02x}::/64")]))
    };
    let clients: Vec<Peer> = ALL.into_iter().map(|kind| set_up(kind, &lab.host(kind.number()))).collect();
    let others: Vec<Peer> =
        [(Kind::Frr, 12), (Kind::Bird, 13), (Kind::GoBgp, 14)].into_iter().map(|(kind, n)| set_up(kind, &lab.host(n))).collect();
    let families = "families: [ipv4-unicast, ipv6-unicast]";
    let mut config: String =
        clients.iter().map(|p| neighbor(&p.setup.own, 64512, &format!("{families}, routeReflectorClient: true"))).collect();
    config += &others.iter().map(|p| neighbor(&p.setup.own, 64512, families)).collect::<String>();
    let _kubgpd = Kubgpd::start(&us, 64512, &config);
    for peer in clients.iter().chain(&others) {
        let is_client = peer.host.number < 10;
        for other in clients.iter().chain(&others).filter(|other| other.host.number != peer.host.number) {
            let n = other.host.number;
            let mut prefixes = vec![(format!("10.{n}.0.0/24"), v4(n))];
            // GoBGP's next hop for IPv6 over IPv4 transport is no address.
            if other.kind != Kind::GoBgp {
                prefixes.push((format!("fd{n:02x}::/64"), v6(n)));
            }
            for (prefix, next_hop) in prefixes {
                if is_client || n < 10 {
                    peer.wait_route(&prefix, "reflected", |r| {
                        r.originator == format!("10.255.0.{n}")
                            && r.clusters == ["10.255.0.1"]
                            && r.next_hop == next_hop
                            && r.as_path.is_empty()
                            && r.local_pref == Some(100)
                    });
                } else {
                    assert_eq!(peer.paths(&prefix), [], "not from one non-client to another");
                }
            }
        }
        // Nobody hears of its own route again.
        assert!(peer.paths(&format!("10.{}.0.0/24", peer.host.number)).iter().all(|r| r.originator.is_empty()));
    }
}

#[test]
fn add_path_in_both_directions() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let us = lab.host(1);
    // Two sources with a route each for one prefix; the three others want to see both.
    let sources = [(Kind::Bird, lab.host(5)), (Kind::Bird, lab.host(6))]
        .map(|(kind, host)| Peer::start(kind, &host, Setup::new(&host, 64512).networks(&["10.20.0.0/24"])));
    let peers = one_of_each(&lab, |_, host| Setup { add_path: true, ..Setup::new(host, 64512) });
    let settings = "routeReflectorClient: true, addPath: { receive: true, send: all }";
    let config: String = peers
        .iter()
        .map(|p| neighbor(&p.setup.own, 64512, settings))
        .chain(sources.iter().map(|p| neighbor(&p.setup.own, 64512, "routeReflectorClient: true")))
        .collect();
    let _kubgpd = Kubgpd::start(&us, 64512, &config);
    for peer in &peers {
        eventually(PATIENCE, &format!("{:?} has both paths", peer.kind), || {
            let mut hops: Vec<String> = peer.paths("10.20.0.0/24").into_iter().map(|r| r.next_hop).collect();
            hops.sort();
            hops == [v4(5), v4(6)]
        });
    }
}

#[test]
fn communities_of_three_kinds_in_both_directions() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let us = lab.host(1);
    let peers = one_of_each(&lab, |kind, host| {
        let setup = Setup::new(host, 65000 + u32::from(kind.number()));
        match kind {
            Kind::Frr => Setup {
                global:
                    "route-map three permit 10\n set community 65002:7\n set large-community 65002:1:7\n set extcommunity rt 65002:70\n"
                        .into(),
                family: "route-map three out\n".into(),
                ..setup.networks(&["10.2.0.0/24"])
            },
            Kind::Bird => Setup {
                global: "protocol static three { ipv4; route 10.3.0.0/24 blackhole { bgp_community.add((65003,7)); \
                         bgp_large_community.add((65003,1,7)); bgp_ext_community.add((rt,65003,70)); }; }\n"
                    .into(),
                ..setup
            },
            Kind::GoBgp => setup.networks(&["10.4.0.0/24 community 65004:7 large-community 65004:1:7 rt 65004:70"]),
        }
    });
    let neighbors: String = peers.iter().map(|p| neighbor(&p.setup.own, p.setup.asn, "import: [all], export: [all]")).collect();
    let ours = "originate:\n  networks:\n    - { prefix: 10.1.0.0/24, communities: [\"64512:7\", no-peer], largeCommunities: [\"64512:1:7\"], \
                extCommunities: [\"rt:64512:70\"] }\n";
    let _kubgpd = Kubgpd::start(&us, 64512, &(ACCEPT_ALL.to_owned() + &neighbors + ours));
    for peer in &peers {
        peer.wait_route("10.1.0.0/24", "with our communities", |r| {
            ["64512:7", "64512:1:7", "rt:64512:70"].iter().all(|c| r.communities.iter().any(|have| have == c)) && r.communities.len() == 4
        });
        for n in [2, 3, 4].into_iter().filter(|n| *n != peer.host.number) {
            peer.wait_route(&format!("10.{n}.0.0/24"), "with the other's communities", |r| {
                r.communities == [format!("6500{n}:1:7"), format!("6500{n}:7"), format!("rt:6500{n}:70")]
            });
        }
    }
}

#[test]
fn ipv4_with_an_ipv6_next_hop() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let us = lab.host(1);
    let peers = one_of_each(&lab, |kind, host| {
        let n = host.number;
        let setup = Setup { us: v6(1), own: v6(n), extended_next_hop: true, ..Setup::new(host, 65000 + u32::from(kind.number())) };
        setup.networks(&[&format!("10.{n}.0.0/24")])
    });
    // We have no IPv4 address on the segment, but one where a peer has an IPv4 session: it gets the routes with that next hop.
    let host = lab.lone_host(5);
    lab.cable("side", &us, &host);
    us.address("side", "10.8.0.1/24");
    host.address("side", "10.8.0.5/24");
    us.run("ip address del 10.0.0.1/24 dev lan");
    let plain = Peer::start(Kind::Bird, &host, Setup { us: "10.8.0.1".into(), own: "10.8.0.5".into(), ..Setup::new(&host, 65005) });
    let settings = "families: [ipv4-unicast], extendedNextHop: true, import: [all], export: [all]";
    let mut neighbors: String = peers.iter().map(|p| neighbor(&p.setup.own, p.setup.asn, settings)).collect();
    neighbors += &neighbor(&plain.setup.own, 65005, "import: [all], export: [all]");
    let _kubgpd = Kubgpd::start(&us, 64512, &(ACCEPT_ALL.to_owned() + &neighbors + &networks(&["10.1.0.0/24"])));
    for peer in &peers {
        peer.wait_route("10.1.0.0/24", "with our IPv6 next hop", |r| r.next_hop == v6(1));
        for other in peers.iter().filter(|other| other.kind != peer.kind) {
            peer.wait_route(&format!("10.{}.0.0/24", other.host.number), "with an IPv6 next hop", |r| r.next_hop.starts_with("fd00::"));
        }
    }
    plain.wait_route("10.2.0.0/24", "with our IPv4 next hop", |r| r.next_hop == "10.8.0.1");
}

#[test]
fn route_refresh_in_both_directions() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let us = lab.host(1);
    let peers = one_of_each(&lab, |kind, host| {
        let n = host.number;
        Setup::new(host, 65000 + u32::from(kind.number())).networks(&[&format!("10.{n}.0.0/24")])
    });
    let config = |import: &str| -> String {
        let policies = format!(
            "policies:\n  all: [{{ action: accept }}]\n  tagged: [{{ set: {{ communities: {{ add: [\"{import}\"] }} }}, action: accept }}]\n"
        );
        let neighbors: String = peers.iter().map(|p| neighbor(&p.setup.own, p.setup.asn, "import: [tagged], export: [all]")).collect();
        policies + &neighbors + &networks(&["10.1.0.0/24"])
    };
    let kubgpd = Kubgpd::start(&us, 64512, &config("64512:1"));
    for peer in &peers {
        for n in [2, 3, 4].into_iter().filter(|n| *n != peer.host.number) {
            peer.wait_route(&format!("10.{n}.0.0/24"), "with the first community", |r| r.communities == ["64512:1"]);
        }
    }
    // We ask: rejected and changed routes are not kept, so the other community needs their routes again.
    kubgpd.reload(&config("64512:2"));
    for peer in &peers {
        for n in [2, 3, 4].into_iter().filter(|n| *n != peer.host.number) {
            peer.wait_route(&format!("10.{n}.0.0/24"), "with the second community", |r| r.communities == ["64512:2"]);
        }
    }
    // They ask.
    let [frr, bird, _gobgp] = <[Peer; 3]>::try_from(peers).ok().unwrap();
    frr.ctl("configure terminal / route-map five permit 10 / set local-preference 555 / exit / router bgp 65002 / address-family ipv4 unicast / neighbor 10.0.0.1 route-map five in");
    frr.refresh();
    frr.wait_route("10.1.0.0/24", "with the new policy", |r| r.local_pref == Some(555));
    bird.refresh();
    for peer in [&frr, &bird] {
        eventually(PATIENCE, "both sides have asked", || kubgpd.messages(&peer.setup.own, "route refresh").iter().all(|n| *n > 0));
    }
    assert_eq!(kubgpd.log().matches("session down").count(), 0);
}

#[test]
fn external_neighbors_without_policy() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let us = lab.host(1);
    let peers = one_of_each(&lab, |kind, host| {
        let n = host.number;
        Setup::new(host, 65000 + u32::from(kind.number())).networks(&[&format!("10.{n}.0.0/24")])
    });
    let neighbors: String = peers.iter().map(|p| neighbor(&p.setup.own, p.setup.asn, "")).collect();
    let kubgpd = Kubgpd::start(&us, 64512, &(neighbors + &networks(&["10.1.0.0/24"])));
    for peer in &peers {
        peer.wait_route("10.1.0.0/24", "of our own", |_| true);
    }
    // RFC 8212: nothing comes in, so nothing but our own goes out.
    always(Duration::from_secs(1), "nothing is passed on", || peers.iter().all(|peer| peer.count(false) == 1));
    assert!(ALL.iter().all(|kind| kubgpd.learned(&v4(kind.number())).is_empty()));
}

#[test]
fn many_prefixes_come_and_go() {
    if !crate::ready() {
        return;
    }
    const MANY: usize = 5000;
    let lab = Lab::new();
    let us = lab.host(1);
    let source = lab.host(5);
    let many: String = (0..MANY).map(|i| format!("route 10.{}.{}.0/24 blackhole;\n", 100 + i / 250, i % 250)).collect();
    let global = format!("protocol static many {{ ipv4;\n{many}}}\n");
    let source = Peer::start(Kind::Bird, &source, Setup { global, ..Setup::new(&source, 64512) });
    let peers = one_of_each(&lab, |_, host| Setup::new(host, 64512));
    let neighbors: String = peers.iter().chain([&source]).map(|p| neighbor(&p.setup.own, 64512, "routeReflectorClient: true")).collect();
    let kubgpd = Kubgpd::start(&us, 64512, &neighbors);
    for peer in &peers {
        eventually(PATIENCE, &format!("{:?} has all", peer.kind), || peer.count(false) == MANY);
        // Five messages have room for them, less than in the source's five without ORIGINATOR_ID and CLUSTER_LIST: when each is a
        // turn of its own, each becomes a full one and a small one. And End-of-RIB.
        let sent = kubgpd.messages(&peer.setup.own, "update")[0];
        assert!((6..=11).contains(&sent), "{sent} messages are not full");
    }
    source.ctl("disable many");
    for peer in &peers {
        eventually(PATIENCE, &format!("{:?} has none", peer.kind), || peer.count(false) == 0);
        let sent = kubgpd.messages(&peer.setup.own, "update")[0];
        assert!((11..=22).contains(&sent), "{sent} messages are not full");
    }
}

#[test]
fn new_settings_reach_the_peers_over_their_sessions() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let us = lab.host(1);
    let peers = one_of_each(&lab, |_, host| Setup::new(host, 64512).networks(&[&format!("10.{}.0.0/24", host.number)]));
    let config = |clients: bool, export: &str, own: &[&str]| -> String {
        let policies = "policies:\n  tag: [{ set: { communities: { add: [\"64512:1\"] } }, action: accept }]\n  \
                        none: [{ match: { prefixes: [{ prefix: 10.1.0.0/16, orLonger: true }] }, action: reject }]\n";
        let settings = format!("routeReflectorClient: {clients}, export: [{export}]");
        let neighbors: String = peers.iter().map(|p| neighbor(&p.setup.own, 64512, &settings)).collect();
        policies.to_owned() + &neighbors + &networks(own)
    };
    let kubgpd = Kubgpd::start(&us, 64512, &config(true, "tag", &["10.1.0.0/24"]));
    let hears = |communities: &[&str]| {
        for peer in &peers {
            peer.wait_route("10.1.0.0/24", &format!("with {communities:?}"), |r| r.communities == communities);
            for other in peers.iter().filter(|other| other.kind != peer.kind) {
                peer.wait_route(&format!("10.{}.0.0/24", other.host.number), "reflected", |r| r.communities == communities);
            }
        }
    };
    hears(&["64512:1"]);
    // No clients any more.
    kubgpd.reload(&config(false, "tag", &["10.1.0.0/24"]));
    eventually(PATIENCE, "nothing is reflected", || peers.iter().all(|p| p.count(false) == 1));
    kubgpd.reload(&config(true, "tag", &["10.1.0.0/24"]));
    hears(&["64512:1"]);
    // Another export policy, then another network.
    kubgpd.reload(&config(true, "", &["10.1.0.0/24"]));
    hears(&[]);
    kubgpd.reload(&config(true, "none", &["10.1.0.0/24"]));
    eventually(PATIENCE, "our own is withdrawn", || peers.iter().all(|p| p.paths("10.1.0.0/24").is_empty() && p.count(false) == 2));
    kubgpd.reload(&config(true, "", &["10.1.0.0/24", "10.1.1.0/24"]));
    hears(&[]);
    peers.iter().for_each(|peer| peer.wait_route("10.1.1.0/24", "of our own", |_| true));
    assert_eq!(kubgpd.log().matches("session established").count(), peers.len(), "the sessions stay");
}
