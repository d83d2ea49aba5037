//! What holds for every cluster: sessions of both ends fit together, and what comes out can always be put in force.

use super::*;
use proptest::prelude::*;

/// A node: has IPv4, has IPv6, is a reflector with one of two cluster ids, has an AS number of its own, is a speaker of ours.
type Shape = (bool, bool, Option<bool>, bool, bool);

fn cluster(shapes: &[Shape], mesh: bool, peers: &[Value]) -> Cluster {
    let mut cluster = Cluster::default();
    cluster.add(json!({"kind": "BGPConfiguration", "metadata": {"name": "default"}, "spec": {"nodeToNodeMeshEnabled": mesh}}));
    for (i, (v4, v6, reflector, own_as, ours)) in shapes.iter().enumerate() {
        let mut annotations = json!({});
        // From 10.0.0.8 on, so that the order of texts and that of numbers differ.
        if *v4 {
            annotations["projectcalico.org/IPv4Address"] = json!(format!("10.0.0.{}/24", 8 + i));
        }
        if *v6 {
            annotations["projectcalico.org/IPv6Address"] = json!(format!("fd00::{:x}/64", 8 + i));
        }
        if let Some(second) = reflector {
            annotations["projectcalico.org/RouteReflectorClusterID"] = json!(if *second { "244.0.0.2" } else { "244.0.0.1" });
        }
        if *own_as {
            annotations["projectcalico.org/ASNumber"] = json!("64999");
        }
        let mut labels = if reflector.is_some() { json!({"rr": ""}) } else { json!({"n": format!("{}", i % 2)}) };
        if *ours {
            labels["kubgp.io/speaker"] = json!("true");
        }
        cluster.add(json!({"kind": "Node", "metadata": {"name": format!("n{i}"), "labels": labels, "annotations": annotations}}));
    }
    peers.iter().cloned().for_each(|peer| cluster.add(peer));
    cluster
}

/// The sessions of every node, by node and address.
fn sessions(cluster: &Cluster, count: usize) -> BTreeMap<(usize, IpAddr), Session> {
    let objects = cluster.objects();
    let mut all = BTreeMap::new();
    for i in 0..count {
        let local = Local {
            node: format!("n{i}"),
            roles: Roles { reflector: true, node: true },
            version: Some("v3.32.0".into()),
            router_id: RouterIdRule::Hash,
            ..Local::default()
        };
        let output = translate(&objects, &local).unwrap();
        plan_of(&output);
        all.extend(output.sessions.into_iter().map(|s| ((i, s.address), s)));
    }
    all
}

fn address(i: usize, v4: bool) -> IpAddr {
    if v4 { Ipv4Addr::new(10, 0, 0, 8 + u8::try_from(i).unwrap()).into() } else { format!("fd00::{:x}", 8 + i).parse().unwrap() }
}

/// Whichever side is asked, both have the session, with fitting settings, and at least one connects; in the mesh exactly one.
fn check_pairs(shapes: &[Shape], all: &BTreeMap<(usize, IpAddr), Session>, expected: impl Fn(usize, usize) -> bool) {
    let carried = |a: usize, b: usize, family: IpFamily| {
        let ends = [address(b, true), address(b, false)];
        ends.iter().filter(|end| all.get(&(a, **end)).is_some_and(|s| s.families.contains(&family))).count()
    };
    for a in 0..shapes.len() {
        for b in (0..shapes.len()).filter(|b| *b != a) {
            for (family, both) in [(IpFamily::V4, shapes[a].0 && shapes[b].0), (IpFamily::V6, shapes[a].1 && shapes[b].1)] {
                assert_eq!(carried(a, b, family), usize::from(both && expected(a, b)), "n{a} to n{b} {family:?}");
            }
            for v4 in [true, false] {
                let (Some(here), there) = (all.get(&(a, address(b, v4))), all.get(&(b, address(a, v4)))) else { continue };
                let there = there.unwrap_or_else(|| panic!("n{b} has no session with n{a}"));
                assert_eq!((&here.families, here.is_ebgp, here.port), (&there.families, there.is_ebgp, there.port));
                assert_eq!(here.source, Some(there.address));
                let dialers = usize::from(!here.is_passive) + usize::from(!there.is_passive);
                assert!(dialers >= 1, "nobody connects n{a} and n{b}");
                if here.kind == SessionKind::Mesh || (here.kind, there.kind) == (SessionKind::Global, SessionKind::Global) {
                    assert_eq!(dialers, 1, "both connect n{a} and n{b}");
                }
            }
        }
    }
}

