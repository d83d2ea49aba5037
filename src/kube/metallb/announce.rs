//! What one node announces: the gates that a Service must pass, the prefixes that stand for its addresses, their attributes, and the
//! peers that get them.
//!
//! Every input replaces what was known of its object; only what depends on it is judged again.

mod explain;
#[cfg(test)]
mod tests;

pub use explain::{Explanation, Standing, Step};

use super::class::{SHARING, annotation, ingress_addresses, is_load_balancer, is_our_class};
use super::event::Event;
use super::model::{Advertisement, Config, Pool, PoolIndex};
use super::reason::Reason;
use super::selector::Labels;
use super::values::AnyCommunity;
use crate::kube::objects::{EndpointSlice, Key, Node, Service};
use explain::Trail;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

/// What the operator chose.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The class that we are responsible for; `None`: Services without class.
    pub class: Option<String>,
    /// Announce also from nodes that are labelled to be left out.
    pub ignore_exclude_label: bool,
    /// Do not announce where advertisements contradict each other, as MetalLB does; otherwise the highest LOCAL_PREF counts.
    pub strict: bool,
}

/// What counts of this node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeFacts {
    pub name: String,
    pub labels: Labels,
    pub network_unavailable: bool,
}

impl From<&Node> for NodeFacts {
    fn from(node: &Node) -> Self {
        Self {
            name: node.metadata.name.clone(),
            labels: node.metadata.labels.clone(),
            network_unavailable: node.has_condition("NetworkUnavailable"),
        }
    }
}

/// What counts of a Service and its endpoints.
#[derive(Clone, Debug, Default, PartialEq)]
struct Facts {
    ours: bool,
    addresses: Vec<IpAddr>,
    labels: Labels,
    /// externalTrafficPolicy: Local.
    local_only: bool,
    /// Usable endpoints here, and everywhere.
    endpoints: (usize, usize),
    /// With whom it would share its addresses.
    sharing: Option<String>,
}

/// The attributes that advertisements decide.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Attributes {
    /// `None`: the default, 100.
    pub local_pref: Option<u32>,
    pub communities: BTreeSet<AnyCommunity>,
}

impl Attributes {
    /// Union of the communities and the highest LOCAL_PREF.
    fn merge(&mut self, other: &Advertisement) {
        let value = |pref: Option<u32>| pref.unwrap_or(DEFAULT_LOCAL_PREF);
        if value(other.local_pref) > value(self.local_pref) {
            self.local_pref = other.local_pref;
        }
        self.communities.extend(&other.communities);
    }
}

/// One prefix that this node announces.
#[derive(Clone, Debug, PartialEq)]
pub struct Announcement {
    pub prefix: IpNet,
    /// What peers get that no object of MetalLB describes; `None` where only named peers get the prefix.
    pub everybody: Option<Attributes>,
    /// The peers of this node that get the prefix, by the names of their objects. Prefixes that the same advertisements stand for have
    /// it in common, and `everybody` is the same then.
    pub peers: Arc<BTreeMap<String, Attributes>>,
    /// The Services that it is announced for.
    pub services: BTreeSet<Key>,
    /// Advertisements disagree about LOCAL_PREF; the highest counts.
    pub conflict: bool,
    /// Services of which traffic arrives here in vain: externalTrafficPolicy Local, in this aggregate, without endpoint here.
    pub attracted: BTreeSet<Key>,
}

/// What became of a Service.
#[derive(Clone, Debug, Default)]
struct View {
    facts: Facts,
    blocked: Option<Reason>,
    /// For each prefix the advertisements that say so. Also where the endpoints block.
    prefixes: BTreeMap<IpNet, Vec<Arc<Advertisement>>>,
}

/// The announcements of one node. A clone is cheap: it is how others look at it.
#[derive(Clone, Debug)]
pub struct Announcer {
    settings: Settings,
    node: NodeFacts,
    config: Arc<Config>,
    index: PoolIndex,
    /// Those that select this node.
    advertisements: Vec<Arc<Advertisement>>,
    /// Names of the peers that select this node.
    peers: BTreeSet<String>,
    views: BTreeMap<Key, Arc<View>>,
    prefixes: BTreeMap<IpNet, BTreeSet<Key>>,
    events: VecDeque<Event>,
}

impl Announcer {
    pub fn new(settings: Settings, node: NodeFacts) -> Self {
        Self {
            settings,
            node,
            config: Arc::default(),
            index: PoolIndex::default(),
            advertisements: Vec::new(),
            peers: BTreeSet::new(),
            views: BTreeMap::new(),
            prefixes: BTreeMap::new(),
            events: VecDeque::new(),
        }
    }

    pub fn handle_config(&mut self, config: Arc<Config>) {
        self.config = config;
        self.rejudge();
    }

