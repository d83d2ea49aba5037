//! One session per peer, whichever objects name it: what Calico's and MetalLB's objects ask for of the same address becomes one neighbor
//! with the policies of both, apart from each other.
//!
//! Calico's part decides over what MetalLB's objects do not announce, MetalLB's part over the rest; what both announce, and what lies in
//! ranges of service addresses that Calico announces, goes where either wants it. Where the two disagree about the session, what was
//! in force for that peer stays; where nothing was, Calico's object counts.

mod conflict;
#[cfg(test)]
mod tests;

use super::translate::Named;
use crate::config::Input;
use crate::config::file::{FamilyName, File, List, Match, Members, Neighbor, Network, Rule, RuleAction, SourceText};
use crate::config::plan::Secret;
use crate::kube::calico::{self, Report};
use crate::kube::metallb::peers::{Lowered, OWN_TAG};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What follows from both.
#[derive(Debug)]
pub struct Merged {
    pub fragments: [Input; 2],
    pub secrets: BTreeMap<String, Secret>,
    /// The neighbors, in order of their addresses.
    pub named: Vec<Named>,
    pub reports: Vec<Report>,
}

/// Remembers what was good for the peers that MetalLB's objects name.
#[derive(Debug, Default)]
pub struct Merger {
    good: BTreeMap<IpAddr, Good>,
}

/// The last settings of a session that nobody disagreed about.
#[derive(Clone, Debug)]
struct Good {
    /// Calico's objects wanted it too.
    is_shared: bool,
    neighbor: Neighbor,
    password: Option<Secret>,
}

/// The two neighbors of one address.
struct Pair<'a> {
    calico: &'a Neighbor,
    metallb: &'a Neighbor,
}

impl Merger {
    pub fn merge(&mut self, calico: calico::Output, metallb: Lowered) -> Merged {
        let calico::Output { input: mut first, secrets: keys, sessions, service_ranges, mut reports, .. } = calico;
        let Lowered { input: mut second, secrets: more, sources, .. } = metallb;
        let mut secrets: BTreeMap<_, _> = keys.into_iter().chain(more).collect();
        apart(&mut first.file, &mut second.file, &service_ranges);
        let own_asn = first.file.router.as_ref().and_then(|router| router.asn);
        let objects: BTreeMap<IpAddr, String> = sessions.iter().map(|s| (s.address, object_of(s.object.as_deref()))).collect();
        let mut ours: BTreeMap<IpAddr, Neighbor> = by_address(first.file.neighbors.take());
        let mut theirs: BTreeMap<IpAddr, Neighbor> = by_address(second.file.neighbors.take());
        self.good.retain(|address, _| theirs.contains_key(address));
        for (address, neighbor) in &mut ours {
            let Some(other) = theirs.get(address) else {
                prepend(&mut neighbor.export, &[APART]);
                continue;
            };
            let pair = Pair { calico: neighbor, metallb: other };
            let conflicts = conflict::conflicts(&pair, own_asn, &secrets);
            let agreed = pair.joined();
            let policies = second.file.policies.get_or_insert_default();
            policies.extend(pair.families_of_metallb().map(|family| (no_family(family), vec![reject_family(family)])));
            if conflicts.is_empty() {
                self.remember(*address, &agreed, true, &secrets);
                open_end(&mut second.file, other);
                *neighbor = agreed;
            } else {
                let kept = self.keep(*address, &agreed, other, &mut secrets);
                let calico_object = objects.get(address).cloned().unwrap_or_default();
                let metallb_object = sources.get(address).map(ToString::to_string).unwrap_or_default();
                let stays = conflict::consequence(kept.as_ref().map(|(is_shared, _)| *is_shared));
                reports.extend(conflicts.iter().flat_map(|c| c.reports(*address, (&calico_object, &metallb_object), stays)));
                match kept {
                    Some((is_shared, kept)) => {
                        if is_shared {
                            open_end(&mut second.file, other);
                        }
                        *neighbor = kept;
                    }
                    None => prepend(&mut neighbor.export, &[APART]),
                }
            }
        }
        theirs.retain(|address, _| !ours.contains_key(address));
        for (address, neighbor) in &theirs {
            self.remember(*address, neighbor, false, &secrets);
        }
        let named =
            named(&ours, &theirs, |address| objects.get(&address).cloned().or_else(|| sources.get(&address).map(ToString::to_string)));
        first.file.neighbors = Some(ours.into_values().collect());
        second.file.neighbors = Some(theirs.into_values().collect());
        Merged { fragments: [first, second], secrets, named, reports }
    }

