//! Reflectors: a datastore that moves to another API group, and a large cluster.

use super::*;
use apiserver::Requests;
use apiserver::faults::Order;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// What `calicoctl node status` and exporters ask of BIRD.
pub fn answers_as_bird(net: &Net, name: &str) {
    let ask = |socket: &str, commands: &str| ask_as_bird(net, socket, commands);
    let text = ask("bird.ctl", "show status\nshow protocols\nconfigure\n");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("0001 BIRD ") && lines[0].ends_with(" ready."), "{text}");
    assert!(lines.contains(&"0013 Daemon is up and running") && lines.contains(&"0000 "), "{text}");
    let row = lines.iter().find_map(|line| line.strip_prefix("1002-")?.strip_prefix(name)).unwrap();
    assert_eq!(row.split_whitespace().take(3).collect::<Vec<_>>(), ["BGP", "master", "start"], "{text}");
    assert!(lines.last().unwrap().starts_with("9001 "), "{text}");
    assert!(!ask("bird6.ctl", "show protocols\n").contains("1002-"), "no session is over IPv6");
}

/// The answers to some commands, one a line, and the greeting before them.
pub fn ask_as_bird(net: &Net, socket: &str, commands: &str) -> String {
    let mut stream = UnixStream::connect(net.directory.path().join(socket)).unwrap();
    stream.write_all(commands.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// The same object in the other group.
fn native(mut object: Value) -> Value {
    object["apiVersion"] = json!("projectcalico.org/v3");
    object
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_datastore_that_moves_to_the_native_group_takes_its_sessions_along() {
    let net = Net::new(149);
    let server = ApiServer::start().await.unwrap();
    server.order(&Order { unserve: vec!["projectcalico.org".into()], ..Order::default() });
    cluster(&net, &server);
    let rr = reflector(&net, &server, "");
    let _client = client(&net, CLIENT);
    has_sessions(&rr, &net, &[CLIENT, 12]);
    let one = &named(&net, &[CLIENT])[0];
    rr.established(one);
    let since = rr.neighbor(one)["stateSince"].clone();

    // While it moves, what is in force stays, whatever objects say.
    let information = |ready: bool| calico("ClusterInformation", "default", json!({"calicoVersion": "v3.32.0", "datastoreReady": ready}));
    server.put(information(false));
    eventually("it holds", || rr.get("/readyz?verbose").is_some_and(|(_, body)| body.contains("not ready")).then_some(()));
    let peers = server.get("crd.projectcalico.org/v1/BGPPeer", "", "to-reflectors").unwrap();
    let settings = server.get("crd.projectcalico.org/v1/BGPConfiguration", "", "default").unwrap();
    let pool = server.get("crd.projectcalico.org/v1/IPPool", "", "pods").unwrap();
    server.delete("crd.projectcalico.org/v1/BGPPeer", "", "to-reflectors");
    server.put(node(&net, "n3", 13, Value::Null));
    server.order(&Order { serve: vec!["projectcalico.org".into()], ..Order::default() });
    [peers, settings, pool, information(true)].into_iter().for_each(|object| drop(server.put(native(object))));
    server.order(&Order { unserve: vec!["crd.projectcalico.org".into()], drop_watches: true, ..Order::default() });

    has_sessions(&rr, &net, &[CLIENT, 12, 13]);
    let row = rr.neighbor(one);
    assert_eq!((&row["state"], &row["stateSince"]), (&json!("established"), &since), "{row}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_serves_the_native_group_alone_is_followed() {
    let net = Net::new(144);
    let server = ApiServer::start().await.unwrap();
    let kinds = [("BGPConfiguration", "default"), ("ClusterInformation", "default"), ("IPPool", "pods"), ("BGPPeer", "to-reflectors")];
    cluster(&net, &server);
    for (kind, name) in kinds {
        let kind = format!("crd.projectcalico.org/v1/{kind}");
        server.put(native(server.get(&kind, "", name).unwrap()));
        server.delete(&kind, "", name);
    }
    let (serve, unserve) = (vec!["projectcalico.org".into()], vec!["crd.projectcalico.org".into()]);
    server.order(&Order { serve, unserve, ..Order::default() });
    let rr = reflector(&net, &server, "");
    has_sessions(&rr, &net, &[CLIENT, 12]);
    server.put(node(&net, "n3", 13, Value::Null));
    has_sessions(&rr, &net, &[CLIENT, 12, 13]);
    let groups: BTreeSet<&str> = server.accesses().iter().map(|access| access.group).collect();
    assert_eq!(groups, ["", "projectcalico.org"].into());
    // Changes come, too: the peering goes, and with it its sessions.
    server.delete("projectcalico.org/v3/BGPPeer", "", "to-reflectors");
    has_sessions(&rr, &net, &[]);
}

/// Resident memory of a process in KiB.
fn resident(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// As much of a Node as a kubelet writes, with the address of node `i`.
fn full_node(i: usize, asn: Option<u32>) -> Value {
    let address = format!("127.62.{}.{}/16", i / 250, 1 + i % 250);
    let images: Vec<_> =
        (0..50).map(|n| json!({"names": [format!("registry.example/team/image-{n}@sha256:{i:064x}")], "sizeBytes": n})).collect();
    let mut annotations = json!({"projectcalico.org/IPv4Address": address, "projectcalico.org/IPv4IPIPTunnelAddr": "10.244.0.1"});
    if let Some(asn) = asn {
        annotations["projectcalico.org/ASNumber"] = json!(asn.to_string());
    }
    let labels = json!({"kubernetes.io/hostname": format!("node-{i}"), "kubernetes.io/os": "linux", "topology.kubernetes.io/zone": "a"});
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("node-{i}"), "labels": labels, "annotations": annotations},
        "spec": {"podCIDRs": ["10.1.0.0/24"]}, "status": {"images": images}})
}

/// What a run has shown.
struct Figures {
    configured_in: Duration,
    resident: u64,
    requests: Requests,
}

#[expect(clippy::disallowed_methods, reason = "the time that a start takes is what is measured")]
fn start_of_a_large_cluster(net: &Net, server: &ApiServer, nodes: usize) -> (Daemon, Figures) {
    cluster(net, server);
    ["n1", "n2"].iter().for_each(|name| assert!(server.delete("v1/Node", "", name)));
    (0..nodes).for_each(|i| drop(server.put(full_node(i, None))));
    for i in 0..nodes * 4 {
        let block = format!("10.{}.{}.{}/26", 128 + i / 1024, i / 4 % 256, i % 4 * 64);
        let spec = json!({"cidr": block, "node": format!("node-{}", i % nodes), "state": "confirmed", "deleted": "false"});
        server.put(calico("BlockAffinity", &format!("block-{i}"), spec));
    }
    let start = Instant::now();
    let rr = reflector(net, server, "");
    let has_all = || (rr.ok("show neighbors -o name").lines().count() == nodes).then_some(());
    eventually("every node has its session", has_all);
    let figures = Figures { configured_in: start.elapsed(), resident: resident(&rr), requests: server.requests() };
    (rr, figures)
}

/// Numbers of changes in the lines of the log that tell of a configuration in force.
fn applied(net: &Net) -> Vec<String> {
    let log = std::fs::read_to_string(net.directory.path().join(format!("{RR}.log"))).unwrap();
    log.lines().filter(|line| line.contains("configuration applied")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_change_of_one_node_among_many_touches_one_session() {
    let net = Net::new(150);
    let server = ApiServer::start().await.unwrap();
    let (rr, figures) = start_of_a_large_cluster(&net, &server, 200);
    println!("200 nodes: {:?}, {} KiB", figures.configured_in, figures.resident);
    // docs/explanation/load-on-the-api-server.md has these figures.
    assert_eq!(figures.requests, Requests { discoveries: 4, watches: 7, ..Requests::default() });
    let before = applied(&net).len();
    server.put(full_node(7, Some(64999)));
    eventually("the node is in another AS", || (rr.neighbor("Node_127_62_0_8")["remoteAsn"] == 64999).then_some(()));
    let log = applied(&net);
    assert_eq!(log.len(), before + 1, "{log:#?}");
    assert!(log[before].contains("changes=1") || log[before].contains("\"changes\":1"), "{log:#?}");
    // Blocks and the bodies of Nodes are nothing that a reflector needs.
    assert!(rr.metric("kubgp_k8s_objects{kind=\"Node\"} 201"));
    assert!(!rr.get("/metrics").unwrap().1.contains("kind=\"BlockAffinity\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement: cargo test --release --test operator thousand -- --ignored --nocapture"]
async fn a_reflector_of_a_thousand_nodes_starts_within_five_seconds() {
    let net = Net::new(143);
    let server = ApiServer::start().await.unwrap();
    let (_rr, figures) = start_of_a_large_cluster(&net, &server, 1000);
    println!("1000 nodes, 4000 blocks: all sessions configured after {:?}, {} KiB resident", figures.configured_in, figures.resident);
    assert!(figures.configured_in < Duration::from_secs(5), "{:?}", figures.configured_in);
}
