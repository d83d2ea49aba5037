//! What keeps others out, and what is said when a session ends: MD5, GTSM, ranges, limits, shutdown.

use crate::lab::{Lab, PATIENCE, always, eventually};
use crate::peers::{Kind, Peer, Setup, one_of_each};
use crate::us::{ACCEPT_ALL, Kubgpd, neighbor, networks};
use std::time::Duration;

#[test]
fn md5_keys() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let us = lab.host(1);
    let key = us.write("key", "swordfish");
    let settings = format!("password: {{ file: {} }}", key.display());
    let peers = one_of_each(&lab, |kind, host| {
        let setup = Setup { password: Some("swordfish"), ..Setup::new(host, 65000 + kind.number() as u32) };
        if kind == Kind::Frr { setup } else { setup.only_v6(host) }
    });
    let wrong = [(Kind::Frr, lab.host(5), true), (Kind::Bird, lab.host(6), false)].map(|(kind, host, passive)| {
        Peer::start(kind, &host, Setup { password: Some("sailfish"), passive, ..Setup::new(&host, 65000 + host.number as u32) })
    });
    let neighbors: String = peers.iter().chain(&wrong).map(|p| neighbor(&p.setup.own, p.setup.asn, &settings)).collect();
    let kubgpd = Kubgpd::start(&us, 64512, &(neighbors + &networks(&["10.1.0.0/24", "fd01::/64"])));
    peers.iter().for_each(|peer| peer.wait_route(own_network(peer), "with the right key", |_| true));
    always(Duration::from_secs(3), "a wrong key does not come up", || !wrong.iter().any(Peer::established));
    for peer in &wrong {
        eventually(PATIENCE, "we say what to do", || kubgpd.neighbor(&peer.setup.own).contains("compare the passwords"));
    }
}

/// What we originate in the family of a peer's session.
fn own_network(peer: &Peer) -> &'static str {
    if peer.setup.v6 { "fd01::/64" } else { "10.1.0.0/24" }
}

#[test]
fn gtsm() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let us = lab.host(1);
    let peers = one_of_each(&lab, |kind, host| {
        let setup = Setup { gtsm: true, ..Setup::new(host, 65000 + kind.number() as u32) };
        if kind == Kind::Bird { setup } else { setup.only_v6(host) }
    });
    // These send with TTL 1.
    let without = [(Kind::Frr, lab.host(5)), (Kind::Bird, lab.host(6))]
        .map(|(kind, host)| Peer::start(kind, &host, Setup { passive: false, ..Setup::new(&host, 65000 + host.number as u32) }));
    let neighbors: String = peers.iter().chain(&without).map(|p| neighbor(&p.setup.own, p.setup.asn, "ttlSecurity: 1")).collect();
    let kubgpd = Kubgpd::start(&us, 64512, &(neighbors + &networks(&["10.1.0.0/24", "fd01::/64"])));
    peers.iter().for_each(|peer| peer.wait_route(own_network(peer), "with TTL 255", |_| true));
    let up = || without.iter().any(|p| kubgpd.was_established(&p.setup.own) || p.count(false) > 0);
    always(Duration::from_secs(3), "TTL 1 does not come up", || !up());
}

#[test]
fn sessions_from_a_range_with_its_key() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let us = lab.host(1);
    let key = us.write("key", "swordfish");
    let config = format!(
        "groups:\n  nodes: {{ asn: external, passive: true, password: {{ file: {} }} }}\n\
         dynamicNeighbors: [{{ range: 10.0.0.0/28, group: nodes }}]\n{}",
        key.display(),
        networks(&["10.1.0.0/24"])
    );
    let mut kubgpd = Kubgpd::start(&us, 64512, &config);
    let setup = |host: &_, asn, password| Setup { password, passive: false, ..Setup::new(host, asn) };
    let peers = one_of_each(&lab, |kind, host| setup(host, 65000 + kind.number() as u32, Some("swordfish")));
    let refused = [(5, Some("sailfish")), (6, None), (16, Some("swordfish"))].map(|(number, password)| {
        let host = lab.host(number);
        Peer::start(Kind::Bird, &host, setup(&host, 65005, password))
    });
    peers.iter().for_each(|peer| peer.wait_route("10.1.0.0/24", "from the range", |r| r.as_path == "64512"));
    always(Duration::from_secs(2), "others do not come up", || !refused.iter().any(Peer::established));
    // Nothing of them is left when they come back.
    kubgpd.kill();
    kubgpd.restart();
    peers.iter().for_each(|peer| peer.wait_route("10.1.0.0/24", "after a restart", |_| true));
}

