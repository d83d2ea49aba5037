//! Whole networks in one thread: the real session machines, tables and update groups over pipes that delay, split, stall and
//! break, with a clock of their own. The same seed is the same run, to the octet.
//!
//! `SIM_SEEDS=10000 SIM_FIRST=1 cargo test --test sim` runs more; `SIM_SEEDS=1 SIM_FIRST=n` repeats one.

mod chance;
mod model;
mod network;
mod node;
mod pipe;
mod port;
mod random;

use ipnet::IpNet;
use kubgp::wire::attr::{AsPath, NextHop, Origin, PathAttributes, Tags};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

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
    PathAttributes {
        origin: Origin::Igp,
        as_path: AsPath::default(),
        next_hop,
        med: None,
        local_pref: None,
        atomic_aggregate: false,
        aggregator: None,
        communities: Vec::new(),
        originator_id: None,
        cluster_list: Vec::new(),
        ext_communities: Vec::new(),
        large_communities: Vec::new(),
        otc: None,
        opaque: Vec::new(),
        tags: Tags::default(),
    }
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
