//! From peers and announcements to a fragment of configuration: neighbors that import nothing and export what is announced to them,
//! the prefixes of our own, and the secrets.
//!
//! Which peer gets which prefix is said with tags. Prefixes that go to the same peers form a class; a class is a tag on its prefixes
//! and a rule in the export policy of each of its peers. So a prefix that comes or goes changes no policy, and a session is touched
//! only when a class comes or goes.

#[cfg(test)]
mod tests;

use super::announce::{Announcement, Attributes};
use super::complaint::{Complaint, Fault, Report, Source};
use super::model::{BfdProfile, Config, Peer, RemoteAs};
use super::selector::Labels;
use super::values::AnyCommunity;
use crate::config::Input;
use crate::config::file::{self, File, List, Members, Neighbor, Period, Rule, Session, SourceText};
use crate::config::plan::Secret;
use crate::wire::Asn;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// What the rest of the daemon can do and already has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Surroundings {
    /// The names of neighbors that are configured elsewhere.
    pub names: BTreeSet<String>,
    /// The BGP identifier, where the file sets it.
    pub router_id: Option<Ipv4Addr>,
    /// How many tags there are for classes. Classes beyond are told apart by their prefixes, which works but costs more.
    pub tags: usize,
}

/// The fragment of configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Lowered {
    pub input: Input,
    /// The values behind `password.secret` of the fragment.
    pub secrets: BTreeMap<String, Secret>,
    /// The objects that the neighbors come from.
    pub sources: BTreeMap<IpAddr, Source>,
    pub complaints: Vec<Complaint>,
}

/// The translation of one node. It remembers which class has which tag, so that a change elsewhere moves no tag.
#[derive(Clone, Debug, Default)]
pub struct Lowering {
    classes: BTreeMap<Class, usize>,
    /// Tags ever used: all are named in the fragment, so that each keeps its bit.
    high_water: usize,
}

/// What the prefixes of a class have in common.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Class {
    /// `None`: all, so that a peer that comes or goes is nothing to the others.
    peers: Option<BTreeSet<String>>,
    /// Where the peers get different attributes: which. Otherwise the prefixes carry them.
    attributes: Option<BTreeMap<String, Attributes>>,
}

impl Class {
    fn of(announcement: &Announcement) -> Self {
        let mut values = announcement.peers.values().chain(&announcement.everybody);
        let first = values.next();
        let uniform = values.all(|other| Some(other) == first);
        let attributes = (!uniform).then(|| BTreeMap::clone(&announcement.peers));
        let is_for_all = announcement.everybody.is_some() && !announcement.peers.is_empty();
        Self { peers: (!is_for_all).then(|| announcement.peers.keys().cloned().collect()), attributes }
    }

    fn is_for(&self, peer: &str) -> bool {
        self.peers.as_ref().is_none_or(|peers| peers.contains(peer))
    }
}

impl Lowering {
    /// The fragment for a node with these labels.
    pub fn lower(&mut self, config: &Config, labels: &Labels, announcements: &[Announcement], around: &Surroundings) -> Lowered {
        let mut report = Report::default();
        let peers = sessions(config, labels, around, &mut report);
        let audience = |announcement: &Announcement| Arc::as_ptr(&announcement.peers).addr();
        let mut known: BTreeMap<usize, Class> = BTreeMap::new();
        for announcement in announcements {
            known.entry(audience(announcement)).or_insert_with(|| Class::of(announcement));
        }
        let classes: Vec<&Class> = announcements.iter().filter_map(|announcement| known.get(&audience(announcement))).collect();
        let mut prefixes: BTreeMap<Class, Vec<IpNet>> = BTreeMap::new();
        for (announcement, class) in announcements.iter().zip(&classes) {
            // Thousands of prefixes, a handful of classes: only those are copied.
            match prefixes.get_mut(class) {
                Some(members) => members.push(announcement.prefix),
                None => drop(prefixes.insert((*class).clone(), vec![announcement.prefix])),
            }
        }
        self.assign_tags(&prefixes, around.tags);
        let networks = announcements.iter().zip(&classes).map(|(a, class)| self.network(a, class)).collect();
        let mut policies = BTreeMap::from([(IMPORT.to_owned(), self.import_rules())]);
        let (mut neighbors, mut secrets) = (Vec::new(), BTreeMap::new());
        let mut profiles = BTreeMap::new();
        for peer in &peers {
            let name = format!("{EXPORT}{}", peer.name);
            policies.insert(name.clone(), self.export_rules(&peer.name, &prefixes));
            let mut neighbor = neighbor(peer);
            neighbor.name = Some(free_name(&peer.name, around));
            neighbor.import = Some(List(vec![IMPORT.to_owned()]));
            neighbor.export = Some(List(vec![name]));
            if let Some(password) = &peer.password {
                let secret = peer.source.to_string();
                neighbor.password = Some(file::Password { secret: Some(secret.clone()), ..file::Password::default() });
                secrets.insert(secret, password.clone());
            }
            neighbor.bfd = bfd(peer, config, &mut profiles);
            neighbors.push(neighbor);
        }
        let file = File {
            router: router(peers.iter().map(AsRef::as_ref)),
            neighbors: Some(neighbors),
            policies: Some(policies),
            bfd: Some(file::Bfd { profiles: Some(profiles) }).filter(|bfd| bfd.profiles.iter().any(|p| !p.is_empty())),
            originate: Some(file::Originate { networks: Some(networks) }),
            ..File::default()
        };
        let sources = peers.iter().map(|peer| (peer.address, peer.source.clone())).collect();
        Lowered { input: Input { origin: ORIGIN.to_owned(), file }, secrets, sources, complaints: report.0 }
    }

