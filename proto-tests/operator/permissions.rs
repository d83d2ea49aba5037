//! What the shipped roles may do is what the daemon does, neither less nor more: the requests that the API server sees are held against
//! the rules of `config/kubernetes`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::apiserver::faults::Order;
use super::apiserver::{Access, ApiServer};
use super::render::overlay;
use super::setup::{Daemon, Net, eventually};
use super::{CLIENT, RR, allocator, calico, is_ready, metallb, node, own_address, peer_of, service, slice};

/// One thing that a rule allows.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Right {
    verb: String,
    group: String,
    resource: String,
    /// `None`: in all.
    namespace: Option<String>,
    name: Option<String>,
}

impl Right {
    fn allows(&self, access: &Access) -> bool {
        let within = |mine: &Option<String>, theirs: &Option<String>| mine.is_none() || mine == theirs;
        self.verb == access.verb
            && self.group == access.group
            && self.resource == access.resource
            && within(&self.namespace, &access.namespace)
            && within(&self.name, &access.name)
    }
}

/// What a service account may do by the bindings of an overlay.
fn rights(overlay_name: &str, account: &str) -> BTreeSet<Right> {
    let objects = overlay(overlay_name);
    let mut rights = BTreeSet::new();
    for binding in objects.values().filter(|o| o["kind"].as_str().is_some_and(|kind| kind.ends_with("RoleBinding"))) {
        if binding["subjects"].as_array().unwrap().iter().all(|subject| subject["name"] != account) {
            continue;
        }
        let (kind, role) = (binding["roleRef"]["kind"].as_str().unwrap(), binding["roleRef"]["name"].as_str().unwrap());
        let namespace = (kind == "Role").then(|| binding["metadata"]["namespace"].as_str().unwrap().to_owned());
        let role = &objects[&format!("{kind} {}/{role}", namespace.clone().unwrap_or_default())];
        for rule in role["rules"].as_array().unwrap() {
            let words = |key: &str| -> Vec<String> {
                rule[key].as_array().map(|list| list.iter().map(|word| word.as_str().unwrap().to_owned()).collect()).unwrap_or_default()
            };
            let mut names: Vec<Option<String>> = words("resourceNames").into_iter().map(Some).collect();
            if names.is_empty() {
                names.push(None);
            }
            for (verb, group, resource, name) in product(&words("verbs"), &words("apiGroups"), &words("resources"), &names) {
                rights.insert(Right { verb, group, resource, namespace: namespace.clone(), name });
            }
        }
    }
    rights
}

type Combination = (String, String, String, Option<String>);

fn product(verbs: &[String], groups: &[String], resources: &[String], names: &[Option<String>]) -> Vec<Combination> {
    let mut all = Vec::new();
    for verb in verbs {
        for group in groups {
            for resource in resources {
                all.extend(names.iter().map(|name| (verb.clone(), group.clone(), resource.clone(), name.clone())));
            }
        }
    }
    all
}

/// The daemon with the configuration that a workload mounts, but for the places of this test.
fn start(net: &Net, server: &ApiServer, overlay_name: &str, component: &str, more: &str) -> Daemon {
    let objects = overlay(overlay_name);
    let map = objects.values().find(|o| o["kind"] == "ConfigMap" && o["metadata"]["name"] == format!("kubgp-{component}")).unwrap();
    let text = map["data"]["kubgp.yaml"].as_str().unwrap();
    let kubeconfig = net.directory.path().join("kubeconfig");
    server.write_kubeconfig(&kubeconfig).unwrap();
    let (ip, http) = (net.ip(RR), net.http());
    let own = format!("  enabled: true\n  kubeconfig: {}\n  nodeName: rr\n", kubeconfig.display());
    let text = text.replacen("  enabled: true\n", &own, 1);
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("metrics:")).collect();
    let socket = net.socket(RR);
    let places = format!("\napi: {{ socket: {} }}\nmetrics: {{ listen: \"{ip}:{http}\", compat: metallb }}\n{more}", socket.display());
    net.start(RR, &(kept.join("\n") + &places))
}

/// Holds what was asked for against what is allowed. Calico's kinds are served by one of two groups, so a right to either counts as used
/// when the same right to the other is.
fn exactly(accesses: &BTreeSet<Access>, rights: &BTreeSet<Right>) {
    let refused: Vec<_> = accesses.iter().filter(|access| !rights.iter().any(|right| right.allows(access))).collect();
    assert!(refused.is_empty(), "the roles do not allow {refused:#?}");
    let is_used = |right: &Right| {
        let groups: &[&str] = if CALICO.contains(&right.group.as_str()) { &CALICO } else { &[&right.group] };
        groups.iter().any(|group| {
            let same = Right { group: (*group).to_owned(), ..right.clone() };
            accesses.iter().any(|access| same.allows(access))
        })
    };
    let idle: Vec<_> = rights.iter().filter(|right| !is_used(right)).collect();
    assert!(idle.is_empty(), "nobody needs {idle:#?}");
}

/// Where Calico's kinds may be served.
const CALICO: [&str; 2] = ["crd.projectcalico.org", "projectcalico.org"];

