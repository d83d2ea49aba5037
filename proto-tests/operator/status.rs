//! What a node with the role `vip` tells on objects: from the tables and the sessions, not from intentions.

use super::apiserver::ApiServer;
use super::setup::{Net, eventually};
use super::{CLIENT, RR, calico, cluster, follower, metallb, node, own_address, peer_of, service, slice};
use serde_json::{Value, json};

const STATUS: &str = "metallb.io/v1beta1/ServiceBGPStatus";

/// Service and peers of each status object.
fn statuses(server: &ApiServer) -> Vec<(String, Value)> {
    let name = |object: &Value| object["status"]["serviceName"].as_str().unwrap_or_default().to_owned();
    server.list(STATUS).iter().map(|object| (name(object), object["status"]["peers"].clone())).collect()
}

fn become_so(server: &ApiServer, expected: &[(&str, &[&str])]) {
    let expected: Vec<_> = expected.iter().map(|(name, peers)| ((*name).to_owned(), json!(peers))).collect();
    eventually(&format!("statuses are {expected:?}"), || {
        let mut found = statuses(server);
        found.sort_by(|a, b| a.0.cmp(&b.0));
        (found == expected).then_some(())
    });
}

/// Waits for an Event on an object; its kind is part of the name.
fn is_told(server: &ApiServer, object: &str, words: &str) {
    let of_it = |event: &&Value| format!("{} {}", event["regarding"]["kind"], event["regarding"]["name"]).replace('"', "") == object;
    let line = |event: &Value| format!("{} {} {}", event["type"], event["reason"], event["note"]).replace(['\\', '"'], "");
    eventually(&format!("{words} is told on {object}"), || {
        server.list("events.k8s.io/v1/Event").iter().filter(of_it).any(|event| line(event).contains(words)).then_some(())
    });
}