    /// Classes keep their tags; a new one takes the lowest that is free.
    fn assign_tags(&mut self, prefixes: &BTreeMap<Class, Vec<IpNet>>, limit: usize) {
        self.classes.retain(|class, _| prefixes.contains_key(class));
        for class in prefixes.keys() {
            if self.classes.contains_key(class) || class.peers.as_ref().is_some_and(BTreeSet::is_empty) {
                continue;
            }
            let used: BTreeSet<usize> = self.classes.values().copied().collect();
            if let Some(free) = (0..limit).find(|tag| !used.contains(tag)) {
                self.classes.insert(class.clone(), free);
                self.high_water = self.high_water.max(free + 1);
            }
        }
    }

    fn network(&self, announcement: &Announcement, class: &Class) -> file::Network {
        let carried = announcement.everybody.as_ref().or_else(|| announcement.peers.values().next());
        let attributes = carried.filter(|_| class.attributes.is_none()).cloned().unwrap_or_default();
        let (standard, large) = split(&attributes.communities);
        file::Network {
            prefix: Some(announcement.prefix),
            communities: Some(standard).filter(|list| !list.is_empty()),
            large_communities: Some(large).filter(|list| !list.is_empty()),
            local_pref: attributes.local_pref,
            tags: self.classes.get(class).map(|tag| vec![tag_name(*tag)]),
            ..file::Network::default()
        }
    }

    /// Nothing comes in. The first rule names every tag: bits go by the order of the names.
    fn import_rules(&self) -> Vec<Rule> {
        let tags: Vec<String> = (0..self.high_water).map(tag_name).collect();
        let named = Rule { r#match: Some(file::Match { tags: Some(any(tags.clone())), ..file::Match::default() }), ..reject() };
        if tags.is_empty() { vec![reject()] } else { vec![named, reject()] }
    }

    /// What is announced to this peer, and nothing else.
    fn export_rules(&self, peer: &str, prefixes: &BTreeMap<Class, Vec<IpNet>>) -> Vec<Rule> {
        let mut rules = Vec::new();
        let mut plain = Vec::new();
        for (class, members) in prefixes.iter().filter(|(class, _)| class.is_for(peer)) {
            let tag = self.classes.get(class).copied();
            let own = class.attributes.as_ref().and_then(|all| all.get(peer));
            match (tag, own) {
                (Some(tag), None) => plain.push(tag_name(tag)),
                (Some(tag), Some(own)) => rules.push(accept(any_tag(vec![tag_name(tag)]), Some(own))),
                (None, own) => {
                    let list = members.iter().map(|prefix| file::PrefixEntry::Exact(*prefix)).collect();
                    rules.push(accept(file::Match { prefixes: Some(list), ..file::Match::default() }, own));
                }
            }
        }
        if !plain.is_empty() {
            rules.push(accept(any_tag(plain), None));
        }
        rules.push(reject());
        rules
    }
}

/// The peers of a node that get sessions of their own: one for each address.
fn sessions(config: &Config, labels: &Labels, around: &Surroundings, report: &mut Report) -> Vec<Arc<Peer>> {
    let mut peers: Vec<Arc<Peer>> = Vec::new();
    let mut id = around.router_id;
    for peer in config.peers.values().filter(|peer| peer.nodes.any_or_empty(labels)) {
        if let Some(other) = peers.iter().find(|other| other.address == peer.address) {
            let message = format!("{} is the address of `{}` too, on the same node", peer.address, other.name);
            report.error(&peer.source, "peerAddress", Fault::Duplicate, (message, "remove one, or give them different nodeSelectors"));
            continue;
        }
        if let Some(wanted) = peer.router_id
            && *id.get_or_insert(wanted) != wanted
        {
            let message = format!("all sessions of a node have one BGP identifier, and {} does not get its way", peer.name);
            report.warn(&peer.source, "routerID", Fault::Unsupported, (message, "use the same routerID for all peers of a node"));
        }
        peers.push(peer.clone());
    }
    peers
}

/// The name of the object, unless commands or another neighbor have it.
fn free_name(name: &str, around: &Surroundings) -> String {
    let taken = RESERVED.contains(&name) || around.names.contains(name);
    if taken { format!("metallb-{name}") } else { name.to_owned() }
}

/// Who we are by these peers, where the file does not say: the first that says something counts.
pub fn router<'a>(peers: impl Iterator<Item = &'a Peer> + Clone) -> Option<file::Router> {
    let asn = peers.clone().next().map(|peer| file::Asn::Number(peer.my_asn))?;
    let id = peers.clone().find_map(|peer| peer.router_id).map(file::RouterIdText::Id);
    Some(file::Router { asn: Some(asn), id, cluster_id: None })
}

