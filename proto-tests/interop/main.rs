//! Tests of the daemon against FRR, BIRD and GoBGP in network namespaces; what counts is what *their* tables say.
//! They need root and Debian's packages. Without root a line with SKIP is printed and they pass; without the packages they fail.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

#[cfg(feature = "kube")]
#[path = "../apiserver/mod.rs"]
mod apiserver;
mod bfd;
#[cfg(feature = "kube")]
mod calico;
#[cfg(feature = "kube")]
mod cluster;
mod drain;
mod guards;
mod lab;
mod links;
#[cfg(feature = "kube")]
mod nodes;
mod peers;
mod restarts;
mod routes;
#[cfg(feature = "kube")]
mod services;
mod sessions;
mod us;
mod vips;

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Once;

/// Whether the tests can run here.
///
/// # Panics
/// We are root, but the other daemons are missing.
fn ready() -> bool {
    let id = Command::new("id").arg("-u").output().map(|output| output.stdout).unwrap_or_default();
    if id != b"0\n" {
        static ONCE: Once = Once::new();
        // Past the harness, which keeps what tests that pass print.
        ONCE.call_once(|| drop(std::io::stderr().write_all(b"\nSKIP interop: needs root for network namespaces\n")));
        return false;
    }
    let is_there = |program: &&str| {
        ["/usr/sbin", "/usr/bin", "/sbin", "/bin", ""]
            .iter()
            .any(|folder| Path::new(&format!("{folder}/{}", program.trim_start_matches('/'))).exists())
    };
    let missing: Vec<&str> = ["ip", "sysctl", "curl", "bird", "birdc", "gobgpd", "gobgp", "vtysh", peers::BGPD, peers::ZEBRA]
        .into_iter()
        .filter(|program| !is_there(program))
        .collect();
    assert!(
        missing.is_empty(),
        "missing {}: apt-get install --no-install-recommends iproute2 procps curl frr bird2 gobgpd",
        missing.join(", ")
    );
    true
}
