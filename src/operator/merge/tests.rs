//! Objects of both kinds in, neighbors and what they are sent out.

use super::*;
use crate::config::plan::{NetworkPlan, Password, PeerPlan, Plan, SecretSource};
use crate::config::{Host, check};
use crate::kube::calico::objects::{BgpConfiguration, BgpPeer, CRD_V1, ClusterInformation, IpPool};
use crate::kube::calico::{Local, Objects, Roles, Severity};
use crate::kube::metallb::announce::{Announcement, Attributes};
use crate::kube::metallb::check::Objects as MetallbObjects;
use crate::kube::metallb::model::Config;
use crate::kube::metallb::peers::{Lowering, Surroundings};
use crate::kube::objects::{Node, Object, Secret as SecretObject, SecretData};
use crate::policy::{Outcome, PeerKind, RouteView};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The cluster that a test changes, and what remembers.
struct World {
    calico_peers: Vec<(&'static str, Value)>,
    metallb_peers: Vec<(&'static str, Value)>,
    service_ranges: Vec<&'static str>,
    secret: &'static str,
    merger: Merger,
    lowering: Lowering,
}

struct Machine(BTreeMap<String, Secret>);

impl Host for Machine {
    fn secret(&self, source: &SecretSource) -> Result<Vec<u8>, String> {
        let SecretSource::Secret(name) = source else { return Err(String::new()) };
        self.0.get(name).map(|key| key.expose().to_vec()).ok_or_else(|| format!("no {name}"))
    }

    fn router_id(&self) -> Option<Ipv4Addr> {
        Some(Ipv4Addr::new(10, 0, 0, 1))
    }
}

impl World {
    /// A ToR that both kinds name, a reflector for Calico's routes alone, another router for addresses of Services alone.
    fn new() -> Self {
        Self {
            calico_peers: vec![
                ("tor", json!({"peerIP": TOR, "asNumber": 65001})),
                ("reflector", json!({"peerIP": REFLECTOR, "asNumber": 64512})),
            ],
            metallb_peers: vec![("tor", metallb(TOR, 65001)), ("edge", metallb(EDGE, 65002))],
            service_ranges: Vec::new(),
            secret: "s3cret",
            merger: Merger::default(),
            lowering: Lowering::default(),
        }
    }

    fn calico(&self) -> calico::Output {
        fn crd<T: Object>(name: &str, spec: &Value) -> T {
            T::parse(&CRD_V1, json!({"metadata": {"name": name}, "spec": spec})).unwrap()
        }
        let node: Node = serde_json::from_value(json!({"metadata": {"name": "n1", "annotations": {
            "projectcalico.org/IPv4Address": "10.0.0.1/24"}}}))
        .unwrap();
        let ranges: Vec<_> = self.service_ranges.iter().map(|cidr| json!({"cidr": cidr})).collect();
        let configuration: BgpConfiguration =
            crd("default", &json!({"asNumber": 64512, "nodeToNodeMeshEnabled": false, "serviceLoadBalancerIPs": ranges}));
        let information: ClusterInformation = crd("default", &json!({"calicoVersion": "v3.31.0"}));
        let pool: IpPool = crd("pods", &json!({"cidr": "10.244.0.0/16"}));
        let peers: Vec<BgpPeer> = self.calico_peers.iter().map(|(name, spec)| crd(name, spec)).collect();
        let mut secret: SecretObject = serde_json::from_value(json!({"metadata": {"name": "bgp", "namespace": "kube-system"}})).unwrap();
        secret.data.insert("key".to_owned(), SecretData(self.secret.as_bytes().to_vec()));
        let objects = Objects {
            nodes: vec![&node],
            configurations: vec![&configuration],
            peers: peers.iter().collect(),
            pools: vec![&pool],
            secrets: vec![&secret],
            cluster_information: Some(&information),
            ..Objects::default()
        };
        let local = Local {
            node: "n1".to_owned(),
            roles: Roles { reflector: true, node: false },
            secret_namespace: "kube-system".to_owned(),
            ..Local::default()
        };
        calico::translate(&objects, &local).unwrap()
    }

    fn merged(&mut self) -> (Plan, Vec<Report>) {
        let peer = |(name, spec): &(&str, Value)| {
            Arc::new(serde_json::from_value(json!({"metadata": {"namespace": "m", "name": name}, "spec": spec})).unwrap())
        };
        let config = Config::build(
            &MetallbObjects { peers: self.metallb_peers.iter().map(peer).collect(), ..MetallbObjects::default() },
            &Config::default(),
        );
        let announcements = [announcement(VIP, &["tor", "edge"]), announcement(VIP_OF_EDGE, &["edge"])];
        let around = Surroundings { tags: 8, ..Surroundings::default() };
        let lowered = self.lowering.lower(&config, &Default::default(), &announcements, &around);
        let Merged { fragments, secrets, mut reports, .. } = self.merger.merge(self.calico(), lowered);
        reports.retain(|r| r.severity == Severity::Error);
        let plan = check(File::default(), &fragments, &Machine(secrets)).unwrap_or_else(|complaints| panic!("{complaints:?}"));
        (plan, reports)
    }
}

fn metallb(address: &str, asn: u32) -> Value {
    json!({"myASN": 64512, "peerASN": asn, "peerAddress": address})
}

fn announcement(prefix: &str, peers: &[&str]) -> Announcement {
    let attributes = Attributes { local_pref: None, communities: BTreeSet::new() };
    Announcement {
        prefix: prefix.parse().unwrap(),
        everybody: None,
        peers: Arc::new(peers.iter().map(|name| ((*name).to_owned(), attributes.clone())).collect()),
        services: BTreeSet::new(),
        conflict: false,
        attracted: BTreeSet::new(),
    }
}

fn peer<'a>(plan: &'a Plan, address: &str) -> &'a PeerPlan {
    &plan.peers[&address.parse::<IpAddr>().unwrap()]
}

