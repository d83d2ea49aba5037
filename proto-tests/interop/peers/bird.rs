//! BIRD 2.

use super::{Daemon, Route, Setup, line};
use crate::lab::{Host, PATIENCE, Process, eventually};
use std::process::Command;

pub struct Bird {
    host: Host,
    process: Process,
}

impl Bird {
    pub fn start(host: &Host, setup: &Setup) -> Self {
        let config = host.write("bird.conf", &config(host, setup));
        let (control, pid) = (host.folder.join("bird.ctl"), host.folder.join("bird.pid"));
        let mut arguments = vec!["-f", "-c", config.to_str().unwrap(), "-s", control.to_str().unwrap(), "-P", pid.to_str().unwrap()];
        if setup.returning {
            arguments.push("-R");
        }
        let process = host.start("bird", &arguments);
        eventually(PATIENCE, "bird answers", || birdc(host, "show status").contains("Daemon is up"));
        Self { host: host.clone(), process }
    }
}

impl Daemon for Bird {
    fn established(&self) -> bool {
        birdc(&self.host, "show protocols all kubgp").contains("BGP state:          Established")
    }

    fn paths(&self, prefix: &str) -> Vec<Route> {
        routes(&birdc(&self.host, &format!("show route {prefix} protocol kubgp all")))
    }

    fn count(&self, v6: bool) -> usize {
        let table = if v6 { "master6" } else { "master4" };
        let shown = birdc(&self.host, &format!("show route table {table} protocol kubgp count"));
        shown.lines().find_map(|l| l.split_once(" of ")?.0.trim().parse().ok()).unwrap_or(0)
    }

    fn refresh(&self) {
        birdc(&self.host, "reload in kubgp");
    }

    fn process(&self) -> &Process {
        &self.process
    }

    fn processes(&mut self) -> Vec<&mut Process> {
        vec![&mut self.process]
    }
}

pub fn birdc(host: &Host, command: &str) -> String {
    let output = Command::new("birdc").arg("-s").arg(host.folder.join("bird.ctl")).args(command.split_whitespace()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn config(host: &Host, s: &Setup) -> String {
    let mut text = format!(
        "router id 10.255.0.{};\nlog stderr all;\nprotocol device {{ scan time 1; }}\nprotocol direct {{ ipv4; ipv6; }}\n\
         template bgp common {{\n  debug {{ states, events }};\n  local {} as {};\n  connect delay time 1;\n  connect retry time 1;\n  \
         error wait time 1, 2;\n  hold time {};\n}}\n{}\n",
        host.number, s.own, s.asn, s.hold, s.global
    );
    for (family, mark) in [("ipv4", '.'), ("ipv6", ':')] {
        let routes: String = s.networks.iter().filter(|n| n.contains(mark)).map(|n| format!("  route {n} blackhole;\n")).collect();
        text += &format!("protocol static own_{family} {{\n  {family};\n{routes}}}\n");
    }
    text += &format!("protocol bgp kubgp from common {{\n  neighbor {} as {};\n", s.us, s.our_asn);
    let session = [
        line(s.passive, "  passive;"),
        line(s.gtsm, "  ttl security;"),
        line(s.multihop.is_none(), "  direct;"),
        // Otherwise it only helps others.
        line(s.graceful_restart, "  graceful restart;"),
        s.password.map(|key| format!("  password \"{key}\";\n")).unwrap_or_default(),
        s.multihop.map(|ttl| format!("  multihop {ttl};\n")).unwrap_or_default(),
        s.session.clone(),
    ];
    text += &session.concat();
    for (wanted, family) in [(s.v4, "ipv4"), (s.v6, "ipv6")] {
        if wanted {
            text += &format!("  {family} {{\n    import all;\n    export where source ~ [RTS_STATIC, RTS_BGP];\n    {}\n", s.family);
            text += &line(s.add_path, "    add paths on;");
            text += &line(s.extended_next_hop && family == "ipv4", "    extended next hop on;");
            text += "  };\n";
        }
    }
    text + "}\n"
}

/// Reads `show route all`: each path has a line with the protocol, then one line per attribute.
fn routes(shown: &str) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    for text in shown.lines() {
        if text.contains(" [kubgp ") {
            routes.push(Route { stale: text.contains('s') && text.contains("] (100s"), ..Route::default() });
        }
        let (Some(route), Some((name, value))) = (routes.last_mut(), text.trim().strip_prefix("BGP.").and_then(|t| t.split_once(": ")))
        else {
            continue;
        };
        match name {
            "next_hop" => route.next_hop = value.split_whitespace().next().unwrap_or_default().to_owned(),
            "as_path" => route.as_path = value.to_owned(),
            "local_pref" => route.local_pref = value.parse().ok(),
            "med" => route.med = value.parse().ok(),
            "originator_id" => route.originator = value.to_owned(),
            "cluster_list" => route.clusters = value.split_whitespace().map(str::to_owned).collect(),
            "community" | "large_community" | "ext_community" => {
                let plain = value.replace(", ", ":").replace(',', ":").replace(['(', ')'], "");
                route.communities.extend(plain.split_whitespace().map(str::to_owned));
                route.communities.sort();
            }
            _ => {}
        }
    }
    routes
}
