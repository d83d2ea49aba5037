//! Named policies: from the words of the file to compiled rules, and chains of them.

use super::{Checker, Fragment, Place};
use crate::config::file::{self, CommunityEdit, List, Match, Members, NextHopMode, NumberRange, PrefixEntry, Rule, RuleAction, Set};
use crate::config::plan::PolicyPlan;
use crate::policy::as_path::PathRegex;
use crate::policy::community::{ExtPattern, LargePattern, PatternError, StandardPattern};
use crate::policy::params::{self, Action, Edit, MedSet, NextHopSet, PrefixRange, Source};
use crate::policy::{AtEnd, Chain, NAMED_TAGS, Params, Policy};
use crate::wire::Family;
use crate::wire::attr::community::{Community, ExtCommunity, LargeCommunity};
use crate::wire::attr::{Origin, Tags};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Chains by what they are made of, so that peers with the same policies share one.
#[derive(Default)]
pub(super) struct Chains(Vec<Chain>);

impl Chains {
    fn get(&mut self, policies: Vec<Arc<Policy>>, end: AtEnd) -> Chain {
        let chain = Chain::new(policies, end);
        match self.0.iter().find(|known| **known == chain) {
            Some(known) => known.clone(),
            None => {
                self.0.push(chain.clone());
                chain
            }
        }
    }
}

