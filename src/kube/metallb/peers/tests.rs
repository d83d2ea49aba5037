//! The fragments are valid configuration, and tags stay where they are.

use super::*;
use crate::config::plan::{NetworkPlan, PeerPlan, SecretSource};
use crate::config::{Host, Plan, check};
use crate::kube::metallb::announce::Announcement;
use crate::kube::metallb::check::Objects;
use crate::policy::{Outcome, PeerKind, RouteView};
use serde_json::json;

struct Machine;

impl Host for Machine {
    fn secret(&self, _source: &SecretSource) -> Result<Vec<u8>, String> {
        Ok(b"from the map".to_vec())
    }

    fn router_id(&self) -> Option<Ipv4Addr> {
        Some(Ipv4Addr::new(10, 0, 0, 1))
    }
}

fn config() -> Config {
    let peer = |name: &str, address: &str, asn: u32| {
        let spec = json!({ "myASN": 64500, "peerASN": asn, "peerAddress": address, "holdTime": "9s", "connectTime": "7s" });
        Arc::new(serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec })).unwrap())
    };
    let peers = vec![peer("a", "10.9.0.1", 64501), peer("b", "10.9.0.2", 64500)];
    Config::build(&Objects { peers, ..Objects::default() }, &Config::default())
}

fn announcement(prefix: &str, peers: &[(&str, &str)]) -> Announcement {
    let attributes = |text: &str| Attributes {
        local_pref: (!text.is_empty()).then_some(200),
        communities: text.split(' ').filter(|t| !t.is_empty()).map(|t| AnyCommunity::parse(t).unwrap()).collect(),
    };
    Announcement {
        prefix: prefix.parse().unwrap(),
        everybody: None,
        peers: Arc::new(peers.iter().map(|(name, text)| ((*name).to_owned(), attributes(text))).collect()),
        services: BTreeSet::new(),
        conflict: false,
        attracted: BTreeSet::new(),
    }
}

fn plan(lowering: &mut Lowering, announcements: &[Announcement], tags: usize) -> Plan {
    let around = Surroundings { tags, ..Surroundings::default() };
    let lowered = lowering.lower(&config(), &Labels::new(), announcements, &around);
    assert_eq!(lowered.complaints, []);
    check(File::default(), &[lowered.input], &Machine).unwrap_or_else(|complaints| panic!("{complaints:?}"))
}

/// What a peer is sent: communities and LOCAL_PREF, or `-`.
fn sent(peer: &PeerPlan, network: &NetworkPlan) -> String {
    let route = RouteView { prefix: &network.prefix, attrs: &network.attrs, neighbor: None, kind: PeerKind::Local };
    match peer.session.export.apply(route) {
        Outcome::Accept(attrs) => {
            let communities: Vec<String> = attrs.communities().map(|c| format!("{}:{}", c >> 16, c & 0xffff)).collect();
            format!("{} {}", communities.join(","), attrs.head().local_pref().unwrap_or(100))
        }
        Outcome::Reject(_) => "-".to_owned(),
    }
}

#[test]
fn every_peer_gets_what_is_announced_to_it_and_gives_nothing() {
    let announcements = [
        announcement("10.0.0.1/32", &[("a", "1:1"), ("b", "1:1")]),
        announcement("10.0.0.2/32", &[("a", "")]),
        announcement("10.0.0.3/32", &[("a", "1:1"), ("b", "2:2")]),
        announcement("10.0.0.4/32", &[("b", "3:3")]),
    ];
    // With and without tags it comes to the same.
    for tags in [16, 1, 0] {
        let plan = plan(&mut Lowering::default(), &announcements, tags);
        assert_eq!(plan.router.asn.get(), 64500);
        let table: Vec<Vec<String>> = plan.peers.values().map(|peer| plan.networks.values().map(|n| sent(peer, n)).collect()).collect();
        assert_eq!(table, [["1:1 200", " 100", "1:1 200", "-"], ["1:1 200", "-", "2:2 200", "3:3 200"]], "{tags} tags");
        for peer in plan.peers.values() {
            let network = plan.networks.values().next().unwrap();
            let learned = RouteView { prefix: &network.prefix, attrs: &network.attrs, neighbor: Some(peer.address), kind: PeerKind::Ebgp };
            assert!(matches!(peer.session.import.apply(learned), Outcome::Reject(_)));
            assert!(matches!(peer.session.export.apply(learned), Outcome::Reject(_)), "routes of others are not passed on");
        }
    }
}

#[test]
fn neighbors_of_the_file_keep_their_sessions_and_their_names() {
    let file = json!({ "router": { "asn": 64500 }, "neighbors": [{ "address": "10.9.0.1", "asn": 64501 }, { "name": "b", "address": "10.9.0.9", "asn": 1 }] });
    let around = Surroundings { names: ["10.9.0.1", "b"].map(str::to_owned).into(), ..Surroundings::default() };
    let lowered = Lowering::default().lower(&config(), &Labels::new(), &[], &around);
    let plan = check(serde_json::from_value(file).unwrap(), &[lowered.input], &Machine).unwrap();
    let names: Vec<_> = plan.peers.values().map(|peer| peer.name.as_str()).collect();
    assert_eq!(names, ["10.9.0.1", "metallb-b", "b"]);
}

#[test]
fn passwords_are_found_by_the_name_of_the_object() {
    let spec = json!({ "myASN": 64500, "peerASN": 64501, "peerAddress": "10.9.0.1", "password": "s3cret" });
    let peers = vec![Arc::new(serde_json::from_value(json!({ "metadata": { "namespace": "m", "name": "a" }, "spec": spec })).unwrap())];
    let config = Config::build(&Objects { peers, ..Objects::default() }, &Config::default());
    let lowered = Lowering::default().lower(&config, &Labels::new(), &[], &Surroundings::default());
    assert_eq!(lowered.secrets["BGPPeer m/a"].expose(), b"s3cret");
    assert!(!format!("{lowered:?}").contains("s3cret"), "secrets are not printed");
    let plan = check(File::default(), &[lowered.input], &Machine).unwrap();
    let password = plan.peers.values().next().unwrap().session.password.clone().unwrap();
    assert_eq!((password.source, password.value.expose()), (SecretSource::Secret("BGPPeer m/a".to_owned()), &b"from the map"[..]));
}

#[test]
fn a_prefix_that_comes_touches_no_session_and_no_other_prefix() {
    let mut lowering = Lowering::default();
    let mut announcements = vec![announcement("10.0.0.1/32", &[("a", "1:1"), ("b", "1:1")]), announcement("10.0.0.2/32", &[("b", "")])];
    let before = plan(&mut lowering, &announcements, 16);
    announcements.push(announcement("10.0.0.3/32", &[("b", "9:9")]));
    let after = plan(&mut lowering, &announcements, 16);
    assert_eq!(before.peers, after.peers);
    assert!(before.networks.iter().all(|(prefix, network)| after.networks.get(prefix) == Some(network)));
    // A class that comes, or goes, moves no tag of another.
    announcements.push(announcement("10.0.0.4/32", &[("a", "9:9")]));
    announcements.remove(0);
    let later = plan(&mut lowering, &announcements, 16);
    assert_eq!(after.networks[&"10.0.0.2/32".parse().unwrap()], later.networks[&"10.0.0.2/32".parse().unwrap()]);
}
