//! From what people wrote to what runs. Goes through everything and collects complaints; a Plan comes out only when there are none.

mod bfd;
mod bmp;
mod fib;
mod kubernetes;
mod network;
mod policy;
mod session;
mod unsupported;
mod vips;

use super::complaint::{Complaint, Path, did_you_mean};
use super::file::{self, File, Session};
use super::plan::{ApiPlan, BfdProfile, DrainPlan, GlassPlan, LogPlan, MetricsPlan, Plan, PolicyPlan, RouterPlan, SecretSource};
use crate::wire::attr::Tags;
use crate::wire::{Asn, ClusterId, RouterId};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub(super) use session::{EBGP_TTL, IBGP_TTL};

/// A fragment of configuration from elsewhere, for example translated from Kubernetes objects. The file wins where only one value
/// can be; lists are joined.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// How complaints name it, for example `BGPPeer metallb-system/tor-a`.
    pub origin: String,
    pub file: File,
}

/// What checking needs from the machine.
pub trait Host {
    /// The octets of a secret, or why there are none.
    fn secret(&self, source: &SecretSource) -> Result<Vec<u8>, String>;

    /// The address that `router.id: auto` stands for.
    fn router_id(&self) -> Option<Ipv4Addr>;

    /// The name of our Node, where the environment tells it.
    fn node_name(&self) -> Option<String> {
        None
    }
}

/// This machine: secrets from files and the environment.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalHost {
    /// The first IPv4 address that is not a loopback, as the caller found it.
    pub first_ipv4: Option<Ipv4Addr>,
}

impl Host for LocalHost {
    fn secret(&self, source: &SecretSource) -> Result<Vec<u8>, String> {
        match source {
            SecretSource::File(path) => {
                let mut octets = std::fs::read(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
                // Editors and `echo` end files with a newline that is no part of the key.
                while octets.last().is_some_and(|o| matches!(o, b'\n' | b'\r')) {
                    octets.pop();
                }
                Ok(octets)
            }
            SecretSource::Env(name) => match std::env::var_os(name) {
                Some(value) => Ok(std::os::unix::ffi::OsStringExt::into_vec(value)),
                None => Err(format!("environment variable {name} is not set")),
            },
            SecretSource::Secret(name) => {
                Err(format!("no Secret {name} is known; only passwords that objects of a cluster name are read from Secrets"))
            }
        }
    }

    fn router_id(&self) -> Option<Ipv4Addr> {
        self.first_ipv4
    }

    fn node_name(&self) -> Option<String> {
        std::env::var(NODE_NAME).ok().filter(|name| !name.is_empty())
    }
}

/// Fills in defaults, resolves names, compiles policies; or says everything that is wrong.
pub fn check(file: File, inputs: &[Input], host: &dyn Host) -> Result<Plan, Vec<Complaint>> {
    let others = inputs.iter().map(|input| (Some(input.origin.clone()), input.file.clone()));
    let fragments: Vec<_> = std::iter::once((None, file)).chain(others).collect();
    let mut checker = Checker::new(host);
    let plan = checker.plan(&fragments);
    let mut seen = BTreeSet::new();
    checker.complaints.retain(|c| seen.insert((c.origin.clone(), c.path.clone(), c.message.clone())));
    match plan {
        Some(plan) if checker.complaints.is_empty() => Ok(plan),
        _ => Err(checker.complaints),
    }
}

type Fragment = (Option<String>, File);

/// Where something stands: in which fragment, and where there.
#[derive(Clone, Debug, Default)]
struct Place {
    origin: Option<String>,
    path: Path,
}

impl Place {
    fn new(origin: &Option<String>, key: &str) -> Self {
        Self { origin: origin.clone(), path: Path::default().key(key) }
    }

    fn key(&self, key: &str) -> Self {
        Self { origin: self.origin.clone(), path: self.path.key(key) }
    }

