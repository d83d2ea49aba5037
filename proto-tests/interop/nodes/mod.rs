//! Calico's objects drive the daemon on nodes of a cluster: what it announces to others, what it puts into the kernel, and how it takes
//! over from BIRD and gives back. The other nodes run BIRD 2 configured as Calico's templates do; its patch for IPIP is in no release of
//! BIRD, so those nodes use pools without encapsulation.

mod api;
mod bird;
mod node;
mod takeover;

use crate::lab::{Host, PATIENCE, eventually};
use crate::us::Kubgpd;
use serde_json::{Value, json};

/// Starts our daemon as the node that the host is.
fn speaker(api: &api::Api, host: &Host) -> Kubgpd {
    let kubeconfig = api.kubeconfig(host);
    let number = host.number;
    Kubgpd::follow(host, &format!("kubernetes: {{ enabled: true, kubeconfig: {kubeconfig}, nodeName: n{number}, roles: [node] }}\n"))
}

/// Node `number` of the cluster, on the common segment.
fn node(number: u8, more: Value) -> Value {
    let mut annotations = json!({
        "projectcalico.org/IPv4Address": format!("{}/24", crate::lab::v4(number)),
        "projectcalico.org/IPv6Address": format!("{}/64", crate::lab::v6(number)),
    });
    if let (Some(all), Some(more)) = (annotations.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("n{number}"), "annotations": annotations}})
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "crd.projectcalico.org/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn version(version: &str) -> Value {
    object("ClusterInformation", "default", json!({"calicoVersion": version, "datastoreReady": true}))
}

fn pool(name: &str, cidr: &str, more: Value) -> Value {
    let mut spec = json!({"cidr": cidr});
    if let (Some(all), Some(more)) = (spec.as_object_mut(), more.as_object()) {
        all.extend(more.clone());
    }
    object("IPPool", name, spec)
}

fn affinity(number: u8, cidr: &str, state: &str) -> Value {
    let name = format!("n{number}-{}", cidr.replace(['.', ':', '/'], "-"));
    object("BlockAffinity", &name, json!({"node": format!("n{number}"), "state": state, "cidr": cidr, "deleted": "false"}))
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
