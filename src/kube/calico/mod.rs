//! Calico's objects in, configuration and kernel rules out: what BIRD and confd do on a node, and what a route reflector inside the
//! cluster needs.
//!
//! [`translate`] is pure and looks at the whole state every time: [`Objects`] and what is decided outside them ([`Local`]) become one
//! [`Input`] for the configuration (router, listeners, sessions, policies, prefixes of our own), the rules by which learned routes go
//! to the kernel, and reports on every object that is not fully in effect. [`status`] turns facts about sessions into what Calico's
//! users expect to see.
//!
//! Invariants: one session per address; a session whose password is missing stays down; the same objects give the same output, in the
//! same order; the output alone never fails the check of the configuration; a class of routes that Felix owns is never ours too.
//!
//! Must never know: the API, watches, sockets, the RIB.

pub mod announce;
mod digest;
mod expected;
pub mod filters;
pub mod kernel;
pub mod node;
pub mod objects;
pub mod report;
pub mod selector;
pub mod sessions;
pub mod settings;
pub mod status;
#[cfg(test)]
mod tests;
mod watches;

pub use digest::affinity_selector;
pub use expected::expected;
pub use report::{Report, Severity};
pub use sessions::{Session, SessionKind};
pub use settings::{Local, Roles, RouterIdRule};
pub use watches::{Affinities, is_migrating, watches};

use self::announce::Announcements;
use self::filters::Policies;
use self::kernel::Ownership;
use self::node::{CalicoNode, IpFamily};
use self::objects::{BgpConfiguration, BgpFilter, BgpPeer, BlockAffinity, ClusterInformation, FelixConfiguration, IpPool, IpamBlock};
use self::settings::Settings;
use crate::config::file::{self, File, Network, Originate};
use crate::config::{Input, plan};
use crate::fib::{Action, Hop, Policy, Route, Rules};
use crate::kube::objects::{EndpointSlice, Node, Secret, Service};
use crate::wire::Asn;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The state of the cluster, in any order.
#[derive(Clone, Debug, Default)]
pub struct Objects<'a> {
    pub nodes: Vec<&'a Node>,
    /// Only where service addresses are announced.
    pub services: Vec<&'a Service>,
    pub slices: Vec<&'a EndpointSlice>,
    pub secrets: Vec<&'a Secret>,
    /// Why Secrets may not be read.
    pub secrets_refused: Option<&'a str>,
    pub configurations: Vec<&'a BgpConfiguration>,
    pub peers: Vec<&'a BgpPeer>,
    pub filters: Vec<&'a BgpFilter>,
    pub pools: Vec<&'a IpPool>,
    /// At least those of our own node.
    pub affinities: Vec<&'a BlockAffinity>,
    pub blocks: Vec<&'a IpamBlock>,
    pub felix: Vec<&'a FelixConfiguration>,
    pub cluster_information: Option<&'a ClusterInformation>,
}

/// What follows from the state.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub input: Input,
    /// The passwords, by the names that `input` calls them.
    pub secrets: BTreeMap<String, plan::Secret>,
    pub sessions: Vec<Session>,
    /// Ranges of service addresses that go to Calico's peers, whoever announces them.
    pub service_ranges: Vec<IpNet>,
    /// How learned routes go to the kernel, and what no neighbor announces: blackholes for own blocks, hosts behind a gateway
    /// (`reachableBy`).
    pub kernel: Policy,
    /// Sorted, each once.
    pub reports: Vec<Report>,
}

/// Why there is nothing to put in force: what was in force stays.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hold {
    /// The datastore is being migrated, what is read may be incomplete.
    DatastoreNotReady,
    /// Our own Node is not there (yet).
    NodeUnknown,
}

/// What the parts of the translation look at.
#[derive(Debug)]
pub struct World<'a> {
    pub objects: &'a Objects<'a>,
    pub local: &'a Local,
    pub settings: Settings,
    pub ownership: Ownership,
    /// Every node by name, ours included.
    pub nodes: BTreeMap<String, CalicoNode>,
    pub own: CalicoNode,
}

impl<'a> World<'a> {
    /// Reads what all parts need.
    ///
    /// # Errors
    /// When there is no state to act on.
    pub fn read(objects: &'a Objects<'a>, local: &'a Local, reports: &mut Vec<Report>) -> Result<Self, Hold> {
        if !settings::is_datastore_ready(objects) {
            return Err(Hold::DatastoreNotReady);
        }
        let settings = Settings::read(objects, local, reports);
        let ownership = Ownership::read(&settings, reports);
        let nodes: BTreeMap<_, _> = objects.nodes.iter().map(|n| (n.metadata.name.clone(), CalicoNode::read(n, reports))).collect();
        let own = nodes.get(&local.node).cloned().ok_or(Hold::NodeUnknown)?;
        Ok(Self { objects, local, settings, ownership, nodes, own })
    }
}

