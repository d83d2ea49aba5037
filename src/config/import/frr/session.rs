//! What FRR says about a neighbor or a peer group.

use std::net::IpAddr;
use std::time::Duration;

use crate::config::file::{
    self, AddPath, AddPathSend, AdminState, Asn, FamilyName, GracefulRestart, GracefulRestartMode, LimitAction, MaxPrefixes, Neighbor,
    NextHopMode, Period, RoleName, Session,
};
use crate::config::import::draft::list;

#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub session: Session,
    pub is_group: bool,
    pub group: Option<String>,
    /// Names of route maps and prefix lists.
    pub import: Vec<String>,
    pub export: Vec<String>,
    /// What is said of IPv4 unicast, and of IPv6 unicast.
    active: [Option<bool>; 2],
    /// `neighbor eth0 interface`.
    pub is_interface: bool,
}

const fn index(family: FamilyName) -> usize {
    match family {
        FamilyName::Ipv4Unicast => 0,
        FamilyName::Ipv6Unicast => 1,
    }
}

/// What was read, with something to know about it.
type Read = Result<Option<String>, String>;

impl Settings {
    pub fn timers(&mut self, keepalive: &str, hold: &str) {
        self.session.keepalive_time = seconds(keepalive);
        self.session.hold_time = seconds(hold);
    }

    pub fn activate(&mut self, family: FamilyName, is_active: bool) {
        self.active[index(family)] = Some(is_active);
    }

    /// One `neighbor PEER …`; `family` is that of the address family around it.
    pub fn read(&mut self, words: &[&str], family: Option<FamilyName>) -> Read {
        match words {
            ["activate"] => {
                self.activate(family.unwrap_or(FamilyName::Ipv4Unicast), true);
                Ok(None)
            }
            ["peer-group"] => {
                self.is_group = true;
                Ok(None)
            }
            ["peer-group", group] => {
                self.group = Some((*group).to_owned());
                Ok(None)
            }
            ["interface", rest @ ..] => {
                self.is_interface = true;
                match rest {
                    [] | ["v6only"] => Ok(None),
                    ["v6only", rest @ ..] => self.read(rest, family),
                    rest => self.read(rest, family),
                }
            }
            ["route-map" | "prefix-list", name, "in"] => {
                self.import.push((*name).to_owned());
                self.both(name)
            }
            ["route-map" | "prefix-list", name, "out"] => {
                self.export.push((*name).to_owned());
                self.both(name)
            }
            ["send-community", ..] => Ok(Some("communities are always sent".to_owned())),
            ["soft-reconfiguration", "inbound"] => {
                Ok(Some("not needed: rejected routes are kept, and route refresh does the rest".to_owned()))
            }
            ["capability", "dynamic"] | ["capability", "extended-messages"] | ["disable-connected-check"] | ["enforce-first-as"] => {
                Ok(Some("not needed".to_owned()))
            }
            words => self.session(words),
        }
    }

    fn both(&self, name: &str) -> Read {
        let chain = self.import.len() > 1 || self.export.len() > 1;
        Ok(chain.then(|| format!("several lists in one direction follow one another; check that `{name}` comes where it should")))
    }

    fn session(&mut self, words: &[&str]) -> Read {
        let session = &mut self.session;
        match words {
            ["remote-as", asn] => session.asn = Some(remote_as(asn)?),
            ["local-as", asn] => session.local_asn = Some(remote_as(asn)?),
            ["local-as", asn, ..] => {
                session.local_asn = Some(remote_as(asn)?);
                return Ok(Some("the path holds the other AS too, as without `no-prepend`".to_owned()));
            }
            ["description", text @ ..] => session.description = Some(text.join(" ")),
            ["timers", "connect", n] => session.connect_retry_time = seconds(n),
            ["timers", keepalive, hold] => self.timers(keepalive, hold),
            ["ebgp-multihop"] => session.multihop = Some(255),
            ["ebgp-multihop", n] => session.multihop = n.parse().ok(),
            ["ttl-security", "hops", n] => session.ttl_security = n.parse().ok(),
            ["update-source", source] => match source.parse::<IpAddr>() {
                Ok(address) => session.local_address = Some(address),
                Err(_) => return Err("name the address instead of the interface: `localAddress`".to_owned()),
            },
            ["passive"] => session.passive = Some(true),
            ["shutdown", ..] => session.admin_state = Some(AdminState::Down),
            ["bfd"] => return Err("set `bfd` to the name of a profile".to_owned()),
            ["bfd", "profile", name] => session.bfd = Some((*name).to_owned()),
            ["next-hop-self"] | ["next-hop-self", "force"] => session.next_hop = Some(NextHopMode::Own),
            ["attribute-unchanged", "next-hop"] => session.next_hop = Some(NextHopMode::Unchanged),
            ["route-reflector-client"] => session.route_reflector_client = Some(true),
            ["allowas-in"] => session.allow_own_asn = Some(3),
            ["allowas-in", n] => session.allow_own_asn = Some(n.parse().map_err(|_| "`origin` has no counterpart".to_owned())?),
            ["capability", "extended-nexthop"] => session.extended_next_hop = Some(true),
            ["extended-optional-parameters"] => {}
            ["addpath-tx-all-paths"] => add_path(session).send = Some(AddPathSend::All),
            ["disable-addpath-rx"] => add_path(session).receive = Some(false),
            ["graceful-restart"] => graceful_restart(session, GracefulRestartMode::Full),
            ["graceful-restart-helper"] => graceful_restart(session, GracefulRestartMode::Helper),
            ["graceful-restart-disable"] => graceful_restart(session, GracefulRestartMode::Off),
            ["maximum-prefix", limit, rest @ ..] => session.max_prefixes = Some(max_prefixes(limit, rest)?),
            ["local-role", role, rest @ ..] => {
                session.role = Some(local_role(role)?);
                return Ok((!rest.is_empty()).then(|| "`strict-mode` has no counterpart: a neighbor without role is accepted".to_owned()));
            }
            _ => return Err("has no counterpart".to_owned()),
        }
        Ok(None)
    }