    fn index(&self, index: usize) -> Self {
        Self { origin: self.origin.clone(), path: self.path.index(index) }
    }
}

/// The work in progress.
struct Checker<'a> {
    host: &'a dyn Host,
    complaints: Vec<Complaint>,
    /// `None` while unknown: rules about internal and external are then left out.
    asn: Option<Asn>,
    groups: BTreeMap<String, (Place, Session)>,
    policies: BTreeMap<String, PolicyPlan>,
    /// Names that are written but did not compile; they are not "unknown".
    broken_policies: BTreeSet<String>,
    tags: BTreeMap<String, Tags>,
    chains: policy::Chains,
    bfd_profiles: BTreeMap<String, BfdProfile>,
    listens: bool,
    /// The objects of a cluster may tell who we are, so it is no mistake to leave that out.
    awaits_router: bool,
}

impl<'a> Checker<'a> {
    fn new(host: &'a dyn Host) -> Self {
        Self {
            host,
            complaints: Vec::new(),
            asn: None,
            groups: BTreeMap::new(),
            policies: BTreeMap::new(),
            broken_policies: BTreeSet::new(),
            tags: BTreeMap::new(),
            chains: policy::Chains::default(),
            bfd_profiles: BTreeMap::new(),
            listens: true,
            awaits_router: false,
        }
    }

    fn complain(&mut self, place: &Place, message: impl Into<String>) {
        let mut complaint = Complaint::new(place.path.clone(), message);
        complaint.origin.clone_from(&place.origin);
        self.complaints.push(complaint);
    }

    fn plan(&mut self, fragments: &[Fragment]) -> Option<Plan> {
        for (origin, file) in fragments {
            self.refuse_unsupported(origin, file);
            self.api_version(origin, file);
        }
        self.collect_bfd_profiles(fragments);
        let kubernetes = self.kubernetes(fragments);
        self.awaits_router = kubernetes.is_some();
        let router = self.router(fragments);
        let listeners = self.listeners(fragments);
        self.listens = !listeners.is_empty();
        self.collect_tags(fragments);
        self.compile_policies(fragments);
        self.collect_groups(fragments);
        let peers = self.peers(fragments);
        let dynamic = self.dynamic(fragments);
        let networks = self.networks(fragments);
        let vips = self.vips(fragments, &networks);
        let (fib, bfd) = (self.fib(fragments, kubernetes.as_ref()), self.take_bfd_profiles());
        let (api, metrics) = (self.api(fragments), self.metrics(fragments));
        let (log, drain) = (self.log(fragments), self.drain(fragments, kubernetes.is_some()));
        let (policies, tags) = (std::mem::take(&mut self.policies), std::mem::take(&mut self.tags));
        let bmp = self.bmp(fragments);
        let waiting = router.is_none() && self.awaits_router;
        let router = if waiting { RouterPlan::unknown() } else { router? };
        let mut plan =
            Plan { router, listeners, peers, dynamic, networks, vips, policies, tags, fib, bfd, kubernetes, api, metrics, log, drain, bmp };
        if waiting {
            plan.listeners.clear();
            plan.peers.clear();
            plan.dynamic.clear();
            plan.networks.clear();
            plan.vips.services.clear();
        }
        Some(plan)
    }

    fn api_version(&mut self, origin: &Option<String>, file: &File) {
        if let Some(version) = file.api_version.as_deref().filter(|v| *v != API_VERSION) {
            self.complain(&Place::new(origin, "apiVersion"), format!("unknown version `{version}`; use {API_VERSION}"));
        }
    }

