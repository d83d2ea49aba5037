//! Sessions: kinds, families, transports, AS numbers, timers, roles of the two sides.

use crate::lab::{Lab, PATIENCE, always, eventually, v4, v6};
use crate::peers::{ALL, Kind, Peer, Setup, one_of_each};
use crate::us::{ACCEPT_ALL, Kubgpd, neighbor, networks};
use std::time::Duration;

/// One session with each daemon, both families over one transport; `asn` gives the other's AS, and one side dials.
fn both_families(asn: impl Fn(Kind) -> u32, transport: impl Fn(u8) -> String, we_dial: bool) {
    let lab = Lab::new();
    let us = lab.host(1);
    let peers = one_of_each(&lab, |kind, host| {
        let n = host.number;
        let setup = Setup { us: transport(1), own: transport(n), passive: we_dial, ..Setup::new(host, asn(kind)) };
        setup.both_families().networks(&[&format!("10.{n}.0.0/24"), &format!("fd0{n}::/64")])
    });
    // GoBGP sends IPv4 over IPv6 transport with an IPv6 next hop, whatever we say that we understand.
    let settings = format!("passive: {}, families: [ipv4-unicast, ipv6-unicast], import: [all], export: [all]", !we_dial);
    let extended = format!("{settings}, extendedNextHop: true");
    let neighbors = ALL.map(|kind| {
        let settings = if kind == Kind::GoBgp && transport(1) == v6(1) { &extended } else { &settings };
        neighbor(&transport(kind.number()), asn(kind), settings)
    });
    let _kubgpd = Kubgpd::start(&us, 64512, &(ACCEPT_ALL.to_owned() + &neighbors.concat() + &networks(&["10.1.0.0/24", "fd01::/64"])));
    for peer in &peers {
        peer.wait_established();
        let external = peer.setup.asn != 64512;
        for (prefix, next_hop) in [("10.1.0.0/24", v4(1)), ("fd01::/64", v6(1))] {
            peer.wait_route(prefix, "of our own", |r| {
                let path = if external { "64512" } else { "" };
                r.as_path == path && r.next_hop == next_hop && r.med == Some(7) && (external || r.local_pref == Some(100))
            });
        }
        for other in peers.iter().filter(|other| other.kind != peer.kind) {
            let n = other.host.number;
            let path = format!("64512 {}", other.setup.asn);
            // GoBGP makes an IPv4-mapped next hop of its IPv4 address, which is none.
            let unusable = other.kind == Kind::GoBgp && transport(1) == v4(1);
            for prefix in [Some(format!("10.{n}.0.0/24")), (!unusable).then(|| format!("fd0{n}::/64"))].into_iter().flatten() {
                match external {
                    true => peer.wait_route(&prefix, "through us", |r| r.as_path == path),
                    // Internal peers that are no clients learn nothing from each other.
                    false => assert_eq!(peer.paths(&prefix), []),
                }
            }
        }
    }
}

fn own_as(kind: Kind) -> u32 {
    65000 + u32::from(kind.number())
}

#[test]
fn ebgp_with_both_families_over_ipv4() {
    if crate::ready() {
        both_families(own_as, v4, true);
    }
}

#[test]
fn ebgp_with_both_families_over_ipv6() {
    if crate::ready() {
        both_families(own_as, v6, false);
    }
}

#[test]
fn ibgp_with_both_families_over_ipv4() {
    if crate::ready() {
        both_families(|_| 64512, v4, false);
    }
}

#[test]
fn ibgp_with_both_families_over_ipv6() {
    if crate::ready() {
        both_families(|_| 64512, v6, true);
    }
}

