//! How long the allocator takes for Services that all want an address at once.

use crate::apiserver::ApiServer;
use crate::{Arguments, Daemon};
use serde_json::json;
use std::time::{Duration, Instant};

/// Fills the cluster, starts the daemon with the role `allocator`, and waits until every Service shows an address.
pub async fn run(arguments: &Arguments) {
    let server = ApiServer::start().await.unwrap();
    server.put(json!({"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": {"namespace": "default", "name": "pool"},
        "spec": {"addresses": ["10.200.0.0/16"]}}));
    let name = |number: usize| format!("s{number:05}");
    for number in 0..arguments.services {
        server.put(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": name(number)},
            "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"], "ports": [{"port": 80}]}}));
    }
    let directory = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let daemon = Daemon::start(&arguments.daemon, directory.path(), &server, "allocator");
    let (mut given, mut first) = (0, None);
    while given < arguments.services {
        let shown = server.get("v1/Service", "shop", &name(given));
        if shown.is_some_and(|service| service["status"]["loadBalancer"]["ingress"][0]["ip"].is_string()) {
            (given, first) = (given + 1, first.or_else(|| Some(begin.elapsed())));
        } else {
            assert!(begin.elapsed() < Duration::from_secs(600), "{given} of {} after ten minutes", arguments.services);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    let (all, first) = (begin.elapsed(), first.unwrap_or_default());
    let (peak, resident) = daemon.memory();
    println!(
        "{} Services allocated over HTTP: the first after {:.2} s, all after {:.2} s",
        arguments.services,
        first.as_secs_f64(),
        all.as_secs_f64()
    );
    println!("{:.0} a second; RSS {resident:.1} MB, peak {peak:.1} MB", arguments.services as f64 / (all - first).as_secs_f64());
}
