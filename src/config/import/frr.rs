//! FRR's `frr.conf` (or `show running-config`): `router bgp`, prefix lists, community and AS path lists, route maps, BFD profiles.

mod lists;
mod maps;
mod session;

use std::collections::BTreeMap;

use super::draft::{Draft, Imported};
use crate::config::file::{self, Asn, FamilyName, Period, RouterIdText};
use lists::Lists;
use maps::Clause;
use session::Settings;

/// Reads the text of a configuration.
///
/// # Errors
/// It has no `router bgp`.
pub fn frr(text: &str) -> Result<Imported, String> {
    let mut reader = Reader::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_end();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] | ["!", ..] | ["end" | "exit"] => {}
            _ if line.starts_with(['!', '#']) => {}
            words => reader.line(Line { number, text: line.trim(), words }, line.starts_with(' ')),
        }
    }
    if reader.asn.is_none() {
        return Err("there is no `router bgp` in this file; give the output of `vtysh -c 'show running-config'`".to_owned());
    }
    Ok(reader.finish())
}

const UNNUMBERED: &str = "sessions on an interface without an address are not supported yet: give the neighbor an address";

/// A line and its words.
#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    number: usize,
    text: &'a str,
    words: &'a [&'a str],
}

/// Where the lines belong that begin with a blank.
#[derive(Debug, Default, PartialEq)]
enum Block {
    /// Other daemons of FRR, or nothing.
    #[default]
    Foreign,
    Bgp,
    Family(FamilyName),
    /// A family that we do not carry.
    OtherFamily,
    RouteMap,
    Bfd,
    BfdProfile(String),
}

#[derive(Debug, Default)]
struct Reader {
    draft: Draft,
    block: Block,
    asn: Option<u32>,
    /// By address, interface, or name of a peer group.
    peers: BTreeMap<String, Settings>,
    /// Order of appearance.
    order: Vec<String>,
    lists: Lists,
    maps: BTreeMap<String, Vec<Clause>>,
    /// `no bgp default ipv4-unicast`.
    no_ipv4_default: bool,
    /// `no bgp ebgp-requires-policy`.
    passes_all: bool,
    range_limit: Option<u32>,
    ranges: Vec<(usize, String, ipnet::IpNet, String)>,
    /// Where a neighbor names a route map or a prefix list.
    named: Vec<(usize, String, String)>,
}

impl Reader {
    fn line(&mut self, line: Line<'_>, is_inner: bool) {
        if !is_inner && line.words != ["exit-address-family"] {
            return self.top(line);
        }
        match &self.block {
            Block::Foreign => self.draft.note(line.number, line.text, "not BGP: stays with FRR's other daemons"),
            Block::Bgp => self.bgp(line),
            Block::Family(family) => self.family(line, *family),
            Block::OtherFamily if line.words == ["exit-address-family"] => self.block = Block::Bgp,
            Block::OtherFamily => self.draft.lost(line.number, line.text, "only ipv4 unicast and ipv6 unicast are carried"),
            Block::RouteMap => self.clause(line),
            Block::Bfd => self.bfd(line),
            Block::BfdProfile(name) => self.bfd_profile(line, &name.clone()),
        }
    }

