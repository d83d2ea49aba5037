//! Scenario files: networks and what happens to them, one line a step.
//!
//! ```text
//! node A as 64512 [cluster 1]
//! link A B [client A|B] [hold 9] [gr full|helper|off] [add-path A|B all|best2] [passive A|B] [capacity 100] [delay 400ms] [dual-stack]
//!          [llgr 100s]
//! at 3s peer A sends update 10.0.0.0/24 [med 5] [local-pref 50] [community 64512:1]
//! at 3s peer A sends withdraw 10.0.0.0/24
//! at 5s cut A B                      the connection is reset
//! at 5s silence A B                  its packets vanish, nobody is told
//! at 5s stall A B 20s                its packets wait
//! at 5s refresh A B                  A asks B for its routes again
//! at 5s resend A B                   A sends B its routes again
//! at 5s reset A B                    A ends the session with a NOTIFICATION
//! at 5s deny A B 64512:1|none        A exports no route with this community to B, while the session stays
//! at 5s client A B yes|no            B becomes a client of A, or is one no more
//! at 5s crash A | vanish A | restart A | shutdown A     how A goes down
//! at 9s boot A [forwarding]          A starts; with its forwarding state as it was
//! at 9s expect B has 10.0.0.0/24 via A [stale] [long-lived] [best] [med 5]
//! at 9s expect B lacks 10.0.0.0/24 [via A]
//! at 9s watch B 10.0.0.0/24          from now on B must not be without it, not for a moment
//! at 9s expect B kept 10.0.0.0/24
//! at 9s expect A B established|down
//! at 9s expect A B sessions 2        times that A's session with B came up
//! ```
//!
//! All nodes start at 0 s. After the last line the network comes to rest, and every table is compared with the model.

use crate::attributes;
use crate::model::{self, Path};
use crate::network::{Cut, Death, Network, Watch};
use crate::node::Setup;
use ipnet::IpNet;
use kubgp::export::AddPath;
use kubgp::rib::PeerId;
use kubgp::session::{GrMode, State};
use kubgp::wire::attr::AttrSet;
use kubgp::wire::attr::community::Community;
use kubgp::wire::{Family, FamilySet};
use std::time::Duration;

/// Runs a scenario.
///
/// # Errors
/// The line that does not hold, or cannot be read.
pub fn run(text: &str) -> Result<(), String> {
    let mut script = Script { net: Network::new(1), booted: false };
    for (number, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        if !words.is_empty() {
            script.line(&words).map_err(|why| format!("line {}: {line}\n    {why}", number + 1))?;
        }
    }
    script.net.settle_down(Duration::from_secs(900))?;
    model::check(&script.net)
}

struct Script {
    net: Network,
    booted: bool,
}

