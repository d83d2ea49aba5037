//! Our daemon driven by the objects of a cluster, and other daemons as its nodes and routers.

use crate::cluster::{Cluster, calico, with};
use crate::lab::{Lab, PATIENCE, eventually, v4};
use crate::peers::{Kind, Peer, Route, Setup, one_of_each};
use crate::us::Kubgpd;
use serde_json::{Value, json};

fn metallb(kind: &str, version: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": format!("metallb.io/{version}"), "kind": kind, "metadata": {"namespace": "default", "name": name}, "spec": spec})
}

/// Node `nN` with the address of host N.
fn node(number: u8) -> Value {
    let annotations = json!({"projectcalico.org/IPv4Address": format!("{}/24", v4(number))});
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("n{number}"), "annotations": annotations}})
}

/// The reflector is host 1; the nodes peer with it and with nobody else.
fn reflector_cluster(cluster: &mut Cluster, nodes: &[u8], settings: Value) {
    let mut own = node(1);
    own["metadata"]["labels"] = json!({"route-reflector": "true"});
    own["metadata"]["annotations"]["projectcalico.org/RouteReflectorClusterID"] = json!("10.0.0.1");
    cluster.put(own);
    nodes.iter().for_each(|number| cluster.put(node(*number)));
    let all = json!({"asNumber": 64512, "nodeToNodeMeshEnabled": false});
    cluster.put(calico("BGPConfiguration", "default", with(all, settings)));
    cluster.put(calico("ClusterInformation", "default", json!({"calicoVersion": "v3.31.0", "datastoreReady": true})));
    cluster.put(calico("IPPool", "pods", json!({"cidr": "10.244.0.0/16", "ipipMode": "Never", "vxlanMode": "Never"})));
    let selectors = json!({"nodeSelector": "!has(route-reflector)", "peerSelector": "has(route-reflector)"});
    cluster.put(calico("BGPPeer", "to-reflectors", selectors));
}

/// A Service with an address and an endpoint on node `n1`.
fn service(cluster: &mut Cluster, address: &str) {
    let spec = json!({"type": "LoadBalancer", "clusterIP": "10.96.0.7", "externalTrafficPolicy": "Local"});
    let status = json!({"loadBalancer": {"ingress": [{"ip": address}]}});
    let metadata = json!({"namespace": "shop", "name": "web"});
    cluster.put(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec, "status": status}));
    let metadata = json!({"namespace": "shop", "name": "web", "labels": {"kubernetes.io/service-name": "web"}});
    let endpoint = json!({"addresses": ["10.244.0.9"], "nodeName": "n1", "conditions": {"ready": true}});
    cluster.put(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata, "addressType": "IPv4",
        "endpoints": [endpoint]}));
}

#[test]
fn one_session_with_a_router_that_both_kinds_of_objects_name() {
    const VIP: &str = "203.0.113.5/32";
    const BLOCK: &str = "10.244.3.0/26";
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let own = lab.host(1);
    let mut cluster = Cluster::start(&own);
    reflector_cluster(&mut cluster, &[3], json!({}));
    let (tor_address, client_address) = (v4(2), v4(3));
    cluster.put(calico("BGPPeer", "tor", json!({"node": "n1", "peerIP": tor_address, "asNumber": 65001})));
    let metallb_tor = |asn: u32| metallb("BGPPeer", "v1beta2", "tor", json!({"myASN": 64512, "peerASN": asn, "peerAddress": tor_address}));
    cluster.put(metallb_tor(65001));
    cluster.put(metallb("IPAddressPool", "v1beta1", "public", json!({"addresses": ["203.0.113.0/24"]})));
    cluster.put(metallb("BGPAdvertisement", "v1beta1", "all", json!({"ipAddressPools": ["public"]})));
    service(&mut cluster, "203.0.113.5");
    let us = Kubgpd::start(&own, 64512, &cluster.section(&own, "n1", "vip, reflector"));
    let start = |kind: Kind, asn: u32, network: &str| {
        let host = lab.host(kind.number());
        let setup = Setup::new(&host, asn).networks(&[network]);
        Peer::start(kind, &host, setup)
    };
    let tor = start(Kind::Frr, 65001, "10.244.9.0/26");
    let client = start(Kind::Bird, 64512, BLOCK);

    // Addresses of Services to the router alone, blocks to both, the router's to the client.
    let from_us = |route: &Route| route.next_hop == v4(1) && route.as_path == "64512";
    tor.wait_route(VIP, "from us", from_us);
    tor.wait_route(BLOCK, "from us", from_us);
    client.wait_route("10.244.9.0/26", "by the router's own address", |route| route.next_hop == tor_address);
    assert_eq!(client.paths(VIP), []);

    cluster.put(metallb_tor(65009));
    let said = |object: &str| us.ctl(&["show", "config"]).lines().any(|line| line.starts_with(&format!("# error: {object}: ")));
    let told = || said("BGPPeer tor: spec.asNumber") && said("BGPPeer default/tor: spec.peerASN");
    eventually(PATIENCE, "the conflict is reported on both objects", told);
    assert!(!tor.paths(VIP).is_empty() && !tor.paths(BLOCK).is_empty() && client.established());
    cluster.put(metallb_tor(65001));
    eventually(PATIENCE, "both agree again", || !us.ctl(&["show", "config"]).contains("# error"));
    for address in [&tor_address, &client_address] {
        let shown = us.neighbor(address);
        let sessions = us.log().lines().filter(|l| l.contains("session established") && l.contains(&format!("peer={address} "))).count();
        assert_eq!(sessions, 1, "the session with {address} has never ended: {shown}");
    }
}

#[test]
fn all_paths_to_an_address_of_a_service_pass_a_reflector() {
    const VIP: &str = "203.0.113.9/32";
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let own = lab.host(1);
    let mut cluster = Cluster::start(&own);
    reflector_cluster(&mut cluster, &[2, 3, 4], json!({"serviceLoadBalancerIPs": [{"cidr": "203.0.113.0/24"}]}));
    let _us = Kubgpd::start(&own, 64512, &cluster.section(&own, "n1", "reflector"));
    let peers = one_of_each(&lab, |kind, host| {
        // Calico's nodes are BIRD, with add-path in both directions.
        let is_reader = kind == Kind::Bird;
        Setup { add_path: is_reader, ..Setup::new(host, 64512).networks(if is_reader { &[] } else { &[VIP] }) }
    });
    let reader = peers.iter().find(|peer| peer.kind == Kind::Bird).unwrap();
    for peer in peers.iter().filter(|peer| peer.kind != Kind::Bird) {
        let hop = v4(peer.kind.number());
        reader.wait_route(VIP, &format!("by {hop}"), |route| route.next_hop == hop);
    }
    let mut hops: Vec<String> = reader.paths(VIP).into_iter().map(|route| route.next_hop).collect();
    hops.sort();
    assert_eq!(hops, [v4(2), v4(4)]);
}
