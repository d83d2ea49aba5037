//! What BIRD says about a neighbor.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ipnet::IpNet;

use super::lexer::Statement;
use crate::config::file::{
    AddPath, AddPathSend, AdminState, Asn, FamilyName, GracefulRestart, GracefulRestartMode, LimitAction, MaxPrefixes, NextHopMode, Period,
    RoleName, Session,
};
use crate::config::import::draft::{Draft, list};

/// A protocol or template under construction.
#[derive(Clone, Debug, Default)]
pub(super) struct Bgp {
    pub local_asn: Option<u32>,
    pub address: Option<IpAddr>,
    pub port: Option<u16>,
    pub range: Option<IpNet>,
    pub cluster_id: Option<Ipv4Addr>,
    session: Session,
    families: Vec<FamilyName>,
    /// Policies of the first channel that names some; `None` is BIRD's default: import nothing, export nothing.
    import: Option<String>,
    export: Option<String>,
}

impl Bgp {
    /// One statement of the block.
    pub fn read(&mut self, statement: &Statement, name: &str, draft: &mut Draft) {
        let (line, text, words) = (statement.line, statement.text(), statement.words());
        let session = &mut self.session;
        match words.as_slice() {
            ["local", rest @ ..] => self.local(rest),
            ["neighbor", rest @ ..] => self.neighbor(rest, draft, (line, &text)),
            ["source", "address", address] => session.local_address = address.parse().ok(),
            ["interface", ..] => draft.lost(line, &text, "give the neighbor an address that is reached without it"),
            ["description", words] => session.description = Some((*words).to_owned()),
            ["password", ..] => session.password = Some(draft.password(line, &text, name)),
            ["multihop"] => session.multihop = Some(255),
            ["multihop", ttl] => session.multihop = ttl.parse().ok(),
            ["direct"] => {}
            ["ttl", "security", switch] => session.ttl_security = is_on(switch).then_some(1),
            ["passive", rest @ ..] => session.passive = Some(rest.first().is_none_or(|switch| is_on(switch))),
            ["disabled", rest @ ..] if rest.first().is_none_or(|switch| is_on(switch)) => session.admin_state = Some(AdminState::Down),
            ["disabled", ..] => {}
            ["hold", "time", n] => session.hold_time = seconds(n),
            ["keepalive", "time", n] => session.keepalive_time = seconds(n),
            ["connect", "retry", "time", n] => session.connect_retry_time = seconds(n),
            ["rr", "client"] => session.route_reflector_client = Some(true),
            ["rr", "cluster", "id", id] => self.cluster_id = id.parse().ok(),
            ["allow", "local", "as"] => session.allow_own_asn = Some(u8::MAX),
            ["allow", "local", "as", n] => session.allow_own_asn = n.parse().ok(),
            ["graceful", "restart"] | ["graceful", "restart", "on" | "yes"] => restart(session).mode = Some(GracefulRestartMode::Full),
            ["graceful", "restart", "aware"] => restart(session).mode = Some(GracefulRestartMode::Helper),
            ["graceful", "restart", "off" | "no"] => restart(session).mode = Some(GracefulRestartMode::Off),
            ["graceful", "restart", "time", n] => restart(session).time = seconds(n),
            ["long", "lived", ..] => draft.lost(line, &text, "routes are kept for `gracefulRestart.staleTime`"),
            ["enable" | "extended", "extended" | "messages", ..] => session.extended_messages = Some(true),
            ["local_role" | "role", role] => session.role = local_role(role),
            ["bfd", ..] => draft.lost(line, &text, "write a profile under `bfd.profiles`, and its name as `bfd`"),
            ["ipv4" | "ipv6", ..] => self.channel(statement, draft),
            ["debug", ..] | ["connect" | "startup" | "error", ..] | ["strict", "bind", ..] => {
                draft.note(line, &text, "needs no counterpart")
            }
            ["enable", "route", "refresh", ..] | ["capabilities", ..] | ["interpret", "communities", ..] => {
                draft.note(line, &text, "always so")
            }
            // BIRD 1.6 has no channels.
            _ => self.of_channel(statement, draft),
        }
    }

    fn local(&mut self, words: &[&str]) {
        if let ["role", role] = words {
            self.session.role = local_role(role);
            return;
        }
        self.local_asn = after(words, "as").and_then(|asn| asn.parse().ok()).or(self.local_asn);
        self.session.local_address = words.first().and_then(|word| word.parse().ok()).or(self.session.local_address);
    }

    fn neighbor(&mut self, words: &[&str], draft: &mut Draft, (line, text): (usize, &str)) {
        match words {
            ["range", range, ..] => self.range = range.parse().ok(),
            [address, ..] => self.address = address.parse().ok().or(self.address),
            [] => {}
        }
        if self.address.is_none() && self.range.is_none() && !matches!(words, ["as", ..]) {
            draft.lost(line, text, "its address is not understood");
        }
        self.port = after(words, "port").and_then(|port| port.parse().ok()).or(self.port);
        let asn = words.iter().find_map(|word| match *word {
            "internal" => Some(Asn::Internal),
            "external" => Some(Asn::External),
            _ => None,
        });
        let number = || after(words, "as").and_then(|asn| asn.parse().ok()).and_then(crate::wire::Asn::new).map(Asn::Number);
        self.session.asn = asn.or_else(number).or(self.session.asn);
    }