impl Checker<'_> {
    /// Gives a bit to every name of a tag, in order of the names.
    pub(super) fn collect_tags(&mut self, fragments: &[Fragment]) {
        let mut names = BTreeSet::new();
        for (_, file) in fragments {
            let networks = file.originate.iter().flat_map(|o| &o.networks).flatten();
            names.extend(networks.flat_map(|n| &n.tags).flatten().cloned());
            names.extend(file.vips.iter().flat_map(|v| &v.advertise).flatten().flat_map(|a| &a.tags).flatten().cloned());
            for rule in file.policies.iter().flat_map(BTreeMap::values).flatten() {
                rule.r#match.iter().for_each(|m| tags_of_match(m, &mut names));
                let edit = rule.set.as_ref().and_then(|set| set.tags.as_ref());
                names.extend(edit.into_iter().flat_map(|e| [&e.add, &e.remove]).flatten().flat_map(|l| &l.0).cloned());
            }
        }
        if names.len() > NAMED_TAGS as usize {
            let place = Place::new(&None, "policies");
            self.complain(&place, format!("{} different tags are used; use at most {NAMED_TAGS}", names.len()));
        }
        self.tags = names.into_iter().zip((0..NAMED_TAGS).map(|bit| Tags(1 << bit))).collect();
    }

    pub(super) fn compile_policies(&mut self, fragments: &[Fragment]) {
        for (origin, file) in fragments {
            for (name, rules) in file.policies.iter().flatten() {
                let place = Place::new(origin, "policies").key(name);
                if self.policies.contains_key(name) {
                    self.complain(&place, format!("policy `{name}` is defined in two places; rename one"));
                    continue;
                }
                let before = self.complaints.len();
                let compiled: Vec<_> = rules.iter().enumerate().map(|(i, rule)| self.rule(&place.index(i), rule)).collect();
                let policy = Policy::new(Params { name: name.clone(), rules: compiled });
                match policy {
                    Ok(policy) if self.complaints.len() == before => {
                        self.policies.insert(name.clone(), PolicyPlan { policy: Arc::new(policy), definition: rules.clone() });
                    }
                    // Expressions that do not compile were complained about one by one.
                    _ => {
                        self.broken_policies.insert(name.clone());
                    }
                }
            }
        }
    }

    /// The chain of the named policies, shared with whoever else has the same.
    pub(super) fn chain(&mut self, place: &Place, names: Option<&List<String>>, end: AtEnd) -> Chain {
        let mut policies = Vec::new();
        for (i, name) in names.iter().flat_map(|list| &list.0).enumerate() {
            if let Some(policy) = self.policies.get(name) {
                policies.push(policy.policy.clone());
            } else if !self.broken_policies.contains(name) {
                let known: Vec<String> = self.policies.keys().cloned().collect();
                self.unknown(&place.index(i), "policy", name, known.iter().map(String::as_str));
            }
        }
        self.chains.get(policies, end)
    }

    fn rule(&mut self, place: &Place, rule: &Rule) -> params::Rule {
        let matches = rule.r#match.as_ref().map(|m| self.conditions(&place.key("match"), m)).unwrap_or_default();
        let sets = rule.set.as_ref().map(|set| self.sets(&place.key("set"), set)).unwrap_or_default();
        let action = match rule.action {
            Some(RuleAction::Accept) => Action::Accept,
            Some(RuleAction::Reject) => Action::Reject,
            Some(RuleAction::Next) | None => Action::Next,
        };
        if action == Action::Reject && !sets.is_empty() {
            self.complain(&place.key("set"), "changes a route that is then rejected; remove it, or use action accept or next");
        }
        if action == Action::Next && rule.set.as_ref().is_none_or(|set| *set == Set::default()) {
            self.complain(place, "does nothing: it neither sets nor decides; add set, or action accept or reject");
        }
        params::Rule { matches, sets, action }
    }

    fn conditions(&mut self, place: &Place, m: &Match) -> params::Match {
        let origins = |list: &List<_>| list.0.iter().map(|o| origin(*o)).collect();
        let (any_tag, all_tags) = match &m.tags {
            Some(members) => {
                (members.any.as_ref().map(|list| self.tag_bits(&list.0)), self.tag_bits(&members.all.clone().unwrap_or_default().0))
            }
            None => (None, Tags::default()),
        };
        params::Match {
            family: m.family.map(family),
            prefixes: m.prefixes.as_ref().map(|list| self.prefixes(&place.key("prefixes"), list)),
            communities: self.members(&place.key("communities"), &m.communities, StandardPattern::parse),
            large_communities: self.members(&place.key("largeCommunities"), &m.large_communities, LargePattern::parse),
            ext_communities: self.members(&place.key("extCommunities"), &m.ext_communities, ExtPattern::parse),
            as_path: m.as_path.as_ref().map(|list| self.expressions(&place.key("asPath"), &list.0)),
            as_path_length: m.as_path_length.and_then(|range| self.range(&place.key("asPathLength"), range)),
            neighbors: m.neighbors.as_ref().map(|list| self.nets(&place.key("neighbors"), &list.0)),
            sources: m.source.as_ref().map(|list| list.0.iter().map(|s| source(*s)).collect()),
            any_tag,
            all_tags,
            next_hops: m.next_hops.as_ref().map(|list| self.nets(&place.key("nextHops"), &list.0)),
            origins: m.origin.as_ref().map(origins),
            med: m.med.and_then(|range| self.range(&place.key("med"), range)),
            local_pref: m.local_pref.and_then(|range| self.range(&place.key("localPref"), range)),
            not: m.not.as_ref().map(|not| Box::new(self.conditions(&place.key("not"), not))),
        }
    }

    fn sets(&mut self, place: &Place, set: &Set) -> params::Sets {
        let tags = set.tags.clone().unwrap_or_default();
        params::Sets {
            local_pref: set.local_pref,
            med: set.med.map(|med| match med {
                file::MedText::To(value) => MedSet::To(value),
                file::MedText::Add(value) => MedSet::Add(value),
                file::MedText::Subtract(value) => MedSet::Subtract(value),
                file::MedText::Remove => MedSet::Remove,
            }),
            communities: self.edit(&place.key("communities"), &set.communities, (StandardPattern::ANY, StandardPattern::parse, standard)),
            large_communities: self.edit(
                &place.key("largeCommunities"),
                &set.large_communities,
                (LargePattern::ANY, LargePattern::parse, large),
            ),
            ext_communities: self.edit(&place.key("extCommunities"), &set.ext_communities, (ExtPattern::ANY, ExtPattern::parse, ext)),
            prepend: set.prepend.as_ref().and_then(|prepend| self.prepend(&place.key("prepend"), prepend)),
            next_hop: set.next_hop.map(|next_hop| match next_hop {
                file::RouteNextHop::Address(address) => NextHopSet::Address(address),
                file::RouteNextHop::Mode(NextHopMode::Unchanged) => NextHopSet::Unchanged,
                file::RouteNextHop::Mode(_) => NextHopSet::Own,
            }),
            origin: set.origin.map(origin),
            remove_tags: self.tag_bits(&tags.remove.unwrap_or_default().0),
            add_tags: self.tag_bits(&tags.add.unwrap_or_default().0),
        }
    }

    fn prepend(&mut self, place: &Place, prepend: &file::Prepend) -> Option<params::Prepend> {
        let times = prepend.times.unwrap_or(1);
        if !(1..=MOST_PREPENDS).contains(&times) {
            self.complain(&place.key("times"), format!("{times} times is not useful; use 1..={MOST_PREPENDS}"));
        }
        match prepend.asn {
            Some(file::Asn::Number(asn)) => Some(params::Prepend { asn, times }),
            Some(_) => {
                self.complain(&place.key("asn"), "must be an AS number, 1..=4294967295");
                None
            }
            None => Some(params::Prepend { asn: self.asn?, times }),
        }
    }

    pub(super) fn tag_bits(&self, names: &[String]) -> Tags {
        Tags(names.iter().filter_map(|name| self.tags.get(name)).fold(0, |bits, tag| bits | tag.0))
    }

    fn prefixes(&mut self, place: &Place, entries: &[PrefixEntry]) -> Vec<PrefixRange> {
        entries.iter().enumerate().filter_map(|(i, entry)| self.prefix_range(&place.index(i), entry)).collect()
    }

    fn prefix_range(&mut self, place: &Place, entry: &PrefixEntry) -> Option<PrefixRange> {
        let map = match entry {
            PrefixEntry::Exact(prefix) => return self.net(place, *prefix).map(PrefixRange::exact),
            PrefixEntry::Range(map) => map,
        };
        let Some(prefix) = map.prefix else {
            self.complain(&place.key("prefix"), "a prefix is required, such as 10.0.0.0/8");
            return None;
        };
        let prefix = self.net(&place.key("prefix"), prefix)?;
        let longest = prefix.max_prefix_len();
        if map.or_longer == Some(true) && (map.ge.is_some() || map.le.is_some()) {
            self.complain(&place.key("orLonger"), "says the same as le; use one of them");
        }
        let range = match (map.ge, map.le, map.or_longer) {
            (None, None, Some(true)) => PrefixRange::or_longer(prefix),
            (None, None, _) => PrefixRange::exact(prefix),
            (ge, le, _) => PrefixRange { prefix, min: ge.unwrap_or(prefix.prefix_len()), max: le.unwrap_or(longest) },
        };
        if range.min < prefix.prefix_len() || range.max > longest || range.min > range.max {
            let own = prefix.prefix_len();
            self.complain(
                place,
                format!("lengths {}..={} make no sense for {prefix}; use {own} <= ge <= le <= {longest}", range.min, range.max),
            );
        }
        Some(range)
    }

    /// A prefix without host bits.
    pub(super) fn net(&mut self, place: &Place, prefix: IpNet) -> Option<IpNet> {
        if prefix.trunc() == prefix {
            return Some(prefix);
        }
        self.complain(place, format!("{prefix} has bits set beyond its length; use {}", prefix.trunc()));
        None
    }

    /// Addresses and prefixes.
    fn nets(&mut self, place: &Place, texts: &[String]) -> Vec<IpNet> {
        let mut nets = Vec::new();
        for (i, text) in texts.iter().enumerate() {
            let net = text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
            match net {
                Some(net) => nets.extend(self.net(&place.index(i), net)),
                None => self.complain(&place.index(i), format!("`{text}` is neither an address nor a prefix")),
            }
        }
        nets
    }

    fn range(&mut self, place: &Place, range: NumberRange) -> Option<RangeInclusive<u32>> {
        let range = match range {
            NumberRange::Exact(number) => number..=number,
            NumberRange::Between(min, max) => min.unwrap_or(0)..=max.unwrap_or(u32::MAX),
        };
        if range.is_empty() {
            self.complain(place, format!("min {} is above max {}; swap them", range.start(), range.end()));
        }
        Some(range)
    }

    fn expressions(&mut self, place: &Place, texts: &[String]) -> Vec<String> {
        for (i, text) in texts.iter().enumerate() {
            if let Err(error) = PathRegex::new(text) {
                let reason = error.to_string();
                let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                self.complain(&place.index(i), format!("`{text}` is not a regular expression: {reason}"));
            }
        }
        texts.to_vec()
    }

    fn members<P>(&mut self, place: &Place, written: &Option<Members>, parse: fn(&str) -> Result<P, PatternError>) -> params::Members<P> {
        let Some(Members { any, all }) = written else { return params::Members::default() };
        let any_place = if all.is_some() { place.key("any") } else { place.clone() };
        let any = any.as_ref().map(|list| self.communities(&any_place, &list.0, parse));
        let all = all.as_ref().map(|list| self.communities(&place.key("all"), &list.0, parse));
        params::Members { any, all: all.unwrap_or_default() }
    }

    pub(super) fn communities<P>(&mut self, place: &Place, texts: &[String], parse: fn(&str) -> Result<P, PatternError>) -> Vec<P> {
        let mut parsed = Vec::new();
        for (i, text) in texts.iter().enumerate() {
            match parse(text) {
                Ok(value) => parsed.push(value),
                Err(error) => self.complain(&place.index(i), format!("cannot read `{text}`: {error}")),
            }
        }
        parsed
    }

    fn edit<P: Copy, V>(&mut self, place: &Place, written: &Option<CommunityEdit>, (any, pattern, value): Parsers<P, V>) -> Edit<P, V> {
        let Some(written) = written else { return Edit::default() };
        let list = |list: &Option<List<String>>| list.clone().unwrap_or_default().0;
        let mut edit = Edit {
            remove: self.communities(&place.key("remove"), &list(&written.remove), pattern),
            add: self.communities(&place.key("add"), &list(&written.add), value),
        };
        if let Some(replace) = &written.replace {
            if written.remove.is_some() || written.add.is_some() {
                self.complain(&place.key("replace"), "takes all communities away; use it without add and remove");
            }
            edit.remove.push(any);
            edit.add.extend(self.communities(&place.key("replace"), &replace.0, value));
        }
        edit
    }
}