    fn remember(&mut self, address: IpAddr, neighbor: &Neighbor, is_shared: bool, secrets: &BTreeMap<String, Secret>) {
        let password = password(neighbor, secrets).cloned();
        self.good.insert(address, Good { is_shared, neighbor: neighbor.clone(), password });
    }

    /// The session as it was last good, with the policies of today, and whether both have it.
    fn keep(
        &self,
        address: IpAddr,
        agreed: &Neighbor,
        metallb: &Neighbor,
        secrets: &mut BTreeMap<String, Secret>,
    ) -> Option<(bool, Neighbor)> {
        let good = self.good.get(&address)?;
        let policies = if good.is_shared { agreed } else { metallb };
        let mut neighbor = Neighbor { import: policies.import.clone(), export: policies.export.clone(), ..good.neighbor.clone() };
        if let (Some(key), Some(written)) = (&good.password, &mut neighbor.password) {
            // The name it had may mean another key by now.
            let name = format!("{address} as it was");
            secrets.insert(name.clone(), key.clone());
            written.secret = Some(name);
        }
        Some((good.is_shared, neighbor))
    }
}

impl Pair<'_> {
    /// One neighbor of both: identity and policies of Calico's, MetalLB's policies ahead, and what only MetalLB's says.
    fn joined(&self) -> Neighbor {
        let Self { calico, metallb } = *self;
        let mut all = calico.clone();
        let texts = [&calico.description, &metallb.description];
        all.description = Some(texts.into_iter().flatten().cloned().collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty());
        all.local_address = calico.local_address.or(metallb.local_address);
        all.hold_time = calico.hold_time.or(metallb.hold_time);
        all.keepalive_time = calico.keepalive_time.or(metallb.keepalive_time.filter(|_| calico.hold_time.is_none()));
        all.connect_retry_time = calico.connect_retry_time.or(metallb.connect_retry_time);
        all.bfd = calico.bfd.clone().or_else(|| metallb.bfd.clone());
        all.password = calico.password.clone().or_else(|| metallb.password.clone());
        let not_calico: Vec<String> = self.families_of_metallb().map(no_family).collect();
        let not_calico: Vec<&str> = not_calico.iter().map(String::as_str).collect();
        prepend(&mut all.import, &not_calico);
        let own = metallb.export.iter().flat_map(|list| &list.0).map(String::as_str);
        prepend(&mut all.export, &own.chain([APART]).chain(not_calico).collect::<Vec<_>>());
        if let Some(families) = &mut all.families {
            families.extend(self.families_of_metallb());
        }
        all
    }

    /// What Calico's session would not carry.
    fn families_of_metallb(&self) -> impl Iterator<Item = FamilyName> + '_ {
        let calico = self.calico.families.as_deref().unwrap_or_default();
        self.metallb.families.iter().flatten().copied().filter(|family| !calico.contains(family))
    }
}

/// Marks what only MetalLB's objects announce, and makes one of what both do.
fn apart(calico: &mut File, metallb: &mut File, ranges: &[IpNet]) {
    let mut shared: BTreeMap<IpNet, &mut Network> = BTreeMap::new();
    if let Some(networks) = calico.originate.as_mut().and_then(|o| o.networks.as_mut()) {
        shared.extend(networks.iter_mut().filter_map(|network| Some((network.prefix?, network))));
    }
    if let Some(networks) = metallb.originate.as_mut().and_then(|o| o.networks.as_mut()) {
        networks.retain_mut(|network| {
            let Some(prefix) = network.prefix else { return true };
            if let Some(same) = shared.get_mut(&prefix) {
                join(same, network);
                return false;
            }
            if !ranges.iter().any(|range| range.contains(&prefix)) {
                network.tags.get_or_insert_default().push(OWN_TAG.to_owned());
            }
            true
        });
    }
    metallb.policies.get_or_insert_default().insert(APART.to_owned(), vec![own_only()]);
}

