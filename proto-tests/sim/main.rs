//! Whole networks in one thread: the real session machines, tables and update groups over pipes that delay, split, stall and
//! break, with a clock of their own. The same seed is the same run, to the octet.
//!
//! `SIM_SEEDS=10000 SIM_FIRST=1 cargo test --test sim` runs more; `SIM_SEEDS=1 SIM_FIRST=n` repeats one.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test may stop at what must not happen, and bounds its waiting by the clock"
)]

mod chance;
mod model;
mod network;
mod node;
mod pipe;
mod port;
mod random;
mod script;

use ipnet::IpNet;
use kubgp::wire::attr::{NextHop, PathAttributes};
use network::Network;
use node::Setup;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The AS of the reflectors and their clients.
const AS: u32 = 64512;
/// The first AS of the others.
const EXTERNAL_AS: u32 = 64601;

/// Plain attributes of an originated route.
fn attributes(prefix: &IpNet) -> PathAttributes {
    let next_hop = match prefix {
        IpNet::V4(_) => NextHop::V4(Ipv4Addr::UNSPECIFIED),
        IpNet::V6(_) => NextHop::V6(Ipv6Addr::UNSPECIFIED),
    };
    PathAttributes::new(next_hop)
}

fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(otherwise)
}

/// Runs seeds on all cores; the failures, in order.
fn run_seeds(first: u64, count: u64) -> Vec<(u64, String)> {
    let next = AtomicU64::new(first);
    let failures = Mutex::new(Vec::new());
    let worker = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                break;
            }
            let outcome = catch_unwind(|| random::run(seed, None)).unwrap_or_else(|_| Err("a panic, see above".to_owned()));
            if let Err(why) = outcome {
                failures.lock().unwrap().push((seed, why));
            }
        }
    };
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (0..cores).for_each(|_| drop(scope.spawn(worker)));
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    failures
}

#[test]
fn random_networks_agree_with_the_model() {
    let failures = run_seeds(from_environment("SIM_FIRST", 1), from_environment("SIM_SEEDS", 1000));
    for (seed, why) in failures.iter().take(10) {
        println!("seed {seed}: {why}\n  SIM_FIRST={seed} SIM_SEEDS=1 cargo test --test sim random_networks");
    }
    assert!(failures.is_empty(), "{} seeds failed", failures.len());
}

#[test]
fn a_seed_is_one_run() {
    for seed in 1..=5 {
        assert_eq!(random::run(seed, None), random::run(seed, None), "seed {seed}");
    }
}

#[test]
fn three_reflectors_and_fifty_clients() {
    let size = random::Size { reflectors: 3, clients: 50, externals: 2, operations: 60 };
    let first = from_environment("SIM_FIRST", 1);
    for seed in first..first + from_environment("SIM_BIG", 2) {
        if let Err(why) = random::run(seed, Some(size)) {
            panic!("seed {seed}: {why}\n  SIM_FIRST={seed} SIM_BIG=1 cargo test --test sim three_reflectors");
        }
    }
}

#[test]
fn scenarios_go_as_written() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/proto-tests/sim/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 12, "{} scenarios", files.len());
    let run = |path: &std::path::PathBuf| script::run(&std::fs::read_to_string(path).unwrap()).err().map(|why| (path.clone(), why));
    let failures: Vec<_> = files.iter().filter_map(run).collect();
    failures.iter().for_each(|(path, why)| println!("{}: {why}", path.display()));
    assert!(failures.is_empty(), "{} scenarios failed", failures.len());
}

/// What the old group of a member publishes after the member was told what to forget must not reach it.
#[test]
fn a_member_that_moves_reads_no_more_of_its_old_group() {
    let mut net = Network::new(1);
    let node = |name: &str, id| Setup { name: name.to_owned(), asn: AS, id, cluster: id };
    let nodes = ["RR", "A"].map(|name| net.add_node(node(name, 1 + u32::from(name == "A"))));
    net.add_link(nodes[0], nodes[1]).ends[0].client = true;
    nodes.iter().for_each(|node| net.boot(*node, false));
    net.run_until(Duration::from_secs(10));
    net.change(nodes[0], 0, |end| end.deny = Some(AS << 16 | 1));
    net.rib_turn(nodes[0]);
    let prefix: IpNet = "10.0.0.0/24".parse().unwrap();
    let mut attrs = attributes(&prefix);
    attrs.communities.push(AS << 16 | 1);
    net.nodes[nodes[0]].originate(prefix, Some((&attrs).into()));
    net.rib_turn(nodes[0]);
    // The member writes before its shard has obeyed.
    net.settle(nodes[0], 0);
    net.settle_down(Duration::from_secs(60)).unwrap();
    assert_eq!(model::check(&net), Ok(()));
}
