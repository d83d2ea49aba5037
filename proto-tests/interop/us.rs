//! Our own daemon.

use crate::lab::{Host, PATIENCE, Process, eventually};
use serde_json::Value;

/// A running kubgpd.
pub struct Kubgpd {
    host: Host,
    asn: u32,
    process: Process,
}

impl Kubgpd {
    /// Starts it with a router id of its own; `config` is the rest of the file.
    pub fn start(host: &Host, asn: u32, config: &str) -> Self {
        write(host, asn, config);
        let process = launch(host);
        let daemon = Self { host: host.clone(), asn, process };
        eventually(PATIENCE, "kubgpd runs", || daemon.log().contains("running"));
        daemon
    }

    /// Starts a speaker that has everything from the objects of a cluster but what `config` says.
    pub fn follow(host: &Host, config: &str) -> Self {
        host.write("kubgp.yaml", &(common(host) + config));
        let process = launch(host);
        let daemon = Self { host: host.clone(), asn: 0, process };
        eventually(PATIENCE, "kubgpd runs", || daemon.log().contains("running"));
        daemon
    }

    /// Takes another configuration into use (SIGHUP).
    pub fn reload(&self, config: &str) {
        let applied = || self.log().matches("configuration applied").count();
        let before = applied();
        write(&self.host, self.asn, config);
        self.process.signal("HUP");
        eventually(PATIENCE, "the new configuration is in use", || applied() > before);
    }

    /// Whether so many peers are written down as established, for the next life.
    pub fn remembers(&self, peers: usize) -> bool {
        std::fs::read_to_string(self.host.folder.join("kubgp.restart")).is_ok_and(|text| text.lines().count() == 2 + peers)
    }

    /// Whether of so many peers it is written down how BFD knows them.
    pub fn remembers_paths(&self, paths: usize) -> bool {
        std::fs::read_to_string(self.host.folder.join("kubgp.restart"))
            .is_ok_and(|text| text.lines().filter(|line| line.contains(' ')).count() == paths)
    }

    /// As a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to end, and waits for it.
    pub fn stop(&mut self) {
        self.ask_to_stop();
        self.ended();
    }

    /// Asks it to end, which may take a drain.
    pub fn ask_to_stop(&self) {
        self.process.signal("TERM");
    }

    pub fn has_ended(&mut self) -> bool {
        self.process.has_ended()
    }

    pub fn ended(&mut self) {
        self.process.ended();
    }

    /// Starts it again after [`Self::kill`] or [`Self::stop`].
    pub fn restart(&mut self) {
        self.process = launch(&self.host);
    }

    /// What `bgpctl` prints.
    pub fn ctl(&self, words: &[&str]) -> String {
        let socket = self.host.folder.join("kubgp.sock");
        self.host.query(&[&[env!("CARGO_BIN_EXE_bgpctl"), "--socket", socket.to_str().unwrap()], words].concat())
    }

    /// What is shown of one neighbor.
    pub fn neighbor(&self, address: &str) -> String {
        self.ctl(&["show", "neighbor", address])
    }

    /// How many messages of this kind were sent and received.
    pub fn messages(&self, address: &str, kind: &str) -> [u64; 2] {
        let shown = self.neighbor(address);
        let numbers = |line: &str| line.trim().strip_prefix(kind)?.split_whitespace().map(|n| n.parse().ok()).collect::<Option<Vec<u64>>>();
        shown.lines().find_map(|line| numbers(line)?.try_into().ok()).unwrap_or_default()
    }

    /// Prefixes and whether they are stale, of all paths from this neighbor.
    pub fn learned(&self, address: &str) -> Vec<(String, bool)> {
        let shown: Value = serde_json::from_str(&self.ctl(&["-o", "json", "show", "rib"])).unwrap_or_default();
        let items = shown["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of = items.iter().filter(|item| item["peer"] == address);
        of.map(|item| (item["prefix"].as_str().unwrap_or_default().to_owned(), item["stale"] == true)).collect()
    }

    /// Whether the session with this neighbor was ever up.
    pub fn was_established(&self, address: &str) -> bool {
        self.log().lines().any(|line| line.contains("session established") && line.contains(&format!("peer={address} ")))
    }

    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// A policy named `all` that accepts everything.
pub const ACCEPT_ALL: &str = "policies: { all: [{ action: accept }] }\n";

/// An entry of `neighbors`; these come right after one another.
pub fn neighbor(address: &str, asn: u32, settings: &str) -> String {
    format!("  - {{ address: \"{address}\", asn: {asn}, connectRetryTime: 1s, {settings} }}\n")
}

/// `originate` with these networks, MED 7.
pub fn networks(prefixes: &[&str]) -> String {
    let entries: String = prefixes.iter().map(|prefix| format!("    - {{ prefix: \"{prefix}\", med: 7 }}\n")).collect();
    format!("originate:\n  networks:\n{entries}")
}

/// What a speaker with this configuration would do, as [`Kubgpd::follow`] takes it, without one.
pub fn preview(host: &Host, config: &str) -> Value {
    let file = host.write("preview.yaml", &(common(host) + config));
    let words = [env!("CARGO_BIN_EXE_bgpctl"), "-o", "json", "diff", "--with-kernel", "--config", file.to_str().unwrap()];
    serde_json::from_str(&host.query(&words)).unwrap()
}

/// What stands in every file.
fn common(host: &Host) -> String {
    let socket = host.folder.join("kubgp.sock");
    format!("api: {{ socket: {} }}\nmetrics: {{ listen: off }}\nlog: {{ level: debug, format: text }}\n", socket.display())
}

fn write(host: &Host, asn: u32, config: &str) {
    let router = format!("apiVersion: kubgp.io/v1\nrouter: {{ asn: {asn}, id: 10.255.0.{} }}\n", host.number);
    let text = router + &common(host) + config;
    // The entries of neighbors stand in the text without their key.
    let text = text.replacen("\n  - { address", "\nneighbors:\n  - { address", 1);
    host.write("kubgp.yaml", &text);
}

fn launch(host: &Host) -> Process {
    host.start(env!("CARGO_BIN_EXE_kubgpd"), &["--config", host.folder.join("kubgp.yaml").to_str().unwrap()])
}
