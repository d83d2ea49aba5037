//! Calico's objects drive the daemon on nodes of a cluster: what it announces to others, what it puts into the kernel, and how it takes
//! over from BIRD and gives back. The other nodes run BIRD 2 configured as Calico's templates do; its patch for IPIP is in no release of
//! BIRD, so those nodes use pools without encapsulation.

mod bird;
mod families;
mod migration;
mod node;
mod takeover;

use crate::cluster::{Cluster, calico, with};
use crate::lab::{Host, PATIENCE, eventually};
use crate::us::Kubgpd;
use serde_json::{Value, json};

/// Starts our daemon as the node that the host is.
fn speaker(cluster: &Cluster, host: &Host) -> Kubgpd {
    Kubgpd::follow(host, &cluster.section(host, &format!("n{}", host.number), "node"))
}

/// Node `number` of the cluster, on the common segment.
fn node(number: u8, more: Value) -> Value {
    let annotations = json!({
        "projectcalico.org/IPv4Address": format!("{}/24", crate::lab::v4(number)),
        "projectcalico.org/IPv6Address": format!("{}/64", crate::lab::v6(number)),
    });
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("n{number}"), "annotations": with(annotations, more)}})
}

fn version(version: &str) -> Value {
    calico("ClusterInformation", "default", json!({"calicoVersion": version, "datastoreReady": true}))
}

fn pool(name: &str, cidr: &str, more: Value) -> Value {
    calico("IPPool", name, with(json!({"cidr": cidr}), more))
}

fn affinity(number: u8, cidr: &str, state: &str) -> Value {
    let name = format!("n{number}-{}", cidr.replace(['.', ':', '/'], "-"));
    calico("BlockAffinity", &name, json!({"node": format!("n{number}"), "state": state, "cidr": cidr, "deleted": "false"}))
}

/// The kernel's routes of these protocols, one line each, sorted.
fn kernel(host: &Host, protocol: &str) -> Vec<String> {
    let read = |family: &str| host.run(&format!("ip {family} route show proto {protocol}"));
    // The hops of one route follow it on lines of their own.
    let text = (read("-4") + &read("-6")).replace("\n\t", " ").replace("pref medium", "");
    let mut lines: Vec<String> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    lines.sort();
    lines
}

/// Waits until the kernel holds these routes of a protocol; fails with what it holds instead.
fn wait_kernel(host: &Host, protocol: &str, expected: &[&str]) {
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    let mut last = Vec::new();
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually(PATIENCE, "", || {
            last = kernel(host, protocol);
            last == expected
        });
    }));
    assert!(found.is_ok(), "host {} has {last:#?} of protocol {protocol}, and not {expected:#?}", host.number);
}
