//! FRR: zebra and bgpd of one host, and bfdd where the session wants it.

use super::{Daemon, Route, Setup, line};
use crate::lab::{Host, PATIENCE, Process, eventually};
use serde_json::Value;
use std::process::Command;

pub struct Frr {
    host: Host,
    us: String,
    zebra: Process,
    bgpd: Process,
    bfdd: Option<Process>,
}

impl Frr {
    pub fn start(host: &Host, setup: &Setup) -> Self {
        let folder = host.folder.to_str().unwrap();
        let config = host.write("frr.conf", &config(host, setup));
        let config = config.to_str().unwrap();
        let zserv = format!("{folder}/zserv.sock");
        let (zebra_pid, bgpd_pid) = (format!("{folder}/zebra.pid"), format!("{folder}/bgpd.pid"));
        let empty = host.write("zebra.conf", "");
        let common = ["-z", &zserv, "--vty_socket", folder, "-P", "0", "--log", "stdout"];
        // One that was killed has left it behind.
        let _ = std::fs::remove_file(&zserv);
        let zebra = host.start(ZEBRA, &[&common[..], &["-i", &zebra_pid, "-f", empty.to_str().unwrap()]].concat());
        eventually(PATIENCE, "zebra listens", || std::fs::exists(&zserv).unwrap());
        let bfdd = setup.session.contains("bfd").then(|| {
            let config = host.write("bfdd.conf", "bfd\n profile fast\n  transmit-interval 50\n  receive-interval 50\n exit\nexit\n");
            let (pid, control) = (format!("{folder}/bfdd.pid"), format!("{folder}/bfdd.sock"));
            host.start(BFDD, &[&common[..], &["-i", &pid, "-f", config.to_str().unwrap(), "--bfdctl", &control]].concat())
        });
        let no_kernel: &[&str] = if setup.kernel { &[] } else { &["-n"] };
        let bgpd = host.start(BGPD, &[&common[..], &["-i", &bgpd_pid, "-f", config], no_kernel].concat());
        eventually(PATIENCE, "bgpd answers", || vtysh(host, "show bgp summary json").contains('{'));
        Self { host: host.clone(), us: setup.us.clone(), zebra, bgpd, bfdd }
    }

    fn json(&self, command: &str) -> Value {
        serde_json::from_str(&vtysh(&self.host, command)).unwrap_or_default()
    }
}

impl Daemon for Frr {
    fn established(&self) -> bool {
        self.json(&format!("show bgp neighbors {} json", self.us))[&self.us]["bgpState"] == "Established"
    }

    fn paths(&self, prefix: &str) -> Vec<Route> {
        let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
        let shown = self.json(&format!("show bgp {family} unicast {prefix} json"));
        shown["paths"].as_array().into_iter().flatten().map(route).collect()
    }

    fn count(&self, v6: bool) -> usize {
        let family = if v6 { "ipv6Unicast" } else { "ipv4Unicast" };
        let peer = &self.json("show bgp summary json")[family]["peers"][&self.us];
        peer["pfxRcd"].as_u64().unwrap_or(0) as usize
    }

    fn refresh(&self) {
        vtysh(&self.host, "clear bgp * soft in");
    }

    fn process(&self) -> &Process {
        &self.bgpd
    }

    fn processes(&mut self) -> Vec<&mut Process> {
        [&mut self.bgpd, &mut self.zebra].into_iter().chain(&mut self.bfdd).collect()
    }
}

pub fn vtysh(host: &Host, command: &str) -> String {
    let mut words: Vec<&str> = vec!["--vty_socket", host.folder.to_str().unwrap()];
    command.split(" / ").for_each(|c| words.extend(["-c", c]));
    let output = Command::new("vtysh").args(words).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn config(host: &Host, s: &Setup) -> String {
    let mut text = format!(
        "hostname frr{}\n{}\nrouter bgp {}\n bgp router-id 10.255.0.{}\n no bgp ebgp-requires-policy\n no bgp default ipv4-unicast\n \
         no bgp network import-check\n coalesce-time 50\n bgp log-neighbor-changes\n",
        host.number, s.global, s.asn, host.number
    );
    let session = [
        line(s.graceful_restart, " bgp graceful-restart\n bgp graceful-restart preserve-fw-state"),
        format!(" neighbor {0} remote-as {1}\n neighbor {0} timers {2} {3}\n", s.us, s.our_asn, s.hold / 3, s.hold),
        format!(" neighbor {0} timers connect 1\n", s.us),
        line(s.passive, format!(" neighbor {} passive", s.us)),
        line(s.gtsm, format!(" neighbor {} ttl-security hops 1", s.us)),
        line(s.extended_next_hop, format!(" neighbor {} capability extended-nexthop", s.us)),
        s.password.map(|key| format!(" neighbor {} password {key}\n", s.us)).unwrap_or_default(),
        s.multihop.map(|ttl| format!(" neighbor {} ebgp-multihop {ttl}\n", s.us)).unwrap_or_default(),
        s.session.lines().map(|l| format!(" neighbor {} {l}\n", s.us)).collect(),
    ];
    text += &session.concat();
    for (wanted, family, mark) in [(s.v4, "ipv4", '.'), (s.v6, "ipv6", ':')] {
        if !wanted {
            continue;
        }
        text += &format!(" address-family {family} unicast\n  neighbor {} activate\n", s.us);
        text += &line(s.add_path, format!("  neighbor {} addpath-tx-all-paths", s.us));
        text += &s.family.lines().map(|l| format!("  neighbor {} {l}\n", s.us)).collect::<String>();
        text += &s.networks.iter().filter(|n| n.contains(mark)).map(|n| format!("  network {n}\n")).collect::<String>();
        text += " exit-address-family\n";
    }
    text
}

fn route(path: &Value) -> Route {
    let texts = |list: &Value| list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    let mut communities: Vec<String> = ["community", "largeCommunity", "extendedCommunity"]
        .iter()
        .filter_map(|kind| path[kind]["string"].as_str())
        .flat_map(str::split_whitespace)
        .map(str::to_lowercase)
        .collect();
    communities.sort();
    // IPv6 routes have a link-local next hop too.
    let hops = path["nexthops"].as_array().map(Vec::as_slice).unwrap_or_default();
    let hop = hops.iter().find(|hop| hop["scope"] != "link-local").unwrap_or(&Value::Null);
    Route {
        next_hop: hop["ip"].as_str().unwrap_or_default().to_owned(),
        as_path: path["aspath"]["string"].as_str().filter(|path| *path != "Local").unwrap_or_default().to_owned(),
        local_pref: path["locPrf"].as_u64(),
        med: path["metric"].as_u64(),
        originator: path["originatorId"].as_str().unwrap_or_default().to_owned(),
        clusters: texts(&path["clusterList"]["list"]),
        communities,
        stale: path["stale"] == true,
    }
}

pub const BGPD: &str = "/usr/lib/frr/bgpd";
const BFDD: &str = "/usr/lib/frr/bfdd";
pub const ZEBRA: &str = "/usr/lib/frr/zebra";
