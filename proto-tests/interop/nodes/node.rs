//! What a node announces, and what it puts into its kernel. A veth stands in for the device tunl0 (this kernel may have no IPIP): route,
//! device and onlink are those of IPIP, but nothing is encapsulated.

use super::bird::{Bird, Era, Node};
use super::{affinity, kernel, node, pool, speaker, version, wait_kernel};
use crate::cluster::{Cluster, calico, with};
use crate::lab::{Host, Lab, PATIENCE, eventually};
use crate::us::Kubgpd;
use serde_json::{Value, json};

fn tunnel(host: &Host) {
    host.run("ip link add tunl0 type veth peer name tunl0-end");
    host.run("ip link set tunl0 up");
    host.run("ip link set tunl0-end up");
}

fn cluster(api: &mut Cluster) {
    // The subnet of n1 ends before n5.
    api.put(node(1, json!({"projectcalico.org/IPv4Address": "10.0.0.1/30"})));
    for number in [2, 5] {
        api.put(node(number, json!({"projectcalico.org/IPv6Address": ""})));
    }
    api.put(node(6, Value::Null));
    api.put(version("v3.31.2"));
    api.put(pool("plain", "10.244.0.0/16", Value::Null));
    api.put(pool("always", "10.245.0.0/16", json!({"ipipMode": "Always"})));
    api.put(pool("cross", "10.246.0.0/16", json!({"ipipMode": "CrossSubnet"})));
    api.put(pool("vxlan", "10.247.0.0/16", json!({"vxlanMode": "Always"})));
    api.put(pool("hidden", "10.248.0.0/16", json!({"disableBGPExport": true})));
    api.put(pool("six", "fd00:10::/32", Value::Null));
    for block in ["10.244.1.0/26", "10.245.1.0/26", "10.248.1.0/26", "fd00:10:1::/122"] {
        api.put(affinity(1, block, "confirmed"));
    }
    api.put(affinity(1, "10.244.77.0/26", "pending"));
    for block in ["10.244.6.0/26", "fd00:10:6::/122"] {
        api.put(affinity(6, block, "confirmed"));
    }
    // The sixth address of a block of n2 is in use on n1.
    let mut allocations = vec![Value::Null; 64];
    allocations[5] = json!(0);
    let attributes = json!([{"handle_id": "k8s-pod-network.abc", "secondary": {"node": "n1", "namespace": "shop", "pod": "web"}}]);
    let block = json!({"cidr": "10.244.2.0/26", "affinity": "host:n2", "allocations": allocations, "unallocated": [],
        "attributes": attributes});
    api.put(calico("IPAMBlock", "10-244-2-0-26", block));
    api.put(configuration(Value::Null));
    // A router that no route leads to but by a gateway.
    let behind = json!({"node": "n1", "peerIP": "10.9.0.7", "asNumber": 64512, "reachableBy": "10.0.0.6"});
    api.put(calico("BGPPeer", "behind", behind));
    let service = json!({"type": "ClusterIP", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "externalTrafficPolicy": "Local"});
    let name = json!({"namespace": "shop", "name": "web"});
    api.put(json!({"apiVersion": "v1", "kind": "Service", "metadata": name, "spec": service}));
    // Two slices: what one says does not undo the other.
    for (slice, on) in [("web-a", "n1"), ("web-b", "n2")] {
        let metadata = json!({"namespace": "shop", "name": slice, "labels": {"kubernetes.io/service-name": "web"}});
        let endpoints = json!([{"addresses": ["10.244.1.9"], "nodeName": on, "conditions": {"ready": true}}]);
        api.put(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata, "addressType": "IPv4",
            "endpoints": endpoints}));
    }
}

fn configuration(more: Value) -> Value {
    let spec = json!({
        "serviceClusterIPs": [{"cidr": "10.96.0.0/16"}],
        "communities": [{"name": "ours", "value": "64512:77"}],
        "prefixAdvertisements": [{"cidr": "10.244.1.0/26", "communities": ["ours"]}],
    });
    calico("BGPConfiguration", "default", with(spec, more))
}

fn bird(host: &Host, blocks: &[&str]) -> Bird {
    let blocks = blocks.iter().map(|block| (*block).to_owned()).collect();
    Bird::start(host, &Node { era: Era::Plain, blocks, pool: "10.240.0.0/12".to_owned(), mesh: vec![1, 2, 5, 6], ..Node::default() })
}