/// From the whole state to everything that follows from it.
///
/// # Errors
/// When the state says nothing yet; what is in force stays then.
pub fn translate(objects: &Objects<'_>, local: &Local) -> Result<Output, Hold> {
    let mut reports = Vec::new();
    let world = World::read(objects, local, &mut reports)?;
    let sessions = sessions::derive(&world, &mut reports);
    let announcements = Announcements::read(&world, &mut reports);
    let mut policies = Policies::new(&world, &announcements, &mut reports);
    let neighbors = sessions
        .iter()
        .map(|session| {
            let (import, export) = policies.of(session);
            session.neighbor(&world, import, export)
        })
        .collect();
    let file = File {
        router: Some(router(&world, &mut reports)),
        listen: Some(listen(&world)),
        neighbors: Some(neighbors),
        policies: Some(policies.named),
        originate: Some(Originate { networks: Some(networks(&world, &announcements)) }),
        ..File::default()
    };
    let rules = kernel::rules(&world);
    let statics = statics(&world, &announcements, &rules, &sessions);
    let kernel = Policy { rules, statics: statics.into_iter().map(|route| (route.prefix, route)).collect() };
    reports.sort();
    reports.dedup();
    let secrets = secrets(&world, &sessions);
    let service_ranges = world.settings.service_ranges().collect();
    Ok(Output { input: Input { origin: ORIGIN.into(), file }, secrets, sessions, service_ranges, kernel, reports })
}

fn router(world: &World<'_>, reports: &mut Vec<Report>) -> file::Router {
    let id = match world.local.router_id {
        RouterIdRule::Is(id) => Some(id),
        RouterIdRule::Hash => Some(digest::router_id(&world.own.name)),
        RouterIdRule::NodeAddress => match world.own.address(IpFamily::V4) {
            Some(IpAddr::V4(address)) => Some(address),
            _ => {
                let message = "there is no IPv4 address to take the router id from; set one, or take it from the name of the node";
                reports.push(Report::error("Node", &world.own.name, "metadata.annotations[projectcalico.org/IPv4Address]", message));
                None
            }
        },
    };
    file::Router {
        asn: Asn::new(world.asn_of(&world.own)).map(file::Asn::Number),
        id: id.map(file::RouterIdText::Id),
        cluster_id: world.own.cluster_id,
    }
}

fn secrets(world: &World<'_>, sessions: &[Session]) -> BTreeMap<String, plan::Secret> {
    let keys = sessions.iter().filter(|s| !s.is_held_down).filter_map(|s| s.password.as_ref());
    let value = |key| Some((world.secret_name(key), plan::Secret::new(world.secret(key)?.data.get(&key.key)?.0.clone())));
    keys.filter_map(value).collect()
}

fn listen(world: &World<'_>) -> Vec<file::Listen> {
    let any = [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)];
    let own = IpFamily::ALL.into_iter().filter_map(|family| world.own.address(family));
    let addresses: Vec<IpAddr> = if world.settings.bind_node_address { own.collect() } else { any.into() };
    let port = world.settings.port_of(&world.own.name);
    addresses.into_iter().map(|address| file::Listen { address: Some(address), port: Some(port) }).collect()
}

/// What a node announces; a pure reflector announces nothing of its own.
fn networks(world: &World<'_>, announcements: &Announcements) -> Vec<Network> {
    if !world.local.roles.node {
        return Vec::new();
    }
    let network = |(prefix, tags): (&IpNet, &BTreeSet<&'static str>)| Network {
        prefix: Some(*prefix),
        local_pref: world.settings.local_pref(IpFamily::of_net(prefix)),
        tags: (!tags.is_empty()).then(|| tags.iter().map(|tag| (*tag).to_owned()).collect()),
        // Pods of a node are reached through no other one, and run on while it is cordoned.
        on_drain: (!announcements.services.contains(prefix)).then_some(file::OnDrain::Keep),
        ..Network::default()
    };
    announcements.networks.iter().map(network).collect()
}

fn statics(world: &World<'_>, announcements: &Announcements, rules: &Rules, sessions: &[Session]) -> Vec<Route> {
    if !world.local.roles.node {
        return Vec::new();
    }
    let mut routes: Vec<Route> = announcements.blocks.iter().filter_map(|block| kernel::blackhole(rules, *block).ok()).collect();
    for session in sessions {
        let peer = world.objects.peers.iter().find(|p| session.object.as_ref() == Some(&p.metadata.name));
        let gateway = peer.filter(|p| p.spec.address().is_some_and(|a| a.ip == session.address));
        let gateway = gateway.and_then(|p| p.spec.reachable_by.parse::<IpAddr>().ok());
        if let Some(gateway) = gateway.filter(|g| g.is_ipv4() == session.address.is_ipv4() && *g != session.address) {
            let action = Action::Unicast([Hop::via(gateway)].into_iter().collect());
            routes.push(Route { prefix: session.address.into(), action, metric: kernel::STATIC_METRIC }.normalized());
        }
    }
    routes
}

/// How complaints about the translation name where it comes from.
const ORIGIN: &str = "Calico";
