//! BIRD's `bird.conf` (2.x and 1.6): `protocol bgp`, templates, static blackholes, the kernel, and filters of the simple kind.

mod filter;
mod lexer;
mod session;

use std::collections::BTreeMap;

use super::draft::{Draft, Imported, end};
use crate::config::file::{self, Asn, RouterIdText, RuleAction};
use lexer::{Statement, parse};
use session::Bgp;

/// Reads the text of a configuration.
///
/// # Errors
/// A bracket or a string that does not end, or no `protocol bgp`.
pub fn bird(text: &str) -> Result<Imported, String> {
    let statements = parse(text)?;
    let mut reader = Reader::default();
    // Filters and templates may stand behind what uses them only in old versions; reading them first costs nothing.
    for statement in &statements {
        reader.definition(statement);
    }
    for statement in &statements {
        reader.statement(statement);
    }
    if reader.protocols == 0 {
        return Err("there is no `protocol bgp` in this file; files that it includes are not read: put them together first".to_owned());
    }
    Ok(reader.finish())
}

/// Whether a filter is one word.
fn passes_all(policies: &super::draft::Policies, name: &str) -> bool {
    policies.get(name).is_some_and(|rules| matches!(rules.as_slice(), [only] if *only == end(RuleAction::Accept)))
}

#[derive(Debug, Default)]
struct Reader {
    draft: Draft,
    templates: BTreeMap<String, Bgp>,
    protocols: usize,
    asn: Option<u32>,
    router_id: Option<RouterIdText>,
    cluster_id: Option<std::net::Ipv4Addr>,
}

impl Reader {
    fn definition(&mut self, statement: &Statement) {
        let words: Vec<&str> = statement.words();
        match words.as_slice() {
            ["filter", name, ..] => {
                let rules = filter::rules(&statement.body, &mut self.draft);
                self.draft.policies.insert((*name).to_owned(), rules);
            }
            ["template", "bgp", name, ..] => {
                let bgp = self.bgp(statement, name);
                self.templates.insert((*name).to_owned(), bgp);
            }
            _ => {}
        }
    }

    fn statement(&mut self, statement: &Statement) {
        let words: Vec<&str> = statement.words();
        let (line, text) = (statement.line, statement.text());
        match words.as_slice() {
            [] | ["filter", ..] | ["template", "bgp", ..] => {}
            ["router", "id", id] => match id.parse() {
                Ok(id) => self.router_id = Some(RouterIdText::Id(id)),
                Err(_) => self.draft.lost(line, &text, "not an IPv4 address"),
            },
            ["protocol", "bgp", rest @ ..] => {
                let name =
                    rest.first().filter(|word| **word != "from").map_or_else(|| format!("bgp{}", self.protocols + 1), |n| (*n).to_owned());
                self.protocols += 1;
                let bgp = self.bgp(statement, &name);
                self.take(&name, bgp, (line, &text));
            }
            ["protocol", "static", ..] => self.statics(statement),
            ["protocol", "kernel", ..] => self.kernel(statement),
            ["protocol", "device", ..] => self.draft.note(line, &text, "not needed: the kernel is always watched"),
            ["protocol", "direct", ..] => {
                self.draft.note(line, &text, "connected networks are not announced; write them under originate.networks if they are to be");
            }
            ["protocol", "bfd", ..] => self.draft.lost(line, &text, "write a profile under `bfd.profiles`, and its name at the neighbors"),
            ["log" | "debug" | "timeformat" | "watchdog" | "cli" | "hostname" | "threads", ..] | ["ipv4" | "ipv6", "table", ..] => {
                self.draft.note(line, &text, "concerns BIRD itself");
            }
            ["graceful", "restart", ..] => self.draft.note(line, &text, "always so, where `gracefulRestart` is on"),
            ["include", ..] => self.draft.lost(line, &text, "is not read: import that file too, or put the files together first"),
            _ => self.draft.lost(line, &text, "has no counterpart"),
        }
    }

    /// The settings of a protocol or template, on top of those of its template.
    fn bgp(&mut self, statement: &Statement, name: &str) -> Bgp {
        let words = statement.words();
        let from = words.iter().position(|word| *word == "from").and_then(|at| words.get(at + 1));
        let mut bgp = match from {
            None => Bgp::default(),
            Some(template) => self.templates.get(*template).cloned().unwrap_or_else(|| {
                self.draft.lost(statement.line, &statement.text(), format!("there is no template `{template}` before it"));
                Bgp::default()
            }),
        };
        for inner in &statement.body {
            bgp.read(inner, name, &mut self.draft);
        }
        bgp
    }