#[test]
fn a_node_announces_and_installs_what_the_objects_say() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let mut api = Cluster::start(&lab.host(100));
    cluster(&mut api);
    let hosts = [1, 2, 5, 6].map(|number| lab.host(number));
    tunnel(&hosts[0]);
    let near = bird(
        &hosts[1],
        &["10.244.2.0/26", "10.244.9.0/26", "10.245.2.0/26", "10.245.9.0/26", "10.246.2.0/26", "10.247.2.0/26", "10.96.7.0/26"],
    );
    let far = bird(&hosts[2], &["10.244.9.0/26", "10.245.9.0/26", "10.246.5.0/26"]);
    let us = speaker(&api, &hosts[0]);
    // Somebody announces a block by a next hop that nothing leads to.
    let lost = "originate: { networks: [{ prefix: 10.244.13.0/26, nextHop: 172.16.9.9 }] }\n";
    let _other = Kubgpd::follow(&hosts[3], &(api.section(&hosts[3], "n6", "node") + lost));
    installs_by_pool(&hosts);
    let heard = |prefix: &str| near.routes(prefix, 1);
    announces(&heard);
    assert!(far.is_up(1) && far.is_up(6));

    // The block that was pending is ours now; one that we had is somebody else's.
    api.put(affinity(1, "10.244.77.0/26", "confirmed"));
    api.delete("crd.projectcalico.org/v1/BlockAffinity", "n1-10-245-1-0-26");
    eventually(PATIENCE, "the new block is announced", || heard("10.244.77.0/26").contains("BGP.next_hop"));
    eventually(PATIENCE, "the old one is not", || !heard("10.245.1.0/26").contains("BGP.next_hop"));
    let has = |line: &str| kernel(&hosts[0], "179").iter().any(|l| l == line);
    eventually(PATIENCE, "the blackholes follow", || has("blackhole 10.244.77.0/26") && !has("blackhole 10.245.1.0/26"));

    // The same objects mean something else in the next era: Felix has the tunnels, and the metric mirrors LOCAL_PREF.
    api.put(version("v3.33.0"));
    leaves_tunnels_to_felix(&hosts[0]);
    eventually(PATIENCE, "LOCAL_PREF follows", || heard("10.244.1.0/26").contains("BGP.local_pref: 2147482623"));
    // Both sides are told to program all: we leave it to Felix, and say so.
    api.put(calico("FelixConfiguration", "default", json!({"programClusterRoutes": "Enabled"})));
    api.put(configuration(json!({"programClusterRoutes": "Enabled"})));
    wait_kernel(&hosts[0], "179", &["10.9.0.7 via 10.0.0.6 dev lan"]);
    let shown = us.ctl(&["show", "config"]);
    assert!(shown.contains("# warning: BGPConfiguration default: spec.programClusterRoutes:"), "{shown}");
    assert!(us.was_established("10.0.0.2") && far.is_up(1), "{}", us.log());
    // A BIRD that came back would write routes as it always did.
    assert!(!us.log().contains("another program writes kernel routes"), "{}", us.log());
    hosts[0].run("ip route add blackhole 172.30.0.0/24 proto bird");
    eventually(PATIENCE, "that is told", || us.log().contains("another program writes kernel routes beside us"));
    assert_eq!(kernel(&hosts[0], "bird"), ["blackhole 172.30.0.0/24"], "and left alone");
}

fn installs_by_pool(hosts: &[Host]) {
    wait_kernel(
        &hosts[0],
        "179",
        &[
            "10.244.2.0/26 via 10.0.0.2 dev lan",
            "10.244.6.0/26 via 10.0.0.6 dev lan",
            "10.244.9.0/26 nexthop via 10.0.0.2 dev lan weight 1 nexthop via 10.0.0.5 dev lan weight 1",
            "10.245.2.0/26 via 10.0.0.2 dev tunl0 onlink",
            "10.245.9.0/26 nexthop via 10.0.0.2 dev tunl0 weight 1 onlink nexthop via 10.0.0.5 dev tunl0 weight 1 onlink",
            "10.246.2.0/26 via 10.0.0.2 dev lan",
            "10.246.5.0/26 via 10.0.0.5 dev tunl0 onlink",
            "10.9.0.7 via 10.0.0.6 dev lan",
            "blackhole 10.244.1.0/26",
            "unreachable 10.244.13.0/26",
            "blackhole 10.245.1.0/26",
            "blackhole 10.248.1.0/26",
            "blackhole fd00:10:1::/122 dev lo metric 1024",
            "fd00:10:6::/122 via fd00::6 dev lan metric 1024",
        ],
    );
    wait_kernel(
        &hosts[3],
        "179",
        &[
            "10.244.1.0/26 via 10.0.0.1 dev lan",
            "10.244.2.0/26 via 10.0.0.2 dev lan",
            "10.244.2.5 via 10.0.0.1 dev lan",
            "10.244.9.0/26 nexthop via 10.0.0.2 dev lan weight 1 nexthop via 10.0.0.5 dev lan weight 1",
            "10.246.2.0/26 via 10.0.0.2 dev lan",
            "10.246.5.0/26 via 10.0.0.5 dev lan",
            "blackhole 10.244.6.0/26",
            "blackhole fd00:10:6::/122 dev lo metric 1024",
            "fd00:10:1::/122 via fd00::1 dev lan metric 1024",
        ],
    );
}

fn announces(heard: &dyn Fn(&str) -> String) {
    let block = heard("10.244.1.0/26");
    assert!(block.contains("BGP.next_hop: 10.0.0.1") && block.contains("BGP.local_pref: 100"), "{block}");
    assert!(block.contains("(64512,77)") && block.contains("BGP.as_path: \n"), "{block}");
    for prefix in ["10.244.2.5/32", "10.96.0.0/16", "10.96.0.7/32"] {
        assert!(heard(prefix).contains("BGP.next_hop: 10.0.0.1"), "{prefix}");
    }
    for prefix in ["10.248.1.0/26", "10.244.77.0/26"] {
        assert!(!heard(prefix).contains("BGP.next_hop"), "{prefix}");
    }
}

fn leaves_tunnels_to_felix(host: &Host) {
    wait_kernel(
        host,
        "179",
        &[
            "10.244.2.0/26 via 10.0.0.2 dev lan metric 2147483547",
            "10.244.6.0/26 via 10.0.0.6 dev lan metric 1024",
            "10.244.9.0/26 metric 2147483547 nexthop via 10.0.0.2 dev lan weight 1 nexthop via 10.0.0.5 dev lan weight 1",
            "blackhole 10.244.1.0/26",
            "10.9.0.7 via 10.0.0.6 dev lan",
            "blackhole 10.244.77.0/26",
            "blackhole 10.248.1.0/26",
            "blackhole fd00:10:1::/122 dev lo metric 1024",
            "fd00:10:6::/122 via fd00::6 dev lan metric 1024",
            "unreachable 10.244.13.0/26 metric 2147483547",
        ],
    );
}
