//! The daemon driven by the objects of a cluster: the API server in memory, the real `kubgpd`, and `bgpctl` to look at it.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without fails it")]

#[path = "operator/alerts.rs"]
mod alerts;
#[path = "operator/allocator.rs"]
mod allocator;
#[path = "apiserver/mod.rs"]
mod apiserver;
#[path = "operator/manifests.rs"]
mod manifests;
#[path = "operator/migration.rs"]
mod migration;
#[path = "operator/permissions.rs"]
mod permissions;
#[path = "operator/policies.rs"]
mod policies;
#[path = "operator/reflectors.rs"]
mod reflectors;
#[path = "operator/render.rs"]
mod render;
#[path = "operator/services.rs"]
mod services;
#[path = "daemon/setup.rs"]
mod setup;
#[path = "operator/status.rs"]
mod status;

use apiserver::ApiServer;
use apiserver::faults::Order;
use serde_json::{Value, json};
use setup::{Daemon, Net, eventually};
use std::collections::BTreeSet;

/// The reflector, a client that runs, and clients that do not.
const RR: u8 = 1;
const CLIENT: u8 = 11;

fn node(net: &Net, name: &str, host: u8, more: Value) -> Value {
    let mut annotations = json!({"projectcalico.org/IPv4Address": format!("{}/24", net.ip(host))});
    if let (Some(all), Some(more)) = (annotations.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    let labels = if more.is_null() { json!({}) } else { json!({"route-reflector": "true"}) };
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels, "annotations": annotations}})
}