/// The pattern for everything, how patterns are read, how values are read.
type Parsers<P, V> = (P, fn(&str) -> Result<P, PatternError>, fn(&str) -> Result<V, PatternError>);

fn tags_of_match(m: &Match, names: &mut BTreeSet<String>) {
    let lists = m.tags.iter().flat_map(|members| [&members.any, &members.all]).flatten();
    names.extend(lists.flat_map(|list| &list.0).cloned());
    m.not.iter().for_each(|not| tags_of_match(not, names));
}

/// A standard community to add.
pub(super) fn standard(text: &str) -> Result<u32, PatternError> {
    text.parse().map(|Community(value)| value).map_err(PatternError::from)
}

/// A large community to add.
pub(super) fn large(text: &str) -> Result<[u32; 3], PatternError> {
    text.parse().map(|LargeCommunity(value)| value).map_err(PatternError::from)
}

/// An extended community to add.
pub(super) fn ext(text: &str) -> Result<[u8; 8], PatternError> {
    text.parse().map(|ExtCommunity(value)| value).map_err(PatternError::from)
}

pub(super) fn origin(text: file::OriginText) -> Origin {
    match text {
        file::OriginText::Igp => Origin::Igp,
        file::OriginText::Egp => Origin::Egp,
        file::OriginText::Incomplete => Origin::Incomplete,
    }
}

fn source(text: file::SourceText) -> Source {
    match text {
        file::SourceText::Local => Source::Local,
        file::SourceText::Ebgp => Source::Ebgp,
        file::SourceText::Ibgp => Source::Ibgp,
        file::SourceText::Client => Source::Client,
    }
}

pub(super) fn family(name: file::FamilyName) -> Family {
    match name {
        file::FamilyName::Ipv4Unicast => Family::Ipv4Unicast,
        file::FamilyName::Ipv6Unicast => Family::Ipv6Unicast,
    }
}

/// More would not make a path any less preferred in practice, and long paths break old routers.
const MOST_PREPENDS: u8 = 50;
