//! A cluster leaves its mesh as docs/how-to/leave-the-full-mesh.md says: first a reflector beside it, then without. Two nodes are ours, one is
//! BIRD's; no node deletes a kernel route, and no packet between any two of them is lost.

use super::bird::{Bird, Era, Node};
use super::takeover::{NODES, Watch, block, cluster, holds};
use super::{node, speaker};
use crate::cluster::calico;
use crate::lab::{Lab, PATIENCE, eventually, v4};
use crate::us::Kubgpd;
use serde_json::json;

const REFLECTOR: u8 = 4;

#[test]
fn leaving_the_mesh_loses_no_packet_and_no_kernel_route() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let (mut api, hosts) = cluster(&lab, Era::Plain);
    let ours = [0, 1].map(|i| speaker(&api, &hosts[i]));
    let in_mesh = Node { blocks: vec![block(3)], pool: "10.244.0.0/16".to_owned(), mesh: NODES.to_vec(), ..Node::default() };
    let bird = Bird::start(&hosts[2], &in_mesh);
    let all_hold = || hosts.iter().for_each(|host| holds(host, if host.number == 3 { "bird" } else { "179" }, Era::Plain));
    all_hold();
    let watches: Vec<Watch> = hosts.iter().map(Watch::start).collect();

    // A reflector, and a peering beside the mesh.
    let host = lab.host(REFLECTOR);
    let mut its_node = node(REFLECTOR, json!({"projectcalico.org/RouteReflectorClusterID": "244.0.0.1"}));
    its_node["metadata"]["labels"] = json!({"dedicated": "route-reflector"});
    api.put(its_node);
    let selectors = json!({"nodeSelector": "!has(dedicated)", "peerSelector": "dedicated == 'route-reflector'"});
    api.put(calico("BGPPeer", "to-reflectors", selectors));
    let _reflector = Kubgpd::follow(&host, &api.section(&host, "n4", "reflector"));
    let with_both = Node { reflectors: vec![REFLECTOR], ..in_mesh.clone() };
    bird.reconfigure(&with_both);
    for (us, number) in ours.iter().zip([1, 2]) {
        let others: Vec<u8> = NODES.into_iter().filter(|other| *other != number).collect();
        let knows = |other: &u8| us.learned(&v4(REFLECTOR)).iter().any(|(prefix, _)| *prefix == block(*other));
        eventually(PATIENCE, "the reflector has told all", || others.iter().all(knows));
    }
    let told = |number: u8| bird.ctl(&format!("show route {} protocol Node_10_0_0_4", block(number))).contains(&v4(number));
    eventually(PATIENCE, "the reflector has told BIRD all", || told(1) && told(2));

    // The mesh goes.
    api.put(calico("BGPConfiguration", "default", json!({"nodeToNodeMeshEnabled": false})));
    bird.reconfigure(&Node { mesh: Vec::new(), ..with_both });
    for us in &ours {
        eventually(PATIENCE, "only the reflector is left", || us.ctl(&["show", "neighbors", "-o", "name"]).trim() == v4(REFLECTOR));
    }
    eventually(PATIENCE, "BIRD has no mesh", || !bird.ctl("show protocols").contains("Mesh_"));
    all_hold();
    watches.into_iter().for_each(Watch::end);
}