    fn take(&mut self, name: &str, bgp: Bgp, (line, text): (usize, &str)) {
        match (self.asn, bgp.local_asn) {
            (None, Some(asn)) => self.asn = Some(asn),
            (Some(first), Some(asn)) if first != asn => {
                self.draft.note(line, text, format!("`localAsn: {asn}`: the router is of AS {first}"))
            }
            _ => {}
        }
        let mut session = bgp.session(&mut self.draft);
        if let Some(asn) = bgp.local_asn.filter(|asn| Some(*asn) != self.asn) {
            session.local_asn = crate::wire::Asn::new(asn).map(Asn::Number);
        }
        self.cluster_id = self.cluster_id.or(bgp.cluster_id);
        match bgp.range {
            Some(range) => {
                self.draft.groups.insert(name.to_owned(), session);
                self.draft.ranges.push(file::DynamicNeighbor { range: Some(range), group: Some(name.to_owned()), max: None });
            }
            None if bgp.address.is_none() => self.draft.lost(line, text, "it has no neighbor"),
            None => {
                let mut neighbor = file::Neighbor::with_session(session);
                (neighbor.name, neighbor.address, neighbor.port) = (Some(name.to_owned()), bgp.address, bgp.port);
                self.draft.neighbors.push(neighbor);
            }
        }
    }

    /// Blackholes are how BIRD announces networks; other static routes belong to the kernel.
    fn statics(&mut self, statement: &Statement) {
        for inner in &statement.body {
            let text = inner.text();
            match inner.words().as_slice() {
                ["ipv4" | "ipv6"] | ["check", "link", ..] => {}
                ["route", prefix, "blackhole" | "unreachable" | "reject" | "prohibit"] => match prefix.parse() {
                    Ok(prefix) => {
                        self.draft.networks.push(file::Network { prefix: Some(prefix), ..file::Network::default() });
                        self.draft.note(inner.line, &text, "is announced to all neighbors that export policies do not keep it from");
                    }
                    Err(_) => self.draft.lost(inner.line, &text, "not a prefix"),
                },
                ["route", ..] => self.draft.lost(
                    inner.line,
                    &text,
                    "write the route into the system, and what is to be announced under originate.networks",
                ),
                _ => self.draft.lost(inner.line, &text, "has no counterpart"),
            }
        }
    }

    fn kernel(&mut self, statement: &Statement) {
        for inner in statement.body.iter().flat_map(|inner| if inner.body.is_empty() { vec![inner] } else { inner.body.iter().collect() }) {
            let text = inner.text();
            let fib = self.draft.file.fib.get_or_insert_default();
            match inner.words().as_slice() {
                ["export", "all"] => fib.install = Some(fib.install.unwrap_or(file::Install::Best)),
                ["export", "none"] => fib.install = Some(file::Install::None),
                ["merge", "paths", ..] => fib.install = Some(file::Install::Ecmp),
                ["kernel", "table", number] => fib.table = number.parse().ok().map(file::FibTable),
                ["metric", number] => fib.metric = number.parse().ok(),
                ["export", "filter", name] if passes_all(&self.draft.policies, name) => {
                    fib.install = Some(fib.install.unwrap_or(file::Install::Best));
                }
                ["graceful", "restart"] => fib.on_stop = Some(file::OnStop::Auto),
                ["import", "none"] | ["scan", "time", _] | ["ipv4" | "ipv6"] => {}
                ["persist"] => fib.on_stop = Some(file::OnStop::Keep),
                ["learn", ..] | ["import", ..] => {
                    self.draft.lost(inner.line, &text, "routes of the kernel are not announced; write them under originate.networks")
                }
                ["export", ..] => {
                    fib.install = Some(fib.install.unwrap_or(file::Install::Best));
                    self.draft.lost(inner.line, &text, "every best path is installed: there is no filter towards the kernel");
                }
                _ => self.draft.lost(inner.line, &text, "has no counterpart"),
            }
        }
    }

    fn finish(mut self) -> Imported {
        let asn = self.asn.and_then(crate::wire::Asn::new).map(Asn::Number);
        if asn.is_none() {
            self.draft.lost(1, "local as", "no protocol says what our AS is; write it as router.asn");
        }
        self.draft.file.router = Some(file::Router { asn, id: self.router_id, cluster_id: self.cluster_id });
        self.draft.policies.values_mut().for_each(|rules| {
            if rules.is_empty() {
                rules.push(end(RuleAction::Reject));
            }
        });
        self.draft.finish()
    }
}
