//! The control protocol of BIRD 1.6, as far as its readers go: `calicoctl node status`, the reporter behind CalicoNodeStatus and
//! exporters ask for protocols, routes and the status. Nothing can be changed this way.

mod route;
#[cfg(test)]
mod tests;

pub use route::{Route, Routes};

use super::types::{Admin, Neighbor, NeighborType, SessionState};
use jiff::{SignedDuration, Timestamp};
use std::fmt::Write;

/// What is told besides the neighbors.
#[derive(Clone, Debug)]
pub struct Facts {
    pub version: &'static str,
    pub router_id: String,
    pub now: Timestamp,
    pub booted: Timestamp,
    pub reconfigured: Timestamp,
    /// Routes are not selected yet, since neighbors have to send theirs after a restart of ours.
    pub is_recovering: bool,
}

/// A command that is understood.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Question {
    /// `show protocols [all] [NAME]`; a name may be in quotes, and end with `*`.
    Protocols { all: bool, name: Option<String> },
    /// `show status`.
    Status,
    /// `show route [all] [primary] [protocol NAME] [[for] PREFIX]`.
    Routes(Routes),
}

impl Question {
    /// Reads a line. Words may be shortened as BIRD allows.
    pub fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let is = |word: Option<&str>, full: &str, least: usize| word.is_some_and(|w| w.len() >= least && full.starts_with(w));
        if !is(words.next(), "show", 1) {
            return None;
        }
        let what = words.next();
        let rest: Vec<&str> = words.collect();
        if is(what, "status", 2) && rest.is_empty() {
            return Some(Self::Status);
        }
        if is(what, "route", 1) {
            return Routes::read(&rest).map(Self::Routes);
        }
        if !is(what, "protocols", 1) {
            return None;
        }
        let (all, rest) = match rest.split_first() {
            Some((&"all", rest)) => (true, rest),
            _ => (false, rest.as_slice()),
        };
        match rest {
            [] => Some(Self::Protocols { all, name: None }),
            [name] => Some(Self::Protocols { all, name: Some(name.trim_matches('"').to_owned()) }),
            _ => None,
        }
    }

    /// The whole answer; `neighbors` and `routes` are those of one address family, the latter those that the question is about.
    pub fn answer(&self, facts: &Facts, neighbors: &[Neighbor], routes: &[Route]) -> String {
        let mut reply = Reply::default();
        match self {
            Self::Status => status(facts, &mut reply),
            Self::Routes(asked) => return asked.answer(facts, routes),
            Self::Protocols { all, name } => {
                let wanted = |n: &&Neighbor| name.as_ref().is_none_or(|name| matches(name, &protocol(n)));
                let mut found = neighbors.iter().filter(wanted).peekable();
                if found.peek().is_none() && name.is_some() {
                    reply.end(8003, "No protocols match");
                    return reply.0;
                }
                reply.first(2002, "name     proto    table    state  since       info");
                for neighbor in found {
                    reply.first(1002, &row(facts, neighbor));
                    if *all {
                        details(neighbor, &mut reply);
                    }
                }
                reply.end(0, "");
            }
        }
        reply.0
    }
}

/// What BIRD says when somebody connects.
pub fn greeting(version: &str) -> String {
    format!("0001 BIRD kubgp-{version} ready.\n")
}

/// The answer to a command that is not understood.
pub fn refusal() -> &'static str {
    "9001 only show status, show protocols and show route are known here\n"
}

/// Lines of a reply: a code and `-`, a blank where the code stays the same, a code and a blank at the end.
#[derive(Default)]
struct Reply(String);

impl Reply {
    /// A line with its code.
    fn first(&mut self, code: u16, text: &str) {
        self.put(&format!("{code:04}-"), text);
    }

    /// A line that goes on with the code of the last.
    fn more(&mut self, text: &str) {
        self.put(" ", text);
    }

    /// A line that names its code where that is another than the last one's.
    fn next(&mut self, last: &mut Option<u16>, code: u16, text: &str) {
        if last.replace(code) == Some(code) { self.more(text) } else { self.first(code, text) }
    }

    fn end(&mut self, code: u16, text: &str) {
        self.put(&format!("{code:04} "), text);
    }

    fn put(&mut self, start: &str, text: &str) {
        self.0.extend([start, text, "\n"]);
    }
}