/// The session settings of a peer; policies, password and BFD are for the caller.
pub fn neighbor(peer: &Peer) -> Neighbor {
    let number = |asn: Asn| file::Asn::Number(asn);
    let period = |time| Period(time);
    let session = Session {
        asn: Some(match peer.remote_as {
            RemoteAs::Number(asn) => number(asn),
            RemoteAs::Internal => file::Asn::Internal,
            RemoteAs::External => file::Asn::External,
        }),
        local_asn: Some(number(peer.local_asn.unwrap_or(peer.my_asn))),
        local_address: peer.source_address,
        families: peer.both_families.then(|| vec![file::FamilyName::Ipv4Unicast, file::FamilyName::Ipv6Unicast]),
        hold_time: peer.timers.map(|(hold, _)| period(hold)),
        keepalive_time: peer.timers.filter(|(hold, _)| !hold.is_zero()).map(|(_, keepalive)| period(keepalive)),
        connect_retry_time: peer.connect_time.map(period),
        multihop: peer.ebgp_multihop.then_some(u8::MAX),
        graceful_restart: peer
            .graceful_restart
            .then(|| file::GracefulRestart { mode: Some(file::GracefulRestartMode::Full), ..file::GracefulRestart::default() }),
        ..Session::default()
    };
    Neighbor { name: Some(peer.name.clone()), address: Some(peer.address), port: Some(peer.port), ..Neighbor::with_session(session) }
}

pub fn bfd_profile(profile: &BfdProfile) -> file::BfdProfile {
    file::BfdProfile {
        transmit: profile.transmit.map(Period),
        receive: profile.receive.map(Period),
        multiplier: profile.multiplier,
        passive: Some(profile.passive).filter(|p| *p),
        minimum_ttl: profile.minimum_ttl,
    }
}

/// The name of the peer's profile, which joins `profiles`.
fn bfd(peer: &Peer, config: &Config, profiles: &mut BTreeMap<String, file::BfdProfile>) -> Option<String> {
    let profile = config.bfd_profiles.get(peer.bfd_profile.as_ref()?)?;
    let name = format!("{BFD}{}", profile.name);
    profiles.insert(name.clone(), bfd_profile(profile));
    Some(name)
}

/// Communities as the file writes them: standard ones, large ones.
pub fn split(communities: &BTreeSet<AnyCommunity>) -> (Vec<String>, Vec<String>) {
    let (mut standard, mut large) = (Vec::new(), Vec::new());
    for community in communities {
        match community {
            AnyCommunity::Standard(value) => standard.push(value.to_string()),
            AnyCommunity::Large(value) => large.push(value.to_string()),
        }
    }
    (standard, large)
}

fn any(names: Vec<String>) -> Members {
    Members { any: Some(List(names)), all: None }
}

fn any_tag(names: Vec<String>) -> file::Match {
    file::Match { tags: Some(any(names)), ..file::Match::default() }
}

/// Rejects every route.
pub(super) fn reject() -> Rule {
    Rule { r#match: None, set: None, action: Some(file::RuleAction::Reject) }
}

/// Accepts routes of our own that match.
fn accept(condition: file::Match, own: Option<&Attributes>) -> Rule {
    let set = own.map(|attributes| {
        let (standard, large) = split(&attributes.communities);
        let add = |list: Vec<String>| {
            Some(file::CommunityEdit { add: Some(List(list.clone())), ..file::CommunityEdit::default() }).filter(|_| !list.is_empty())
        };
        file::Set { local_pref: attributes.local_pref, communities: add(standard), large_communities: add(large), ..file::Set::default() }
    });
    let condition = file::Match { source: Some(List(vec![SourceText::Local])), ..condition };
    Rule { r#match: Some(condition), set, action: Some(file::RuleAction::Accept) }
}

/// The tilde makes these names, and [`OWN_TAG`], the last ones, so that the tags of the file keep their bits too.
fn tag_name(tag: usize) -> String {
    format!("~metallb/{tag:02}")
}

/// For prefixes that nobody announces but the objects translated here; put on by those who join their fragment with others.
pub const OWN_TAG: &str = "~metallb";
/// Words that commands take in the place of a neighbor.
const RESERVED: [&str; 2] = ["all", "group"];
const ORIGIN: &str = "MetalLB objects";
const IMPORT: &str = "metallb/import";
const EXPORT: &str = "metallb/export/";
const BFD: &str = "metallb/";
