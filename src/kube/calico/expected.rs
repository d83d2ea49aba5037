//! What other nodes will announce, for those who have no session yet.

use super::node::IpFamily;
use super::settings::is_single;
use super::{Hold, Local, Objects, World};
use crate::fib::preview::Expected;
use ipnet::IpNet;
use std::collections::BTreeMap;

/// The blocks of all other nodes. Where only those of our own node are in `objects`, there are none.
///
/// # Errors
/// When there is no state to act on.
pub fn expected(objects: &Objects<'_>, local: &Local) -> Result<BTreeMap<IpNet, Expected>, Hold> {
    let world = World::read(objects, local, &mut Vec::new())?;
    let mut blocks = BTreeMap::new();
    for spec in objects.affinities.iter().map(|affinity| &affinity.spec) {
        let is_others = spec.node != world.own.name && !spec.deleted && matches!(spec.kind.as_str(), "" | "host");
        let is_confirmed = matches!(spec.state.as_str(), "" | "confirmed");
        let Ok(net) = spec.cidr.parse::<IpNet>().map(|net| net.trunc()) else { continue };
        let family = IpFamily::of_net(&net);
        let next_hop = world.nodes.get(&spec.node).and_then(|node| node.address(family));
        if let Some(next_hop) = next_hop.filter(|_| is_others && is_confirmed && !is_single(&net)) {
            blocks.insert(net, Expected { next_hop, local_pref: world.settings.local_pref(family) });
        }
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::calico::objects::{BlockAffinity, CRD_V1, ClusterInformation};
    use crate::kube::objects::{Node, Object};
    use serde_json::json;

    #[test]
    fn blocks_of_others_lead_to_their_nodes() {
        let node = |name: &str, address: &str| {
            let annotations = json!({"projectcalico.org/IPv4Address": address});
            Node::parse(&Node::KIND.served_by[0], json!({"metadata": {"name": name, "annotations": annotations}})).unwrap()
        };
        let nodes = [node("n1", "10.0.0.1/24"), node("n2", "10.0.0.2/24")];
        let affinity = |node: &str, cidr: &str, state: &str| {
            let spec = json!({"node": node, "cidr": cidr, "state": state});
            BlockAffinity::parse(&CRD_V1, json!({"metadata": {"name": cidr}, "spec": spec})).unwrap()
        };
        let affinities = [
            affinity("n1", "10.244.1.0/26", "confirmed"),
            affinity("n2", "10.244.2.0/26", "confirmed"),
            affinity("n2", "10.244.3.0/26", "pending"),
            affinity("n2", "10.244.4.0/32", "confirmed"),
            affinity("n2", "fd00:2::/122", "confirmed"),
            affinity("gone", "10.244.5.0/26", "confirmed"),
        ];
        let information =
            ClusterInformation::parse(&CRD_V1, json!({"metadata": {"name": "default"}, "spec": {"calicoVersion": "v3.32.1"}}));
        let information = information.unwrap();
        let objects = Objects {
            nodes: nodes.iter().collect(),
            affinities: affinities.iter().collect(),
            cluster_information: Some(&information),
            ..Objects::default()
        };
        let local = Local { node: "n1".to_owned(), ..Local::default() };
        let found = expected(&objects, &local).unwrap();
        let only = Expected { next_hop: "10.0.0.2".parse().unwrap(), local_pref: Some(2_147_482_623) };
        assert_eq!(found, [("10.244.2.0/26".parse().unwrap(), only)].into());
    }
}