    fn top(&mut self, line: Line<'_>) {
        self.block = Block::Foreign;
        match line.words {
            ["router", "bgp", asn] => match asn.parse() {
                Ok(number) if self.asn.is_none() => {
                    self.asn = Some(number);
                    self.block = Block::Bgp;
                }
                _ => self.draft.lost(line.number, line.text, "one router with a number as AS is taken over"),
            },
            ["router", "bgp", ..] => self.draft.lost(line.number, line.text, "VRFs and views are not supported"),
            ["ip" | "ipv6", "prefix-list", ..]
            | ["bgp" | "ip", "community-list" | "as-path" | "large-community-list" | "extcommunity-list", ..] => {
                if let Err(why) = self.lists.read(line.words) {
                    self.draft.lost(line.number, line.text, why);
                }
            }
            ["route-map", name, action @ ("permit" | "deny"), _] => {
                self.maps.entry((*name).to_owned()).or_default().push(Clause::new(*action == "permit", line.number));
                self.block = Block::RouteMap;
                self.draft.policies.entry((*name).to_owned()).or_default();
            }
            ["bfd"] => self.block = Block::Bfd,
            ["frr" | "hostname" | "log" | "service" | "line" | "password" | "enable", ..] | ["no", "service" | "ip" | "ipv6", ..] => {
                self.draft.note(line.number, line.text, "concerns FRR itself");
            }
            _ => self.draft.note(line.number, line.text, "not BGP: stays with FRR's other daemons"),
        }
    }

    fn clause(&mut self, line: Line<'_>) {
        let Some(clause) = self.maps.values_mut().flatten().max_by_key(|clause| clause.line) else { return };
        if let Err(why) = clause.read(line.words) {
            // A condition that is left out would match more.
            clause.is_understood &= line.words.first() != Some(&"match") && line.words.first() != Some(&"call");
            let effect = if clause.is_understood { "" } else { "; the clause rejects what it matched" };
            self.draft.lost(line.number, line.text, format!("{why}{effect}"));
        }
    }

    fn bgp(&mut self, line: Line<'_>) {
        match line.words {
            ["bgp", "router-id", id] => match id.parse() {
                Ok(id) => self.router().id = Some(RouterIdText::Id(id)),
                Err(_) => self.draft.lost(line.number, line.text, "not an IPv4 address"),
            },
            ["bgp", "cluster-id", id] => match id.parse() {
                Ok(id) => self.router().cluster_id = Some(id),
                Err(_) => self.draft.lost(line.number, line.text, "write the cluster id as dotted quad"),
            },
            ["no", "bgp", "default", "ipv4-unicast"] => self.no_ipv4_default = true,
            ["no", "bgp", "ebgp-requires-policy"] => self.passes_all = true,
            ["bgp", "ebgp-requires-policy"] => self.passes_all = false,
            ["bgp", "listen", "limit", limit] => self.range_limit = limit.parse().ok(),
            ["bgp", "listen", "range", range, "peer-group", group] => match range.parse() {
                Ok(range) => self.ranges.push((line.number, line.text.to_owned(), range, (*group).to_owned())),
                Err(_) => self.draft.lost(line.number, line.text, "not a prefix"),
            },
            ["bgp", "log-neighbor-changes"] | ["no", "bgp", "network", "import-check"] | ["bgp", "bestpath", "compare-routerid"] => {
                self.draft.note(line.number, line.text, "always so");
            }
            ["timers", "bgp", keepalive, hold] => {
                self.draft.note(line.number, line.text, format!("holdTime and keepaliveTime of every neighbor: {hold}s and {keepalive}s"));
                self.settings("").timers(keepalive, hold);
            }
            ["address-family", "ipv4", "unicast"] => self.block = Block::Family(FamilyName::Ipv4Unicast),
            ["address-family", "ipv6", "unicast"] => self.block = Block::Family(FamilyName::Ipv6Unicast),
            ["address-family", ..] => {
                self.block = Block::OtherFamily;
                self.draft.lost(line.number, line.text, "only ipv4 unicast and ipv6 unicast are carried");
            }
            ["neighbor", peer, rest @ ..] => self.neighbor(line, peer, rest, None),
            ["no", "neighbor", peer, rest @ ..] => self.no_neighbor(line, peer, rest, None),
            // Without an address family they belong to IPv4 unicast.
            ["network", ..] => self.family(line, FamilyName::Ipv4Unicast),
            _ => self.draft.lost(line.number, line.text, "has no counterpart"),
        }
    }

