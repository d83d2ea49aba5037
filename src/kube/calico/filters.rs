//! Import and export policy as Calico has it: BGPFilters first, then the rules that are built in.
//!
//! A filter that accepts an exported route ends the chain, so everything behind it is skipped, as Calico does. Conditions about the
//! kernel's interfaces concern routes that a daemon reads from the kernel; we read none. What stands for them here are the tags of
//! [`super::announce`].

use super::World;
use super::announce::{Announcements, TAG_HIDDEN_TUNNEL, TAG_WORKLOAD};
use super::node::IpFamily;
use super::objects::{BgpFilter, BgpFilterSpec, FilterRule, judge};
use super::report::Report;
use super::sessions::Session;
use super::settings::{Era, Mode, PRIORITY_SUM, is_single};
use crate::config::file::{
    self, CommunityEdit, FamilyName, List, Match, Members, NumberRange, PrefixEntry, PrefixMap, Prepend, Rule, RuleAction, Set, SourceText,
    TagEdit,
};
use crate::wire::Asn;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};

/// Which way a route goes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Direction {
    Import,
    Export,
}

/// All policies by name, and which of them a session uses.
pub struct Policies<'a> {
    world: &'a World<'a>,
    filters: BTreeMap<&'a str, &'a BgpFilterSpec>,
    pub named: BTreeMap<String, Vec<Rule>>,
}

impl<'a> Policies<'a> {
    /// Builds what every session has; filters are added when a session names them.
    pub fn new(world: &'a World<'a>, announcements: &Announcements, reports: &mut Vec<Report>) -> Self {
        let mut filters = BTreeMap::new();
        for BgpFilter { metadata, spec } in &world.objects.filters {
            let (found, usable) = judge(FILTER, metadata, spec);
            reports.extend(found);
            reports.extend(interface_remarks(&metadata.name, spec));
            if usable {
                filters.insert(metadata.name.as_str(), spec);
            }
        }
        let named = BTreeMap::from([
            (IMPORT.to_owned(), vec![rule(Match::default(), RuleAction::Accept)]),
            (export_name(false).to_owned(), export(world, announcements, false)),
            (export_name(true).to_owned(), export(world, announcements, true)),
        ]);
        Self { world, filters, named }
    }

    /// The chains of a session: import, export.
    pub fn of(&mut self, session: &Session) -> (Vec<String>, Vec<String>) {
        let mut import = self.filters(session, Direction::Import);
        let mut export = self.filters(session, Direction::Export);
        import.push(IMPORT.to_owned());
        export.push(export_name(session.is_ebgp).to_owned());
        (import, export)
    }

    /// A filter that cannot be used takes its sessions' routes away rather than letting everything pass.
    fn filters(&mut self, session: &Session, direction: Direction) -> Vec<String> {
        let kind = if session.is_ebgp { "ebgp" } else { "ibgp" };
        let way = if direction == Direction::Import { "import" } else { "export" };
        let mut names = Vec::new();
        for filter in &session.filters {
            let name = format!("calico/filter/{filter}/{way}/{kind}");
            if !self.named.contains_key(&name) {
                let Some(rules) = self.rules(filter, direction, session.is_ebgp).filter(|rules| !rules.is_empty()) else { continue };
                self.named.insert(name.clone(), rules);
            }
            names.push(name);
        }
        names
    }

    /// `None` for a filter that does not exist.
    fn rules(&self, filter: &str, direction: Direction, is_ebgp: bool) -> Option<Vec<Rule>> {
        let reject_all = || vec![rule(Match::default(), RuleAction::Reject)];
        match self.filters.get(filter) {
            Some(spec) => Some(filter_rules(spec, direction, is_ebgp)),
            None => self.world.objects.filters.iter().any(|f| f.metadata.name == filter).then(reject_all),
        }
    }
}