impl Script {
    fn line(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["node", name, "as", asn, rest @ ..] => self.node(name, number(asn)?, rest),
            ["link", a, b, rest @ ..] => self.link(a, b, rest),
            ["at", time, step @ ..] => {
                if !std::mem::replace(&mut self.booted, true) {
                    (0..self.net.nodes.len()).for_each(|node| self.net.boot(node, false));
                }
                self.net.run_until(duration(time)?);
                self.step(step)
            }
            _ => Err("node, link or at is expected".to_owned()),
        }
    }

    fn node(&mut self, name: &str, asn: u32, rest: &[&str]) -> Result<(), String> {
        let id = 0x0a00_0001 + self.net.nodes.len() as u32;
        let cluster = match rest {
            [] => id,
            ["cluster", cluster] => number(cluster)?,
            _ => return Err("cluster is expected".to_owned()),
        };
        self.net.add_node(Setup { name: name.to_owned(), asn, id, cluster });
        Ok(())
    }

    fn link(&mut self, a: &str, b: &str, rest: &[&str]) -> Result<(), String> {
        let ends = [self.find(a)?, self.find(b)?];
        let side = |name: &str| {
            if name == a {
                Ok(0)
            } else if name == b {
                Ok(1)
            } else {
                Err(format!("{name} is not of this link"))
            }
        };
        let link = self.net.add_link(ends[0], ends[1]);
        let mut words = rest.iter();
        while let Some(word) = words.next() {
            let mut next = || words.next().copied().ok_or("a word is missing");
            match *word {
                // Whose client it is follows from who it is.
                "client" => link.ends[1 - side(next()?)?].client = true,
                "hold" => link.hold = number(next()?)? as u16,
                "capacity" => link.capacity = number(next()?)? as usize,
                "llgr" => {
                    let time = duration(next()?)?;
                    link.ends.iter_mut().for_each(|e| e.llgr = time);
                }
                "delay" => link.delay = duration(next()?)?,
                "passive" => link.ends[side(next()?)?].passive = true,
                "dual-stack" => link.ends.iter_mut().for_each(|e| e.families = FamilySet::ALL),
                "gr" => {
                    let mode = match next()? {
                        "full" => GrMode::Full,
                        "helper" => GrMode::Helper,
                        _ => GrMode::Off,
                    };
                    link.ends.iter_mut().for_each(|e| e.gr = mode);
                }
                "add-path" => {
                    let sender = side(next()?)?;
                    link.ends[sender].add_path = if next()? == "all" { AddPath::All } else { AddPath::Best(2) };
                }
                other => return Err(format!("{other} is no property of a link")),
            }
        }
        Ok(())
    }

    fn step(&mut self, step: &[&str]) -> Result<(), String> {
        match step {
            ["peer", name, "sends", "update", prefix, rest @ ..] => self.update(name, prefix, rest),
            ["peer", name, "sends", "withdraw", prefix] => self.originate(name, prefix, None),
            ["cut", a, b] => self.on_link(a, b, |net, _, link| net.cut(link, Cut::Reset)),
            ["silence", a, b] => self.on_link(a, b, |net, _, link| net.cut(link, Cut::Silent)),
            ["stall", a, b, time] => {
                let time = duration(time)?;
                self.on_link(a, b, |net, _, link| net.stall(link, time))
            }
            ["refresh", a, b] => self.on_link(a, b, |net, node, link| net.ask_refresh(node, link, Family::Ipv4Unicast)),
            ["resend", a, b] => self.on_link(a, b, |net, node, link| net.resend(node, link, Family::Ipv4Unicast)),
            ["reset", a, b] => self.on_link(a, b, |net, node, link| net.reset(node, link, false)),
            ["deny", a, b, what] => {
                let what = if *what == "none" { None } else { Some(community(what)?) };
                self.on_link(a, b, |net, node, link| net.change(node, link, |end| end.deny = what))
            }
            ["client", a, b, word] => self.on_link(a, b, |net, node, link| net.change(node, link, |end| end.client = *word == "yes")),
            ["boot", name, rest @ ..] => {
                let node = self.find(name)?;
                self.net.boot(node, rest == ["forwarding"]);
                Ok(())
            }
            ["expect", rest @ ..] => self.expect(rest),
            ["watch", name, prefix] => {
                let watch = Watch { node: self.find(name)?, prefix: parse_prefix(prefix)?, missed: None };
                self.net.watches.push(watch);
                Ok(())
            }
            [how, name] => {
                let death = match *how {
                    "crash" => Death::Crash,
                    "vanish" => Death::PowerLoss,
                    "restart" => Death::Graceful,
                    "shutdown" => Death::Shutdown,
                    _ => return Err(format!("{how} is no step")),
                };
                let node = self.find(name)?;
                self.net.kill(node, death);
                Ok(())
            }
            _ => Err("no such step".to_owned()),
        }
    }

    fn update(&mut self, name: &str, prefix: &str, rest: &[&str]) -> Result<(), String> {
        let mut attrs = attributes(&parse_prefix(prefix)?);
        for pair in rest.chunks(2) {
            match pair {
                ["med", value] => attrs.med = Some(number(value)?),
                ["local-pref", value] => attrs.local_pref = Some(number(value)?),
                ["community", value] => attrs.communities.push(community(value)?),
                _ => return Err("med, local-pref or community is expected".to_owned()),
            }
        }
        self.originate(name, prefix, Some(AttrSet::from(&attrs)))
    }

    fn originate(&mut self, name: &str, prefix: &str, attrs: Option<AttrSet>) -> Result<(), String> {
        let node = self.find(name)?;
        self.net.nodes[node].originate(parse_prefix(prefix)?, attrs);
        self.net.plan_rib(node);
        Ok(())
    }

    fn on_link(&mut self, a: &str, b: &str, act: impl FnOnce(&mut Network, usize, usize)) -> Result<(), String> {
        let (a, b) = (self.find(a)?, self.find(b)?);
        let link = self.net.link_between(a, b).ok_or("there is no such link")?;
        act(&mut self.net, a, link);
        Ok(())
    }

    fn expect(&self, words: &[&str]) -> Result<(), String> {
        match words {
            [name, "has", prefix, "via", peer, rest @ ..] => {
                let paths = self.paths(name, prefix, Some(peer))?;
                let fits = |path: &Path| rest.is_empty() || rest.chunks(2).all(|words| matches(path, words));
                if paths.iter().any(fits) { Ok(()) } else { Err(format!("it has {paths:?}")) }
            }
            [name, "lacks", prefix, rest @ ..] => {
                let paths = self.paths(name, prefix, rest.get(1).copied())?;
                if paths.is_empty() { Ok(()) } else { Err(format!("it has {paths:?}")) }
            }
            [name, "kept", prefix] => {
                let (node, prefix) = (self.find(name)?, parse_prefix(prefix)?);
                let watch = self.net.watches.iter().find(|w| w.node == node && w.prefix == prefix).ok_or("it is not watched")?;
                watch.missed.map_or(Ok(()), |at| Err(format!("it was without at {at:?}")))
            }
            [a, b, word @ ("established" | "down")] => {
                let state = self.status(a, b, |status| status.state)?;
                let up = state == State::Established;
                if up == (*word == "established") { Ok(()) } else { Err(format!("it is {state:?}")) }
            }
            [a, b, "sessions", count] => {
                let have = self.status(a, b, |status| status.established)?;
                if have == u64::from(number(count)?) { Ok(()) } else { Err(format!("it came up {have} times")) }
            }
            _ => Err("no such expectation".to_owned()),
        }
    }

    /// What a node has accepted of a prefix, from one peer or from all.
    fn paths(&self, name: &str, prefix: &str, via: Option<&str>) -> Result<Vec<Path>, String> {
        let node = self.find(name)?;
        let port = match via {
            Some(peer) => Some(self.port(node, self.find(peer)?)?),
            None => None,
        };
        let table = model::table(&self.net, node);
        let paths = table.get(&parse_prefix(prefix)?).cloned().unwrap_or_default();
        Ok(paths.into_iter().filter(|p| p.accepted && (port.is_none() || p.port == port)).collect())
    }

    fn port(&self, node: usize, peer: usize) -> Result<usize, String> {
        let link = self.net.link_between(node, peer).ok_or("there is no such link")?;
        Ok(self.net.port_of(node, link))
    }

    fn status<T>(&self, a: &str, b: &str, look: impl FnOnce(&kubgp::session::PeerStatus) -> T) -> Result<T, String> {
        let node = self.find(a)?;
        let id = PeerId(self.port(node, self.find(b)?)? as u32 + 1);
        let port = self.net.nodes[node].ports.iter().find(|p| p.peer == id).ok_or("the node is down")?;
        Ok(look(port.machine.status()))
    }

    fn find(&self, name: &str) -> Result<usize, String> {
        self.net.nodes.iter().position(|n| n.setup.name == name).ok_or_else(|| format!("there is no node {name}"))
    }
}

fn matches(path: &Path, words: &[&str]) -> bool {
    match words {
        ["stale"] => path.stale,
        ["fresh"] => !path.stale,
        ["long-lived"] => path.route.communities.contains(&Community::LLGR_STALE.0),
        ["best"] => path.best,
        ["med", value] => path.route.med.map(|m| m.to_string()).as_deref() == Some(*value),
        _ => false,
    }
}

fn number(word: &str) -> Result<u32, String> {
    word.parse().map_err(|_| format!("{word} is no number"))
}

fn parse_prefix(word: &str) -> Result<IpNet, String> {
    word.parse().map_err(|_| format!("{word} is no prefix"))
}

fn community(word: &str) -> Result<u32, String> {
    word.parse::<Community>().map(|c| c.0).map_err(|e| e.to_string())
}

fn duration(word: &str) -> Result<Duration, String> {
    let (digits, unit) = word.split_at(word.find(|c: char| c.is_alphabetic()).unwrap_or(word.len()));
    let value = u64::from(number(digits)?);
    match unit {
        "s" => Ok(Duration::from_secs(value)),
        "ms" => Ok(Duration::from_millis(value)),
        _ => Err(format!("{word} is no time, write 3s or 300ms")),
    }
}