fn calico(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "crd.projectcalico.org/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// A cluster of one reflector and two nodes, in which nodes peer with reflectors only.
fn cluster(net: &Net, server: &ApiServer) {
    server.put(node(net, "rr", RR, json!({"projectcalico.org/RouteReflectorClusterID": "10.0.0.1"})));
    server.put(node(net, "n1", CLIENT, Value::Null));
    server.put(node(net, "n2", 12, Value::Null));
    let settings = json!({"asNumber": 64512, "nodeToNodeMeshEnabled": false, "listenPort": net.port, "bindMode": "NodeIP"});
    server.put(calico("BGPConfiguration", "default", settings));
    server.put(calico("ClusterInformation", "default", json!({"calicoVersion": "v3.31.0", "datastoreReady": true})));
    server.put(calico("IPPool", "pods", json!({"cidr": "10.244.0.0/16", "ipipMode": "Never", "vxlanMode": "Never"})));
    let peers = json!({"nodeSelector": "!has(route-reflector)", "peerSelector": "has(route-reflector)"});
    server.put(calico("BGPPeer", "to-reflectors", peers));
}

/// The reflector, which knows nothing but the way to the API server.
fn reflector(net: &Net, server: &ApiServer, more: &str) -> Daemon {
    follower(net, server, "nodeName: rr, roles: [reflector]", more)
}

/// A daemon that follows the cluster.
fn follower(net: &Net, server: &ApiServer, role: &str, more: &str) -> Daemon {
    let kubeconfig = net.directory.path().join("kubeconfig");
    server.write_kubeconfig(&kubeconfig).unwrap();
    let (ip, socket, http) = (net.ip(RR), net.socket(RR), net.http());
    let config = format!(
        "kubernetes: {{ enabled: true, kubeconfig: {}, {role} }}\n\
         api: {{ socket: {}, birdSockets: {} }}\nmetrics: {{ listen: \"{ip}:{http}\" }}\n{more}",
        kubeconfig.display(),
        socket.display(),
        net.directory.path().display()
    );
    net.start(RR, &config)
}

/// A node that knows nothing of the cluster: it speaks to the reflector as its file says, and has a block and something else to tell.
fn client(net: &Net, host: u8) -> Daemon {
    peer_of(net, host, &net.ip(RR))
}

fn peer_of(net: &Net, host: u8, address: &str) -> Daemon {
    let neighbors =
        net.neighbor("rr", host, RR, "asn: internal").replace(&format!("address: {},", net.ip(RR)), &format!("address: {address},"));
    let networks =
        format!("{{ prefix: {}, nextHop: 10.1.1.{host} }}, {{ prefix: 198.51.{host}.0/24, nextHop: 10.1.1.{host} }}", block(host));
    net.start(host, &net.config(host, 64512, &neighbors, &Net::originate(&networks)))
}

fn block(host: u8) -> String {
    format!("10.244.{host}.0/26")
}

/// Names in order. A session that is just being made has none yet.
fn names(daemon: &Daemon) -> Vec<String> {
    let mut names: Vec<_> =
        daemon.items("show neighbors").iter().map(|row| row["name"].as_str().unwrap_or("(none yet)").to_owned()).collect();
    names.sort();
    names
}

fn named(net: &Net, hosts: &[u8]) -> Vec<String> {
    hosts.iter().map(|host| format!("Node_{}", net.ip(*host).replace('.', "_"))).collect()
}

fn has_sessions(daemon: &Daemon, net: &Net, hosts: &[u8]) {
    eventually(&format!("sessions with {hosts:?}"), || (names(daemon) == named(net, hosts)).then_some(()));
}

fn is_ready(daemon: &Daemon) -> bool {
    daemon.get("/readyz").is_some_and(|(status, _)| status.contains("200"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reflector_has_the_sessions_that_the_objects_ask_for() {
    let net = Net::new(101);
    let server = ApiServer::start().await.unwrap();
    cluster(&net, &server);
    let rr = reflector(&net, &server, "");
    has_sessions(&rr, &net, &[CLIENT, 12]);
    let (_, body) = rr.get("/readyz?verbose").unwrap();
    assert!(!is_ready(&rr) && body.contains("no session is established"), "without a session there are no routes: {body}");
    let one = &named(&net, &[CLIENT])[0];
    let row = rr.neighbor(one);
    assert_eq!((&row["type"], &row["remoteAsn"], &row["localAsn"]), (&json!("rr-client"), &json!(64512), &json!(64512)), "{row}");
    assert_eq!(row["localAddress"], json!(net.ip(RR)), "{row}");
    assert_eq!(row["port"], json!(net.port), "{row}");
    assert_eq!(rr.json("show summary")["clusterId"], json!("10.0.0.1"));
    assert_eq!(rr.json("show summary")["routerId"], json!(net.ip(RR)));
    reflectors::answers_as_bird(&net, one);

    // One of the nodes runs: its session comes up, and stays up whatever happens to others.
    let _client = client(&net, CLIENT);
    rr.established(one);
    eventually("it is ready, and waits for nobody who is not there", || is_ready(&rr).then_some(()));
    let other = client(&net, 12);
    other.has("show rib", &block(CLIENT));
    assert!(!other.prefixes("show rib").contains(&format!("198.51.{CLIENT}.0/24")), "what is in no pool is not passed on");
    drop(other);
    let since = rr.neighbor(one)["stateSince"].clone();
    server.put(node(&net, "n3", 13, Value::Null));
    has_sessions(&rr, &net, &[CLIENT, 12, 13]);
    server.delete("v1/Node", "", "n2");
    has_sessions(&rr, &net, &[CLIENT, 13]);
    let row = rr.neighbor(one);
    assert_eq!((&row["state"], &row["stateSince"]), (&json!("established"), &since), "{row}");
    assert!(rr.metric("kubgp_k8s_connected 1"));
    assert!(rr.metric("kubgp_k8s_objects{kind=\"Node\"} 3"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_goes_away_takes_nothing_along() {
    let net = Net::new(102);
    let mut server = ApiServer::start().await.unwrap();
    cluster(&net, &server);
    let rr = reflector(&net, &server, "");
    let _client = client(&net, CLIENT);
    has_sessions(&rr, &net, &[CLIENT, 12]);
    let one = &named(&net, &[CLIENT])[0];
    rr.established(one);
    eventually("it is ready", || is_ready(&rr).then_some(()));
    let since = rr.neighbor(one)["stateSince"].clone();

    server.stop().await;
    eventually("the loss is seen", || rr.metric("kubgp_k8s_connected 0").then_some(()));
    assert!(is_ready(&rr), "what is in force does its work");
    rr.ok("reload");
    assert_eq!(names(&rr), named(&net, &[CLIENT, 12]));

    server.put(node(&net, "n3", 13, Value::Null));
    server.resume().await.unwrap();
    has_sessions(&rr, &net, &[CLIENT, 12, 13]);
    let row = rr.neighbor(one);
    assert_eq!((&row["state"], &row["stateSince"]), (&json!("established"), &since), "{row}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_an_api_server_waits_and_speaks_with_the_neighbors_of_the_file() {
    let net = Net::new(103);
    let mut server = ApiServer::start().await.unwrap();
    cluster(&net, &server);
    server.stop().await;
    // The file says who we are, so that its own neighbor needs no cluster.
    let file = format!(
        "router: {{ asn: 64512, id: 10.0.0.9 }}\nlisten: [{{ address: {}, port: {} }}]\nneighbors:\n{}",
        net.ip(RR),
        net.port,
        net.neighbor("filed", RR, CLIENT, "asn: internal, routeReflectorClient: true")
    );
    let rr = reflector(&net, &server, &file);
    let _client = client(&net, CLIENT);
    rr.established("filed");
    assert!(!is_ready(&rr));
    let (_, body) = rr.get("/readyz?verbose").unwrap();
    assert!(body.contains("kubernetes"), "{body}");
    let since = rr.neighbor("filed")["stateSince"].clone();

    server.resume().await.unwrap();
    eventually("the other node has its session", || (names(&rr) == [named(&net, &[12]), vec!["filed".to_owned()]].concat()).then_some(()));
    eventually("it is ready", || is_ready(&rr).then_some(()));
    // What the file says of a neighbor and of us counts, and is told.
    let row = rr.neighbor("filed");
    assert_eq!((&row["state"], &row["stateSince"]), (&json!("established"), &since), "{row}");
    assert_eq!(rr.json("show summary")["routerId"], json!("10.0.0.9"));
    let config = rr.ok("show config");
    assert!(config.contains("# warning: BGPPeer to-reflectors: spec:"), "{config}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_password_keeps_its_session_down_and_no_other() {
    let net = Net::new(104);
    let server = ApiServer::start().await.unwrap();
    cluster(&net, &server);
    let password = json!({"secretKeyRef": {"name": "bgp", "key": "tor"}});
    server.put(calico("BGPPeer", "tor", json!({"peerIP": net.ip(21), "asNumber": 65001, "password": password})));
    // At first it may not even read Secrets.
    server.order(&Order { forbidden: Some(["secrets".to_owned()].into()), ..Order::default() });
    let rr = reflector(&net, &server, "");
    let tor = format!("Global_{}", net.ip(21).replace('.', "_"));
    eventually("the session of the object is there", || names(&rr).contains(&tor).then_some(()));
    let is_told = |why: &str| {
        let config = rr.ok("show config");
        let error = config.lines().find(|line| line.starts_with("# error: BGPPeer tor: spec.password"));
        error.is_some_and(|error| error.contains(why)).then_some(())
    };
    eventually("the refusal is told", || is_told("cannot be read (403 Forbidden: secrets is forbidden)"));
    let is_down = || {
        assert_eq!(rr.neighbor(&tor)["admin"], json!("down"));
        assert_eq!(rr.neighbor(&named(&net, &[CLIENT])[0])["admin"], json!("up"));
    };
    is_down();
    server.order(&Order { forbidden: Some(BTreeSet::new()), ..Order::default() });
    eventually("the Secret is missed", || is_told("is not there"));
    is_down();

    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bgp", "namespace": "default"}, "data": {"tor": "c2VjcmV0"}});
    server.put(secret);
    eventually("the password has come", || (rr.neighbor(&tor)["admin"] == "up").then_some(()));
    assert_eq!(rr.neighbor(&tor)["auth"], json!("md5"));
    let config = rr.ok("show config");
    assert!(!config.contains("# error"), "{config}");
    assert!(!config.contains("c2VjcmV0") && !config.contains("secret\n"), "{config}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_put_in_force_leaves_what_is() {
    let net = Net::new(105);
    let server = ApiServer::start().await.unwrap();
    cluster(&net, &server);
    // The name that the session of a node to come will have.
    let taken = format!("neighbors:\n{}", net.neighbor(&named(&net, &[13])[0], RR, 30, "asn: internal"));
    let rr = reflector(&net, &server, &taken);
    let _client = client(&net, CLIENT);
    eventually("it is ready", || is_ready(&rr).then_some(()));
    has_sessions(&rr, &net, &[CLIENT, 12, 13]);
    server.put(node(&net, "n3", 13, Value::Null));
    eventually("the refusal shows", || rr.metric("kubgp_config_stale 1").then_some(()));
    let error = rr.json("show summary")["configError"].clone();
    assert!(error.as_str().unwrap().contains("is the name of another neighbor too"), "{error}");
    has_sessions(&rr, &net, &[CLIENT, 12, 13]);
    assert!(is_ready(&rr));
    server.delete("v1/Node", "", "n3");
    eventually("it is good again", || rr.metric("kubgp_config_stale 0").then_some(()));
}

fn metallb(kind: &str, version: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": format!("metallb.io/{version}"), "kind": kind, "metadata": {"namespace": "default", "name": name}, "spec": spec})
}

fn service(name: &str, address: &str) -> Value {
    let status = json!({"loadBalancer": {"ingress": [{"ip": address}]}});
    let spec = json!({"type": "LoadBalancer", "clusterIP": "10.96.0.7", "externalTrafficPolicy": "Local"});
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": name}, "spec": spec, "status": status})
}

fn slice(service: &str, node: Option<&str>) -> Value {
    let endpoints: Vec<_> =
        node.iter().map(|node| json!({"addresses": ["10.244.0.9"], "nodeName": node, "conditions": {"ready": true}})).collect();
    let metadata = json!({"namespace": "shop", "name": service, "labels": {"kubernetes.io/service-name": service}});
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata, "addressType": "IPv4", "endpoints": endpoints})
}

/// A cordoned Node is drained, and comes back.
fn drains_while_cordoned(net: &Net, server: &ApiServer, speaker: &Daemon, tor: &Daemon) {
    const HEARD: &str = "show rib in";
    let mut cordoned = node(net, "n1", RR, Value::Null);
    cordoned["spec"] = json!({"unschedulable": true});
    server.put(cordoned.clone());
    let is_marked =
        || tor.items(HEARD).iter().any(|r| r["prefix"] == "203.0.113.5/32" && r["communities"] == json!(["64512:7", "65535:0"]));
    eventually("its addresses are the last resort", || is_marked().then_some(()));
    tor.lacks(HEARD, "203.0.113.5/32");
    assert_eq!(speaker.json("show summary")["drainState"], json!({"stage": "left", "causes": ["cordon"]}));
    let trace = speaker.json("explain svc/shop/web");
    assert!(trace.to_string().contains("\"draining\""), "{trace}");
    cordoned["spec"] = json!({});
    server.put(cordoned.clone());
    tor.has(HEARD, "203.0.113.5/32");
    cordoned["spec"] = json!({"taints": [{"key": "ToBeDeletedByClusterAutoscaler", "value": "1", "effect": "NoSchedule"}]});
    server.put(cordoned);
    tor.lacks(HEARD, "203.0.113.5/32");
    server.put(node(net, "n1", RR, Value::Null));
    tor.has(HEARD, "203.0.113.5/32");
}

/// An address of this machine that is a next hop for others, as none on loopback is; says so where there is none.
async fn own_address() -> Option<std::net::Ipv4Addr> {
    let own = kubgp::speaker::local_host().await.first_ipv4;
    if own.is_none() {
        println!("SKIP: this machine has no IPv4 address but those on loopback");
    }
    own
}

/// The profile of the objects is that of a session of BFD; another one is taken over by the same session.
fn path_is_watched(net: &Net, server: &ApiServer, speaker: &Daemon) {
    let shown = |receive: f64| {
        let session = speaker.json("show bfd")["items"][0].clone();
        let is_it = session["address"] == net.ip(CLIENT) && session["profile"] == "metallb/fast" && session["receiveSeconds"] == receive;
        is_it.then(|| session["localDiscriminator"].clone())
    };
    let before = eventually("the path is watched", || shown(0.3));
    server.put(metallb("BFDProfile", "v1beta1", "fast", json!({"receiveInterval": 70, "detectMultiplier": 5})));
    assert_eq!(eventually("the other interval counts", || shown(0.07)), before, "in the same session");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_of_services_go_to_the_peers_of_metallb_objects_while_there_are_endpoints() {
    // Both ends are on one machine, so that the next hop is of no use to the peer: what counts here is what it hears.
    const HEARD: &str = "show rib in";
    let net = Net::new(106);
    let Some(own) = own_address().await else { return };
    let server = ApiServer::start().await.unwrap();
    server.put(node(&net, "n1", RR, Value::Null));
    server.put(metallb("IPAddressPool", "v1beta1", "public", json!({"addresses": ["203.0.113.0/24"]})));
    let advertisement = json!({"ipAddressPools": ["public"], "communities": ["64512:7"], "localPref": 300});
    server.put(metallb("BGPAdvertisement", "v1beta1", "all", advertisement));
    // The peer listens where it is said to, and our end is one that it knows.
    let peer = json!({"myASN": 64512, "peerASN": 64512, "peerAddress": net.ip(CLIENT), "peerPort": net.port, "sourceAddress": own,
        "bfdProfile": "fast"});
    server.put(metallb("BGPPeer", "v1beta2", "tor", peer));
    server.put(metallb("BFDProfile", "v1beta1", "fast", json!({})));
    server.put(service("web", "203.0.113.5"));
    server.put(service("mail", "203.0.113.6"));
    server.put(slice("web", Some("n1")));
    server.put(slice("mail", Some("n2")));
    let identity = format!(
        "router: {{ id: 10.0.0.9 }}\nlisten: [{{ address: {own}, port: {} }}]\ndrain: {{ onCordon: true, gracePeriod: 1s }}\n",
        net.port
    );
    let speaker = follower(&net, &server, "nodeName: n1, roles: [vip]", &identity);
    let tor = peer_of(&net, CLIENT, &own.to_string());
    tor.established("rr");
    tor.has(HEARD, "203.0.113.5/32");
    let routes = tor.items(HEARD);
    let route = routes.iter().find(|r| r["prefix"] == "203.0.113.5/32").unwrap();
    assert_eq!((&route["localPref"], &route["communities"]), (&json!(300), &json!(["64512:7"])), "{route}");
    let theirs = |daemon: &Daemon| daemon.prefixes(HEARD).iter().filter(|p| p.starts_with("203.0.113.")).count();
    assert_eq!(theirs(&tor), 1, "the endpoint of the other Service is elsewhere");
    assert!(!speaker.prefixes("show rib").iter().any(|p| p.starts_with("198.51.")), "nothing comes in from such a peer");
    assert!(is_ready(&speaker));
    let config = speaker.ok("show config");
    assert!(!config.contains("# warning"), "{config}");
    path_is_watched(&net, &server, &speaker);

    let since = speaker.neighbor("tor")["stateSince"].clone();
    server.put(slice("mail", Some("n1")));
    tor.has(HEARD, "203.0.113.6/32");
    drains_while_cordoned(&net, &server, &speaker, &tor);
    server.put(slice("web", None));
    tor.lacks(HEARD, "203.0.113.5/32");
    server.delete("v1/Service", "shop", "mail");
    tor.lacks(HEARD, "203.0.113.6/32");
    assert_eq!(speaker.neighbor("tor")["stateSince"], since, "the session saw nothing of it");
}