/// The built-in export rules, in the order of Calico's.
fn export(world: &World<'_>, announcements: &Announcements, is_ebgp: bool) -> Vec<Rule> {
    let settings = &world.settings;
    let mut rules = Vec::new();
    let pools = |exported: bool| settings.pools.iter().filter(move |p| p.is_exported == exported).map(|p| p.net);
    rules.extend(inside(pools(false)).map(|m| rule(m, RuleAction::Reject)));
    if !is_ebgp && announcements.has_hidden_tunnel() {
        let hidden = Match { source: Some(List(vec![SourceText::Local])), tags: any(&[TAG_HIDDEN_TUNNEL]), ..Match::default() };
        rules.push(rule(hidden, RuleAction::Reject));
    }
    for advertisement in &settings.advertisements {
        let add =
            |list: &[String]| (!list.is_empty()).then(|| CommunityEdit { add: Some(List(list.to_vec())), ..CommunityEdit::default() });
        let set = Set {
            communities: add(&advertisement.communities),
            large_communities: add(&advertisement.large_communities),
            ..Set::default()
        };
        if let Some(matches) = inside([advertisement.net]).filter(|_| set != Set::default()) {
            rules.push(Rule { r#match: Some(matches), set: Some(set), action: Some(RuleAction::Next) });
        }
    }
    rules.extend(aggregation(world, announcements));
    let services = &announcements.services;
    rules.extend(either(inside(services.ranges.iter().copied()), exact(services.addresses.iter().copied())));
    if world.own.cluster_id.is_some() {
        let external: &[IpNet] = if settings.era >= Era::Split { &settings.external_ips } else { &[] };
        let reflected = settings.load_balancer_ips.iter().chain(external).copied();
        rules.extend(inside(reflected).map(|m| rule(m, RuleAction::Accept)));
    }
    rules.extend(inside(pools(true)).map(|m| rule(m, RuleAction::Accept)));
    rules.push(rule(Match::default(), RuleAction::Reject));
    rules
}

/// Own blocks go out as wholes: what is inside goes out only while it is better than usual (a virtual machine that moves here).
fn aggregation(world: &World<'_>, announcements: &Announcements) -> Vec<Rule> {
    let mut rules = Vec::new();
    let own = || announcements.aggregated.iter().copied();
    rules.extend(exact(own()).map(|m| rule(m, RuleAction::Accept)));
    for family in IpFamily::ALL {
        let Some(normal) = world.settings.local_pref(family) else { continue };
        let better = Some(NumberRange::Between(Some(normal.saturating_add(1)), None));
        let blocks = own().filter(|net| IpFamily::of_net(net) == family && !is_single(net));
        rules.extend(inside(blocks).map(|m| rule(Match { local_pref: better, ..m }, RuleAction::Accept)));
    }
    rules.extend(inside(own().filter(|net| !is_single(net))).map(|m| rule(m, RuleAction::Reject)));
    rules
}

fn either(one: Option<Match>, other: Option<Match>) -> impl Iterator<Item = Rule> {
    [one, other].into_iter().flatten().map(|m| rule(m, RuleAction::Accept))
}

/// The rules of a filter for sessions of one kind.
fn filter_rules(spec: &BgpFilterSpec, direction: Direction, is_ebgp: bool) -> Vec<Rule> {
    let lists = match direction {
        Direction::Import => [(IpFamily::V4, &spec.import_v4), (IpFamily::V6, &spec.import_v6)],
        Direction::Export => [(IpFamily::V4, &spec.export_v4), (IpFamily::V6, &spec.export_v6)],
    };
    let mut rules = Vec::new();
    for (family, list) in lists {
        let wanted = |rule: &&FilterRule| rule.peer_type.is_empty() || (rule.peer_type == "eBGP") == is_ebgp;
        for filter in list.iter().filter(wanted) {
            if let Some(matches) = conditions(filter, family) {
                rules.extend(decision(filter, matches));
            }
        }
    }
    rules
}

/// What a rule asks; `None` where no route of ours can be meant.
fn conditions(filter: &FilterRule, family: IpFamily) -> Option<Match> {
    let mut matches = Match {
        family: Some(match family {
            IpFamily::V4 => FamilyName::Ipv4Unicast,
            IpFamily::V6 => FamilyName::Ipv6Unicast,
        }),
        ..Match::default()
    };
    prefix_condition(filter, &mut matches)?;
    if filter.source == "RemotePeers" {
        matches.source = Some(List(vec![SourceText::Ebgp, SourceText::Ibgp]));
    }
    if let Some(value) = filter.communities.as_ref().and_then(|c| c.values.first()) {
        let members = any(&[value]);
        if value.split(':').count() == 3 { matches.large_communities = members } else { matches.communities = members }
    }
    if !filter.as_path_prefix.is_empty() {
        let numbers: Vec<_> = filter.as_path_prefix.iter().map(|asn| asn.0.to_string()).collect();
        matches.as_path = Some(List(vec![format!("^{}_", numbers.join(" "))]));
    }
    if let Some(priority) = filter.priority {
        matches.local_pref = Some(NumberRange::Exact(PRIORITY_SUM.checked_sub(priority)?));
    }
    match interface(&filter.interface) {
        Interface::Any => {}
        Interface::Workloads => {
            matches.source = Some(List(vec![SourceText::Local]));
            matches.tags = any(&[TAG_WORKLOAD]);
        }
        Interface::None => return None,
    }
    Some(matches)
}

/// Range and operator; `None` where they hold for no prefix.
fn prefix_condition(filter: &FilterRule, matches: &mut Match) -> Option<()> {
    let Ok(net) = filter.cidr.parse::<IpNet>().map(|net| net.trunc()) else { return Some(()) };
    let (own, longest) = (net.prefix_len(), net.max_prefix_len());
    let bounds = filter.prefix_length.unwrap_or_default();
    let (min, max) = (bounds.min.unwrap_or(own).max(own), bounds.max.unwrap_or(longest).min(longest));
    let is_whole = matches!(filter.match_operator.as_str(), "Equal" | "NotEqual");
    // Calico bounds the length by the range's own: nothing is left where they do not meet.
    let is_possible = if is_whole { min <= own && own <= max } else { min <= max };
    let denies = matches!(filter.match_operator.as_str(), "NotEqual" | "NotIn");
    if !is_possible {
        return denies.then_some(());
    }
    let entry = match () {
        () if is_whole => PrefixEntry::Exact(net),
        () => PrefixEntry::Range(PrefixMap { prefix: Some(net), ge: Some(min), le: Some(max), or_longer: None }),
    };
    if denies {
        matches.not = Some(Box::new(Match { prefixes: Some(vec![entry]), ..Match::default() }));
    } else {
        matches.prefixes = Some(vec![entry]);
    }
    Some(())
}

/// What a rule does: one rule of ours, or several where the path is to start with different numbers.
fn decision(filter: &FilterRule, matches: Match) -> Vec<Rule> {
    if filter.action == "Reject" {
        return vec![rule(matches, RuleAction::Reject)];
    }
    let mut set = Set::default();
    let (mut communities, mut large, mut path) = (Vec::new(), Vec::new(), Vec::new());
    for operation in &filter.operations {
        if let Some(add) = &operation.add_community {
            let list = if add.value.split(':').count() == 3 { &mut large } else { &mut communities };
            list.push(add.value.clone());
        } else if let Some(prepend) = &operation.prepend_as_path {
            path.splice(0..0, prepend.prefix.iter().map(|asn| asn.0));
        } else if let Some(priority) = &operation.set_priority {
            set.local_pref = Some(PRIORITY_SUM.saturating_sub(priority.value));
        }
    }
    let add = |list: Vec<String>| (!list.is_empty()).then(|| CommunityEdit { add: Some(List(list)), ..CommunityEdit::default() });
    (set.communities, set.large_communities) = (add(communities), add(large));
    // The last run of equal numbers is put in front first; what is in front of all is put there last.
    let mut runs = runs(&path);
    let first = if runs.is_empty() { None } else { Some(runs.remove(0)) };
    set.prepend = first;
    let accept = |matches: Match, set: Set| Rule {
        r#match: Some(matches),
        set: (set != Set::default()).then_some(set),
        action: Some(RuleAction::Accept),
    };
    if runs.is_empty() {
        return vec![accept(matches, set)];
    }
    // Later rules must not look at what earlier ones have changed, so the first one marks the route.
    let mark = |edit: TagEdit| Set { tags: Some(edit), ..Set::default() };
    let tag = || Some(List(vec![TAG_MATCHED.to_owned()]));
    let next = |matches: Match, set: Set| Rule { r#match: Some(matches), set: Some(set), action: Some(RuleAction::Next) };
    let marked = || Match { tags: any(&[TAG_MATCHED]), ..Match::default() };
    let mut rules = vec![next(matches, mark(TagEdit { add: tag(), remove: None }))];
    rules.extend(runs.into_iter().rev().map(|run| next(marked(), Set { prepend: Some(run), ..Set::default() })));
    set.tags = Some(TagEdit { add: None, remove: tag() });
    rules.push(accept(marked(), set));
    rules
}

fn runs(path: &[u32]) -> Vec<Prepend> {
    let run = |numbers: &[u32]| {
        let asn = numbers.first().and_then(|asn| Asn::new(*asn)).map(file::Asn::Number);
        Prepend { asn, times: u8::try_from(numbers.len()).ok() }
    };
    // A rule prepends a number of times that is limited; longer runs are split.
    path.chunk_by(|a, b| a == b).flat_map(|numbers| numbers.chunks(MOST_PREPENDS)).map(run).collect()
}

/// Which of the routes that we know may be on an interface that a pattern describes.
enum Interface {
    Any,
    /// Addresses of local workloads are routes of the kernel on `cali*`.
    Workloads,
    /// Learned routes and those of blocks and services have no such interface.
    None,
}

fn interface(pattern: &str) -> Interface {
    match pattern {
        "" => Interface::Any,
        _ if pattern.chars().all(|c| c == '*') => Interface::Any,
        _ if pattern.strip_suffix('*').is_some_and(|p| !p.contains('*') && WORKLOAD_INTERFACE.starts_with(p)) => Interface::Workloads,
        _ => Interface::None,
    }
}

/// Rules about interfaces that mean none of our routes.
fn interface_remarks(name: &str, spec: &BgpFilterSpec) -> Vec<Report> {
    let lists =
        [("exportV4", &spec.export_v4), ("importV4", &spec.import_v4), ("exportV6", &spec.export_v6), ("importV6", &spec.import_v6)];
    let mut reports = Vec::new();
    for (list, rules) in lists {
        for (i, rule) in rules.iter().enumerate().filter(|(_, rule)| matches!(interface(&rule.interface), Interface::None)) {
            let message = format!(
                "no route is ever on `{}` here: kernel routes are not read, and learned ones have no interface yet",
                rule.interface
            );
            reports.push(Report::warning(FILTER, name, format!("spec.{list}[{i}].interface"), message));
        }
    }
    reports
}

fn rule(matches: Match, action: RuleAction) -> Rule {
    Rule { r#match: (matches != Match::default()).then_some(matches), set: None, action: Some(action) }
}

/// Inside any of the ranges; `None` where there are none.
fn inside(nets: impl IntoIterator<Item = IpNet>) -> Option<Match> {
    let entry = |net: IpNet| PrefixEntry::Range(PrefixMap { prefix: Some(net), or_longer: Some(true), ..PrefixMap::default() });
    prefixes(nets, entry)
}

/// Any of the prefixes; `None` where there are none.
fn exact(nets: impl IntoIterator<Item = IpNet>) -> Option<Match> {
    prefixes(nets, PrefixEntry::Exact)
}

fn prefixes(nets: impl IntoIterator<Item = IpNet>, entry: impl Fn(IpNet) -> PrefixEntry) -> Option<Match> {
    let nets: BTreeSet<IpNet> = nets.into_iter().collect();
    (!nets.is_empty()).then(|| Match { prefixes: Some(nets.into_iter().map(entry).collect()), ..Match::default() })
}

fn any(members: &[&str]) -> Option<Members> {
    Some(Members { any: Some(List(members.iter().map(|m| (*m).to_owned()).collect())), all: None })
}

const fn export_name(is_ebgp: bool) -> &'static str {
    if is_ebgp { "calico/export/ebgp" } else { "calico/export/ibgp" }
}

/// Whether the kernel routes of a pool's tunnels are ours to announce inside the AS.
pub(super) fn hides_tunnel(mode: Mode, is_ours: bool) -> bool {
    mode != Mode::Never && !is_ours
}

const IMPORT: &str = "calico/import";
const FILTER: &str = "BGPFilter";
/// A route that a filter with several prepends has matched.
const TAG_MATCHED: &str = "calico/matched";
/// Start of the names of workload interfaces.
const WORKLOAD_INTERFACE: &str = "cali";
const MOST_PREPENDS: usize = 10;