/// Which of our prefixes a peer is sent, and whether it is sent a block that a client announced.
fn sent(plan: &Plan, address: &str) -> Vec<String> {
    let export = &peer(plan, address).session.export;
    let accepts = |view: RouteView<'_>| matches!(export.apply(view), Outcome::Accept(_));
    let ours = |n: &&NetworkPlan| accepts(RouteView { prefix: &n.prefix, attrs: &n.attrs, neighbor: None, kind: PeerKind::Local });
    let mut all: Vec<String> = plan.networks.values().filter(ours).map(|n| n.prefix.to_string()).collect();
    let attrs = &plan.networks.values().next().unwrap().attrs;
    for prefix in [BLOCK, "198.51.100.0/24"] {
        let net = prefix.parse().unwrap();
        if accepts(RouteView { prefix: &net, attrs, neighbor: Some(Ipv4Addr::new(10, 0, 0, 7).into()), kind: PeerKind::Client }) {
            all.push(prefix.to_owned());
        }
    }
    all
}

fn objects(reports: &[Report]) -> Vec<(&str, &str)> {
    reports.iter().map(|r| (r.object.as_str(), r.field.as_str())).collect()
}

#[test]
fn one_session_carries_both_kinds_of_routes_and_others_only_their_own() {
    let (plan, reports) = World::new().merged();
    assert_eq!(reports, []);
    assert_eq!(plan.peers.len(), 3);
    assert_eq!(peer(&plan, TOR).name, "Global_10_0_0_254");
    assert_eq!(sent(&plan, TOR), [VIP, BLOCK]);
    assert_eq!(sent(&plan, REFLECTOR), [BLOCK], "addresses of Services are for those that MetalLB's objects name");
    assert_eq!(sent(&plan, EDGE), [VIP, VIP_OF_EDGE], "blocks are for those that Calico's objects name");
    // What such a peer tells is Calico's to take; one that MetalLB's objects alone name is not listened to.
    let route = |address: &str| {
        let prefix: IpNet = "0.0.0.0/0".parse().unwrap();
        let attrs = &plan.networks.values().next().unwrap().attrs;
        let view = RouteView { prefix: &prefix, attrs, neighbor: Some(address.parse().unwrap()), kind: PeerKind::Ebgp };
        matches!(peer(&plan, address).session.import.apply(view), Outcome::Accept(_))
    };
    assert!(route(TOR) && !route(EDGE));
}