    fn family(&mut self, line: Line<'_>, family: FamilyName) {
        match line.words {
            ["exit-address-family"] => self.block = Block::Bgp,
            ["neighbor", peer, rest @ ..] => self.neighbor(line, peer, rest, Some(family)),
            ["no", "neighbor", peer, rest @ ..] => self.no_neighbor(line, peer, rest, Some(family)),
            ["network", prefix, rest @ ..] => match (prefix.parse(), rest) {
                (Ok(prefix), []) => self.draft.networks.push(file::Network { prefix: Some(prefix), ..file::Network::default() }),
                (Ok(prefix), _) => {
                    self.draft.networks.push(file::Network { prefix: Some(prefix), ..file::Network::default() });
                    self.draft.lost(line.number, line.text, "the prefix is announced as it is; write attributes under originate.networks");
                }
                (Err(_), _) => self.draft.lost(line.number, line.text, "not a prefix"),
            },
            ["redistribute", ..] => {
                self.draft.lost(
                    line.number,
                    line.text,
                    "routes of other protocols are not read; write what is to be announced under originate.networks",
                );
            }
            ["maximum-paths", ..] => {
                let fib = self.draft.file.fib.get_or_insert_default();
                fib.install = Some(file::Install::Ecmp);
                self.draft.note(line.number, line.text, "fib.install: ecmp");
            }
            _ => self.draft.lost(line.number, line.text, "has no counterpart"),
        }
    }

    fn neighbor(&mut self, line: Line<'_>, peer: &str, words: &[&str], family: Option<FamilyName>) {
        if let ["route-map" | "prefix-list", name, _] = words {
            self.named.push((line.number, line.text.to_owned(), (*name).to_owned()));
        }
        if let ["interface", ..] = words {
            self.draft.lost(line.number, line.text, UNNUMBERED);
        }
        if let ["password", ..] = words {
            let password = self.draft.password(line.number, line.text, peer);
            self.settings(peer).session.password = Some(password);
            return;
        }
        match self.settings(peer).read(words, family) {
            Ok(None) => {}
            Ok(Some(note)) => self.draft.note(line.number, line.text, note),
            Err(why) => self.draft.lost(line.number, line.text, why),
        }
    }

    fn no_neighbor(&mut self, line: Line<'_>, peer: &str, words: &[&str], family: Option<FamilyName>) {
        match (words, family) {
            (["activate"], Some(family)) => self.settings(peer).activate(family, false),
            (["shutdown"], _) => self.settings(peer).session.admin_state = Some(file::AdminState::Up),
            (["send-community", ..], _) => self.draft.lost(line.number, line.text, "communities are sent; remove them by an export policy"),
            _ => self.draft.lost(line.number, line.text, "has no counterpart"),
        }
    }

    fn bfd(&mut self, line: Line<'_>) {
        match line.words {
            ["profile", name] => {
                self.draft.profiles.entry((*name).to_owned()).or_default();
                self.block = Block::BfdProfile((*name).to_owned());
            }
            _ => self.draft.lost(line.number, line.text, "only profiles are taken over"),
        }
    }

    fn bfd_profile(&mut self, line: Line<'_>, name: &str) {
        if let ["profile", _] = line.words {
            return self.bfd(line);
        }
        let profile = self.draft.profiles.entry(name.to_owned()).or_default();
        let millis = |text: &str| text.parse().ok().map(|n| Period(std::time::Duration::from_millis(n)));
        match line.words {
            ["transmit-interval", n] => profile.transmit = millis(n),
            ["receive-interval", n] => profile.receive = millis(n),
            ["detect-multiplier", n] => profile.multiplier = n.parse().ok(),
            ["passive-mode"] => profile.passive = Some(true),
            ["minimum-ttl", n] => profile.minimum_ttl = n.parse().ok(),
            ["no", "shutdown"] => {}
            _ => self.draft.lost(line.number, line.text, "has no counterpart"),
        }
    }