#[test]
fn the_text_of_a_shutdown() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let us = lab.host(1);
    let peers = one_of_each(&lab, |kind, host| Setup::new(host, 65000 + kind.number() as u32));
    let neighbors: String = peers.iter().map(|p| neighbor(&p.setup.own, p.setup.asn, "")).collect();
    let mut kubgpd = Kubgpd::start(&us, 64512, &neighbors);
    peers.iter().for_each(Peer::wait_established);
    let [frr, bird, gobgp] = <[Peer; 3]>::try_from(peers).ok().unwrap();
    frr.ctl("configure terminal / router bgp 65002 / neighbor 10.0.0.1 shutdown message rack 7 moves");
    eventually(PATIENCE, "FRR's words reach us", || kubgpd.log().contains("rack 7 moves"));
    bird.ctl("disable kubgp \"disk full\"");
    eventually(PATIENCE, "BIRD's words reach us", || kubgpd.log().contains("disk full"));
    assert!(kubgpd.neighbor("10.0.0.2").contains("rack 7 moves") && kubgpd.neighbor("10.0.0.3").contains("disk full"));
    frr.ctl("configure terminal / router bgp 65002 / no neighbor 10.0.0.1 shutdown message rack 7 moves / no neighbor 10.0.0.1 shutdown");
    bird.ctl("enable kubgp");
    [&frr, &bird].iter().for_each(|p| p.wait_established());
    // Now ours reach them.
    kubgpd.ctl(&["neighbor", "all", "down", "rack 9 moves"]);
    let last_reset = || frr.ctl("show bgp neighbors 10.0.0.1").contains("Notification received (Cease/Administrative Shutdown");
    eventually(PATIENCE, "FRR shows them", || last_reset() && frr.log().contains("rack 9 moves"));
    eventually(PATIENCE, "BIRD shows them", || bird.log().contains("rack 9 moves"));
    eventually(PATIENCE, "GoBGP shows them", || gobgp.log().contains("rack 9 moves"));
    kubgpd.ctl(&["neighbor", "all", "up"]);
    [&frr, &bird, &gobgp].iter().for_each(|p| p.wait_established());
    kubgpd.stop();
    eventually(PATIENCE, "FRR heard of our stop", || frr.ctl("show bgp neighbors 10.0.0.1").contains("Cease/Administrative Shutdown"));
    eventually(PATIENCE, "BIRD heard of our stop", || bird.ctl("show protocols all kubgp").contains("Administrative shutdown"));
    eventually(PATIENCE, "GoBGP heard of our stop", || gobgp.log().contains("code 6(cease) subcode 2"));
}

#[test]
fn too_many_prefixes() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let us = lab.host(1);
    let many: Vec<String> = (0..5).map(|i| format!("10.20.{i}.0/24")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let peers = one_of_each(&lab, |kind, host| Setup::new(host, 65000 + kind.number() as u32).networks(&many));
    let settings = "import: [all], maxPrefixes: { limit: 4, action: shutdown }";
    let neighbors: String = peers.iter().map(|p| neighbor(&p.setup.own, p.setup.asn, settings)).collect();
    let kubgpd = Kubgpd::start(&us, 64512, &(ACCEPT_ALL.to_owned() + &neighbors));
    let [frr, bird, gobgp] = <[Peer; 3]>::try_from(peers).ok().unwrap();
    eventually(PATIENCE, "FRR got 6/1", || frr.ctl("show bgp neighbors 10.0.0.1").contains("Cease/Maximum Number of Prefixes Reached"));
    eventually(PATIENCE, "BIRD got 6/1", || bird.log().contains("Maximum number of prefixes reached"));
    eventually(PATIENCE, "GoBGP got 6/1", || gobgp.log().contains("code 6(cease) subcode 1"));
    always(Duration::from_secs(2), "the sessions stay down", || ![&frr, &bird, &gobgp].iter().any(|p| p.established()));
    assert!(kubgpd.log().contains("more prefixes than it may"));
}

/// Roles of RFC 9234 with FRR and BIRD: who is above, beside and below whom, and what OTC keeps from going up again.
#[test]
fn roles_keep_routes_from_leaking() {
    if !crate::ready() {
        return;
    }
    const OURS: &str = "10.1.0.0/24";
    let lab = Lab::new();
    let us = lab.host(1);
    let start = |kind, number: u8, session: &str| {
        let host = lab.host(number);
        let setup = Setup { session: session.to_owned(), ..Setup::new(&host, 65000 + u32::from(number)) };
        Peer::start(kind, &host, setup.networks(&[&format!("10.{number}.0.0/24")]))
    };
    let above = start(Kind::Frr, 2, "local-role provider\n");
    let beside = start(Kind::Bird, 3, "  local role peer;\n");
    let below = start(Kind::Bird, 4, "  local role customer;\n");
    let muddled = start(Kind::Bird, 5, "  local role provider;\n");
    let role = |peer: &Peer, ours| neighbor(&peer.setup.own, peer.setup.asn, &format!("role: {ours}, import: all, export: all"));
    let neighbors = [role(&above, "customer"), role(&beside, "peer"), role(&below, "provider"), role(&muddled, "provider")].concat();
    let kubgpd = Kubgpd::start(&us, 64512, &(ACCEPT_ALL.to_owned() + &neighbors + &networks(&[OURS])));
    // Down goes everything, with the mark of who sent it down or across first.
    for (prefix, otc) in [(OURS, "64512"), ("10.2.0.0/24", "65002"), ("10.3.0.0/24", "65003")] {
        below.wait_route(prefix, "from above", |_| true);
        let shown = below.ctl(&format!("show route {prefix} all"));
        assert!(shown.contains(&format!("BGP.otc: {otc}")), "{shown}");
    }
    // Across and up go our own and those from below.
    for peer in [&above, &beside] {
        [OURS, "10.4.0.0/24"].iter().for_each(|prefix| peer.wait_route(prefix, "from us or below", |_| true));
    }
    assert!(above.paths("10.3.0.0/24").is_empty() && beside.paths("10.2.0.0/24").is_empty(), "routes do not come down and go up again");
    eventually(PATIENCE, "roles that do not fit are refused", || kubgpd.log().contains("Role Mismatch"));
    assert!(!muddled.established());
}