fn shapes() -> impl Strategy<Value = Vec<Shape>> {
    let reflector = prop_oneof![3 => Just(None), 1 => any::<bool>().prop_map(Some)];
    prop::collection::vec((prop::bool::weighted(0.8), prop::bool::weighted(0.6), reflector, prop::bool::weighted(0.2), any::<bool>()), 2..7)
}

#[test]
fn one_node_more_touches_one_session() {
    let shapes: Vec<Shape> = (0..200).map(|i| (true, false, (i == 0).then_some(false), false, false)).collect();
    let peer = json!({"kind": "BGPPeer", "metadata": {"name": "rr"}, "spec": {"nodeSelector": "!has(rr)", "peerSelector": "has(rr)"}});
    let local =
        Local { node: "n0".into(), roles: Roles { reflector: true, node: false }, version: Some("v3.32.0".into()), ..Local::default() };
    let plan = |count: usize| {
        let cluster = cluster(&shapes[..count], false, std::slice::from_ref(&peer));
        plan_of(&translate(&cluster.objects(), &local).unwrap())
    };
    let (before, after) = (plan(199), plan(200));
    assert_eq!((before.peers.len(), after.peers.len()), (198, 199));
    let actions = crate::config::diff(&before, &after);
    assert!(matches!(actions.as_slice(), [crate::config::Action::AddPeer(peer)] if peer.name == "Node_10_0_0_207"), "{actions:?}");
    assert_eq!(crate::config::diff(&after, &before).len(), 1);
}

