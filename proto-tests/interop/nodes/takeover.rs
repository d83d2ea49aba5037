//! BIRD goes and we come, and back again: nobody's kernel loses a route, and no packet is lost.

use super::bird::{Bird, Era, Node};
use super::{affinity, kernel, node, pool, speaker, version, wait_kernel};
use crate::cluster::Cluster;
use crate::lab::{Host, Lab, PATIENCE, Process, eventually, v4};
use crate::us::{Kubgpd, preview};
use serde_json::{Value, json};

#[test]
fn taking_over_and_giving_back_deletes_no_route_before_3_32() {
    there_and_back(Era::Plain);
}

#[test]
fn taking_over_and_giving_back_deletes_no_route_from_3_32() {
    there_and_back(Era::Metric);
}

/// Nodes 1 to 3, of which the second and then the first change hands; with each step there are some of both kinds.
fn there_and_back(era: Era) {
    if !crate::ready() {
        return;
    }
    let lab = Lab::new();
    let (mut api, hosts) = cluster(&lab, era);
    let [first, second, third] = [0, 1, 2].map(|i| bird(era, &hosts[i]));
    for host in &hosts {
        holds(host, "bird", era);
    }
    let watches: Vec<Watch> = hosts.iter().map(Watch::start).collect();

    foresees(era, &mut api, &hosts[1]);
    let mut second = take_over(era, &api, second);
    assert!(first.is_up(2) && third.is_up(2));
    if era == Era::Plain {
        restarts(&mut second, &hosts[1]);
    }
    let mut first = take_over(era, &api, first);
    second.stop();
    let second = give_back(era, &hosts[1]);
    eventually(PATIENCE, "BIRD has its sessions", || second.is_up(1) && second.is_up(3));
    first.stop();
    let first = give_back(era, &hosts[0]);
    eventually(PATIENCE, "BIRD has its sessions", || first.is_up(2) && first.is_up(3));
    for host in &hosts {
        holds(host, "bird", era);
    }
    watches.into_iter().for_each(Watch::end);
}

/// Three nodes with a block and a pod each.
pub fn cluster(lab: &Lab, era: Era) -> (Cluster, [Host; 3]) {
    let mut api = Cluster::start(&lab.host(100));
    api.put(version(era.version()));
    api.put(pool("pods", "10.244.0.0/16", Value::Null));
    for number in NODES {
        api.put(node(number, json!({"projectcalico.org/IPv6Address": ""})));
        api.put(affinity(number, &block(number), "confirmed"));
    }
    let hosts = NODES.map(|number| lab.host(number));
    for host in &hosts {
        // Stands in for a pod; without tunnels packets have the node's own address as their source anyway.
        host.address("lo", &format!("{}/32", pod(host.number)));
    }
    (api, hosts)
}

/// A crash, and a stop that is meant, each with a new life after it.
fn restarts(us: &mut Kubgpd, host: &Host) {
    us.kill();
    us.restart();
    begins_again(us, host, 2);
    us.stop();
    assert_eq!((kernel(host, "bird"), kernel(host, "179")), (routes(Era::Plain, host.number), vec![]));
    us.restart();
    begins_again(us, host, 3);
}

/// Waits until a life of ours has routes again from both neighbors.
fn begins_again(us: &Kubgpd, host: &Host, life: usize) {
    eventually(PATIENCE, "the restart is over", || us.log().matches("route selection begins").count() == life);
    holds(host, "179", Era::Plain);
    let others = NODES.into_iter().filter(|number| *number != host.number);
    for other in others {
        let fresh = || us.learned(&v4(other)) == [(block(other), false)];
        eventually(PATIENCE, "the routes of others are as good as before", fresh);
    }
}