/// A prefix that both announce goes where either wants it, with the attributes that MetalLB's objects give it.
fn join(all: &mut Network, network: &Network) {
    all.tags.get_or_insert_default().extend(network.tags.iter().flatten().cloned());
    all.local_pref = network.local_pref.or(all.local_pref);
    for (list, more) in [(&mut all.communities, &network.communities), (&mut all.large_communities, &network.large_communities)] {
        if let Some(more) = more {
            list.get_or_insert_default().extend(more.iter().cloned());
        }
    }
}

/// Rejects what MetalLB's objects have to themselves.
fn own_only() -> Rule {
    let members = Members { any: Some(List(vec![OWN_TAG.to_owned()])), all: None };
    let condition = Match { source: Some(List(vec![SourceText::Local])), tags: Some(members), ..Match::default() };
    Rule { r#match: Some(condition), set: None, action: Some(RuleAction::Reject) }
}

/// The export policy of a peer of MetalLB's objects ends with a rule that rejects all; Calico's policy follows here instead.
fn open_end(metallb: &mut File, neighbor: &Neighbor) {
    for name in neighbor.export.iter().flat_map(|list| &list.0) {
        if let Some(rules) = metallb.policies.as_mut().and_then(|all| all.get_mut(name)) {
            rules.pop_if(|rule| rule.r#match.is_none() && rule.action == Some(RuleAction::Reject));
        }
    }
}

/// The policy that keeps Calico's routes of a family off a session that Calico's objects do not ask for in that family.
fn no_family(family: FamilyName) -> String {
    let name = match family {
        FamilyName::Ipv4Unicast => "ipv4-unicast",
        FamilyName::Ipv6Unicast => "ipv6-unicast",
    };
    format!("metallb/only/{name}")
}

fn reject_family(family: FamilyName) -> Rule {
    Rule { r#match: Some(Match { family: Some(family), ..Match::default() }), set: None, action: Some(RuleAction::Reject) }
}

fn by_address(neighbors: Option<Vec<Neighbor>>) -> BTreeMap<IpAddr, Neighbor> {
    neighbors.into_iter().flatten().filter_map(|neighbor| Some((neighbor.address?, neighbor))).collect()
}

fn prepend(list: &mut Option<List<String>>, names: &[&str]) {
    let list = &mut list.get_or_insert_with(|| List(Vec::new())).0;
    list.splice(0..0, names.iter().map(|name| (*name).to_owned()));
}

fn password<'a>(neighbor: &Neighbor, secrets: &'a BTreeMap<String, Secret>) -> Option<&'a Secret> {
    secrets.get(neighbor.password.as_ref()?.secret.as_ref()?)
}

/// How reports call the object of a session of Calico's.
pub fn object_of(peer: Option<&str>) -> String {
    peer.map_or_else(|| "BGPConfiguration default".to_owned(), |name| format!("BGPPeer {name}"))
}

fn named(one: &BTreeMap<IpAddr, Neighbor>, other: &BTreeMap<IpAddr, Neighbor>, object: impl Fn(IpAddr) -> Option<String>) -> Vec<Named> {
    let all = one.iter().chain(other);
    all.map(|(address, neighbor)| Named {
        address: *address,
        name: neighbor.name.clone().unwrap_or_default(),
        asn: neighbor.asn,
        object: object(*address).unwrap_or_default(),
    })
    .collect()
}

/// Keeps to MetalLB's peers what goes to them alone.
const APART: &str = "metallb/apart";