/// Lists as part of watches, and then in pages as older API servers want them.
fn both_ways_to_list(server: &ApiServer) {
    let all = |verb: &str| -> BTreeSet<(String, Option<String>)> {
        server.accesses().into_iter().filter(|a| a.verb == verb).map(|a| (a.resource, a.namespace)).collect()
    };
    let watched = all("watch");
    server.order(&Order { no_streaming: Some(true), restart: true, ..Order::default() });
    eventually("everything was listed", || watched.is_subset(&all("list")).then_some(()));
}

fn has_done(server: &ApiServer, verb: &str, resource: &str) {
    eventually(&format!("{verb} {resource}"), || {
        server.accesses().iter().any(|access| access.verb == verb && access.resource == resource).then_some(())
    });
}

/// One of MetalLB's objects, where the overlays look for them.
fn at_home(kind: &str, version: &str, name: &str, spec: Value) -> Value {
    let mut object = metallb(kind, version, name, spec);
    object["metadata"]["namespace"] = json!("metallb-system");
    object
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_role_of_reflectors_is_what_they_do() {
    let net = Net::new(135);
    let server = ApiServer::start().await.unwrap();
    server.put(node(&net, "rr", RR, json!({"projectcalico.org/RouteReflectorClusterID": "10.0.0.1"})));
    let settings = json!({"asNumber": 64512, "nodeToNodeMeshEnabled": false, "listenPort": net.port, "bindMode": "NodeIP"});
    server.put(calico("BGPConfiguration", "default", settings));
    server.put(calico("ClusterInformation", "default", json!({"calicoVersion": "v3.31.0", "datastoreReady": true})));
    let reflector = start(&net, &server, "route-reflector", "reflector", "");
    eventually("it is ready", || is_ready(&reflector).then_some(()));
    both_ways_to_list(&server);
    exactly(&server.accesses(), &rights("route-reflector", "kubgp-reflector"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_role_of_nodes_is_what_they_do() {
    let net = Net::new(148);
    let server = ApiServer::start().await.unwrap();
    server.put(node(&net, "rr", RR, Value::Null));
    server.put(calico("BGPConfiguration", "default", json!({"asNumber": 64512, "listenPort": net.port, "bindMode": "NodeIP"})));
    server.put(calico("ClusterInformation", "default", json!({"calicoVersion": "v3.31.0", "datastoreReady": true})));
    let speaker = start(&net, &server, "calico-node", "node", "fib: { install: none }\n");
    eventually("it is in force", || speaker.metric("kubgp_k8s_connected 1").then_some(()));
    both_ways_to_list(&server);
    exactly(&server.accesses(), &rights("calico-node", "kubgp-node"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_role_of_speakers_is_what_they_do() {
    let net = Net::new(136);
    let Some(own) = own_address().await else { return };
    let server = ApiServer::start().await.unwrap();
    server.put(node(&net, "rr", RR, Value::Null));
    server.put(at_home("IPAddressPool", "v1beta1", "public", json!({"addresses": ["203.0.113.0/24"]})));
    server.put(at_home("BGPAdvertisement", "v1beta1", "all", json!({})));
    let peer = json!({"myASN": 64512, "peerASN": 64512, "peerAddress": net.ip(CLIENT), "peerPort": net.port, "sourceAddress": own, "connectTime": "1s"});
    server.put(at_home("BGPPeer", "v1beta2", "tor", peer));
    server.put(service("web", "203.0.113.5"));
    server.put(slice("web", Some("rr")));
    let speaker = start(&net, &server, "metallb-replacement", "vip", "router: { asn: 64512, id: 10.0.0.9 }\n");
    eventually("it is in force", || speaker.metric("kubgp_k8s_connected 1").then_some(()));
    // What it tells is told, taken back, and told again.
    let tor = peer_of(&net, CLIENT, &own.to_string());
    has_done(&server, "patch", "servicebgpstatuses/status");
    has_done(&server, "create", "events");
    has_done(&server, "patch", "configurationstates/status");
    drop(tor);
    has_done(&server, "delete", "servicebgpstatuses");
    let _tor = peer_of(&net, CLIENT, &own.to_string());
    has_done(&server, "patch", "events");
    both_ways_to_list(&server);
    exactly(&server.accesses(), &rights("metallb-replacement", "kubgp-vip"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_role_of_allocators_is_what_they_do() {
    let net = Net::new(137);
    let server = ApiServer::start().await.unwrap();
    server.put(at_home("IPAddressPool", "v1beta1", "public", json!({"addresses": ["203.0.113.0/24"]})));
    let leader = start(&net, &server, "metallb-replacement", "allocator", "");
    eventually("it leads", || leader.metric("kubgp_leader 1").then_some(()));
    server.order(&Order { conflicts: Some(2), ..Order::default() });
    server.put(allocator::wanting("a", json!({})));
    allocator::has(&server, "a", "203.0.113.0");
    has_done(&server, "get", "services");
    has_done(&server, "patch", "ipaddresspools/status");
    has_done(&server, "patch", "configurationstates/status");
    has_done(&server, "create", "events");
    for (kind, address) in [("ClusterIP", None), ("LoadBalancer", Some("203.0.113.0"))] {
        let mut service = server.get("v1/Service", "shop", "a").unwrap();
        service["spec"]["type"] = json!(kind);
        server.put(service);
        eventually(&format!("{address:?} as {kind}"), || (allocator::address(&server, "a").as_deref() == address).then_some(()));
    }
    has_done(&server, "patch", "events");
    both_ways_to_list(&server);
    exactly(&server.accesses(), &rights("metallb-replacement", "kubgp-allocator"));
}
