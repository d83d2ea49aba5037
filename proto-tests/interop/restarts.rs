//! Graceful restart: others keep our routes while we are away, and we keep theirs (RFC 4724).

use crate::lab::{Host, Lab, PATIENCE, always, eventually};
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
        setup.both_families().networks(&own_networks(n).each_ref().map(String::as_str))
    });
    let settings = "gracefulRestart: { mode: full, time: 60s }, families: [ipv4-unicast, ipv6-unicast], import: [all], export: [all]";
    let neighbors: String = peers.iter().map(|p| neighbor(&p.setup.own, p.setup.asn, settings)).collect();
    let fib = "fib: { install: best }\n";
    let mut kubgpd = Kubgpd::start(&us, 64512, &(ACCEPT_ALL.to_owned() + fib + &neighbors + &networks(&["10.1.0.0/24", "fd01::/64"])));
    let have = |peer: &Peer| {
        let others = (1..=4).filter(|n| *n != peer.host.number);
        others.flat_map(usable_networks).all(|prefix| !peer.paths(&prefix).is_empty())
    };
    peers.iter().for_each(|peer| eventually(PATIENCE, &format!("{:?} has all routes", peer.kind), || have(peer)));
    eventually(PATIENCE, "who is up is written down", || kubgpd.remembers(peers.len()));
    let kernel = || ["", "-6"].map(|family| us.run(&format!("ip {family} route show proto 179")).lines().count());
    eventually(PATIENCE, "the kernel has all routes", || kernel() == [3, 2]);
    kubgpd.kill();
    for peer in &peers {
        eventually(PATIENCE, &format!("{:?} has lost us", peer.kind), || !peer.established());
    }
    always(Duration::from_secs(2), "they keep our routes", || peers.iter().all(have) && kernel() == [3, 2]);
    // BIRD does not show it.
    peers.iter().filter(|p| p.kind != Kind::Bird).for_each(|p| assert!(p.paths("10.1.0.0/24").iter().all(|r| r.stale)));
    kubgpd.restart();
    let back = || {
        assert!(peers.iter().all(have) && kernel() == [3, 2], "no route is missed");
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
    let mut peers = one_of_each(&lab, |kind, host| {
        // GoBGP is told of its routes when it runs, and has to have them before there is a session again.
        let passive = kind == Kind::GoBgp;
        let setup = Setup { graceful_restart: true, passive, ..Setup::new(host, 65000 + u32::from(kind.number())) };
        setup.both_families().networks(&own_networks(host.number).each_ref().map(String::as_str))
    });
    // Sees what we have; it does not restart.
    let host = lab.host(5);
    let watcher = Peer::start(Kind::Bird, &host, Setup::new(&host, 65005).both_families());
    let settings = "families: [ipv4-unicast, ipv6-unicast], import: [all], export: [all]";
    let neighbors: String = peers.iter().chain([&watcher]).map(|p| neighbor(&p.setup.own, p.setup.asn, settings)).collect();
    let kubgpd = Kubgpd::start(&us, 64512, &(ACCEPT_ALL.to_owned() + &neighbors));
    let count = || [false, true].map(|v6| watcher.count(v6));
    eventually(PATIENCE, "all routes are there", || count() == [3, 2]);
    // Whoever else has their routes sees nothing of it.
    let changes =
        || watcher.ctl("show protocols all kubgp").lines().find(|l| l.contains("Import withdraws")).unwrap_or_default().to_owned();
    let before = changes();
    peers.iter_mut().for_each(Peer::kill);
    let stale = || peers.iter().all(|p| kubgpd.learned(&p.setup.own).iter().all(|(_, stale)| *stale));
    eventually(PATIENCE, "their routes are stale", stale);
    always(Duration::from_secs(2), "their routes stay", || count() == [3, 2]);
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
        back.iter()
            .all(|p| kubgpd.learned(&p.setup.own) == usable_networks(p.host.number).map(|prefix| (prefix, false)).collect::<Vec<_>>())
    });
    assert_eq!((count(), changes()), ([3, 2], before));
}

fn own_networks(number: u8) -> [String; 2] {
    [format!("10.{number}.0.0/24"), format!("fd0{number}::/64")]
}