#[test]
fn what_calico_announces_too_goes_to_its_peers() {
    let mut world = World::new();
    world.service_ranges.push("203.0.113.0/28");
    let (plan, _) = world.merged();
    assert_eq!(sent(&plan, REFLECTOR), [VIP, VIP_OF_EDGE, BLOCK]);
    let networks = vec![Network { prefix: Some(VIP.parse().unwrap()), ..Network::default() }];
    let mut output = world.calico();
    output.input.file.originate.get_or_insert_default().networks = Some(networks);
    let lowered = world.lowering.lower(&Config::default(), &Default::default(), &[announcement(VIP, &["tor"])], &Surroundings::default());
    let merged = Merger::default().merge(output, lowered);
    let plan = check(File::default(), &merged.fragments, &Machine(merged.secrets)).unwrap();
    assert_eq!(plan.networks.len(), 1, "one route, announced by both");
}

#[test]
fn a_conflict_is_reported_on_both_objects_and_what_was_in_force_stays() {
    let mut world = World::new();
    let (before, _) = world.merged();
    world.metallb_peers[0].1["peerASN"] = json!(65009);
    let (after, reports) = world.merged();
    assert_eq!(objects(&reports), [("BGPPeer tor", "spec.asNumber"), ("BGPPeer m/tor", "spec.peerASN")]);
    assert!(reports[0].message.starts_with("AS 65001 for 10.0.0.254, but MetalLB's BGPPeer m/tor says AS 65009; "), "{reports:?}");
    assert_eq!(peer(&before, TOR), peer(&after, TOR));
    assert_eq!(sent(&after, TOR), [VIP, BLOCK]);
    // The other side follows: then both are in force again.
    world.calico_peers[0].1["asNumber"] = json!(65009);
    let (later, reports) = world.merged();
    assert_eq!(reports, []);
    assert_ne!(peer(&before, TOR).session.remote_as, peer(&later, TOR).session.remote_as);
}

#[test]
fn a_conflict_from_the_start_leaves_the_session_to_calico() {
    let mut world = World::new();
    world.metallb_peers[0].1["peerPort"] = json!(1790);
    let (plan, reports) = world.merged();
    assert_eq!(objects(&reports), [("BGPPeer tor", "spec.peerIP"), ("BGPPeer m/tor", "spec.peerPort")]);
    assert_eq!((peer(&plan, TOR).port, sent(&plan, TOR)), (179, vec![BLOCK.to_owned()]));
}

#[test]
fn an_object_that_comes_later_and_disagrees_takes_nothing_over() {
    let mut world = World::new();
    let tor = world.calico_peers.remove(0);
    let (before, _) = world.merged();
    world
        .calico_peers
        .push((tor.0, json!({"peerIP": TOR, "asNumber": 65001, "password": {"secretKeyRef": {"name": "bgp", "key": "key"}}})));
    let (after, reports) = world.merged();
    assert_eq!(objects(&reports), [("BGPPeer tor", "spec.password"), ("BGPPeer m/tor", "spec.password")]);
    assert!(!reports.iter().any(|r| r.message.contains("s3cret")), "{reports:?}");
    assert_eq!(peer(&before, TOR).session, peer(&after, TOR).session);
    assert_eq!(sent(&after, TOR), [VIP]);
}

