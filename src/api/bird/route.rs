//! `show route`.

use super::{Facts, Reply, matches, since};
use crate::api::query::parse_prefix;
use crate::api::types::{Origin, RibEntry};
use ipnet::IpNet;
use jiff::Timestamp;

/// Which routes are asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Routes {
    /// With attributes.
    pub all: bool,
    /// Only the best of each prefix.
    pub primary: bool,
    /// Of one protocol; a name may end with `*`.
    pub protocol: Option<String>,
    pub prefix: Option<IpNet>,
    /// The prefix is what packets to it would match, and not the route itself.
    pub longest: bool,
}

impl Routes {
    /// Reads the words behind `show route`; `None` for what is not understood.
    pub fn read(words: &[&str]) -> Option<Self> {
        let mut asked = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "all" => asked.all = true,
                "primary" => asked.primary = true,
                "protocol" => asked.protocol = Some(words.next()?.trim_matches('"').to_owned()),
                "for" => (asked.prefix, asked.longest) = (Some(parse_prefix(words.next()?).ok()?), true),
                prefix => asked.prefix = Some(parse_prefix(prefix).ok()?),
            }
        }
        Some(asked)
    }

    fn wants(&self, route: &Route) -> bool {
        let is_of = |name: &String| matches(name, &route.protocol());
        (route.entry.best || !self.primary) && self.protocol.as_ref().is_none_or(is_of)
    }

    /// The whole answer; `routes` are those of one address family that the prefix means, in the order of prefixes.
    pub fn answer(&self, facts: &Facts, routes: &[Route]) -> String {
        let mut reply = Reply::default();
        let (mut last, mut code) = (None, None);
        for route in routes.iter().filter(|route| self.wants(route)) {
            let prefix = if last == Some(route.entry.prefix) { String::new() } else { route.entry.prefix.to_string() };
            last = Some(route.entry.prefix);
            reply.next(&mut code, 1007, &line(facts, &prefix, route));
            if self.all {
                let kind = if route.entry.local { "static" } else { "BGP" };
                reply.next(&mut code, 1008, &format!("\tType: {kind} unicast univ"));
                attributes(route).iter().for_each(|text| reply.next(&mut code, 1012, text));
            }
        }
        match (last, self.prefix) {
            (None, Some(_)) => reply.end(8001, "Network not in table"),
            _ => reply.end(0, ""),
        }
        reply.0
    }
}

/// A route that can be used, and where the kernel has it.
#[derive(Clone, Debug)]
pub struct Route {
    pub entry: RibEntry,
    /// `None` where the kernel does not have it.
    pub interface: Option<String>,
    pub since: Timestamp,
}

impl Route {
    /// The protocol that it comes from, as `show protocols` names it.
    pub fn protocol(&self) -> String {
        match (&self.entry.peer_name, self.entry.peer) {
            (Some(name), _) => name.clone(),
            (None, Some(peer)) => super::unnamed(&peer.to_string()),
            (None, None) => "static1".to_owned(),
        }
    }
}

fn line(facts: &Facts, prefix: &str, route: &Route) -> String {
    let entry = &route.entry;
    let to = match (entry.local, entry.next_hop, &route.interface) {
        (true, ..) => "blackhole".to_owned(),
        (false, Some(gateway), Some(interface)) => format!("via {gateway} on {interface}"),
        // The kernel is not ours to fill, or nothing leads there.
        (false, Some(gateway), None) => format!("via {gateway}"),
        (false, None, _) => "unreachable".to_owned(),
    };
    let from = entry.peer.filter(|peer| entry.next_hop != Some(*peer)).map(|peer| format!(" from {peer}")).unwrap_or_default();
    let best = if entry.best { " *" } else { "" };
    let source = entry.as_path.last().map(|asn| format!("AS{asn}")).unwrap_or_default();
    let info = if entry.local { " (200)".to_owned() } else { format!(" (100/0) [{source}{}]", letter(entry.origin)) };
    format!("{prefix:<18} {to} [{} {}{from}]{best}{info}", route.protocol(), since(facts.now, route.since))
}

const fn letter(origin: Origin) -> char {
    match origin {
        Origin::Igp => 'i',
        Origin::Egp => 'e',
        Origin::Incomplete => '?',
    }
}

fn attributes(route: &Route) -> Vec<String> {
    let entry = &route.entry;
    if entry.local {
        return Vec::new();
    }
    let path: Vec<String> = entry.as_path.iter().map(ToString::to_string).collect();
    let mut lines = vec![format!("\tBGP.as_path: {}", path.join(" "))];
    lines.extend(entry.next_hop.map(|hop| format!("\tBGP.next_hop: {hop}")));
    lines.extend(entry.local_pref.map(|value| format!("\tBGP.local_pref: {value}")));
    let communities: Vec<String> = entry.communities.iter().map(|c| format!("({})", c.to_string().replace(':', ","))).collect();
    lines.extend((!communities.is_empty()).then(|| format!("\tBGP.community: {}", communities.join(" "))));
    lines
}
