//! BFD with FRR's bfdd and with BIRD: single hop and multihop, both families, under load, and what follows when a link fails.

use crate::lab::{Host, Lab, PATIENCE, always, eventually, now, v4};
use crate::peers::{Kind, Peer, Setup};
use crate::us::{ACCEPT_ALL, Kubgpd, neighbor, networks};
use serde_json::Value;
use std::time::Duration;

const FRR: &str = "10.0.0.2";
const BIRD: &str = "fd00::3";
const FRR_MULTIHOP: &str = "10.0.0.5";
const BIRD_MULTIHOP: &str = "10.0.0.4";
const ALL: [&str; 4] = [FRR, BIRD, FRR_MULTIHOP, BIRD_MULTIHOP];
/// Routes that BIRD announces, so that the RIB is busy.
const ROUTES: usize = 40_000;

/// 3 × 50 ms at both ends.
fn profile(transmit: u32) -> String {
    format!("bfd: {{ profiles: {{ fast: {{ transmit: {transmit}ms, receive: 50ms, multiplier: 3 }} }} }}\n")
}

fn config(transmit: u32) -> String {
    let watched = |address: &str, asn, more: &str| neighbor(address, asn, &format!("bfd: fast, import: all, export: all{more}"));
    let neighbors = [
        // An internal neighbor on the same link is watched over one hop, here and there.
        watched(FRR, 64512, ""),
        watched(BIRD, 65003, ""),
        watched(BIRD_MULTIHOP, 65004, ", multihop: 2"),
        watched(FRR_MULTIHOP, 65005, ", multihop: 2"),
    ];
    neighbors.concat() + ACCEPT_ALL + &profile(transmit)
}

fn bird_protocol() -> String {
    let kinds = ["interface \"*\"", "multihop"].map(|kind| format!("  {kind} {{ interval 50 ms; multiplier 3; }};\n"));
    format!("protocol bfd {{\n{}}}\n", kinds.concat())
}

fn peers(lab: &Lab) -> Vec<Peer> {
    let bird = |setup: Setup| Setup { session: "  bfd on;\n".to_owned(), global: bird_protocol(), ..setup };
    let frr = |setup: Setup| Setup { session: "bfd profile fast\n".to_owned(), ..setup };
    let routes: Vec<String> = (0..ROUTES).map(|i| format!("2001:db8:{:x}:{:x}::/64", i / 1000, i % 1000)).collect();
    let hosts = [2, 3, 4, 5].map(|number| lab.host(number));
    let [one, two, three, four] = &hosts;
    vec![
        Peer::start(Kind::Frr, one, frr(Setup::new(one, 64512))),
        Peer::start(Kind::Bird, two, bird(Setup { networks: routes, ..Setup::new(two, 65003).only_v6(two) })),
        Peer::start(Kind::Bird, three, bird(Setup { multihop: Some(2), ..Setup::new(three, 65004) })),
        Peer::start(Kind::Frr, four, frr(Setup { multihop: Some(2), ..Setup::new(four, 65005) })),
    ]
}

/// What `show bfd` says of each session.
fn sessions(us: &Kubgpd) -> Vec<Value> {
    let shown: Value = serde_json::from_str(&us.ctl(&["-o", "json", "show", "bfd"])).unwrap_or_default();
    shown["items"].as_array().cloned().unwrap_or_default()
}

fn session_of(us: &Kubgpd, address: &str) -> Value {
    sessions(us).into_iter().find(|s| s["address"] == address).unwrap_or_default()
}

fn is_up(us: &Kubgpd) -> bool {
    ALL.iter().all(|address| session_of(us, address)["state"] == "up" && us.neighbor(address).contains("Established"))
}

fn has_flapped(us: &Kubgpd) -> bool {
    sessions(us).iter().any(|s| s["downCount"] != 0 || s["state"] != "up")
}