    /// The node's name never changes.
    pub fn handle_node(&mut self, node: NodeFacts) {
        if self.node != node {
            self.node = node;
            self.rejudge();
        }
    }

    /// The latest state of a Service with all its slices; `None`: it is gone.
    pub fn handle_service(&mut self, key: &Key, state: Option<(&Service, &mut dyn Iterator<Item = &EndpointSlice>)>) {
        let Some((service, slices)) = state else {
            self.forget(key);
            return;
        };
        let facts = self.facts(service, slices);
        if self.views.get(key).is_none_or(|view| view.facts != facts) {
            self.judge(key, facts);
        }
    }

    /// What is to be told, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The whole state, in order of the prefixes.
    pub fn announcements(&self) -> impl Iterator<Item = Announcement> {
        let mut audiences = Audiences::new();
        self.prefixes.keys().filter_map(move |prefix| self.announcement(prefix, &mut audiences))
    }

    /// The prefixes of a Service and the peers that are to get them; empty where it is blocked.
    pub fn routes_of(&self, key: &Key) -> Vec<Announcement> {
        let prefixes = self.views.get(key).filter(|view| view.blocked.is_none()).map(|view| view.prefixes.keys());
        let mut audiences = Audiences::new();
        prefixes.into_iter().flatten().filter_map(|prefix| self.announcement(prefix, &mut audiences)).collect()
    }

    /// Names of the peers that select this node.
    pub fn peers(&self) -> &BTreeSet<String> {
        &self.peers
    }

    pub fn node(&self) -> &NodeFacts {
        &self.node
    }

    /// The Services that are ours, with their addresses and why they are blocked.
    pub fn services(&self) -> impl Iterator<Item = (&Key, &[IpAddr], Option<Reason>)> {
        self.views.iter().filter(|(_, view)| view.facts.ours).map(|(key, view)| (key, view.facts.addresses.as_slice(), view.blocked))
    }

    fn rejudge(&mut self) {
        self.index = PoolIndex::new(self.config.pools.values());
        let selects = |a: &&Arc<Advertisement>| a.nodes.any_or_empty(&self.node.labels);
        self.advertisements = self.config.advertisements.values().filter(selects).cloned().collect();
        let peers = self.config.peers.iter().filter(|(_, peer)| peer.nodes.any_or_empty(&self.node.labels));
        self.peers = peers.map(|(name, _)| name.clone()).collect();
        let keys: Vec<Key> = self.views.keys().cloned().collect();
        for key in keys {
            let facts = self.views.get(&key).map(|view| view.facts.clone()).unwrap_or_default();
            self.judge(&key, facts);
        }
    }

    fn facts(&self, service: &Service, slices: &mut dyn Iterator<Item = &EndpointSlice>) -> Facts {
        let usable = slices.flat_map(|slice| &slice.endpoints).filter(|endpoint| {
            let conditions = endpoint.conditions;
            endpoint.has_address && (conditions.ready != Some(false) || conditions.serving == Some(true))
        });
        let mut endpoints = (0, 0);
        for endpoint in usable {
            endpoints.0 += usize::from(endpoint.node_name.as_deref() == Some(self.node.name.as_str()));
            endpoints.1 += 1;
        }
        Facts {
            ours: is_load_balancer(service) && is_our_class(service, self.settings.class.as_deref()),
            addresses: ingress_addresses(service),
            labels: service.metadata.labels.clone(),
            local_only: service.spec.external_traffic_policy == "Local",
            endpoints,
            sharing: annotation(&service.metadata, SHARING).filter(|key| !key.is_empty()).map(str::to_owned),
        }
    }

    fn forget(&mut self, key: &Key) {
        let Some(view) = self.views.remove(key) else { return };
        for prefix in view.prefixes.keys() {
            if let Some(keys) = self.prefixes.get_mut(prefix) {
                keys.remove(key);
                if keys.is_empty() {
                    self.prefixes.remove(prefix);
                }
            }
        }
    }

    fn judge(&mut self, key: &Key, facts: Facts) {
        let before = self.views.get(key).map(|view| view.blocked);
        self.forget(key);
        let mut trail = Trail::default();
        let (prefixes, blocked) = self.gates(&facts, &mut trail);
        for prefix in prefixes.keys() {
            self.prefixes.entry(*prefix).or_default().insert(key.clone());
        }
        let has_address = facts.ours && !facts.addresses.is_empty();
        self.views.insert(key.clone(), Arc::new(View { facts, blocked, prefixes }));
        if has_address && before != Some(blocked) {
            self.tell(key, before.flatten(), before == Some(None), blocked);
        }
        if blocked.is_none() && before != Some(None) && self.routes_of(key).iter().any(|a| a.conflict) {
            let message = "advertisements of one prefix to one peer have different localPref; the highest is used".to_owned();
            self.events.push_back(Event::warning(key, Reason::ConflictingAdvertisements.code(), message).common());
        }
    }

