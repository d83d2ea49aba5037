//! A node with BIRD, configured as Calico's templates do for pools without encapsulation, but for shorter waits between two attempts
//! to connect.

use crate::lab::{Host, PATIENCE, Process, eventually, v4, v6};
use crate::peers::birdc;

/// Which state of Calico's contract its node is in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Era {
    /// Up to 3.31: LOCAL_PREF 100, no kernel metric.
    #[default]
    Plain,
    /// From 3.32: LOCAL_PREF and kernel metric mirror each other.
    Metric,
}

impl Era {
    /// A version of Calico of this era.
    pub fn version(self) -> &'static str {
        match self {
            Self::Plain => "v3.31.2",
            Self::Metric => "v3.32.1",
        }
    }

    /// What a route of a neighbor shows in the kernel beside its hops.
    pub fn metric(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Metric => " metric 1024",
        }
    }
}

/// What its configuration is made of.
#[derive(Clone, Default)]
pub struct Node {
    pub era: Era,
    pub blocks: Vec<String>,
    /// The range of the pool.
    pub pool: String,
    /// Numbers of the other nodes of the mesh.
    pub mesh: Vec<u8>,
    /// Numbers of the route reflectors that a BGPPeer names.
    pub reflectors: Vec<u8>,
    /// An IPv6 block; with one the mesh has sessions over IPv6, too.
    pub block6: Option<String>,
}

/// A running BIRD.
pub struct Bird {
    pub host: Host,
    process: Process,
}

impl Bird {
    /// `-R` is how calico-node always starts it: after a restart it waits for its neighbors before it takes routes out of the kernel.
    pub fn start(host: &Host, node: &Node) -> Self {
        let config = host.write("bird.conf", &config(host, node));
        let (control, pid) = (host.folder.join("bird.ctl"), host.folder.join("bird.pid"));
        let arguments = ["-R", "-f", "-c", config.to_str().unwrap(), "-s", control.to_str().unwrap(), "-P", pid.to_str().unwrap()];
        let process = host.start("bird", &arguments);
        eventually(PATIENCE, "bird answers", || birdc(host, "show status").contains("Daemon is up"));
        Self { host: host.clone(), process }
    }

    /// Takes another configuration, as confd has it do.
    pub fn reconfigure(&self, node: &Node) {
        self.host.write("bird.conf", &config(&self.host, node));
        let said = self.ctl("configure");
        assert!(said.contains("Reconfigur"), "{said}");
    }

    /// As when its pod is deleted: it says no word to its neighbors.
    pub fn kill(mut self) {
        self.process.kill();
    }

    pub fn ctl(&self, command: &str) -> String {
        birdc(&self.host, command)
    }

    pub fn is_up(&self, number: u8) -> bool {
        self.ctl(&format!("show protocols {}", session(number))).contains("Established")
    }

    /// Everything about the routes to a prefix that a neighbor sent.
    pub fn routes(&self, prefix: &str, number: u8) -> String {
        self.ctl(&format!("show route {prefix} protocol {} all", session(number)))
    }
}

fn session(number: u8) -> String {
    format!("Mesh_{}", v4(number).replace('.', "_"))
}

fn config(host: &Host, node: &Node) -> String {
    let own = v4(host.number);
    let blocks: String = node.blocks.iter().map(|block| format!("    route {block} blackhole;\n")).collect();
    let accepts: String = node
        .blocks
        .iter()
        .map(|block| format!("  if ( net = {block} ) then {{ accept; }}\n  if ( net ~ {block} ) then {{ reject; }}\n"))
        .collect();
    let (prefer, metric) = match node.era {
        Era::Plain => ("", ""),
        Era::Metric => (
            "  if ( ! defined(bgp_local_pref) ) then { bgp_local_pref = 2147482623; }\n",
            "  if ( source = RTS_BGP ) then { krt_metric = 2147483647 - bgp_local_pref; }\n",
        ),
    };
    let mut text = format!(
        "router id {own};\nlog stderr all;\n\
         filter calico_export_to_bgp_peers {{\n{prefer}{accepts}  if ( net ~ {pool} ) then {{ accept; }}\n  reject;\n}}\n\
         filter calico_kernel_programming {{\n  if ( source = RTS_DEVICE ) then {{ reject; }}\n{metric}  accept;\n}}\n\
         protocol static {{\n  ipv4;\n{blocks}}}\n\
         protocol kernel {{\n  learn;\n  persist;\n  metric 0;\n  scan time 2;\n  graceful restart;\n  merge paths on;\n  \
         ipv4 {{ import all; export filter calico_kernel_programming; }};\n}}\n\
         protocol device {{ scan time 2; }}\n\
         protocol direct {{ ipv4; interface -\"cali*\", -\"kube-ipvs*\", \"*\"; }}\n\
         template bgp bgp_template {{\n  debug {{ states }};\n  local as 64512;\n  multihop;\n  graceful restart;\n  \
         connect delay time 1;\n  connect retry time 1;\n  error wait time 1,5;\n  source address {own};\n  \
         ipv4 {{ gateway recursive; import all; export filter calico_export_to_bgp_peers; add paths on; }};\n}}\n",
        pool = node.pool,
    );
    text += &node.block6.as_ref().map(|block| config6(host, block)).unwrap_or_default();
    let mut protocol = |name: &str, template: &str, peer: &str, is_passive: bool| {
        let passive = if is_passive { "  passive on;\n" } else { "" };
        text += &format!("protocol bgp {name} from {template} {{\n  neighbor {peer} as 64512;\n{passive}}}\n");
    };
    for number in node.mesh.iter().filter(|number| **number != host.number) {
        let peer = v4(*number);
        // The greater address, as text, connects.
        protocol(&session(*number), "bgp_template", &peer, peer > own);
        if node.block6.is_some() {
            let (peer, own) = (v6(*number), v6(host.number));
            protocol(&format!("Mesh_{}", peer.replace(':', "_")), "bgp6_template", &peer, peer > own);
        }
    }
    for number in &node.reflectors {
        protocol(&format!("Node_{}", v4(*number).replace('.', "_")), "bgp_template", &v4(*number), false);
    }
    text
}

/// What the other of Calico's two daemons has: IPv6 over sessions of its own.
fn config6(host: &Host, block: &str) -> String {
    format!(
        "protocol static {{\n  ipv6;\n  route {block} blackhole;\n}}\n\
         protocol kernel {{\n  learn;\n  persist;\n  scan time 2;\n  graceful restart;\n  ipv6 {{ import all; export all; }};\n}}\n\
         protocol direct {{ ipv6; interface -\"cali*\", -\"kube-ipvs*\", \"*\"; }}\n\
         template bgp bgp6_template {{\n  debug {{ states }};\n  local as 64512;\n  multihop;\n  graceful restart;\n  \
         connect delay time 1;\n  connect retry time 1;\n  error wait time 1,5;\n  source address {};\n  \
         ipv6 {{ gateway recursive; import all; export where source = RTS_STATIC; add paths on; }};\n}}\n",
        v6(host.number)
    )
}