    fn channel(&mut self, statement: &Statement, draft: &mut Draft) {
        let words = statement.words();
        let family = match words.as_slice() {
            ["ipv4"] => FamilyName::Ipv4Unicast,
            ["ipv6"] => FamilyName::Ipv6Unicast,
            _ => return draft.lost(statement.line, &statement.text(), "only ipv4 unicast and ipv6 unicast are carried"),
        };
        if !self.families.contains(&family) {
            self.families.push(family);
        }
        for inner in &statement.body {
            self.of_channel(inner, draft);
        }
    }

    fn of_channel(&mut self, statement: &Statement, draft: &mut Draft) {
        let (line, text, words) = (statement.line, statement.text(), statement.words());
        let session = &mut self.session;
        match words.as_slice() {
            [way @ ("import" | "export"), "limit", limit, rest @ ..] | ["receive", way @ "limit", limit, rest @ ..] => {
                match (*way, limit.parse()) {
                    ("export", _) | (_, Err(_)) => draft.lost(line, &text, "has no counterpart"),
                    (_, Ok(limit)) => session.max_prefixes = Some(max_prefixes(limit, after(rest, "action"))),
                }
            }
            ["gateway", "recursive" | "direct"] | ["require", ..] => draft.note(line, &text, "needs no counterpart"),
            ["import" | "export", "table", ..] => draft.note(line, &text, "not needed: rejected routes are kept"),
            [way @ ("import" | "export"), rest @ ..] => {
                let policy = policy(rest, statement, draft);
                let side = if *way == "import" { &mut self.import } else { &mut self.export };
                if side.as_ref().is_some_and(|other| *other != policy) {
                    draft.lost(line, &text, "the channels of a session have one policy; give it a `match` on `family`");
                }
                side.get_or_insert(policy);
            }
            ["next", "hop", "self", ..] => session.next_hop = Some(NextHopMode::Own),
            ["next", "hop", "keep", ..] => session.next_hop = Some(NextHopMode::Unchanged),
            ["add", "paths", "on" | "yes"] => session.add_path = Some(AddPath { receive: Some(true), send: Some(AddPathSend::All) }),
            ["add", "paths", "rx"] => session.add_path = Some(AddPath { receive: Some(true), send: None }),
            ["add", "paths", "tx"] => session.add_path = Some(AddPath { receive: None, send: Some(AddPathSend::All) }),
            ["extended", "next", "hop", ..] => session.extended_next_hop = Some(true),
            ["graceful", "restart", ..] | ["long", "lived", ..] => draft.note(line, &text, "goes for all families of a session"),
            _ => draft.lost(line, &text, "has no counterpart"),
        }
    }

    /// The settings as they stand in the file. BIRD passes nothing unless told.
    pub fn session(&self, draft: &mut Draft) -> Session {
        let mut name = |policy: &Option<String>| policy.clone().unwrap_or_else(|| draft.plain_policy(false));
        let (import, export) = (name(&self.import), name(&self.export));
        Session {
            families: (!self.families.is_empty()).then(|| self.families.clone()),
            import: Some(list([import])),
            export: Some(list([export])),
            ..self.session.clone()
        }
    }
}

/// The policy that stands for `all`, `none`, `filter NAME`, `filter { … }` or `where …`.
fn policy(words: &[&str], statement: &Statement, draft: &mut Draft) -> String {
    match words {
        ["all"] => draft.plain_policy(true),
        ["none"] => draft.plain_policy(false),
        ["filter", name] if draft.policies.contains_key(*name) => (*name).to_owned(),
        ["filter"] if !statement.body.is_empty() => {
            let name = format!("line-{}", statement.line);
            let rules = super::filter::rules(&statement.body, draft);
            draft.policies.insert(name.clone(), rules);
            name
        }
        _ => {
            draft.lost(statement.line, &statement.text(), "nothing passes here until you write a policy");
            draft.plain_policy(false)
        }
    }
}

fn after<'a>(words: &[&'a str], word: &str) -> Option<&'a str> {
    let at = words.iter().position(|w| *w == word)?;
    words.get(at + 1).copied()
}

fn is_on(switch: &str) -> bool {
    matches!(switch, "on" | "yes" | "true")
}

fn seconds(text: &str) -> Option<Period> {
    text.parse().ok().map(|seconds| Period(Duration::from_secs(seconds)))
}

fn restart(session: &mut Session) -> &mut GracefulRestart {
    session.graceful_restart.get_or_insert_default()
}

fn max_prefixes(limit: u32, action: Option<&str>) -> MaxPrefixes {
    let action = match action {
        Some("warn") => LimitAction::Warn,
        Some("block") => LimitAction::Drop,
        Some("restart") => LimitAction::Restart,
        _ => LimitAction::Shutdown,
    };
    let restart_after = (action == LimitAction::Restart).then_some(Period(Duration::from_secs(60)));
    MaxPrefixes { limit: Some(limit), action: Some(action), restart_after }
}

fn local_role(word: &str) -> Option<RoleName> {
    Some(match word {
        "provider" => RoleName::Provider,
        "customer" => RoleName::Customer,
        "peer" => RoleName::Peer,
        "rs_server" => RoleName::RouteServer,
        "rs_client" => RoleName::RouteServerClient,
        _ => return None,
    })
}
