//! BFD with FRR's bfdd and with BIRD: single hop and multihop, both families, under load, and what follows when a link fails.

use crate::lab::{Lab, PATIENCE, always, eventually, now};
use crate::peers::{Kind, Peer, Setup};
use crate::us::{ACCEPT_ALL, Kubgpd, neighbor};
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
        watched(FRR, 65002, ""),
        watched(BIRD, 65003, ""),
        watched(BIRD_MULTIHOP, 65004, ", multihop: 2"),
        watched(FRR_MULTIHOP, 65005, ", multihop: 2"),
    ];
    neighbors.concat() + ACCEPT_ALL + &profile(transmit)
}

fn peers(lab: &Lab) -> Vec<Peer> {
    let global = "protocol bfd {\n  interface \"*\" { interval 50 ms; multiplier 3; };\n  multihop { interval 50 ms; multiplier 3; };\n}\n";
    let bird = |setup: Setup| Setup { session: "  bfd on;\n".to_owned(), global: global.to_owned(), ..setup };
    let frr = |setup: Setup| Setup { session: "bfd profile fast\n".to_owned(), ..setup };
    let routes: Vec<String> = (0..ROUTES).map(|i| format!("2001:db8:{:x}:{:x}::/64", i / 1000, i % 1000)).collect();
    let hosts = [2, 3, 4, 5].map(|number| lab.host(number));
    let [one, two, three, four] = &hosts;
    vec![
        Peer::start(Kind::Frr, one, frr(Setup::new(one, 65002))),
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

fn session(us: &Kubgpd, address: &str) -> Value {
    sessions(us).into_iter().find(|s| s["address"] == address).unwrap_or_default()
}

fn is_up(us: &Kubgpd) -> bool {
    ALL.iter().all(|address| session(us, address)["state"] == "up" && us.neighbor(address).contains("Established"))
}

fn has_flapped(us: &Kubgpd) -> bool {
    sessions(us).iter().any(|s| s["downCount"] != 0 || s["state"] != "up")
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
    let kinds: Vec<_> = ALL.map(|address| session(&us, address)["type"].clone()).into();
    assert_eq!(kinds, ["singleHop", "singleHop", "multihop", "multihop"]);
    eventually(PATIENCE, "fast at both ends", || ALL.iter().all(|a| session(&us, a)["detectionSeconds"] == 0.15));

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
    let switch = host.namespace.replace("-1", "-lan");
    crate::lab::run(&format!("ip -n {switch} link set to2 nomaster"));
    let cut = now();
    eventually(Duration::from_secs(2), "BFD takes the session down", || us.log().contains("BFD: the path failed"));
    eventually(Duration::from_secs(2), "and BGP with it", || us.neighbor(FRR).contains("Cease/BFD Down"));
    println!("seen down after {:?}", cut.elapsed());
    assert_eq!(session(&us, BIRD)["downCount"], 0, "nobody else");
    crate::lab::run(&format!("ip -n {switch} link set to2 master lan"));
    eventually(PATIENCE, "all is up again", || is_up(&us));
    us.reload("");
    assert!(sessions(&us).is_empty());
}
