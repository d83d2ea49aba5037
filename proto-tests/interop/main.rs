//! Tests of the daemon against FRR, BIRD and GoBGP in network namespaces; what counts is what *their* tables say.
//! They need root and Debian's packages. Without root each prints a line with SKIP and passes; without the packages it fails.

#![allow(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod guards;
mod lab;
mod peers;
mod restarts;
mod routes;
mod sessions;
mod us;

use std::path::Path;
use std::process::Command;

/// Whether the tests can run here.
///
/// # Panics
/// We are root, but the other daemons are missing.
fn ready() -> bool {
    let id = Command::new("id").arg("-u").output().map(|output| output.stdout).unwrap_or_default();
    if id != b"0\n" {
        println!("SKIP interop: needs root for network namespaces");
        return false;
    }
    let is_there = |program: &&str| {
        ["/usr/sbin", "/usr/bin", "/sbin", "/bin", ""]
            .iter()
            .any(|folder| Path::new(&format!("{folder}/{}", program.trim_start_matches('/'))).exists())
    };
    let missing: Vec<&str> = ["ip", "sysctl", "bird", "birdc", "gobgpd", "gobgp", "vtysh", peers::BGPD, peers::ZEBRA]
        .into_iter()
        .filter(|program| !is_there(program))
        .collect();
    assert!(missing.is_empty(), "missing {}: apt-get install --no-install-recommends iproute2 procps frr bird2 gobgpd", missing.join(", "));
    true
}