/// One of the objects is bad.
fn says_how_the_objects_are(server: &ApiServer) {
    let state = || server.get("metallb.io/v1beta1/ConfigurationState", "default", "speaker-n1");
    let found = eventually("it says that one is bad", || state().filter(|state| state["status"]["result"] == "Invalid"));
    let labels = &found["metadata"]["labels"];
    assert_eq!((&labels["metallb.io/component-type"], &labels["metallb.io/node-name"]), (&json!("speaker"), &json!("n1")));
    let condition = &found["status"]["conditions"][0];
    assert_eq!((&condition["type"], &condition["status"]), (&json!("configReconcilerValid"), &json!("False")), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_shows_the_peers_that_were_sent_its_address() {
    let net = Net::new(145);
    let Some(own) = own_address().await else { return };
    let server = ApiServer::start().await.unwrap();
    server.put(node(&net, "n1", RR, Value::Null));
    server.put(metallb("IPAddressPool", "v1beta1", "public", json!({"addresses": ["203.0.113.0/24"]})));
    server.put(metallb("BGPAdvertisement", "v1beta1", "all", json!({})));
    let peer =
        |host: u8| json!({"myASN": 64512, "peerASN": 64512, "peerAddress": net.ip(host), "peerPort": net.port, "sourceAddress": own});
    server.put(metallb("BGPPeer", "v1beta2", "tor-a", peer(CLIENT)));
    server.put(metallb("BGPPeer", "v1beta2", "tor-b", peer(12)));
    server.put(metallb("BGPPeer", "v1beta2", "bad", json!({"myASN": 64512, "peerASN": 64512})));
    server.put(metallb("L2Advertisement", "v1beta1", "layer2", json!({})));
    server.put(service("web", "203.0.113.5"));
    server.put(slice("web", Some("n1")));
    // Left behind by a former life, for a Service that is gone; and one that is another node's.
    let left = |name: &str, node: &str| {
        let labels = json!({"metallb.io/node": node, "app.kubernetes.io/managed-by": "kubgp"});
        json!({"apiVersion": "metallb.io/v1beta1", "kind": "ServiceBGPStatus",
            "metadata": {"namespace": "default", "name": name, "labels": labels}, "status": {"serviceName": name, "peers": ["x"]}})
    };
    server.put(left("a-former", "n1"));
    server.put(left("elsewhere", "n2"));
    let identity = format!("router: {{ id: 10.0.0.9 }}\nlisten: [{{ address: {own}, port: {} }}]\n", net.port);
    let speaker = follower(&net, &server, "nodeName: n1, roles: [vip]", &identity);

    // Nobody is there yet, so nobody was sent anything, whatever is meant.
    is_told(&server, "Service web", "Normal nodeAssigned announcing from node n1 with protocol bgp");
    become_so(&server, &[("elsewhere", &["x"])]);
    is_told(&server, "BGPPeer bad", "Warning ConfigurationError spec.peerAddress");
    is_told(&server, "L2Advertisement layer2", "Warning ConfigurationWarning");
    says_how_the_objects_are(&server);
    eventually("it is counted", || speaker.metric("kubgp_k8s_faulty_objects{kind=\"BGPPeer\",severity=\"error\"} 1").then_some(()));

    let tor = peer_of(&net, CLIENT, &own.to_string());
    become_so(&server, &[("elsewhere", &["x"]), ("web", &["tor-a"])]);
    is_told(&server, "Service web", "Normal Announced 203.0.113.5/32 sent from node n1 to tor-a");
    let objects = server.list(STATUS);
    let object = objects.iter().find(|o| o["status"]["serviceName"] == "web").unwrap();
    let status = json!({"node": "n1", "serviceName": "web", "serviceNamespace": "shop", "peers": ["tor-a"]});
    assert_eq!(object["status"], status);
    let labels = &object["metadata"]["labels"];
    assert_eq!((&labels["metallb.io/service-name"], &labels["metallb.io/service-namespace"]), (&json!("web"), &json!("shop")));
    assert_eq!(object["metadata"]["ownerReferences"][0]["kind"], "Node");
    let other = peer_of(&net, 12, &own.to_string());
    become_so(&server, &[("elsewhere", &["x"]), ("web", &["tor-a", "tor-b"])]);

    // Somebody removes the object: it comes back. A session ends: its peer goes.
    server.delete(STATUS, "default", object["metadata"]["name"].as_str().unwrap());
    become_so(&server, &[("elsewhere", &["x"]), ("web", &["tor-a", "tor-b"])]);
    drop(other);
    become_so(&server, &[("elsewhere", &["x"]), ("web", &["tor-a"])]);
    drop(tor);
    become_so(&server, &[("elsewhere", &["x"])]);
    is_told(&server, "Service web", "Warning NotAnnounced not announced from node n1: noSession");

    let _tor = peer_of(&net, CLIENT, &own.to_string());
    become_so(&server, &[("elsewhere", &["x"]), ("web", &["tor-a"])]);
    server.put(slice("web", None));
    become_so(&server, &[("elsewhere", &["x"])]);
    is_told(&server, "Service web", "Warning NotAnnounced not announced from node n1: noLocalEndpoints");
    server.put(slice("web", Some("n1")));
    become_so(&server, &[("elsewhere", &["x"]), ("web", &["tor-a"])]);
    server.delete("v1/Service", "shop", "web");
    become_so(&server, &[("elsewhere", &["x"])]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contradiction_is_told_on_both_objects() {
    let net = Net::new(147);
    let server = ApiServer::start().await.unwrap();
    cluster(&net, &server);
    let tor = net.ip(21);
    server.put(calico("BGPPeer", "tor-c", json!({"peerIP": tor, "asNumber": 65001})));
    server.put(metallb("BGPPeer", "v1beta2", "tor-m", json!({"myASN": 64512, "peerASN": 65009, "peerAddress": tor})));
    let speaker = follower(&net, &server, "nodeName: rr, roles: [vip, reflector]", "");
    is_told(
        &server,
        "BGPPeer tor-c",
        &format!("Warning ConfigurationError spec.asNumber: AS 65001 for {tor}, but MetalLB's BGPPeer default/tor-m says"),
    );
    is_told(
        &server,
        "BGPPeer tor-m",
        &format!("Warning ConfigurationError spec.peerASN: AS 65009 for {tor}, but Calico's BGPPeer tor-c says"),
    );
    let of = |name: &str| server.list("events.k8s.io/v1/Event").into_iter().find(|event| event["regarding"]["name"] == name).unwrap();
    let place = |name: &str| (of(name)["regarding"]["apiVersion"].clone(), of(name)["metadata"]["namespace"].clone());
    assert_eq!(place("tor-c"), (json!("crd.projectcalico.org/v1"), json!("default")));
    assert_eq!(place("tor-m"), (json!("metallb.io/v1beta2"), json!("default")));
    assert!(speaker.ok("show config").contains("# error: BGPPeer tor-c: spec.asNumber"));
}
