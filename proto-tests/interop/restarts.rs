//! Graceful restart: others keep our routes while we are away, and we keep theirs (RFC 4724).

use crate::lab::{Lab, PATIENCE, always, eventually};
use crate::peers::{Kind, Peer, Setup, one_of_each};
use crate::us::{ACCEPT_ALL, Kubgpd, neighbor, networks};
use std::time::Duration;

#[test]
fn helpers_keep_our_routes_while_we_restart() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let us = lab.host(1);
    let peers = one_of_each(&lab, |kind, host| {
        let n = host.number;
        let setup = Setup { graceful_restart: true, ..Setup::new(host, 65000 + u32::from(kind.number())) };
        setup.networks(&[&format!("10.{n}.0.0/24")])
    });
    let settings = "gracefulRestart: { mode: full, time: 60s }, import: [all], export: [all]";
    let neighbors: String = peers.iter().map(|p| neighbor(&p.setup.own, p.setup.asn, settings)).collect();
    let fib = "fib: { install: best }\n";
    let mut kubgpd = Kubgpd::start(&us, 64512, &(ACCEPT_ALL.to_owned() + fib + &neighbors + &networks(&["10.1.0.0/24"])));
    let have = |peer: &Peer| {
        ["10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24", "10.4.0.0/24"].iter().all(|prefix| {
            let own = prefix.starts_with(&format!("10.{}.", peer.host.number));
            own || !peer.paths(prefix).is_empty()
        })
    };
    peers.iter().for_each(|peer| eventually(PATIENCE, &format!("{:?} has all routes", peer.kind), || have(peer)));
    eventually(PATIENCE, "who is up is written down", || kubgpd.remembers(peers.len()));
    kubgpd.kill();
    let kernel = || us.run("ip route show proto 179").lines().count();
    for peer in &peers {
        eventually(PATIENCE, &format!("{:?} has lost us", peer.kind), || !peer.established());
    }
    always(Duration::from_secs(2), "they keep our routes", || peers.iter().all(have) && kernel() == 3);
    // BIRD does not show it.
    peers.iter().filter(|p| p.kind != Kind::Bird).for_each(|p| assert!(p.paths("10.1.0.0/24").iter().all(|r| r.stale)));
    kubgpd.restart();
    let back = || {
        assert!(peers.iter().all(have) && kernel() == 3, "no route is missed");
        peers.iter().all(|peer| peer.established() && peer.paths("10.1.0.0/24").iter().all(|r| !r.stale))
    };
    eventually(PATIENCE, "all is as it was", back);
    always(Duration::from_secs(2), "it stays", back);
}

#[test]
fn we_keep_the_routes_of_peers_that_restart() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let us = lab.host(1);
    // GoBGP has no routes of its own when it starts, so it cannot come back with them.
    let mut peers = [Kind::Frr, Kind::Bird].map(|kind| {
        let host = lab.host(kind.number());
        let setup = Setup { graceful_restart: true, passive: false, ..Setup::new(&host, 65000 + u32::from(kind.number())) };
        Peer::start(kind, &host, setup.networks(&[&format!("10.{}.0.0/24", host.number)]))
    });
    // Sees what we have; it does not restart.
    let host = lab.host(5);
    let watcher = Peer::start(Kind::Bird, &host, Setup::new(&host, 65005));
    let settings = "import: [all], export: [all]";
    let neighbors: String = peers.iter().chain([&watcher]).map(|p| neighbor(&p.setup.own, p.setup.asn, settings)).collect();
    let kubgpd = Kubgpd::start(&us, 64512, &(ACCEPT_ALL.to_owned() + &neighbors));
    let count = || watcher.count(false);
    eventually(PATIENCE, "all routes are there", || count() == 2);
    // Whoever else has their routes sees nothing of it.
    let changes =
        || watcher.ctl("show protocols all kubgp").lines().find(|l| l.contains("Import withdraws")).unwrap_or_default().to_owned();
    let before = changes();
    peers.iter_mut().for_each(Peer::kill);
    let stale = || peers.iter().all(|p| kubgpd.learned(&p.setup.own).iter().all(|(_, stale)| *stale));
    eventually(PATIENCE, "their routes are stale", stale);
    always(Duration::from_secs(2), "their routes stay", || count() == 2);
    let back: Vec<Peer> = peers
        .into_iter()
        .map(|peer| {
            let (kind, host, setup) = (peer.kind, peer.host.clone(), Setup { returning: true, ..peer.setup.clone() });
            drop(peer);
            Peer::start(kind, &host, setup)
        })
        .collect();
    back.iter().for_each(Peer::wait_established);
    eventually(PATIENCE, "their routes are fresh", || {
        back.iter().all(|p| kubgpd.learned(&p.setup.own) == [(format!("10.{}.0.0/24", p.host.number), false)])
    });
    assert_eq!((count(), changes()), (2, before));
}