fn status(facts: &Facts, reply: &mut Reply) {
    let time = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M:%S").to_string();
    reply.first(1000, &format!("BIRD kubgp-{}", facts.version));
    reply.first(1011, &format!("Router ID is {}", facts.router_id));
    reply.more(&format!("Current server time is {}", time(facts.now)));
    reply.more(&format!("Last reboot on {}", time(facts.booted)));
    reply.more(&format!("Last reconfiguration on {}", time(facts.reconfigured)));
    if facts.is_recovering {
        reply.first(24, "Graceful restart recovery in progress");
    }
    reply.end(13, "Daemon is up and running");
}

/// Calico's name of the session; neighbors without name go by their address, as BIRD's words allow it.
fn protocol(neighbor: &Neighbor) -> String {
    neighbor.name.clone().unwrap_or_else(|| unnamed(&neighbor.label()))
}

fn unnamed(label: &str) -> String {
    format!("Neighbor_{}", label.replace(['.', ':', '%'], "_"))
}

fn row(facts: &Facts, neighbor: &Neighbor) -> String {
    let state = match (neighbor.admin, neighbor.is_established()) {
        (Admin::Down, _) => "down",
        (Admin::Up, true) => "up",
        (Admin::Up, false) => "start",
    };
    let (name, since) = (protocol(neighbor), since(facts.now, neighbor.state_since));
    let mut text = format!("{name:<8} BGP      master   {state:<5}  {since:<10}  {:<14}", info(neighbor));
    if !neighbor.is_established() {
        let (error, tcp) = (neighbor.last_error.as_ref(), neighbor.last_tcp_error.as_ref());
        let socket = tcp.filter(|tcp| error.is_none_or(|error| tcp.at > error.at)).map(|tcp| format!("Socket: {}", tcp.text));
        text += &socket.or_else(|| error.map(|error| error.text.clone())).unwrap_or_default().replace('\n', " ");
    }
    text
}

/// BIRD's words for the state of the session.
const fn info(neighbor: &Neighbor) -> &'static str {
    match (neighbor.admin, neighbor.state) {
        (Admin::Down, _) => "Down",
        (_, SessionState::Idle) => "Idle",
        (_, SessionState::Connect) => "Connect",
        (_, SessionState::Active) => "Active",
        (_, SessionState::OpenSent) => "OpenSent",
        (_, SessionState::OpenConfirm) => "OpenConfirm",
        (_, SessionState::Established) => "Established",
    }
}

/// The time within the last 20 hours, before that the day.
fn since(now: Timestamp, at: Timestamp) -> String {
    let is_recent = now.duration_since(at) < SignedDuration::from_hours(20);
    at.strftime(if is_recent { "%H:%M:%S" } else { "%Y-%m-%d" }).to_string()
}

fn details(neighbor: &Neighbor, reply: &mut Reply) {
    let total = |counter: fn(&super::types::FamilyStatus) -> u64| neighbor.total(counter);
    let (accepted, filtered, advertised, best) = (total(|f| f.accepted), total(|f| f.filtered), total(|f| f.advertised), total(|f| f.best));
    reply.first(1006, "  Preference:     100");
    reply.more("  Input filter:   (unnamed)");
    reply.more("  Output filter:  (unnamed)");
    reply.more(&format!("  Routes:         {accepted} imported, {filtered} filtered, {advertised} exported, {best} preferred"));
    reply.more(&format!("  BGP state:          {}", info(neighbor)));
    reply.more(&format!("    Neighbor address: {}", neighbor.label()));
    let mut optional = |title: &str, value: Option<String>| {
        if let Some(value) = value {
            let mut text = format!("    {title}:");
            // The values stand below each other.
            let _ = write!(text, "{:width$}{value}", "", width = 22_usize.saturating_sub(text.len()));
            reply.more(&text);
        }
    };
    optional("Neighbor AS", neighbor.remote_asn.map(|asn| asn.to_string()));
    optional("Neighbor ID", neighbor.router_id.clone());
    let kind = if neighbor.kind == NeighborType::Ebgp { "external" } else { "internal" };
    let client = if neighbor.kind == NeighborType::RrClient { " route-reflector" } else { "" };
    optional("Session", neighbor.is_established().then(|| format!("{kind} multihop{client} AS4")));
    optional("Source address", neighbor.local_address.map(|address| address.to_string()));
    let timer = |left: Option<f64>, full: Option<f64>| Some(format!("{:.0}/{:.0}", left?, full?));
    optional("Hold timer", timer(neighbor.timers.hold_expires_in_seconds, neighbor.timers.hold_seconds));
    optional("Keepalive timer", timer(neighbor.timers.keepalive_in_seconds, neighbor.timers.keepalive_seconds));
    reply.more("");
}

/// `*` at the end stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}
