//! The daemon under test: accepts sessions from ranges of loopback addresses, one range for each kind of session.

use std::net::{Ipv4Addr, SocketAddr};

use crate::notation::Session;
use crate::peer::now;
use crate::setup::{Daemon, Net, eventually};

pub struct Victim {
    net: Net,
    pub daemon: Daemon,
    pub address: SocketAddr,
    pub bystander: Ipv4Addr,
}

impl Victim {
    /// Test `number` has 127.61.`number`.0/24; sessions come from 127.64.0.0/10 wherever the daemon is.
    pub fn start(number: u8, level: &str) -> Self {
        Self::start_in(number, level, &[], "")
    }

    pub fn with_environment(number: u8, level: &str, environment: &[(&str, &str)]) -> Self {
        Self::start_in(number, level, environment, "")
    }

    /// After shell commands that set limits or move the log.
    pub fn limited(number: u8, level: &str, limits: &str) -> Self {
        Self::start_in(number, level, &[], limits)
    }

    fn start_in(number: u8, level: &str, environment: &[(&str, &str)], limits: &str) -> Self {
        let net = Net::new(number);
        let config = config(&net, level);
        let daemon = net.start_in(1, &config, environment, limits);
        let address = SocketAddr::new(net.ip(1).parse().expect("an address"), net.port);
        let bystander = net.ip(9).parse().expect("an address");
        Self { net, daemon, address, bystander }
    }

    /// The `count`th address from which a session of this kind may come.
    pub fn source(&self, session: &Session, count: u16) -> Ipv4Addr {
        let rich = session.extended || session.extended_next_hop || session.add_path;
        let range = if session.ebgp { 70 } else { 72 } + u8::from(rich);
        let [high, low] = count.to_be_bytes();
        Ipv4Addr::new(127, range, high, low)
    }

    /// The process is the one that was started, the bystander has never lost its session, and the processor rests.
    pub fn is_unharmed(&mut self) {
        assert!(self.daemon.child.try_wait().expect("a child").is_none(), "the daemon has ended");
        let row = self.daemon.neighbor("bystander");
        assert_eq!((row["state"].as_str(), row["establishedCount"].as_u64()), (Some("established"), Some(1)), "{row}");
        eventually("the daemon is idle", || {
            let (before, from) = (self.ticks(), now());
            while now() - from < std::time::Duration::from_millis(200) {
                std::thread::yield_now();
            }
            (self.ticks() - before <= 2).then_some(())
        });
    }

    /// Processor time of the daemon, in hundredths of a second.
    fn ticks(&self) -> u64 {
        let stat = self.proc("stat");
        let (_, fields) = stat.rsplit_once(')').expect("the name of the command");
        fields.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().expect("a number")).sum()
    }

    /// Memory of the daemon in KiB.
    pub fn rss(&self) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Open file descriptors of the daemon.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.daemon.child.id())).expect("the daemon runs").count()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.net.directory.path().join("1.log")).expect("a log")
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.daemon.child.id())).expect("the daemon runs")
    }
}

/// Configuration of the daemon: four ranges and the bystander.
fn config(net: &Net, level: &str) -> String {
    let (ip, bystander, port, socket) = (net.ip(1), net.ip(9), net.port, net.socket(1));
    let (socket, http) = (socket.display(), net.http());
    format!(
        "apiVersion: kubgp.io/v1
router: {{ asn: 65000, id: 10.0.0.1 }}
listen: [{{ address: {ip}, port: {port} }}]
log: {{ level: \"{level}\" }}
policies:
  edit: [{{ set: {{ communities: {{ add: [\"65000:1\"], remove: [\"65000:*\"] }}, localPref: 100 }}, action: accept }}]
groups:
  e: {{ asn: 65001, passive: true, extendedMessages: false, families: [ipv4-unicast, ipv6-unicast], import: [edit] }}
  ex: {{ asn: 65001, passive: true, extendedMessages: true, addPath: {{ receive: true }}, extendedNextHop: true, families: [ipv4-unicast, ipv6-unicast], import: [edit] }}
  i: {{ asn: internal, passive: true, routeReflectorClient: true, extendedMessages: false, families: [ipv4-unicast, ipv6-unicast], import: [edit] }}
  ix: {{ asn: internal, passive: true, routeReflectorClient: true, extendedMessages: true, addPath: {{ receive: true }}, extendedNextHop: true, families: [ipv4-unicast, ipv6-unicast] }}
  few: {{ asn: 65001, passive: true, import: [edit], maxPrefixes: {{ limit: 10, action: shutdown }} }}
  fewer: {{ asn: 65001, passive: true, import: [edit], maxPrefixes: {{ limit: 10, action: drop }} }}
  many: {{ asn: 65001, passive: true, import: [edit], maxPrefixes: {{ limit: 10, action: warn }} }}
  slow: {{ asn: internal, passive: true, routeReflectorClient: true, holdTime: 3s, sendHoldTime: 3s }}
dynamicNeighbors:
  - {{ range: 127.74.0.0/16, group: e, max: 3 }}
  - {{ range: 127.75.0.0/24, group: few }}
  - {{ range: 127.75.1.0/24, group: fewer }}
  - {{ range: 127.75.2.0/24, group: many }}
  - {{ range: 127.76.0.0/16, group: slow }}
  - {{ range: 127.70.0.0/16, group: e, max: 65000 }}
  - {{ range: 127.71.0.0/16, group: ex, max: 65000 }}
  - {{ range: 127.72.0.0/16, group: i, max: 65000 }}
  - {{ range: 127.73.0.0/16, group: ix, max: 65000 }}
neighbors:
  - {{ name: bystander, address: {bystander}, asn: internal, passive: true, routeReflectorClient: true, extendedMessages: false, extendedNextHop: true, families: [ipv4-unicast, ipv6-unicast] }}
api: {{ socket: {socket} }}
metrics: {{ listen: \"{ip}:{http}\" }}
"
    )
}