    fn families(&self, group: Option<&Self>, none_by_default: bool) -> Vec<FamilyName> {
        let says = |family: FamilyName| {
            let own = |settings: &Self| settings.active[index(family)];
            own(self).or_else(|| own(group?)).unwrap_or(family == FamilyName::Ipv4Unicast && !none_by_default)
        };
        [FamilyName::Ipv4Unicast, FamilyName::Ipv6Unicast].into_iter().filter(|family| says(*family)).collect()
    }

    /// The settings of a peer group.
    pub fn group_session(&self, (import, export): (Option<Vec<String>>, Option<Vec<String>>), none_by_default: bool) -> Session {
        let families = self.families(None, none_by_default);
        Session {
            import: import.map(list),
            export: export.map(list),
            families: (!families.is_empty()).then_some(families),
            ..self.session.clone()
        }
    }

    pub fn neighbor(
        &self,
        peer: &str,
        group: Option<&Self>,
        (import, export): (Option<Vec<String>>, Option<Vec<String>>),
        none_by_default: bool,
    ) -> Neighbor {
        let families = self.families(group, none_by_default);
        let inherited = group.map(|group| group.families(None, none_by_default));
        let families = (inherited.as_ref() != Some(&families) && !families.is_empty()).then_some(families);
        let session = Session { import: import.map(list), export: export.map(list), families, ..self.session.clone() };
        let mut neighbor = Neighbor::with_session(session);
        neighbor.group.clone_from(&self.group);
        match peer.parse() {
            Ok(address) => neighbor.address = Some(address),
            Err(_) => neighbor.name = Some(peer.to_owned()),
        }
        neighbor
    }
}

fn seconds(text: &str) -> Option<Period> {
    text.parse().ok().map(|seconds| Period(Duration::from_secs(seconds)))
}

fn remote_as(text: &str) -> Result<Asn, String> {
    match text {
        "internal" => Ok(Asn::Internal),
        "external" => Ok(Asn::External),
        number => number.parse().ok().and_then(crate::wire::Asn::new).map(Asn::Number).ok_or_else(|| format!("`{number}` is no AS number")),
    }
}

fn add_path(session: &mut Session) -> &mut AddPath {
    session.add_path.get_or_insert_default()
}

fn graceful_restart(session: &mut Session, mode: GracefulRestartMode) {
    session.graceful_restart = Some(GracefulRestart { mode: Some(mode), ..GracefulRestart::default() });
}

fn max_prefixes(limit: &str, rest: &[&str]) -> Result<MaxPrefixes, String> {
    let limit = limit.parse().map_err(|_| "expected a number".to_owned())?;
    // A threshold in percent is only a warning.
    let rest = if rest.first().is_some_and(|word| word.parse::<u8>().is_ok()) { rest.get(1..).unwrap_or_default() } else { rest };
    let (action, restart_after) = match rest {
        [] => (LimitAction::Shutdown, None),
        ["warning-only"] => (LimitAction::Warn, None),
        ["force"] => (LimitAction::Drop, None),
        ["restart", minutes] => {
            let minutes: u64 = minutes.parse().map_err(|_| "expected minutes".to_owned())?;
            (LimitAction::Restart, Some(Period(Duration::from_secs(60 * minutes))))
        }
        _ => return Err("has no counterpart".to_owned()),
    };
    Ok(MaxPrefixes { limit: Some(limit), action: Some(action), restart_after })
}

fn local_role(word: &str) -> Result<file::RoleName, String> {
    Ok(match word {
        "provider" => RoleName::Provider,
        "customer" => RoleName::Customer,
        "peer" => RoleName::Peer,
        "rs-server" => RoleName::RouteServer,
        "rs-client" => RoleName::RouteServerClient,
        _ => return Err("no such role".to_owned()),
    })
}
