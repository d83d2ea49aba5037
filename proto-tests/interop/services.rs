//! The role `vip` with FRR as the top-of-rack router: objects of a cluster in, FRR's table out.

use crate::apiserver::ApiServer;
use crate::lab::{Lab, PATIENCE, eventually};
use crate::peers::{Kind, Peer, Setup};
use crate::us::Kubgpd;
use serde_json::{Value, json};

fn object(api: &str, kind: &str, name: &str, more: Value) -> Value {
    let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"namespace": "metallb-system", "name": name}});
    if let (Some(object), Some(more)) = (object.as_object_mut(), more.as_object()) {
        object.extend(more.clone());
    }
    object
}

fn metallb(kind: &str, name: &str, spec: Value) -> Value {
    let version = if kind == "BGPPeer" { "v1beta2" } else { "v1beta1" };
    object(&format!("metallb.io/{version}"), kind, name, json!({"spec": spec}))
}

fn secret(encoded: &str) -> Value {
    object("v1", "Secret", "tor", json!({"type": "kubernetes.io/basic-auth", "data": {"password": encoded}}))
}

fn service(name: &str, addresses: &[&str]) -> Value {
    let ingress: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
    let spec = json!({"type": "LoadBalancer", "clusterIP": "10.96.0.7", "externalTrafficPolicy": "Cluster"});
    object("v1", "Service", name, json!({"spec": spec, "status": {"loadBalancer": {"ingress": ingress}}}))
}

fn slice(service: &str, ready: bool) -> Value {
    let endpoints = json!([{"addresses": ["10.244.0.9"], "nodeName": "n2", "conditions": {"ready": ready}}]);
    let mut slice = object("discovery.k8s.io/v1", "EndpointSlice", service, json!({"addressType": "IPv4", "endpoints": endpoints}));
    slice["metadata"]["labels"] = json!({"kubernetes.io/service-name": service});
    slice
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frr_learns_the_addresses_of_services() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let (us, frr) = (lab.host(1), lab.host(2));
    // The API server runs in the process of the test, outside of the namespaces.
    let server = ApiServer::start_at((lab.uplink(&us), 0).into()).await.unwrap();
    server.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}));
    server.put(metallb("IPAddressPool", "public", json!({"addresses": ["203.0.113.0/24", "2001:db8:5::/64"]})));
    server.put(metallb("Community", "named", json!({"communities": [{"name": "rack", "value": "large:64512:7:8"}]})));
    let attributes = json!({"communities": ["rack", "64512:100", "no-export"], "aggregationLengthV6": 120});
    server.put(metallb("BGPAdvertisement", "all", attributes));
    server.put(secret("c3dvcmRmaXNo"));
    let peer = json!({"myASN": 64512, "peerASN": 65002, "peerAddress": "10.0.0.2", "passwordSecret": {"name": "tor"},
        "dualStackAddressFamily": true, "holdTime": "9s", "connectTime": "1s"});
    server.put(metallb("BGPPeer", "tor", peer));
    server.put(service("web", &["203.0.113.5", "2001:db8:5::77"]));
    server.put(slice("web", true));
    us.write("kubeconfig", &server.kubeconfig());
    let kubernetes = format!(
        "kubernetes: {{ enabled: true, kubeconfig: {}, nodeName: n1, namespace: metallb-system, roles: [vip] }}\n",
        us.folder.join("kubeconfig").display()
    );
    let kubgpd = Kubgpd::start(&us, 64512, &kubernetes);
    let tor = Peer::start(Kind::Frr, &frr, Setup { password: Some("swordfish"), ..Setup::new(&frr, 65002).both_families() });
    let communities = ["64512:100", "64512:7:8", "no-export"];
    tor.wait_route("203.0.113.5/32", "from the node, with its communities", |r| {
        r.next_hop == "10.0.0.1" && r.as_path == "64512" && r.communities == communities
    });
    tor.wait_route("2001:db8:5::/120", "for the IPv6 address", |r| r.next_hop == "fd00::1" && r.communities == communities);
    assert_eq!((tor.count(false), tor.count(true)), (1, 1));

    // What comes and goes in the cluster comes and goes in FRR's table, and the session lives on.
    server.put(service("mail", &["203.0.113.6"]));
    server.put(slice("mail", true));
    tor.wait_route("203.0.113.6/32", "of the other Service", |r| r.communities == communities);
    server.put(slice("web", false));
    eventually(PATIENCE, "without endpoints it is withdrawn", || tor.paths("203.0.113.5/32").is_empty());
    eventually(PATIENCE, "in both families", || tor.count(true) == 0);
    let shown = kubgpd.ctl(&["show", "services"]);
    assert!(shown.lines().any(|l| l.starts_with("metallb-system/web ") && l.contains("noEndpoints")), "{shown}");
    assert!(shown.lines().any(|l| l.starts_with("metallb-system/mail ") && l.contains("1/1") && l.contains("advertised")), "{shown}");
    assert_eq!(kubgpd.log().matches("session established").count(), 1);

    // FRR ends the session by itself when its key changes; ours waits for it with the new one.
    server.put(secret("c2FpbGZpc2g="));
    tor.ctl("configure terminal / router bgp 65002 / neighbor 10.0.0.1 password sailfish");
    eventually(PATIENCE, "the session is back with the new key", || kubgpd.log().matches("session established").count() == 2);
    tor.wait_route("203.0.113.6/32", "over the new session", |_| true);
}