/// A restart of ours, and one of a neighbor, while the paths between are watched: no side takes the end of BFD for a failure, whether the
/// new life speaks before or after the old one was missed.
#[test]
fn restarts_cost_no_route_where_paths_are_watched() {
    if !crate::ready() {
        return;
    }
    const OURS: &str = "10.1.0.0/24";
    let lab = Lab::new();
    let host = lab.host(1);
    let [frr, bird, twin] = [2, 3, 4].map(|number| lab.host(number));
    let graceful = |host: &Host| Setup { graceful_restart: true, ..Setup::new(host, 65000 + u32::from(host.number)) };
    let session = "  bfd graceful;\n".to_owned();
    let peers = [
        Peer::start(Kind::Frr, &frr, Setup { session: "bfd profile fast\n".to_owned(), ..graceful(&frr) }),
        Peer::start(Kind::Bird, &bird, Setup { session, global: bird_protocol(), ..graceful(&bird) }),
    ];
    // Slow enough for a life to begin before the former one is missed.
    let common = ACCEPT_ALL.to_owned() + "bfd: { profiles: { slow: { transmit: 300ms, receive: 300ms, multiplier: 5 } } }\n";
    let settings = "bfd: slow, gracefulRestart: { mode: full, time: 60s }, import: all, export: all";
    let neighbors: String = [2u8, 3, 4].iter().map(|n| neighbor(&v4(*n), 65000 + u32::from(*n), settings)).collect();
    let mut us = Kubgpd::start(&host, 64512, &(common.clone() + &neighbors + &networks(&[OURS])));
    let mut twin = Kubgpd::start(&twin, 65004, &(common + &neighbor(&v4(1), 64512, settings) + &networks(&["10.4.0.0/24"])));
    let have = |us: &Kubgpd, twin: &Kubgpd| {
        peers.iter().all(|peer| !peer.paths(OURS).is_empty()) && twin.learned(&v4(1)).len() == 1 && us.learned(&v4(4)).len() == 1
    };
    let settled = |us: &Kubgpd, twin: &Kubgpd| {
        let all_up = [2, 3, 4].iter().all(|n| session_of(us, &v4(*n))["state"] == "up" && us.neighbor(&v4(*n)).contains("Established"));
        let fresh = twin.learned(&v4(1)).iter().chain(&us.learned(&v4(4))).all(|(_, stale)| !stale);
        all_up && fresh && have(us, twin) && us.remembers_paths(3) && twin.remembers_paths(1)
    };
    eventually(PATIENCE, "all is up", || settled(&us, &twin));
    let others_have = |twin: &Kubgpd| peers.iter().all(|peer| !peer.paths(OURS).is_empty()) && !twin.learned(&v4(1)).is_empty();
    for missed in [false, true] {
        us.kill();
        if missed {
            always(Duration::from_millis(2500), "our routes stay while BFD is silent", || others_have(&twin));
        }
        us.restart();
        eventually(PATIENCE, "all is as it was", || {
            assert!(others_have(&twin), "our route is missed");
            settled(&us, &twin)
        });
        always(Duration::from_secs(2), "it stays", || others_have(&twin) && settled(&us, &twin));
    }
    us.stop();
    assert!(others_have(&twin), "a planned stop is a restart");
    us.restart();
    eventually(PATIENCE, "all is as it was", || {
        assert!(others_have(&twin), "our route is missed");
        settled(&us, &twin)
    });
    twin.kill();
    twin.restart();
    eventually(PATIENCE, "the neighbor is back", || {
        assert_eq!(us.learned(&v4(4)).len(), 1, "its route is missed");
        settled(&us, &twin)
    });
    always(Duration::from_secs(2), "it stays", || settled(&us, &twin));
    assert!(!(us.log() + &twin.log()).contains("BFD Down"), "nobody took it for a failure");
}

#[test]
fn paths_are_watched_with_frr_and_bird() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let host = lab.host(1);
    let peers = peers(&lab);
    let start = now();
    let us = Kubgpd::start(&host, 64512, &config(50));
    eventually(PATIENCE, "all sessions of BFD and BGP are up", || is_up(&us));
    println!("BFD and BGP up after {:?}\n{}", start.elapsed(), us.ctl(&["-o", "wide", "show", "bfd"]));
    let kinds: Vec<_> = ALL.map(|address| session_of(&us, address)["type"].clone()).into();
    assert_eq!(kinds, ["singleHop", "singleHop", "multihop", "multihop"]);
    eventually(PATIENCE, "fast at both ends", || ALL.iter().all(|a| session_of(&us, a)["detectionSeconds"] == 0.15));

    // A busy RIB: everything comes in and goes out again, several times.
    eventually(PATIENCE, "the table is here", || us.learned(BIRD).len() == ROUTES);
    for _ in 0..3 {
        us.ctl(&["clear", "all", "soft"]);
        always(Duration::from_secs(1), "no path fails under load", || !has_flapped(&us));
    }

    // Another profile is agreed on without a flap.
    us.reload(&config(100));
    let told = || peers[0].ctl("show bfd peers json").replace(' ', "").contains("\"remote-transmit-interval\":100");
    eventually(PATIENCE, "FRR knows the other interval", told);
    assert!(!has_flapped(&us), "{:#?}", sessions(&us));

    // A link that loses everything and says nothing: what BGP alone would notice after the hold time of 90 s.
    let switch = format!("{}-lan", host.namespace.strip_suffix("-1").unwrap());
    crate::lab::run(&format!("ip -n {switch} link set to2 nomaster"));
    let cut = now();
    eventually(Duration::from_secs(2), "BFD takes the session down", || us.log().contains("BFD: the path failed"));
    eventually(Duration::from_secs(2), "and BGP with it", || us.neighbor(FRR).contains("Cease/BFD Down"));
    println!("seen down after {:?}", cut.elapsed());
    assert_eq!(session_of(&us, BIRD)["downCount"], 0, "nobody else");
    crate::lab::run(&format!("ip -n {switch} link set to2 master lan"));
    eventually(PATIENCE, "all is up again", || is_up(&us));
    us.reload("");
    assert!(sessions(&us).is_empty());
}