#[test]
fn a_key_that_only_one_side_changes_stays_what_it_was() {
    let key = |plan: &Plan| peer(plan, TOR).session.password.clone().map(|Password { value, .. }| value);
    let mut world = World::new();
    world.calico_peers[0].1["password"] = json!({"secretKeyRef": {"name": "bgp", "key": "key"}});
    world.metallb_peers[0].1["password"] = json!("s3cret");
    let (before, reports) = world.merged();
    assert_eq!((reports, key(&before)), (Vec::new(), Some(Secret::new(b"s3cret".to_vec()))));
    world.secret = "other!";
    let (during, reports) = world.merged();
    assert_eq!((reports.len(), key(&during)), (2, key(&before)));
    let changes = |old: &Plan, new: &Plan| {
        let actions = crate::config::diff(old, new);
        actions.iter().filter(|a| matches!(a, crate::config::Action::ChangePeer { change, .. } if change.reset)).count()
    };
    assert_eq!(changes(&before, &during), 0);
    world.metallb_peers[0].1["password"] = json!("other!");
    let (after, reports) = world.merged();
    assert_eq!((reports, key(&after)), (Vec::new(), Some(Secret::new(b"other!".to_vec()))));
    assert_ne!(key(&during), key(&after));
    assert_eq!(changes(&during, &after), 0, "an open connection takes another key");
}

#[test]
fn an_object_that_joins_or_leaves_resets_no_session() {
    let mut world = World::new();
    let (both, _) = world.merged();
    let tor = world.metallb_peers.remove(0);
    let (calico_only, _) = world.merged();
    assert_eq!(sent(&calico_only, TOR), [BLOCK]);
    world.metallb_peers.push(tor);
    let (again, _) = world.merged();
    for (old, new) in [(&both, &calico_only), (&calico_only, &again)] {
        let reset = |a: &crate::config::Action| matches!(a, crate::config::Action::ChangePeer { change, .. } if change.reset);
        assert!(!crate::config::diff(old, new).iter().any(reset));
    }
}

#[test]
fn a_family_that_only_one_side_wants_carries_only_its_routes() {
    let mut world = World::new();
    world.metallb_peers[0].1["dualStackAddressFamily"] = json!(true);
    let (plan, reports) = world.merged();
    assert_eq!(reports, []);
    let session = &peer(&plan, TOR).session;
    assert_eq!(session.families, crate::wire::FamilySet::ALL);
    let prefix: IpNet = "2001:db8::/64".parse().unwrap();
    let attrs = &plan.networks.values().next().unwrap().attrs;
    let view = RouteView { prefix: &prefix, attrs, neighbor: Some(TOR.parse().unwrap()), kind: PeerKind::Ebgp };
    assert!(matches!(session.import.apply(view), Outcome::Reject(_)));
}

#[test]
fn the_file_decides_over_the_session_and_the_objects_over_routes_where_it_says_nothing() {
    let mut world = World::new();
    let (objects, _) = world.merged();
    let merged = {
        let mut fresh = World::new();
        let lowered = fresh.lowering.lower(&Config::default(), &Default::default(), &[], &Surroundings::default());
        fresh.merger.merge(fresh.calico(), lowered)
    };
    let file = |more: Value| {
        let mut neighbor = json!({"name": "tor-a", "address": TOR, "asn": 65001, "holdTime": "9s"});
        neighbor.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value::<File>(json!({"neighbors": [neighbor], "policies": {"none": [{"action": "reject"}]}})).unwrap()
    };
    let plan = |file| check(file, &merged.fragments, &Machine(merged.secrets.clone())).unwrap();
    let open = plan(file(json!({})));
    assert_eq!((peer(&open, TOR).name.as_str(), peer(&open, TOR).session.hold_time.as_secs()), ("tor-a", 9));
    assert_eq!(peer(&open, TOR).session.import, peer(&objects, TOR).session.import);
    let closed = plan(file(json!({"export": "none"})));
    assert_ne!(peer(&closed, TOR).session.export, peer(&open, TOR).session.export);
}

const TOR: &str = "10.0.0.254";
const REFLECTOR: &str = "10.0.0.9";
const EDGE: &str = "10.0.0.253";
const VIP: &str = "203.0.113.5/32";
const VIP_OF_EDGE: &str = "203.0.113.6/32";
const BLOCK: &str = "10.244.7.0/26";