    /// Where a Service is held back because of this node alone, that is told only when it was announced before: otherwise every
    /// node would tell it. What holds it back everywhere is one Event of all nodes.
    fn tell(&mut self, key: &Key, before: Option<Reason>, was_announced: bool, blocked: Option<Reason>) {
        let node = &self.node.name;
        match blocked {
            None => {
                let message = format!("announcing from node \"{node}\" with protocol \"bgp\"");
                self.events.push_back(Event::normal(key, "nodeAssigned", message));
            }
            Some(reason) if was_announced || (before != Some(reason) && GLOBAL.contains(&reason)) => {
                let is_everywhere = GLOBAL.contains(&reason) || reason == Reason::NoEndpoints;
                let place = if is_everywhere { String::new() } else { format!(" from node \"{node}\"") };
                let message = format!("not announced{place}: {reason}; {}", reason.remedy());
                let event = Event::warning(key, "NotAnnounced", message).because(reason);
                self.events.push_back(if is_everywhere { event.common() } else { event });
            }
            Some(_) => {}
        }
    }

    /// The gates in their order. The first that blocks is the reason.
    fn gates(&self, facts: &Facts, trail: &mut Trail) -> (BTreeMap<IpNet, Vec<Arc<Advertisement>>>, Option<Reason>) {
        let none = BTreeMap::new();
        if !facts.ours {
            return (none, trail.block("service", Reason::NotOurs, || "the Service is not of our type or class".to_owned()));
        }
        trail.pass("service", || "type LoadBalancer, of our class".to_owned());
        let Some((pool, matching)) = self.matching(facts, trail) else { return (none, trail.blocked) };
        let prefixes = prefixes(facts, &matching);
        if self.settings.strict && prefixes.values().any(|list| contradict(list)) {
            let text = || "advertisements send one prefix to one peer with different localPref".to_owned();
            return (none, trail.block("advertisement", Reason::ConflictingAdvertisements, text));
        }
        trail.pass("advertisement", || {
            let names: Vec<&str> = matching.iter().map(|a| a.name.as_str()).collect();
            format!("pool `{}` is announced here by {}", pool.name, names.join(", "))
        });
        if self.node_blocks(&matching, trail) {
            return (none, trail.blocked);
        }
        // An aggregate keeps who would be in it, to tell which traffic arrives in vain.
        self.endpoints(facts, trail);
        (prefixes, trail.blocked)
    }

    /// The pool of the addresses, and the advertisements for it.
    fn matching(&self, facts: &Facts, trail: &mut Trail) -> Option<(Arc<Pool>, Vec<Arc<Advertisement>>)> {
        let list = || facts.addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
        let Some(first) = facts.addresses.first() else {
            trail.block("address", Reason::NoAddress, || "the Service has no address".to_owned());
            return None;
        };
        trail.pass("address", list);
        let pool = self.index.find(first).filter(|pool| facts.addresses.iter().all(|address| pool.contains(address)));
        let Some(pool) = pool else {
            trail.block("pool", Reason::IpNotAllowed, || format!("{} not in one pool", list()));
            return None;
        };
        trail.pass("pool", || format!("pool `{}`", pool.name));
        let here: Vec<_> = self.advertisements.iter().filter(|a| a.pools.includes(pool)).collect();
        if here.is_empty() {
            let text = || format!("no advertisement of pool `{}` includes node `{}`", pool.name, self.node.name);
            trail.block("advertisement", Reason::NotOwner, text);
            return None;
        }
        let matching: Vec<_> = here.into_iter().filter(|a| a.services.any_or_empty(&facts.labels)).cloned().collect();
        if matching.is_empty() {
            let text = || format!("no advertisement of pool `{}` selects the labels of the Service", pool.name);
            trail.block("advertisement", Reason::NoMatchingAdvertisement, text);
            return None;
        }
        Some((pool.clone(), matching))
    }

    fn node_blocks(&self, matching: &[Arc<Advertisement>], trail: &mut Trail) -> bool {
        let name = || self.node.name.clone();
        let reason = if self.node.network_unavailable {
            Some(Reason::NodeNetworkUnavailable)
        } else if self.node.labels.contains_key(EXCLUDE_LABEL) && !self.settings.ignore_exclude_label {
            Some(Reason::NodeLabeledExcludeBalancers)
        } else {
            None
        };
        if let Some(reason) = reason {
            trail.block("node", reason, || format!("node `{}`", name()));
            return true;
        }
        trail.pass("node", || format!("node `{}` may announce", name()));
        if matching.iter().all(|a| !a.peers.is_empty() && a.peers.is_disjoint(&self.peers)) {
            trail.block("peers", Reason::NoPeer, || format!("no peer that the advertisements name is one of node `{}`", name()));
            return true;
        }
        false
    }

