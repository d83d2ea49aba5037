//! GoBGP 3.

use super::{Daemon, Route, Setup};
use crate::lab::{Host, PATIENCE, Process, eventually};
use serde_json::Value;

pub struct GoBgp {
    host: Host,
    us: String,
    process: Process,
}

impl GoBgp {
    pub fn start(host: &Host, setup: &Setup) -> Self {
        let config = host.write("gobgpd.toml", &config(host, setup));
        let mut arguments = vec!["-f", config.to_str().unwrap(), "-t", "toml", "--pprof-disable", "-l", "debug", "-p"];
        if setup.returning {
            arguments.push("-r");
        }
        let process = host.start("gobgpd", &arguments);
        eventually(PATIENCE, "gobgpd answers", || gobgp(host, &["-j", "global"]).contains('{'));
        let daemon = Self { host: host.clone(), us: setup.us.clone(), process };
        for network in &setup.networks {
            let family = if network.split(' ').next().unwrap_or_default().contains(':') { "ipv6" } else { "ipv4" };
            let words = [&["global", "rib", "add", "-a", family][..], &network.split_whitespace().collect::<Vec<_>>()].concat();
            gobgp(host, &words);
        }
        daemon
    }

    fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&gobgp(&self.host, &[&["-j"], words].concat())).unwrap_or_default()
    }
}

impl Daemon for GoBgp {
    fn established(&self) -> bool {
        self.json(&["neighbor", &self.us])["state"]["session_state"] == ESTABLISHED
    }

    fn paths(&self, prefix: &str) -> Vec<Route> {
        let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
        let shown = self.json(&["global", "rib", "-a", family, prefix]);
        // Either the list of paths, or a mapping from the prefix to it.
        let paths = if shown.is_array() { &shown } else { &shown[prefix] };
        paths.as_array().into_iter().flatten().filter(|path| path["neighbor-ip"] == self.us.as_str()).map(route).collect()
    }

    fn count(&self, v6: bool) -> usize {
        let family = if v6 { 2 } else { 1 };
        let neighbor = self.json(&["neighbor", &self.us]);
        let families = neighbor["afi_safis"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of = families.iter().find(|f| f["state"]["family"]["afi"] == family);
        of.and_then(|f| f["state"]["received"].as_u64()).unwrap_or(0) as usize
    }

    fn refresh(&self) {
        gobgp(&self.host, &["neighbor", &self.us, "softresetin"]);
    }

    fn process(&self) -> &Process {
        &self.process
    }

    fn processes(&mut self) -> Vec<&mut Process> {
        vec![&mut self.process]
    }
}

pub fn gobgp(host: &Host, words: &[&str]) -> String {
    host.query(&[&["gobgp"], words].concat())
}

fn config(host: &Host, s: &Setup) -> String {
    let mut text = format!("[global.config]\nas = {}\nrouter-id = \"10.255.0.{}\"\n{}\n", s.asn, host.number, s.global);
    text += &format!("[[neighbors]]\n[neighbors.config]\nneighbor-address = \"{}\"\npeer-as = {}\n", s.us, s.our_asn);
    text += &s.password.map(|key| format!("auth-password = \"{key}\"\n")).unwrap_or_default();
    text += &format!("[neighbors.transport.config]\npassive-mode = {}\nlocal-address = \"{}\"\n", s.passive, s.own);
    text +=
        &format!("[neighbors.timers.config]\nconnect-retry = 1\nhold-time = {}\nkeepalive-interval = {}\n", s.hold, (s.hold / 3).max(1));
    text += "idle-hold-time-after-reset = 1\n";
    if s.gtsm {
        text += "[neighbors.ttl-security.config]\nenabled = true\nttl-min = 255\n";
    }
    if let Some(ttl) = s.multihop {
        text += &format!("[neighbors.ebgp-multihop.config]\nenabled = true\nmultihop-ttl = {ttl}\n");
    }
    if s.graceful_restart {
        text += "[neighbors.graceful-restart.config]\nenabled = true\nrestart-time = 60\n";
    }
    text += &format!("{}\n", s.session);
    for (wanted, family) in [(s.v4, "ipv4-unicast"), (s.v6, "ipv6-unicast")] {
        if wanted {
            text += &format!("[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"{family}\"\n{}\n", s.family);
            if s.add_path {
                text += "[neighbors.afi-safis.add-paths.config]\nreceive = true\nsend-max = 8\n";
            }
            if s.graceful_restart {
                text += "[neighbors.afi-safis.mp-graceful-restart.config]\nenabled = true\n";
            }
        }
    }
    text
}

fn route(path: &Value) -> Route {
    let mut route = Route { stale: path["stale"] == true, ..Route::default() };
    for attribute in path["attrs"].as_array().into_iter().flatten() {
        let value = &attribute["value"];
        match attribute["type"].as_u64().unwrap_or(0) {
            2 => route.as_path = attribute["as_paths"].as_array().into_iter().flatten().map(segment).collect::<Vec<_>>().join(" "),
            3 | 14 => route.next_hop = attribute["nexthop"].as_str().unwrap_or_default().to_owned(),
            4 => route.med = attribute["metric"].as_u64(),
            5 => route.local_pref = value.as_u64(),
            8 => route.communities.extend(attribute["communities"].as_array().into_iter().flatten().filter_map(standard)),
            9 => route.originator = value.as_str().unwrap_or_default().to_owned(),
            10 => route.clusters = value.as_array().into_iter().flatten().filter_map(|v| Some(v.as_str()?.to_owned())).collect(),
            16 => route
                .communities
                .extend(value.as_array().into_iter().flatten().filter_map(|v| Some(format!("rt:{}", v["value"].as_str()?)))),
            32 => route.communities.extend(value.as_array().into_iter().flatten().map(large)),
            _ => {}
        }
    }
    route.communities.sort();
    route
}

fn segment(segment: &Value) -> String {
    segment["asns"].as_array().into_iter().flatten().map(Value::to_string).collect::<Vec<_>>().join(" ")
}

fn standard(value: &Value) -> Option<String> {
    value.as_u64().map(|v| format!("{}:{}", v >> 16, v & 0xffff))
}

fn large(value: &Value) -> String {
    format!("{}:{}:{}", value["ASN"], value["LocalData1"], value["LocalData2"])
}

const ESTABLISHED: u64 = 6;
