//! The other daemons behind one face: how they are configured, started and asked.

mod bird;
mod frr;
mod gobgp;

use crate::lab::{Host, Lab, PATIENCE, Process, eventually, v4, v6};

pub use bird::birdc;
pub use frr::{BGPD, ZEBRA};

/// Which daemon.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Frr,
    Bird,
    GoBgp,
}

pub const ALL: [Kind; 3] = [Kind::Frr, Kind::Bird, Kind::GoBgp];

impl Kind {
    /// Its host's number, in tests with one of each.
    pub fn number(self) -> u8 {
        match self {
            Kind::Frr => 2,
            Kind::Bird => 3,
            Kind::GoBgp => 4,
        }
    }
}

/// One of each daemon, on the host with its number.
pub fn one_of_each(lab: &Lab, setup: impl Fn(Kind, &Host) -> Setup) -> Vec<Peer> {
    let start = |kind: Kind| {
        let host = lab.host(kind.number());
        Peer::start(kind, &host, setup(kind, &host))
    };
    ALL.into_iter().map(start).collect()
}

/// Settings of a daemon with one session, to us.
#[derive(Clone)]
pub struct Setup {
    pub asn: u32,
    pub our_asn: u32,
    /// Our address.
    pub us: String,
    /// The daemon's own.
    pub own: String,
    pub v4: bool,
    pub v6: bool,
    pub passive: bool,
    pub networks: Vec<String>,
    pub hold: u16,
    pub password: Option<&'static str>,
    /// GTSM with one hop.
    pub gtsm: bool,
    /// TTL of what is sent.
    pub multihop: Option<u8>,
    pub add_path: bool,
    pub extended_next_hop: bool,
    pub graceful_restart: bool,
    /// It is back from a restart in which forwarding went on.
    pub returning: bool,
    /// What is learned goes to the kernel; FRR only.
    pub kernel: bool,
    /// In the daemon's words: for the session, ...
    pub session: String,
    /// ... for each family of it, ...
    pub family: String,
    /// ... and beside it.
    pub global: String,
}

impl Setup {
    pub fn new(host: &Host, asn: u32) -> Self {
        Self {
            asn,
            our_asn: 64512,
            us: v4(1),
            own: v4(host.number),
            v4: true,
            v6: false,
            passive: true,
            networks: Vec::new(),
            hold: 90,
            password: None,
            gtsm: false,
            multihop: None,
            add_path: false,
            extended_next_hop: false,
            graceful_restart: false,
            returning: false,
            kernel: false,
            session: String::new(),
            family: String::new(),
            global: String::new(),
        }
    }

    pub fn networks(mut self, networks: &[&str]) -> Self {
        self.networks = networks.iter().map(|n| (*n).to_owned()).collect();
        self
    }

    pub fn both_families(self) -> Self {
        Self { v4: true, v6: true, ..self }
    }

    /// IPv6 alone, over IPv6.
    pub fn only_v6(self, host: &Host) -> Self {
        Self { us: v6(1), own: v6(host.number), v4: false, v6: true, ..self }
    }
}

/// A path in another daemon's table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Route {
    pub next_hop: String,
    pub as_path: String,
    pub local_pref: Option<u64>,
    pub med: Option<u64>,
    pub originator: String,
    pub clusters: Vec<String>,
    /// `64512:100`, `64512:1:7`, `rt:64512:100`; sorted.
    pub communities: Vec<String>,
    pub stale: bool,
}

/// What every daemon can be asked.
trait Daemon {
    fn established(&self) -> bool;
    /// All paths for exactly this prefix.
    fn paths(&self, prefix: &str) -> Vec<Route>;
    /// Number of prefixes learned by BGP.
    fn count(&self, v6: bool) -> usize;
    /// Asks us for our routes again.
    fn refresh(&self);
    /// The one that speaks BGP.
    fn process(&self) -> &Process;
    fn processes(&mut self) -> Vec<&mut Process>;
}

/// A running daemon with one session to us.
pub struct Peer {
    pub kind: Kind,
    pub host: Host,
    pub setup: Setup,
    daemon: Box<dyn Daemon>,
}

impl Peer {
    pub fn start(kind: Kind, host: &Host, setup: Setup) -> Self {
        let daemon: Box<dyn Daemon> = match kind {
            Kind::Frr => Box::new(frr::Frr::start(host, &setup)),
            Kind::Bird => Box::new(bird::Bird::start(host, &setup)),
            Kind::GoBgp => Box::new(gobgp::GoBgp::start(host, &setup)),
        };
        Self { kind, host: host.clone(), setup, daemon }
    }

    pub fn established(&self) -> bool {
        self.daemon.established()
    }

    pub fn wait_established(&self) {
        eventually(PATIENCE, &format!("{:?} has the session with us", self.kind), || self.established());
    }

    pub fn paths(&self, prefix: &str) -> Vec<Route> {
        self.daemon.paths(prefix)
    }

    /// Waits for a route with these qualities; fails with the routes that there are instead.
    pub fn wait_route(&self, prefix: &str, what: &str, good: impl Fn(&Route) -> bool) {
        let mut last = Vec::new();
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            eventually(PATIENCE, "", || {
                last = self.paths(prefix);
                last.iter().any(&good)
            });
        }));
        assert!(found.is_ok(), "{:?} has no route to {prefix} {what}, but {last:#?}", self.kind);
    }

    pub fn count(&self, v6: bool) -> usize {
        self.daemon.count(v6)
    }

    pub fn refresh(&self) {
        self.daemon.refresh();
    }

    pub fn log(&self) -> String {
        self.daemon.process().log()
    }

    /// As a crash would.
    pub fn kill(&mut self) {
        self.daemon.processes().into_iter().for_each(Process::kill);
    }

    pub fn signal(&mut self, name: &str) {
        self.daemon.processes().into_iter().for_each(|p| p.signal(name));
    }

    /// The daemon's own command line tool.
    pub fn ctl(&self, command: &str) -> String {
        match self.kind {
            Kind::Frr => frr::vtysh(&self.host, command),
            Kind::Bird => bird::birdc(&self.host, command),
            Kind::GoBgp => gobgp::gobgp(&self.host, &command.split_whitespace().collect::<Vec<_>>()),
        }
    }
}

/// A line for `yes`, or nothing.
fn line(yes: bool, text: impl AsRef<str>) -> String {
    if yes { format!("{}\n", text.as_ref()) } else { String::new() }
}