    fn endpoints(&self, facts: &Facts, trail: &mut Trail) {
        let (here, everywhere) = facts.endpoints;
        match facts.local_only {
            true if here == 0 => {
                trail.block("endpoints", Reason::NoLocalEndpoints, || format!("{everywhere} usable endpoints, none on this node"));
            }
            false if everywhere == 0 => {
                trail.block("endpoints", Reason::NoEndpoints, || "no usable endpoint".to_owned());
            }
            _ => trail.pass("endpoints", || format!("{everywhere} usable endpoints, {here} on this node")),
        }
    }

    fn announcement(&self, prefix: &IpNet, audiences: &mut Audiences) -> Option<Announcement> {
        let keys = self.prefixes.get(prefix)?;
        let views = || keys.iter().filter_map(|key| self.views.get(key).map(|view| (key, view)));
        let (mut services, mut attracted, mut said) = (BTreeSet::new(), BTreeSet::new(), Vec::<&Arc<Advertisement>>::new());
        for (key, view) in views() {
            if view.blocked.is_some() {
                attracted.extend((view.blocked == Some(Reason::NoLocalEndpoints)).then(|| key.clone()));
                continue;
            }
            services.insert(key.clone());
            for advertisement in view.prefixes.get(prefix).into_iter().flatten() {
                if !said.iter().any(|other| Arc::ptr_eq(other, advertisement)) {
                    said.push(advertisement);
                }
            }
        }
        if services.is_empty() {
            return None;
        }
        let known = said.iter().map(|advertisement| Arc::as_ptr(advertisement).addr()).collect();
        let Audience { everybody, peers, conflict } = audiences.entry(known).or_insert_with(|| self.audience(&said)).clone();
        Some(Announcement { prefix: *prefix, everybody, peers, services, conflict, attracted })
    }

    /// What follows from the advertisements of a prefix alone.
    fn audience(&self, said: &[&Arc<Advertisement>]) -> Audience {
        let merged = |includes: &dyn Fn(&Advertisement) -> bool| {
            let mut chosen = said.iter().filter(|a| includes(a));
            let first = chosen.next()?;
            let mut attributes = Attributes { local_pref: first.local_pref, communities: first.communities.clone() };
            chosen.for_each(|other| attributes.merge(other));
            Some(attributes)
        };
        let to = |peer: &String| merged(&|a| a.peers.is_empty() || a.peers.contains(peer)).map(|attributes| (peer.clone(), attributes));
        let all: Vec<_> = said.iter().map(|a| (*a).clone()).collect();
        Audience {
            everybody: merged(&|a| a.peers.is_empty()),
            peers: Arc::new(self.peers.iter().filter_map(to).collect()),
            conflict: contradict(&all),
        }
    }
}

/// Who gets what, by the places of the advertisements that say so: thousands of prefixes have a handful of them.
type Audiences = BTreeMap<Vec<usize>, Audience>;

#[derive(Clone)]
struct Audience {
    everybody: Option<Attributes>,
    peers: Arc<BTreeMap<String, Attributes>>,
    conflict: bool,
}

/// Which advertisements stand behind each prefix of the addresses.
fn prefixes(facts: &Facts, matching: &[Arc<Advertisement>]) -> BTreeMap<IpNet, Vec<Arc<Advertisement>>> {
    let mut prefixes: BTreeMap<IpNet, Vec<Arc<Advertisement>>> = BTreeMap::new();
    for address in &facts.addresses {
        for advertisement in matching {
            let list = prefixes.entry(advertisement.prefix(*address)).or_default();
            if !list.iter().any(|other| Arc::ptr_eq(other, advertisement)) {
                list.push(advertisement.clone());
            }
        }
    }
    prefixes
}

/// Whether two of them send to one peer with different LOCAL_PREF.
fn contradict(list: &[Arc<Advertisement>]) -> bool {
    let meet = |a: &Advertisement, b: &Advertisement| a.peers.is_empty() || b.peers.is_empty() || !a.peers.is_disjoint(&b.peers);
    let value = |a: &Advertisement| a.local_pref.unwrap_or(DEFAULT_LOCAL_PREF);
    list.iter().enumerate().any(|(i, a)| list.iter().skip(i + 1).any(|b| value(a) != value(b) && meet(a, b)))
}

/// Reasons that do not depend on the node.
const GLOBAL: [Reason; 3] = [Reason::IpNotAllowed, Reason::NoMatchingAdvertisement, Reason::ConflictingAdvertisements];
const EXCLUDE_LABEL: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
/// What an iBGP peer gets where nothing is said.
const DEFAULT_LOCAL_PREF: u32 = 100;