#[test]
fn as_numbers_of_four_octets() {
    if !crate::ready() {
        return;
    }
    const OURS: u32 = 4_200_000_001;
    let lab = Lab::new();
    let us = lab.host(1);
    // FRR does not say that it understands them; the others do, and have such numbers themselves.
    let peers = one_of_each(&lab, |kind, host| {
        let n = host.number;
        let setup = Setup { our_asn: OURS, ..Setup::new(host, own_as(kind)) }.networks(&[&format!("10.{n}.0.0/24")]);
        match kind {
            Kind::Frr => Setup { session: "dont-capability-negotiate\n".into(), ..setup },
            Kind::Bird => Setup { asn: 4_200_000_003, ..setup },
            Kind::GoBgp => Setup { asn: 4_200_000_004, ..setup },
        }
    });
    let neighbors: String = peers.iter().map(|p| neighbor(&p.setup.own, p.setup.asn, "import: [all], export: [all]")).collect();
    let _kubgpd = Kubgpd::start(&us, OURS, &(ACCEPT_ALL.to_owned() + &neighbors + &networks(&["10.1.0.0/24"])));
    for peer in &peers {
        // FRR is sent AS_TRANS for each (RFC 6793 4.2.2), and does not look at AS4_PATH of us who do understand them.
        let shown = |asn: u32| if peer.kind == Kind::Frr && asn > 65535 { 23456 } else { asn };
        peer.wait_route("10.1.0.0/24", "from our AS", |r| r.as_path == shown(OURS).to_string());
        for other in peers.iter().filter(|other| other.kind != peer.kind) {
            let path = format!("{} {}", shown(OURS), shown(other.setup.asn));
            peer.wait_route(&format!("10.{}.0.0/24", other.host.number), "through our AS", |r| r.as_path == path);
        }
    }
}

#[test]
fn both_sides_dial_and_one_connection_remains() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let us = lab.host(1);
    let mut peers = one_of_each(&lab, |kind, host| Setup { passive: false, ..Setup::new(host, own_as(kind)) });
    let neighbors: String = peers.iter().map(|p| neighbor(&p.setup.own, p.setup.asn, "")).collect();
    let mut kubgpd = Kubgpd::start(&us, 64512, &(neighbors + &networks(&["10.1.0.0/24"])));
    for round in 0..COLLISIONS {
        peers.iter().for_each(|peer| peer.wait_route("10.1.0.0/24", &format!("in round {round}"), |_| true));
        if round + 1 == COLLISIONS {
            break;
        }
        // The peers stand still while we connect; when they go on, each finds our connection and that it is time to dial, too.
        kubgpd.kill();
        eventually(PATIENCE, "the peers notice", || !peers.iter().any(Peer::established));
        peers.iter_mut().for_each(|peer| peer.signal("STOP"));
        let before = kubgpd.log().matches("to=OpenSent").count();
        kubgpd.restart();
        eventually(PATIENCE, "we have sent OPEN", || kubgpd.log().matches("to=OpenSent").count() >= peers.len() + before);
        always(Duration::from_millis(1500), "time passes for the peers", || true);
        peers.iter_mut().for_each(|peer| peer.signal("CONT"));
    }
    assert!(peers[0].log().contains("Connection Collision Resolution"), "FRR had two connections with us");
    always(Duration::from_secs(2), "the sessions stay", || peers.iter().all(Peer::established));
}

const COLLISIONS: usize = 4;