    fn router(&mut self) -> &mut file::Router {
        self.draft.file.router.get_or_insert_default()
    }

    /// What is known of a neighbor or peer group; the empty name holds what goes for all.
    fn settings(&mut self, peer: &str) -> &mut Settings {
        if !self.peers.contains_key(peer) {
            self.order.push(peer.to_owned());
        }
        self.peers.entry(peer.to_owned()).or_default()
    }

    fn finish(mut self) -> Imported {
        // As zebra does.
        self.draft.file.fib.get_or_insert_default().install.get_or_insert(file::Install::Best);
        self.router().asn = self.asn.and_then(crate::wire::Asn::new).map(Asn::Number);
        let common = self.peers.remove("").unwrap_or_default();
        let groups: Vec<String> = self.peers.iter().filter(|(_, s)| s.is_group).map(|(name, _)| name.clone()).collect();
        for name in std::mem::take(&mut self.order) {
            let Some(mut settings) = self.peers.get(&name).filter(|settings| !settings.is_interface).cloned() else { continue };
            // A member has them from its group, unless the group says otherwise.
            if settings.group.is_none() {
                settings.session = settings.session.clone().or(&common.session);
            }
            let group = settings.group.as_ref().and_then(|group| self.peers.get(group)).cloned();
            let policies = self.policies_of(&settings, group.as_ref());
            if settings.is_group {
                self.draft.groups.insert(name, settings.group_session(policies, self.no_ipv4_default));
            } else {
                let neighbor = settings.neighbor(&name, group.as_ref(), policies, self.no_ipv4_default);
                self.draft.neighbors.push(neighbor);
            }
        }
        for (line, text, range, group) in std::mem::take(&mut self.ranges) {
            if groups.contains(&group) {
                self.draft.ranges.push(file::DynamicNeighbor { range: Some(range), group: Some(group), max: self.range_limit });
            } else {
                self.draft.lost(line, &text, "there is no such peer-group");
            }
        }
        self.make_policies();
        self.draft.finish()
    }

    /// Import and export of a neighbor; none where RFC 8212 and the defaults say the same.
    fn policies_of(&mut self, settings: &Settings, group: Option<&Settings>) -> (Option<Vec<String>>, Option<Vec<String>>) {
        let is_external = match settings.session.asn.or(group.and_then(|group| group.session.asn)) {
            Some(Asn::Number(asn)) => Some(asn.get()) != self.asn,
            Some(Asn::External) => true,
            _ => false,
        };
        let mut chain = |names: &[String], inherited: bool| match names {
            [] if is_external && self.passes_all && !inherited => Some(vec![self.draft.plain_policy(true)]),
            [] => None,
            names => Some(names.to_vec()),
        };
        let inherited =
            |pick: fn(&Settings) -> &Vec<String>| group.is_some_and(|group| !pick(group).is_empty() || group.session.asn.is_some());
        let import = chain(&settings.import, inherited(|s| &s.import));
        let export = chain(&settings.export, inherited(|s| &s.export));
        (import, export)
    }

    /// Policies out of route maps, and of the prefix lists that neighbors name.
    fn make_policies(&mut self) {
        for (line, text, name) in std::mem::take(&mut self.named) {
            if !self.lists.has_prefixes(&name) && !self.maps.contains_key(&name) {
                self.draft.lost(line, &text, "nothing defines it; it rejects everything");
            }
        }
        for (name, clauses) in std::mem::take(&mut self.maps) {
            let rules = maps::rules(&clauses, &self.lists, &mut self.draft);
            self.draft.policies.insert(name, rules);
        }
        let used: Vec<String> = self.peers.values().flat_map(|s| s.import.iter().chain(&s.export)).cloned().collect();
        for name in used {
            if !self.draft.policies.contains_key(&name) {
                let rules = self.lists.policy(&name);
                self.draft.policies.insert(name, rules);
            }
        }
    }
}