/// Specs of peers with whatever the API lets through: each field there or not.
fn peer_spec() -> impl Strategy<Value = Value> {
    let ways = prop_oneof![
        prop::sample::select(vec!["10.0.0.8", "10.0.0.9:1790", "fd00::8", "fe80::1", "0.0.0.0", "[fd00:1::1]:179", "10.9.9.9", "what"])
            .prop_map(|ip| json!({"peerIP": ip, "asNumber": 64512})),
        Just(json!({"peerIP": "10.9.9.8", "asNumber": "65535.65535", "localASNumber": 4_294_967_295u32})),
        Just(json!({"peerSelector": "n == '0' || has(rr)"})),
        Just(json!({"localWorkloadSelector": "all()", "asNumber": 65000})),
    ];
    let extra = prop::sample::subsequence(
        vec![
            ("numAllowedLocalASNumbers", json!(300)),
            ("ttlSecurity", json!(255)),
            ("keepaliveTime", json!("1500ms")),
            ("maxRestartTime", json!("100h0m0.5s")),
            ("nextHopMode", json!("Keep")),
            ("keepOriginalNextHop", json!(true)),
            ("sourceAddress", json!("None")),
            ("filters", json!(["f", "broken", "missing"])),
            ("nodeSelector", json!("!has(rr)")),
            ("localASNumber", json!(64999)),
            ("password", json!({"secretKeyRef": {"name": "x", "key": "k"}})),
            ("reachableBy", json!("10.0.0.8")),
        ],
        0..12,
    );
    (ways, extra).prop_map(|(mut spec, extra)| {
        extra.into_iter().for_each(|(key, value)| spec[key] = value);
        spec
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_pair_of_the_mesh_has_one_session_per_family(shapes in shapes()) {
        let cluster = cluster(&shapes, true, &[]);
        let all = sessions(&cluster, shapes.len());
        check_pairs(&shapes, &all, |a, b| shapes[a].2.is_none() && shapes[b].2.is_none());
        prop_assert!(all.values().all(|s| s.kind == SessionKind::Mesh && !s.is_client));
    }

    #[test]
    fn both_ends_of_a_selected_peering_have_it(shapes in shapes(), global in any::<bool>(), mesh in any::<bool>()) {
        let selector = if global { "" } else { "!has(rr)" };
        let peer = json!({"kind": "BGPPeer", "metadata": {"name": "rr"}, "spec": {"nodeSelector": selector, "peerSelector": "has(rr)"}});
        let cluster = cluster(&shapes, mesh, &[peer]);
        let all = sessions(&cluster, shapes.len());
        let is_rr = |i: usize| shapes[i].2.is_some();
        check_pairs(&shapes, &all, |a, b| match (is_rr(a), is_rr(b)) {
            (false, false) => mesh,
            (true, true) => global,
            _ => true,
        });
        for ((i, _), session) in &all {
            let peer: usize = session.node.as_ref().unwrap()[1..].parse().unwrap();
            let same_as = shapes[*i].3 == shapes[peer].3;
            prop_assert_eq!(session.is_client, is_rr(*i) && same_as && shapes[*i].2 != shapes[peer].2);
        }
    }

    #[test]
    fn an_address_of_a_node_is_peered_back(shapes in shapes(), target in 0usize..7, global in any::<bool>(), manual in any::<bool>()) {
        let target = target % shapes.len();
        prop_assume!(shapes[target].0);
        let asn = if shapes[target].3 { 64999 } else { 64512 };
        let spec = json!({
            "node": if global { "" } else { "n0" }, "peerIP": address(target, true).to_string(), "asNumber": asn,
            "reversePeering": if manual { "Manual" } else { "Auto" }
        });
        let peer = json!({"kind": "BGPPeer", "metadata": {"name": "p"}, "spec": spec});
        let cluster = cluster(&shapes, false, &[peer]);
        let all = sessions(&cluster, shapes.len());
        for i in (0..shapes.len()).filter(|i| *i != target) {
            // A session can be asked for from any node, the way back needs an address to go to.
            prop_assert_eq!(all.contains_key(&(i, address(target, true))), global || i == 0);
            prop_assert_eq!(all.contains_key(&(target, address(i, true))), !manual && (global || i == 0) && shapes[i].0);
        }
    }

    #[test]
    fn whatever_objects_say_can_be_put_in_force(shapes in shapes(), specs in prop::collection::vec(peer_spec(), 0..5), mesh in any::<bool>()) {
        let peer = |(i, spec): (usize, Value)| json!({"kind": "BGPPeer", "metadata": {"name": format!("p{i}")}, "spec": spec});
        let mut objects: Vec<Value> = specs.into_iter().enumerate().map(peer).collect();
        let rules = json!([
            {"action": "Accept", "cidr": "10.0.0.1/8", "matchOperator": "In", "prefixLength": {"min": 30, "max": 20}},
            {"action": "Accept", "cidr": "10.0.0.0/8", "matchOperator": "NotIn", "prefixLength": {"min": 0, "max": 200}},
            {"action": "Accept", "priority": 4_294_967_295u32, "operations": [{"setPriority": {"value": 0}}]},
            {"action": "Accept", "asPathPrefix": [4_294_967_295u32], "operations": [{"prependASPath": {"prefix": [1, 2, 2, 1]}}]},
            {"action": "Accept", "operations": [{"addCommunity": {"value": "65535:65535"}}, {"addCommunity": {"value": "65535:65535"}}]},
            {"action": "Reject"}
        ]);
        let spec = json!({"exportV4": rules.clone(), "importV4": rules});
        objects.push(json!({"kind": "BGPFilter", "metadata": {"name": "f"}, "spec": spec}));
        objects.push(json!({"kind": "BGPFilter", "metadata": {"name": "broken"}, "spec": {"exportV6": [{"action": "x"}]}}));
        let cluster = cluster(&shapes, mesh, &objects);
        // The check of the configuration is part of it.
        sessions(&cluster, shapes.len());
    }
}