#[test]
fn hold_times() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let us = lab.host(1);
    // None with BIRD; 3 s with the others, FRR because we say so and GoBGP because it does.
    let peers = one_of_each(&lab, |kind, host| Setup { hold: if kind == Kind::GoBgp { 3 } else { 90 }, ..Setup::new(host, own_as(kind)) });
    let holds = ["3s", "0s", "90s"];
    let neighbors: String =
        peers.iter().zip(holds).map(|(p, hold)| neighbor(&p.setup.own, p.setup.asn, &format!("holdTime: {hold}"))).collect();
    let kubgpd = Kubgpd::start(&us, 64512, &neighbors);
    peers.iter().for_each(Peer::wait_established);
    let [mut frr, bird, gobgp] = <[Peer; 3]>::try_from(peers).ok().unwrap();
    assert!(frr.ctl("show bgp neighbors 10.0.0.1 json").contains("\"bgpTimerHoldTimeMsecs\":3000"), "FRR agreed on 3 s");
    assert!(bird.ctl("show protocols all kubgp").contains("Hold timer:       0.000/0"), "BIRD needs no keepalives");
    always(Duration::from_secs(5), "sessions stay with keepalives alone", || {
        frr.established() && bird.established() && gobgp.established()
    });
    // A peer that is silent is lost after the hold time, and hears why.
    frr.signal("STOP");
    eventually(Duration::from_secs(6), "we miss the keepalives", || kubgpd.log().contains("NOTIFICATION 4/0 sent"));
    frr.signal("CONT");
    eventually(PATIENCE, "FRR got Hold Timer Expired", || frr.ctl("show bgp neighbors 10.0.0.1").contains("Hold Timer Expired"));
    assert!(bird.established() && gobgp.established());
}

#[test]
fn the_source_address_and_the_device_of_a_session() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let us = lab.host(1);
    us.address("lan", "10.0.0.101/24");
    // FRR expects us at our second address. BIRD is on a cable whose subnet our routing table looks for on another interface.
    let (frr, bird) = (lab.host(2), lab.lone_host(3));
    lab.cable("first", &us, &lab.lone_host(9));
    us.address("first", "10.7.0.1/24");
    lab.cable("cable", &us, &bird);
    us.address("cable", "10.7.0.1/24");
    bird.address("cable", "10.7.0.3/24");
    let frr = Peer::start(Kind::Frr, &frr, Setup { us: "10.0.0.101".into(), ..Setup::new(&frr, 65002) });
    let bird = Peer::start(Kind::Bird, &bird, Setup { us: "10.7.0.1".into(), own: "10.7.0.3".into(), ..Setup::new(&bird, 65003) });
    let neighbors = neighbor("10.0.0.2", 65002, "localAddress: 10.0.0.101")
        + &neighbor("10.7.0.3", 65003, "bindDevice: cable")
        + &networks(&["10.1.0.0/24"]);
    let _kubgpd = Kubgpd::start(&us, 64512, &neighbors);
    frr.wait_route("10.1.0.0/24", "from the second address", |r| r.next_hop == "10.0.0.101");
    bird.wait_route("10.1.0.0/24", "over the cable", |r| r.next_hop == "10.7.0.1");
}

#[test]
fn two_hops_through_a_router() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let (us, router) = (lab.lone_host(1), lab.lone_host(9));
    let hosts = [(Kind::Frr, lab.lone_host(2)), (Kind::Bird, lab.lone_host(3)), (Kind::GoBgp, lab.lone_host(4))];
    for host in hosts.iter().map(|(_, host)| host).chain([&us]) {
        let n = host.number;
        lab.cable(&format!("cable{n}"), host, &router);
        host.address(&format!("cable{n}"), &format!("10.9.{n}.{n}/24"));
        router.address(&format!("cable{n}"), &format!("10.9.{n}.254/24"));
        host.run(&format!("ip route add default via 10.9.{n}.254"));
    }
    let peers = hosts.map(|(kind, host)| {
        let n = host.number;
        let setup = Setup { us: "10.9.1.1".into(), own: format!("10.9.{n}.{n}"), multihop: Some(2), ..Setup::new(&host, own_as(kind)) };
        Peer::start(kind, &host, setup)
    });
    let neighbors: String = peers.iter().map(|p| neighbor(&p.setup.own, p.setup.asn, "multihop: 2")).collect();
    let _kubgpd = Kubgpd::start(&us, 64512, &(neighbors + &networks(&["10.1.0.0/24"])));
    for peer in &peers {
        peer.wait_route("10.1.0.0/24", "over the router", |r| r.next_hop == "10.9.1.1" && r.as_path == "64512");
    }
}