/// GoBGP makes an IPv4-mapped next hop of its IPv4 address, which is none.
fn usable_networks(number: u8) -> impl Iterator<Item = String> {
    own_networks(number).into_iter().take(if number == Kind::GoBgp.number() { 1 } else { 2 })
}

/// After the restart time routes stay as a last resort, for those who know what that is (RFC 9494).
#[test]
fn routes_stay_long_as_a_last_resort() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let us = lab.host(1);
    let mut peers = one_of_each(&lab, long_lived);
    peers[0]
        .ctl("configure terminal / router bgp 65002 / bgp graceful-restart restart-time 2 / bgp long-lived-graceful-restart stale-time 60");
    // Does not know it.
    let host = lab.host(5);
    let other = Peer::start(Kind::Bird, &host, Setup::new(&host, 65005));
    let settings = "gracefulRestart: { mode: full, time: 2s }, longLivedGracefulRestart: { time: 60s }, import: [all], export: [all]";
    let mut neighbors: String = peers.iter().map(|p| neighbor(&p.setup.own, p.setup.asn, settings)).collect();
    neighbors += &neighbor(&other.setup.own, 65005, "import: [all], export: [all]");
    let mut kubgpd = Kubgpd::start(&us, 64512, &(ACCEPT_ALL.to_owned() + &neighbors + &networks(&["10.1.0.0/24"])));
    let is_marked = |peer: &Peer, prefix| peer.paths(prefix).iter().any(|r| r.communities.iter().any(|c| LLGR_STALE.contains(&c.as_str())));
    let is_plain = |peer: &Peer, prefix| !peer.paths(prefix).is_empty() && !is_marked(peer, prefix);
    let all_plain = |peers: &[Peer]| {
        ["10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24", "10.4.0.0/24"].iter().all(|prefix| {
            let learners = peers.iter().chain([&other]).filter(|p| !prefix.starts_with(&format!("10.{}.", p.host.number)));
            learners.into_iter().all(|peer| is_plain(peer, prefix))
        })
    };
    eventually(PATIENCE, "all routes are everywhere", || all_plain(&peers));

    kubgpd.kill();
    for peer in &peers {
        eventually(PATIENCE, &format!("{:?} keeps our route as a last resort", peer.kind), || is_marked(peer, "10.1.0.0/24"));
    }
    assert!(other.paths("10.1.0.0/24").is_empty(), "it kept it for 2 s");
    kubgpd.restart();
    eventually(PATIENCE, "all is as it was", || all_plain(&peers));

    let [frr, bird, gobgp] = &mut peers[..] else { unreachable!("one of each") };
    frr.kill();
    bird.kill();
    for prefix in ["10.2.0.0/24", "10.3.0.0/24"] {
        eventually(PATIENCE, "we keep theirs, and say so to who knows", || is_marked(gobgp, prefix) && other.paths(prefix).is_empty());
    }
    gobgp.kill();
    let ours = || kubgpd.ctl(&["-o", "json", "show", "route", "10.4.0.0/24"]);
    eventually(PATIENCE, "we keep that of GoBGP too", || ours().contains("65535:6") || ours().contains("llgr-stale"));
}

/// As the daemons show the community.
const LLGR_STALE: [&str; 2] = ["llgr-stale", "65535:6"];

/// Away for 2 s it is restarting, for 60 s more its routes are a last resort; the same in the words of each.
fn long_lived(kind: Kind, host: &Host) -> Setup {
    let setup = Setup::new(host, 65000 + u32::from(kind.number())).networks(&[&format!("10.{}.0.0/24", host.number)]);
    match kind {
        Kind::Frr => Setup { graceful_restart: true, ..setup },
        Kind::Bird => {
            let session = "  graceful restart; graceful restart time 2; long lived graceful restart; long lived stale time 60;\n";
            Setup { session: session.to_owned(), ..setup }
        }
        Kind::GoBgp => {
            let session = "[neighbors.graceful-restart.config]\nenabled = true\nrestart-time = 2\nlong-lived-enabled = true\n";
            let family = "[neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true\n\
                          [neighbors.afi-safis.long-lived-graceful-restart.config]\nenabled = true\nrestart-time = 60\n";
            Setup { session: session.to_owned(), family: family.to_owned(), ..setup }
        }
    }
}