    fn router(&mut self, fragments: &[Fragment]) -> Option<RouterPlan> {
        let place = Place::new(&None, "router");
        self.asn = match first(fragments, |f| f.router.as_ref()?.asn) {
            Some((_, file::Asn::Number(asn))) => Some(asn),
            Some((origin, _)) => {
                self.complain(&Place::new(&origin, "router").key("asn"), "our own AS must be a number, 1..=4294967295");
                None
            }
            None if self.awaits_router => None,
            None => {
                self.complain(
                    &place.key("asn"),
                    "our own AS number is required; private ones are 64512..=65534 and 4200000000..=4294967294",
                );
                None
            }
        };
        let (origin, written) = first(fragments, |f| f.router.as_ref()?.id.filter(|id| *id != file::RouterIdText::Auto))
            .unwrap_or((None, file::RouterIdText::Auto));
        let at = Place::new(&origin, "router").key("id");
        let address = match written {
            file::RouterIdText::Id(address) => Some(address),
            file::RouterIdText::Auto => self.host.router_id(),
        };
        let id = address.and_then(|address| RouterId::new(address.into()));
        match (address, id) {
            (None, _) if self.awaits_router => {}
            (None, _) => {
                self.complain(&at, "no IPv4 address to take it from on this machine; write one, any but 0.0.0.0 that is unique in your AS")
            }
            (Some(_), None) => self.complain(&at, "0.0.0.0 is not a BGP identifier; use any other that is unique in your AS (RFC 6286)"),
            _ => {}
        }
        let (asn, id) = (self.asn?, id?);
        let cluster_id = first(fragments, |f| f.router.as_ref()?.cluster_id).map_or(id.get(), |(_, address)| address.into());
        Some(RouterPlan { asn, id, cluster_id: ClusterId(cluster_id) })
    }

