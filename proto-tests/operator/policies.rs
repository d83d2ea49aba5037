//! Calico's filters and built-in rules from end to end: objects at an API server, the daemon of a node, and what a router of the same AS
//! and one of another are told and believed.

use super::*;

const INNER: u8 = CLIENT;
const OUTER: u8 = 12;
const HEARD: &str = "show rib in";

fn cluster_of(net: &Net, server: &ApiServer, own: std::net::Ipv4Addr) {
    let annotations = json!({"projectcalico.org/IPv4Address": format!("{own}/24")});
    server.put(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1", "annotations": annotations}}));
    let settings = json!({
        "asNumber": 64512, "nodeToNodeMeshEnabled": false, "listenPort": net.port, "bindMode": "NodeIP",
        "communities": [{"name": "ours", "value": "64512:77"}],
        "prefixAdvertisements": [{"cidr": "10.244.1.0/26", "communities": ["ours"]}],
    });
    server.put(calico("BGPConfiguration", "default", settings));
    server.put(calico("ClusterInformation", "default", json!({"calicoVersion": "v3.31.0", "datastoreReady": true})));
    server.put(calico("IPPool", "pods", json!({"cidr": "10.244.0.0/16"})));
    server.put(hidden(true));
    for block in ["10.244.1.0/26", "10.245.1.0/26", "10.246.1.0/26", "10.246.2.0/26"] {
        let spec = json!({"node": "n1", "state": "confirmed", "cidr": block, "deleted": "false"});
        server.put(calico("BlockAffinity", &format!("n1-{}", block.replace(['.', '/'], "-")), spec));
    }
    // An address of a block of another node is in use here.
    let attributes = json!([{"handle_id": "k8s-pod-network.abc", "secondary": {"node": "n1", "namespace": "shop", "pod": "web"}}]);
    let block =
        json!({"cidr": "10.244.2.0/26", "affinity": "host:n2", "allocations": [null, 0], "unallocated": [], "attributes": attributes});
    server.put(calico("IPAMBlock", "10-244-2-0-26", block));
    server.put(peering(net, INNER, 64512, &[]));
    server.put(peering(net, OUTER, 65001, &["first", "second"]));
}

fn hidden(is_hidden: bool) -> Value {
    calico("IPPool", "hidden", json!({"cidr": "10.245.0.0/16", "disableBGPExport": is_hidden}))
}

fn peering(net: &Net, host: u8, asn: u32, filters: &[&str]) -> Value {
    let spec = json!({"node": "n1", "peerIP": format!("{}:{}", net.ip(host), net.port), "asNumber": asn, "filters": filters});
    calico("BGPPeer", &format!("peer-{host}"), spec)
}

fn filters(server: &ApiServer) {
    let rule = |more: Value, action: &str| {
        let mut rule = more;
        rule["action"] = json!(action);
        rule
    };
    let on = |cidr: &str, operator: &str| json!({"cidr": cidr, "matchOperator": operator});
    let mut changed = on("10.246.1.0/26", "Equal");
    changed["peerType"] = json!("eBGP");
    changed["operations"] = json!([{"addCommunity": {"value": "64512:1:2"}}, {"prependASPath": {"prefix": [64999]}}]);
    let mut long = on("10.250.2.0/24", "In");
    long["prefixLength"] = json!({"min": 25, "max": 25});
    long["operations"] = json!([{"setPriority": {"value": 100}}]);
    let mut from = on("10.250.4.0/24", "Equal");
    from["asPathPrefix"] = json!([65001]);
    from["operations"] = json!([{"addCommunity": {"value": "64512:44"}}]);
    let first = json!({
        "exportV4": [
            rule(on("10.244.1.0/26", "Equal"), "Reject"),
            rule(on("10.245.0.0/16", "In"), "Accept"),
            rule(json!({"interface": "cali*"}), "Reject"),
            rule(json!({"source": "RemotePeers"}), "Reject"),
        ],
        "importV4": [
            rule(on("10.250.1.0/24", "Equal"), "Reject"),
            rule(long, "Accept"),
            rule(json!({"communities": {"values": ["65001:3"]}}), "Reject"),
            rule(from, "Accept"),
            rule(on("10.250.0.0/16", "NotIn"), "Reject"),
        ],
    });
    let mut inside_only = on("10.246.1.0/26", "Equal");
    inside_only["peerType"] = json!("iBGP");
    let second = json!({
        "exportV4": [
            rule(inside_only, "Reject"),
            rule(changed, "Accept"),
            // The first filter has decided that already.
            rule(on("10.244.1.0/26", "Equal"), "Accept"),
        ],
        "importV4": [rule(on("10.250.5.0/24", "NotEqual"), "Reject")],
    });
    server.put(calico("BGPFilter", "first", first));
    server.put(calico("BGPFilter", "second", second));
}

/// A router with a session to the node.
fn router(net: &Net, host: u8, asn: u32, own: std::net::Ipv4Addr, networks: &[(&str, &str)]) -> Daemon {
    let settings = "asn: 64512, nextHop: unchanged, import: [all], export: [all]";
    let neighbor = net.neighbor("node", host, RR, settings).replace(&format!("address: {},", net.ip(RR)), &format!("address: {own},"));
    let network =
        |(prefix, communities): &(&str, &str)| format!("{{ prefix: {prefix}, nextHop: 10.1.1.{host}, communities: [{communities}] }}");
    let networks: Vec<_> = networks.iter().map(network).collect();
    let rest = Net::originate(&networks.join(", ")) + "policies: { all: [{ action: accept }] }\n";
    net.start(host, &net.config(host, asn, &neighbor, &rest))
}

/// Waits until a router hears these prefixes and no other.
fn hears(router: &Daemon, expected: &[&str]) {
    let mut expected: Vec<String> = expected.iter().map(|prefix| (*prefix).to_owned()).collect();
    expected.sort();
    let mut heard = Vec::new();
    eventually(&format!("just {expected:?} are heard"), || {
        heard = router.prefixes(HEARD);
        heard.sort();
        (heard == expected).then_some(())
    });
}

fn route(daemon: &Daemon, view: &str, prefix: &str) -> Value {
    daemon.items(view).into_iter().find(|item| item["prefix"] == prefix).unwrap_or_default()
}

/// CalicoNodeStatus as JSON, and `show route` at BIRD's socket.
fn tells_as_calico_does(net: &Net, node: &Daemon) {
    let status = node.json("show calico");
    assert_eq!((&status["kind"], &status["agent"]["birdV4"]["routerID"]), (&json!("CalicoNodeStatus"), &json!("10.0.0.9")));
    assert_eq!((&status["bgp"]["numberEstablishedV4"], &status["bgp"]["numberNotEstablishedV4"]), (&json!(2), &json!(0)), "{status}");
    let peers: Vec<_> =
        status["bgp"]["peersV4"].as_array().unwrap().iter().map(|peer| (&peer["peerIP"], &peer["type"], &peer["state"])).collect();
    let expected = [INNER, OUTER].map(|host| json!(net.ip(host)));
    let (node_peer, established) = (json!("NodePeer"), json!("Established"));
    assert_eq!(peers, expected.each_ref().map(|address| (address, &node_peer, &established)));
    let routes = status["routes"]["routesV4"].as_array().unwrap();
    let of = |prefix: &str| routes.iter().find(|route| route["destination"] == prefix).unwrap();
    assert_eq!(of("10.244.1.0/26")["learnedFrom"], json!({"sourceType": "Static"}));
    assert_eq!(of("10.244.9.0/26")["learnedFrom"], json!({"sourceType": "BGPPeer", "peerIP": net.ip(INNER)}));
    let text =
        reflectors::ask_as_bird(net, "bird.ctl", "show route 10.244.9.0/26\nshow route primary protocol static1\nshow route count\n");
    let hop = format!("1007-10.244.9.0/26      via 10.1.1.{INNER} [Node_{}_port_{} ", net.ip(INNER).replace('.', "_"), net.port);
    assert!(text.contains(&hop) && text.contains(" 10.246.2.0/26      blackhole [static1 "), "{text}");
    assert!(text.lines().last().unwrap().starts_with("9001 "), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_decide_before_the_built_in_rules_and_in_their_order() {
    let net = Net::new(146);
    let Some(own) = own_address().await else { return };
    let server = ApiServer::start().await.unwrap();
    cluster_of(&net, &server, own);
    filters(&server);
    let node = follower(&net, &server, "nodeName: n1, roles: [node]", "router: { id: 10.0.0.9 }\nfib: { install: none }\n");
    let inner = router(&net, INNER, 64512, own, &[("10.244.9.0/26", "")]);
    let outside = [
        ("10.250.1.0/24", ""),
        ("10.250.2.0/25", ""),
        ("10.250.3.0/24", "\"65001:3\""),
        ("10.250.4.0/24", ""),
        ("10.250.5.0/24", ""),
        ("10.250.6.0/24", ""),
        ("198.51.100.0/24", ""),
    ];
    let outer = router(&net, OUTER, 65001, own, &outside);
    inner.established("node");
    outer.established("node");

    // The built-in rules: own blocks, borrowed addresses, not what is hidden, nothing of the fabric.
    hears(&inner, &["10.244.1.0/26", "10.244.2.1/32", "10.246.1.0/26", "10.246.2.0/26"]);
    let block = route(&inner, HEARD, "10.244.1.0/26");
    assert_eq!((&block["communities"], &block["localPref"]), (&json!(["64512:77"]), &json!(100)), "{block}");
    // What a filter accepts is not hidden any more, what it rejects is, and the second one changes what it accepts.
    hears(&outer, &["10.245.1.0/26", "10.246.1.0/26", "10.246.2.0/26"]);
    let changed = route(&outer, HEARD, "10.246.1.0/26");
    assert_eq!((&changed["largeCommunities"], &changed["asPath"]), (&json!(["64512:1:2"]), &json!([64512, 64999])), "{changed}");
    assert_eq!(route(&outer, HEARD, "10.246.2.0/26")["asPath"], json!([64512]));

    // Import: everything but what a filter rejects, as the filter changes it.
    node.has("show rib", "10.250.5.0/24");
    let mut learned: Vec<_> = node.prefixes("show rib").into_iter().filter(|p| p.starts_with("10.250.") || p.starts_with("198.")).collect();
    learned.sort();
    assert_eq!(learned, ["10.250.2.0/25", "10.250.4.0/24", "10.250.5.0/24"]);
    assert_eq!(route(&node, "show rib", "10.250.2.0/25")["localPref"], json!(2_147_483_547));
    assert_eq!(route(&node, "show rib", "10.250.4.0/24")["communities"], json!(["64512:44"]));

    tells_as_calico_does(&net, &node);
    // Other objects, the same sessions.
    let since = || [INNER, OUTER].map(|host| node.neighbor(&net.ip(host))["stateSince"].clone());
    let before = since();
    server.put(peering(&net, OUTER, 65001, &[]));
    hears(&outer, &["10.244.1.0/26", "10.244.2.1/32", "10.244.9.0/26", "10.246.1.0/26", "10.246.2.0/26"]);
    server.put(hidden(false));
    hears(&inner, &["10.244.1.0/26", "10.244.2.1/32", "10.245.1.0/26", "10.246.1.0/26", "10.246.2.0/26"]);
    node.has("show rib", "198.51.100.0/24");
    assert_eq!(since(), before);
}
