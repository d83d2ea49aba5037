//! IPv4 and IPv6: one session for both between two nodes of ours, and one for each with a node of BIRD's.

use super::bird::{Bird, Node};
use super::{affinity, node, pool, speaker, version, wait_kernel};
use crate::cluster::Cluster;
use crate::lab::{Lab, PATIENCE, eventually, v4, v6};
use serde_json::{Value, json};

#[test]
fn both_families_over_one_session_of_ours_and_over_two_with_bird() {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let mut api = Cluster::start(&lab.host(100));
    api.put(version("v3.31.2"));
    api.put(pool("pods", "10.244.0.0/16", Value::Null));
    api.put(pool("pods6", "fd00:10::/32", Value::Null));
    for number in [1, 2, 3] {
        let mut node = node(number, Value::Null);
        if number != 3 {
            node["metadata"]["labels"] = json!({"kubgp.io/speaker": "true"});
        }
        api.put(node);
        api.put(affinity(number, &format!("10.244.{number}.0/26"), "confirmed"));
        api.put(affinity(number, &format!("fd00:10:{number}::/122"), "confirmed"));
    }
    let hosts = [1, 2, 3].map(|number| lab.host(number));
    let setup = Node {
        blocks: vec!["10.244.3.0/26".to_owned()],
        pool: "10.244.0.0/16".to_owned(),
        mesh: vec![1, 2, 3],
        block6: Some("fd00:10:3::/122".to_owned()),
        ..Node::default()
    };
    let bird = Bird::start(&hosts[2], &setup);
    let [one, _two] = [0, 1].map(|i| speaker(&api, &hosts[i]));
    for (own, other) in [(1, 2), (2, 1)] {
        let (v4_of, v6_of) = (
            |n: u8| format!("10.244.{n}.0/26 via {} dev lan", v4(n)),
            |n: u8| format!("fd00:10:{n}::/122 via {} dev lan metric 1024", v6(n)),
        );
        let mut expected = vec![v4_of(other), v4_of(3), v6_of(other), v6_of(3)];
        expected.push(format!("blackhole 10.244.{own}.0/26"));
        expected.push(format!("blackhole fd00:10:{own}::/122 dev lo metric 1024"));
        wait_kernel(&hosts[own as usize - 1], "179", &expected.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let names = one.ctl(&["show", "neighbors", "-o", "name"]);
    assert_eq!(names.lines().collect::<Vec<_>>(), ["10.0.0.2", "10.0.0.3", "fd00::3"]);
    for number in [1, 2] {
        let is_there = || bird.ctl(&format!("show route fd00:10:{number}::/122 all")).contains(&format!("BGP.next_hop: {}", v6(number)));
        eventually(PATIENCE, "BIRD has the IPv6 blocks", is_there);
    }
}