    fn listeners(&mut self, fragments: &[Fragment]) -> BTreeSet<SocketAddr> {
        let Some((origin, listen)) = first(fragments, |f| f.listen.clone()) else {
            let both = [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)];
            return both.map(|address| SocketAddr::new(address, BGP_PORT)).into();
        };
        let place = Place::new(&origin, "listen");
        let mut sockets = BTreeSet::new();
        for (i, entry) in listen.iter().enumerate() {
            let port = entry.port.unwrap_or(BGP_PORT);
            let Some(address) = entry.address else {
                self.complain(&place.index(i).key("address"), "an address is required; 0.0.0.0 and :: listen on all");
                continue;
            };
            if port == 0 {
                self.complain(&place.index(i).key("port"), "port 0 does not exist; the port of BGP is 179");
            }
            if !sockets.insert(SocketAddr::new(address, port)) {
                self.complain(&place.index(i), format!("{address} port {port} is listed twice; remove one"));
            }
        }
        sockets
    }

    fn collect_groups(&mut self, fragments: &[Fragment]) {
        for (origin, file) in fragments {
            for (name, session) in file.groups.iter().flatten() {
                let place = Place::new(origin, "groups").key(name);
                if self.groups.contains_key(name) {
                    self.complain(&place, format!("group `{name}` is defined in two places; rename one"));
                    continue;
                }
                self.groups.insert(name.clone(), (place, session.clone()));
            }
        }
        for (place, session) in self.groups.clone().into_values() {
            self.check_group(&place, &session);
        }
    }

    /// Complains about a name that is not among `known`.
    fn unknown<'b>(&mut self, place: &Place, what: &str, name: &str, known: impl Iterator<Item = &'b str> + Clone) {
        let near = did_you_mean(name, known.clone());
        let total = known.clone().count();
        let mut list = known.take(MOST_NAMES).collect::<Vec<_>>().join(", ");
        if total > MOST_NAMES {
            list.push_str(", ...");
        }
        let none = || format!("there are none; define it under {}", what_section(what));
        let remedy = if total == 0 { none() } else { format!("use one of {list}") };
        self.complain(place, format!("no {what} is named `{name}`{near}; {remedy}"));
    }

    fn api(&mut self, fragments: &[Fragment]) -> ApiPlan {
        let socket = first(fragments, |f| f.api.as_ref()?.socket.clone());
        if let Some((origin, _)) = socket.as_ref().filter(|(_, path)| !path.is_absolute()) {
            self.complain(&Place::new(origin, "api").key("socket"), "must be an absolute path, such as /run/kubgp/kubgp.sock");
        }
        let bird_sockets = first(fragments, |f| f.api.as_ref()?.bird_sockets.clone());
        if let Some((origin, _)) = bird_sockets.as_ref().filter(|(_, path)| !path.is_absolute()) {
            self.complain(
                &Place::new(origin, "api").key("birdSockets"),
                "must be an absolute path of a directory, such as /var/run/calico",
            );
        }
        let bird_sockets = bird_sockets.map(|(_, path)| path);
        let looking_glass = self.looking_glass(fragments);
        ApiPlan { socket: socket.map_or_else(|| PathBuf::from(SOCKET), |(_, path)| path), bird_sockets, looking_glass }
    }

    fn looking_glass(&mut self, fragments: &[Fragment]) -> GlassPlan {
        let access = first(fragments, |f| f.api.as_ref()?.looking_glass.as_ref()?.access).map_or(file::GlassAccess::Local, |(_, a)| a);
        let (origin, hosts) = first(fragments, |f| f.api.as_ref()?.looking_glass.as_ref()?.hosts.clone()).unwrap_or_default();
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        for (i, host) in hosts.iter().enumerate().filter(|(_, host)| host.is_empty() || !host.chars().all(is_name)) {
            let place = Place::new(&origin, "api").key("lookingGlass").key("hosts").index(i);
            self.complain(&place, format!("`{host}` is no host name; write it without scheme and port, such as lg.example.net"));
        }
        GlassPlan { access, hosts: hosts.iter().map(|host| host.to_ascii_lowercase()).collect() }
    }

    fn metrics(&mut self, fragments: &[Fragment]) -> MetricsPlan {
        let metrics = first(fragments, |f| f.metrics.clone()).map(|(_, m)| m).unwrap_or_default();
        let listen = match metrics.listen {
            Some(file::MetricsListen::Off) => None,
            Some(file::MetricsListen::At(address)) => Some(address),
            None => Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), METRICS_PORT)),
        };
        let compat = metrics.compat.unwrap_or(file::Compat::Metallb);
        MetricsPlan { listen, compat, peer_label: metrics.peer_label.unwrap_or(file::PeerLabel::Ip) }
    }

    fn log(&mut self, fragments: &[Fragment]) -> LogPlan {
        let (origin, log) = first(fragments, |f| f.log.clone()).unwrap_or_default();
        let level = log.level.unwrap_or_else(|| "info".to_owned());
        for directive in level.split(',') {
            let word = directive.rsplit('=').next().unwrap_or_default().trim();
            if !LEVELS.contains(&word) {
                let near = did_you_mean(word, LEVELS);
                let remedy =
                    format!("`{word}` is not a level{near}; use one of {}, or target=level, with commas between", LEVELS.join(", "));
                self.complain(&Place::new(&origin, "log").key("level"), remedy);
            }
        }
        LogPlan { level, format: log.format.unwrap_or(file::LogFormat::Auto) }
    }

    fn drain(&mut self, fragments: &[Fragment], follows_cluster: bool) -> DrainPlan {
        let period = first(fragments, |f| f.drain.as_ref()?.grace_period).map_or(GRACE_PERIOD, |(_, period)| period.0);
        let on_cordon = first(fragments, |f| f.drain.as_ref()?.on_cordon);
        if let Some((origin, true)) = &on_cordon
            && !follows_cluster
        {
            let message = "only a cluster tells that our Node is cordoned; switch kubernetes.enabled on, or remove the key";
            self.complain(&Place::new(origin, "drain").key("onCordon"), message);
        }
        DrainPlan { on_cordon: on_cordon.is_some_and(|(_, on)| on), grace_period: period }
    }
}

/// The first fragment that says something; the file comes first.
fn first<T>(fragments: &[Fragment], get: impl Fn(&File) -> Option<T>) -> Option<(Option<String>, T)> {
    fragments.iter().find_map(|(origin, file)| get(file).map(|value| (origin.clone(), value)))
}

fn what_section(what: &str) -> &'static str {
    match what {
        "group" => "groups",
        "policy" => "policies",
        "pool" => "vips.pools",
        _ => "bfd.profiles",
    }
}

/// The environment variable that names our Node; a manifest fills it from `spec.nodeName`.
pub(super) const NODE_NAME: &str = "NODE_NAME";
/// Port of BGP (RFC 4271 8).
pub(super) const BGP_PORT: u16 = 179;
/// Default of `metrics.listen`.
pub(super) const METRICS_PORT: u16 = 7179;
/// The only version of the file format.
pub(super) const API_VERSION: &str = "kubgp.io/v1";
/// How many names a complaint lists.
const MOST_NAMES: usize = 10;
const SOCKET: &str = "/run/kubgp/kubgp.sock";
const GRACE_PERIOD: Duration = Duration::from_secs(20);
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
