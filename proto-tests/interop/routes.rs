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