/// Beside a BIRD that works, and without a trace: what would become of its routes.
fn foresees(era: Era, api: &mut Cluster, host: &Host) {
    // A block that its node has yet to announce, and a route of a former life of ours.
    api.put(affinity(3, "10.244.33.0/26", "confirmed"));
    host.run("ip route add blackhole 172.20.0.0/24 proto 179");
    let before = (kernel(host, "bird"), kernel(host, "179"));
    let found = preview(host, &api.section(host, &format!("n{}", host.number), "node"));
    assert_eq!((kernel(host, "bird"), kernel(host, "179")), before);
    api.delete("crd.projectcalico.org/v1/BlockAffinity", "n3-10-244-33-0-26");
    host.run("ip route del blackhole 172.20.0.0/24 proto 179");
    let list = |key: &str| found[key].as_array().unwrap().clone();
    let sessions: Vec<_> = list("sessions").iter().map(|s| (s["name"].clone(), s["passive"].clone())).collect();
    assert_eq!(sessions, [(json!("Mesh_10_0_0_1"), json!(false)), (json!("Mesh_10_0_0_3"), json!(true))]);
    let metric = if era == Era::Plain { 0 } else { 1024 };
    let via = |number: u8| json!([{"via": v4(number), "device": "lan", "onlink": false, "weight": 1}]);
    let learned = |number: u8, protocol: u8| json!({"shape": "unicast", "hops": via(number), "metric": metric, "protocol": protocol});
    let blackhole = |protocol: u8| json!({"shape": "blackhole", "metric": 0, "protocol": protocol});
    let routes = [
        json!({"prefix": "10.244.1.0/26", "fate": "adopt", "now": learned(1, 12), "then": learned(1, 179)}),
        json!({"prefix": "10.244.2.0/26", "fate": "adopt", "now": blackhole(12), "then": blackhole(179)}),
        json!({"prefix": "10.244.3.0/26", "fate": "adopt", "now": learned(3, 12), "then": learned(3, 179)}),
        json!({"prefix": "10.244.33.0/26", "fate": "add", "then": learned(3, 179)}),
        json!({"prefix": "172.20.0.0/24", "fate": "remove", "now": blackhole(179)}),
    ];
    assert_eq!(list("routes"), routes);
}

fn take_over(era: Era, api: &Cluster, bird: Bird) -> Kubgpd {
    let host = bird.host.clone();
    // It comes first, and does nothing while BIRD is there.
    let us = speaker(api, &host);
    eventually(PATIENCE, "it waits", || us.log().contains("another program listens on"));
    assert_eq!((kernel(&host, "179"), us.ctl(&["show", "neighbors", "--no-headers"])), (vec![], String::new()));
    bird.kill();
    holds(&host, "179", era);
    let others = NODES.into_iter().filter(|number| *number != host.number);
    others.for_each(|number| eventually(PATIENCE, "the sessions are up", || us.was_established(&v4(number))));
    eventually(PATIENCE, "the restart is over", || us.log().contains("route selection begins"));
    assert!(!us.log().contains("another program writes kernel routes"), "{}", us.log());
    us
}

/// Waits until all routes of a node are of this protocol.
pub fn holds(host: &Host, protocol: &str, era: Era) {
    let expected = routes(era, host.number);
    wait_kernel(host, protocol, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    let other = if protocol == "bird" { "179" } else { "bird" };
    wait_kernel(host, other, &[]);
}

/// What our daemon left is BIRD's already.
fn give_back(era: Era, host: &Host) -> Bird {
    assert_eq!((kernel(host, "bird"), kernel(host, "179")), (routes(era, host.number), vec![]));
    bird(era, host)
}

fn bird(era: Era, host: &Host) -> Bird {
    Bird::start(
        host,
        &Node { era, blocks: vec![block(host.number)], pool: "10.244.0.0/16".to_owned(), mesh: NODES.to_vec(), ..Node::default() },
    )
}

pub fn block(number: u8) -> String {
    format!("10.244.{number}.0/26")
}

fn pod(number: u8) -> String {
    format!("10.244.{number}.1")
}

/// What a node shall have in its kernel.
fn routes(era: Era, own: u8) -> Vec<String> {
    let others = NODES.into_iter().filter(|number| *number != own);
    let mut all: Vec<_> = others.map(|n| format!("{} via {} dev lan{}", block(n), v4(n), era.metric())).collect();
    all.push(format!("blackhole {}", block(own)));
    all
}

/// Looks at a node for as long as it is not ended: deleted routes, and packets to the pods of all others.
pub struct Watch {
    monitor: Process,
    pings: Vec<Process>,
}

impl Watch {
    pub fn start(host: &Host) -> Self {
        let monitor = host.start("ip", &["-ts", "monitor", "route"]);
        let ping = |number: u8| host.start_as(&format!("ping-{number}"), "ping", &["-i", "0.05", "-W", "1", &pod(number)]);
        Self { monitor, pings: NODES.into_iter().filter(|number| *number != host.number).map(ping).collect() }
    }

    pub fn end(self) {
        let deleted: Vec<_> =
            self.monitor.log().lines().filter(|l| l.contains("Deleted") && l.contains("10.244.")).map(str::to_owned).collect();
        assert!(deleted.is_empty(), "{deleted:#?}\n{}", self.monitor.log());
        for mut ping in self.pings {
            ping.signal("INT");
            ping.ended();
            let log = ping.log();
            assert!(log.contains(" 0% packet loss"), "{}", log.lines().last().unwrap_or_default());
        }
    }
}

pub const NODES: [u8; 3] = [1, 2, 3];
