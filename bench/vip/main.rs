//! `kubgp-vip`: how long a change takes from the API server to the UPDATE at every peer.
//!
//! One process plays the API server and the routers; the daemon is the real one. Services with one address each are announced to all
//! routers; then one Service at a time loses its endpoint or gets it back, or is new, and the clock runs from just before the API
//! server takes the object until a router has read the UPDATE. `--pause 0` sends the next change as soon as all routers had the last.
//!
//!     cargo build --release --bins --example kubgp-vip
//!     target/release/examples/kubgp-vip --daemon target/release/kubgpd
//!
//! `--allocate` measures something else: how long Services that all want an address at once wait for it.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a load generator measures time, and ends where it cannot go on")]

mod allocate;
#[path = "../../proto-tests/apiserver/mod.rs"]
mod apiserver;
mod cluster;
mod router;

use apiserver::ApiServer;
use clap::Parser;
use cluster::Cluster;
use router::{Heard, Routers};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Parser)]
struct Arguments {
    /// The daemon to measure.
    #[arg(long)]
    daemon: PathBuf,
    #[arg(long, default_value_t = 1000)]
    services: usize,
    #[arg(long, default_value_t = 20)]
    peers: u8,
    /// Changes of each sort.
    #[arg(long, default_value_t = 200)]
    changes: usize,
    /// Milliseconds between the end of a change and the next.
    #[arg(long, default_value_t = 150)]
    pause: u64,
    /// Give addresses to the Services, instead of announcing them.
    #[arg(long)]
    allocate: bool,
}

/// Ends the daemon with the run.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Daemon {
    fn start(program: &PathBuf, directory: &std::path::Path, server: &ApiServer, role: &str) -> Self {
        let (kubeconfig, config) = (directory.join("kubeconfig"), directory.join("kubgp.yaml"));
        server.write_kubeconfig(&kubeconfig).unwrap();
        let text = format!(
            "apiVersion: kubgp.io/v1\nrouter: {{ id: 10.0.0.9 }}\nlisten: []\napi: {{ socket: {}/kubgp.sock }}\nmetrics: {{ listen: off }}\n\
             log: {{ level: warn }}\nkubernetes: {{ enabled: true, kubeconfig: {}, nodeName: n1, namespace: default, roles: [{role}] }}\n",
            directory.display(),
            kubeconfig.display()
        );
        std::fs::write(&config, text).unwrap();
        Self(Command::new(program).arg("--config").arg(config).stdout(Stdio::null()).spawn().unwrap())
    }

    /// Peak and present resident memory in MB.
    fn memory(&self) -> (f64, f64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).unwrap_or_default() / 1024.0
        };
        (field("VmHWM:"), field("VmRSS:"))
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let arguments = Arguments::parse();
    if arguments.allocate {
        return allocate::run(&arguments).await;
    }
    let own = kubgp::speaker::local_host().await.first_ipv4.expect("an address that is not on loopback");
    let server = ApiServer::start().await.unwrap();
    let cluster = Cluster { server: &server };
    let mut routers = Routers::listen(arguments.peers).await;
    cluster.fill(&routers.addresses, &own.to_string(), arguments.services);
    let directory = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let daemon = Daemon::start(&arguments.daemon, directory.path(), &server, "vip");
    let all: BTreeSet<u32> = (0..arguments.services as u32).collect();
    routers.hold(&all).await;
    let first = begin.elapsed();
    let mut withdrawn = Times::default();
    let mut announced = Times::default();
    let mut created = Times::default();
    for i in 0..arguments.changes {
        let number = (i * 7919 % arguments.services) as u32;
        let fresh = (arguments.services + i) as u32;
        withdrawn.measure(&mut routers, number, Heard::Withdrawn, arguments.pause, || cluster.slice(number, false)).await;
        announced.measure(&mut routers, number, Heard::Announced, arguments.pause, || cluster.slice(number, true)).await;
        cluster.slice(fresh, true);
        tokio::time::sleep(Duration::from_millis(arguments.pause)).await;
        created.measure(&mut routers, fresh, Heard::Announced, arguments.pause, || cluster.service(fresh)).await;
    }
    let (peak, resident) = daemon.memory();
    println!("{} Services x {} peers, {} changes, pause {} ms", arguments.services, arguments.peers, arguments.changes, arguments.pause);
    println!("first table at all peers after {:.0} ms; RSS {resident:.1} MB, peak {peak:.1} MB", first.as_secs_f64() * 1e3);
    for (name, times) in [("endpoints gone", withdrawn), ("endpoints back", announced), ("Service created", created)] {
        times.print(name);
    }
    println!("UPDATEs that nobody waited for: {}", routers.strays);
}

/// Milliseconds from the API server to a router's read.
#[derive(Default)]
struct Times(Vec<f64>);

impl Times {
    async fn measure(&mut self, routers: &mut Routers, number: u32, what: Heard, pause: u64, change: impl FnOnce()) {
        let begin = Instant::now();
        change();
        let arrivals = routers.all_hear(number, what).await;
        self.0.extend(arrivals.into_iter().map(|at| at.duration_since(begin).as_secs_f64() * 1e3));
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }

    fn print(mut self, name: &str) {
        self.0.sort_by(f64::total_cmp);
        let at = |share: f64| self.0.get(((self.0.len() - 1) as f64 * share) as usize).copied().unwrap_or_default();
        println!("{name:<16} n {:>6}  p50 {:>7.2} ms  p99 {:>7.2} ms  max {:>7.2} ms", self.0.len(), at(0.5), at(0.99), at(1.0));
    }
}
