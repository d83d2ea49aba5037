//! Neighbors, ranges and groups: inheritance, defaults, and what cannot go together.

use super::policy::family;
use super::{BGP_PORT, Checker, Fragment, Place};
use crate::config::file::{self, GracefulRestartMode, LimitAction, List, Neighbor, NextHopMode, Session};
use crate::config::plan::{
    AddPathSend, DynamicPlan, GracefulRestart, MaxPrefixes, Password, PeerKey, PeerPlan, RemoteAs, Secret, SecretSource, SessionPlan, Ttl,
};
use crate::policy::params::NextHopSet;
use crate::policy::{AtEnd, Chain, Reason};
use crate::wire::{Asn, Family, FamilySet, Role};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// The settings of one session on their way to a plan: what counts, and where each key was written.
pub(super) struct Scope {
    place: Place,
    own: Session,
    group: Option<(Place, Session)>,
    /// Own settings, and the group's where those say nothing.
    pub(super) merged: Session,
    address: Option<IpAddr>,
}

impl Scope {
    fn new(place: Place, own: Session, group: Option<(Place, Session)>, address: Option<IpAddr>) -> Self {
        let merged = match &group {
            Some((_, group)) => own.clone().or(group),
            None => own.clone(),
        };
        Self { place, own, group, merged, address }
    }

    /// Where `key` is written: here, or else in the group.
    pub(super) fn at<T>(&self, key: &str, get: impl Fn(&Session) -> &Option<T>) -> Place {
        match &self.group {
            Some((place, group)) if get(&self.own).is_none() && get(group).is_some() => place.key(key),
            _ => self.place.key(key),
        }
    }
}

fn addresses_of(file: &file::File) -> impl Iterator<Item = IpAddr> + '_ {
    file.neighbors.iter().flatten().filter_map(|neighbor| neighbor.address)
}

fn neighbors_elsewhere(fragments: &[Fragment]) -> impl Iterator<Item = (IpAddr, &Neighbor)> {
    let others = fragments.iter().filter(|(origin, _)| origin.is_some());
    others.flat_map(|(_, file)| file.neighbors.iter().flatten()).filter_map(|neighbor| Some((neighbor.address?, neighbor)))
}

impl Checker<'_> {
    pub(super) fn peers(&mut self, fragments: &[Fragment]) -> BTreeMap<PeerKey, PeerPlan> {
        let mut peers: BTreeMap<PeerKey, PeerPlan> = BTreeMap::new();
        let (mut addresses, mut names) = (BTreeSet::new(), BTreeSet::new());
        let own: BTreeSet<_> = fragments.iter().filter(|(origin, _)| origin.is_none()).flat_map(|(_, f)| addresses_of(f)).collect();
        let elsewhere: BTreeMap<IpAddr, &Neighbor> = neighbors_elsewhere(fragments).collect();
        for (origin, file) in fragments {
            for (i, neighbor) in file.neighbors.iter().flatten().enumerate() {
                // One session per address: what the file says of it counts.
                if origin.is_some() && neighbor.address.is_some_and(|address| own.contains(&address)) {
                    continue;
                }
                let place = Place::new(origin, "neighbors").index(i);
                let other = neighbor.address.filter(|_| origin.is_none()).and_then(|address| elsewhere.get(&address).copied());
                let session = self.neighbor(&place, neighbor, other);
                let Some(address) = neighbor.address else {
                    // Unnumbered neighbors have an interface instead.
                    if neighbor.interface.is_none() {
                        self.complain(&place.key("address"), "an address is required");
                    }
                    continue;
                };
                let name = neighbor.name.clone().unwrap_or_else(|| address.to_string());
                if !addresses.insert(address) {
                    self.complain(&place.key("address"), format!("{address} is the address of another neighbor too; remove one of them"));
                } else if !names.insert(name.clone()) {
                    self.complain(&place.key("name"), format!("`{name}` is the name of another neighbor too; rename one of them"));
                }
                let (port, group) = (neighbor.port.unwrap_or(BGP_PORT), neighbor.group.clone());
                if let Some(session) = session {
                    peers.insert(address, PeerPlan { name, address, port, group, session });
                }
            }
        }
        peers
    }

    /// `other` asks for the same neighbor; it decides on routes where `neighbor` leaves that open.
    fn neighbor(&mut self, place: &Place, neighbor: &Neighbor, other: Option<&Neighbor>) -> Option<SessionPlan> {
        if let Some(name) = neighbor.name.as_deref().filter(|name| RESERVED_NAMES.contains(name) || name.trim() != *name || name.is_empty())
        {
            self.complain(&place.key("name"), format!("`{name}` cannot be a name, since commands could not tell; choose another"));
        }
        if neighbor.port == Some(0) {
            self.complain(&place.key("port"), "port 0 does not exist; the port of BGP is 179");
        }
        if let Some(address) = neighbor.address {
            self.neighbor_address(&place.key("address"), address);
        }
        let group = neighbor.group.as_deref().and_then(|name| self.group(&place.key("group"), name));
        let mut scope = Scope::new(place.clone(), neighbor.session(), group, neighbor.address);
        if let Some(other) = other {
            scope.merged.import = scope.merged.import.or_else(|| other.import.clone());
            scope.merged.export = scope.merged.export.or_else(|| other.export.clone());
        }
        if scope.merged.passive == Some(true) && !self.listens {
            let at = scope.at("passive", |s| &s.passive);
            self.complain(&at, "nobody connects: we do not listen and the neighbor is passive; remove passive, or listen: []");
        }
        if scope.merged.asn.is_none() && neighbor.group.as_ref().is_none_or(|name| self.groups.contains_key(name)) {
            self.complain(&place.key("asn"), "an AS number is required: a number, internal or external, here or in a group");
        }
        self.session(&scope)
    }

    fn neighbor_address(&mut self, place: &Place, address: IpAddr) {
        let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        if address.is_unspecified() || address.is_multicast() {
            self.complain(place, format!("{address} is not the address of a host; use the neighbor's unicast address"));
        } else if link_local {
            self.complain(
                place,
                format!("{address} is link-local, and sessions over an interface are not supported yet; use a global address"),
            );
        }
    }

    fn group(&mut self, place: &Place, name: &str) -> Option<(Place, Session)> {
        let found = self.groups.get(name).cloned();
        if found.is_none() {
            let known: Vec<String> = self.groups.keys().cloned().collect();
            self.unknown(place, "group", name, known.iter().map(String::as_str));
        }
        found
    }

    /// The settings of a group by themselves, so that mistakes are found before a neighbor uses them.
    pub(super) fn check_group(&mut self, place: &Place, session: &Session) {
        self.session(&Scope::new(place.clone(), session.clone(), None, None));
    }

    pub(super) fn dynamic(&mut self, fragments: &[Fragment]) -> BTreeMap<IpNet, DynamicPlan> {
        let mut plans: BTreeMap<IpNet, DynamicPlan> = BTreeMap::new();
        for (origin, file) in fragments {
            for (i, entry) in file.dynamic_neighbors.iter().flatten().enumerate() {
                let place = Place::new(origin, "dynamicNeighbors").index(i);
                if !self.listens {
                    self.complain(&place, "nobody can connect, since we do not listen; remove listen: []");
                }
                let max = entry.max.unwrap_or(MAX_DYNAMIC);
                if max == 0 {
                    self.complain(&place.key("max"), "0 lets nobody in; use at least 1, or remove the range");
                }
                let range = self.range_of(&place, entry.range, &plans);
                let Some(group) = &entry.group else {
                    self.complain(&place.key("group"), "a group is required, since its settings are those of the sessions");
                    continue;
                };
                let Some((group_place, settings)) = self.group(&place.key("group"), group) else { continue };
                if settings.asn.is_none() {
                    self.complain(&group_place.key("asn"), "an AS number is required: a number, internal or external");
                }
                let address = range.map(|range| range.addr());
                let session = self.session(&Scope::new(place, Session::default(), Some((group_place, settings)), address));
                if let (Some(range), Some(session)) = (range, session) {
                    plans.insert(range, DynamicPlan { range, group: group.clone(), max, session });
                }
            }
        }
        plans
    }

    fn range_of(&mut self, place: &Place, range: Option<IpNet>, others: &BTreeMap<IpNet, DynamicPlan>) -> Option<IpNet> {
        let at = place.key("range");
        let Some(range) = range else {
            self.complain(&at, "a range is required, such as 10.0.0.0/16");
            return None;
        };
        let range = self.net(&at, range)?;
        if let Some(other) = others.keys().find(|other| other.contains(&range) || range.contains(*other)) {
            self.complain(&at, format!("{range} overlaps {other}; an address may be in one range only"));
        }
        Some(range)
    }

    /// Checks every setting, then fills in the defaults. `None` where the AS numbers are not known.
    fn session(&mut self, scope: &Scope) -> Option<SessionPlan> {
        let s = &scope.merged;
        let (remote_as, local_as) = self.as_numbers(scope);
        let ebgp = match (remote_as, local_as) {
            (Some(RemoteAs::Fixed(remote)), Some(local)) => Some(remote != local),
            (Some(RemoteAs::Internal), _) => Some(false),
            (Some(RemoteAs::External), _) => Some(true),
            _ => None,
        };
        self.kind_rules(scope, ebgp);
        self.local_rules(scope);
        let hold_time = self.hold_time(scope);
        let keepalive_time = self.keepalive_time(scope, hold_time);
        let (connect_retry_time, send_hold_time) = (self.connect_retry_time(scope), self.send_hold_time(scope, hold_time));
        let families = self.families(scope);
        let (add_path_receive, add_path_send) = self.add_path(scope);
        let (graceful_restart, max_prefixes) = (self.graceful_restart(scope), self.max_prefixes(scope));
        let ttl = self.ttl(scope, ebgp);
        let (password, bfd) = (self.password(scope), self.bfd(scope));
        let (import, export) = self.session_chains(scope, ebgp);
        Some(SessionPlan {
            remote_as: remote_as?,
            local_as: local_as?,
            local_address: s.local_address,
            bind_device: s.bind_device.clone(),
            description: s.description.clone().unwrap_or_default(),
            families,
            passive: s.passive.unwrap_or(false),
            admin_up: s.admin_state != Some(file::AdminState::Down),
            hold_time,
            keepalive_time,
            connect_retry_time,
            send_hold_time,
            route_reflector_client: s.route_reflector_client.unwrap_or(false),
            next_hop: s.next_hop.unwrap_or(NextHopMode::Auto),
            ttl,
            password,
            graceful_restart,
            add_path_receive,
            add_path_send,
            extended_next_hop: s.extended_next_hop.unwrap_or(false),
            extended_messages: s.extended_messages.unwrap_or(false),
            max_prefixes,
            allow_own_asn: s.allow_own_asn.unwrap_or(0),
            role: s.role.map(role),
            bfd,
            import,
            export,
        })
    }

    fn as_numbers(&mut self, scope: &Scope) -> (Option<RemoteAs>, Option<Asn>) {
        let remote = scope.merged.asn.map(|asn| match asn {
            file::Asn::Number(asn) => RemoteAs::Fixed(asn),
            file::Asn::Internal => RemoteAs::Internal,
            file::Asn::External => RemoteAs::External,
        });
        let local = match scope.merged.local_asn {
            Some(file::Asn::Number(asn)) => Some(asn),
            Some(_) => {
                let at = scope.at("localAsn", |s| &s.local_asn);
                self.complain(&at, "must be an AS number, 1..=4294967295");
                None
            }
            None => self.asn,
        };
        (remote, local)
    }

    /// What only internal or only external sessions can have.
    fn kind_rules(&mut self, scope: &Scope, ebgp: Option<bool>) {
        let s = &scope.merged;
        if ebgp == Some(true) && s.route_reflector_client == Some(true) {
            let at = scope.at("routeReflectorClient", |s| &s.route_reflector_client);
            self.complain(&at, "only internal neighbors can be route reflector clients (RFC 4456); use asn: internal, or remove it");
        }
        if ebgp == Some(false) && s.role.is_some() {
            let at = scope.at("role", |s| &s.role);
            self.complain(&at, "roles are for external neighbors (RFC 9234); remove it");
        }
    }

    /// Addresses, devices and names.
    fn local_rules(&mut self, scope: &Scope) {
        let s = &scope.merged;
        if let (Some(local), Some(peer)) = (s.local_address, scope.address)
            && local.is_ipv4() != peer.is_ipv4()
        {
            let at = scope.at("localAddress", |s| &s.local_address);
            self.complain(&at, format!("{local} and the neighbor {peer} are of different IP versions; use an address of the same"));
        }
        if s.bind_device.as_ref().is_some_and(|device| device.is_empty() || device.len() > DEVICE_LEN) {
            let at = scope.at("bindDevice", |s| &s.bind_device);
            self.complain(&at, format!("a device has a name of 1..={DEVICE_LEN} octets"));
        }
    }

    fn hold_time(&mut self, scope: &Scope) -> Duration {
        let Some(hold) = scope.merged.hold_time.map(|period| period.0) else { return HOLD_TIME };
        let at = scope.at("holdTime", |s| &s.hold_time);
        if hold.subsec_nanos() > 0 || hold > Duration::from_secs(u64::from(u16::MAX)) {
            self.complain(&at, format!("{} is not a whole number of seconds in 0..=65535 (RFC 4271 4.2)", file::Period(hold)));
        } else if matches!(hold.as_secs(), 1 | 2) {
            self.complain(&at, format!("{} s is not allowed; use 0 or at least 3 s (RFC 4271 4.2)", hold.as_secs()));
        }
        hold
    }

    fn keepalive_time(&mut self, scope: &Scope, hold: Duration) -> Duration {
        let Some(keepalive) = scope.merged.keepalive_time.map(|period| period.0) else { return hold / 3 };
        let at = scope.at("keepaliveTime", |s| &s.keepalive_time);
        if hold.is_zero() {
            self.complain(&at, "without hold time there are no keepalives (RFC 4271 4.4); remove it, or set holdTime");
        } else if keepalive < Duration::from_secs(1) || keepalive > hold / 3 {
            let longest = file::Period(hold / 3);
            self.complain(&at, format!("{} is not in 1s..={longest}, a third of the hold time (RFC 4271 4.4)", file::Period(keepalive)));
        }
        keepalive
    }

    fn connect_retry_time(&mut self, scope: &Scope) -> Duration {
        let retry = scope.merged.connect_retry_time.map_or(CONNECT_RETRY_TIME, |period| period.0);
        if retry < Duration::from_secs(1) {
            let at = scope.at("connectRetryTime", |s| &s.connect_retry_time);
            self.complain(&at, format!("{} would flood the neighbor; use at least 1s", file::Period(retry)));
        }
        retry
    }

    fn send_hold_time(&mut self, scope: &Scope, hold: Duration) -> Duration {
        let default = if hold.is_zero() { Duration::ZERO } else { (hold * 2).max(SEND_HOLD_TIME) };
        let Some(send_hold) = scope.merged.send_hold_time.map(|period| period.0) else { return default };
        if !send_hold.is_zero() && send_hold < hold {
            let at = scope.at("sendHoldTime", |s| &s.send_hold_time);
            self.complain(
                &at,
                format!(
                    "{} is less than the hold time {}; use more, or 0s for never (RFC 9687)",
                    file::Period(send_hold),
                    file::Period(hold)
                ),
            );
        }
        send_hold
    }

    fn families(&mut self, scope: &Scope) -> FamilySet {
        let default = |address: IpAddr| FamilySet::from_iter([if address.is_ipv4() { Family::Ipv4Unicast } else { Family::Ipv6Unicast }]);
        let families = match (&scope.merged.families, scope.address) {
            (Some(names), _) => {
                let at = scope.at("families", |s| &s.families);
                if names.is_empty() {
                    self.complain(&at, "a session without families carries nothing; remove the key, or list ipv4-unicast, ipv6-unicast");
                }
                for (i, name) in names.iter().enumerate() {
                    if names.iter().take(i).any(|earlier| earlier == name) {
                        self.complain(&at.index(i), "is listed twice; remove one");
                    }
                }
                names.iter().map(|name| family(*name)).collect()
            }
            (None, Some(address)) => default(address),
            // A group by itself: the neighbors will tell.
            (None, None) => FamilySet::ALL,
        };
        if scope.merged.extended_next_hop == Some(true) && !families.contains(Family::Ipv4Unicast) {
            let at = scope.at("extendedNextHop", |s| &s.extended_next_hop);
            self.complain(&at, "is about IPv4 prefixes with IPv6 next hops (RFC 8950); add ipv4-unicast to families, or remove it");
        }
        families
    }

    fn add_path(&mut self, scope: &Scope) -> (bool, AddPathSend) {
        let add_path = scope.merged.add_path.clone().unwrap_or_default();
        let send = match add_path.send {
            Some(file::AddPathSend::All) => AddPathSend::All,
            Some(file::AddPathSend::Best(n)) => {
                if !(1..=MOST_PATHS).contains(&n) {
                    let at = scope.at("addPath", |s| &s.add_path).key("send");
                    self.complain(&at, format!("{n} is not in 1..={MOST_PATHS}; use all, or remove the key to send the best path only"));
                }
                AddPathSend::Best(n)
            }
            None => AddPathSend::Off,
        };
        (add_path.receive.unwrap_or(false), send)
    }

    fn graceful_restart(&mut self, scope: &Scope) -> GracefulRestart {
        let written = scope.merged.graceful_restart.clone().unwrap_or_default();
        let at = scope.at("gracefulRestart", |s| &s.graceful_restart);
        let time = written.time.map_or(RESTART_TIME, |period| period.0);
        if time.subsec_nanos() > 0 || time.as_secs() > 4095 {
            self.complain(&at.key("time"), format!("{} is not a whole number of seconds in 0..=4095 (RFC 4724 3)", file::Period(time)));
        }
        let stale_time = written.stale_time.map_or(STALE_TIME.max(time), |period| period.0);
        if stale_time < time {
            let message =
                format!("{} is less than time {}; routes would go before their peer is back", file::Period(stale_time), file::Period(time));
            self.complain(&at.key("staleTime"), message);
        }
        let mode = written.mode.unwrap_or(GracefulRestartMode::Helper);
        GracefulRestart { mode, time, stale_time, long_lived: self.long_lived(scope, mode) }
    }

    fn long_lived(&mut self, scope: &Scope, mode: GracefulRestartMode) -> Duration {
        let at = scope.at("longLivedGracefulRestart", |s| &s.long_lived_graceful_restart).key("time");
        let time = scope.merged.long_lived_graceful_restart.as_ref().and_then(|l| l.time).map_or(Duration::ZERO, |period| period.0);
        if time.subsec_nanos() > 0 || time.as_secs() > LONGEST_LIVED {
            let written = file::Period(time);
            self.complain(&at, format!("{written} is not a whole number of seconds in 0..={LONGEST_LIVED}, 194 days (RFC 9494 3.1)"));
        }
        if mode == GracefulRestartMode::Off && !time.is_zero() {
            self.complain(&at, "needs graceful restart (RFC 9494 4.1); remove gracefulRestart.mode: off, or this key");
        }
        time
    }

    fn max_prefixes(&mut self, scope: &Scope) -> Option<MaxPrefixes> {
        let written = scope.merged.max_prefixes.clone()?;
        let at = scope.at("maxPrefixes", |s| &s.max_prefixes);
        let action = written.action.unwrap_or(LimitAction::Shutdown);
        if action != LimitAction::Restart && written.restart_after.is_some() {
            self.complain(&at.key("restartAfter"), "is for action: restart; remove it, or change the action");
        }
        match written.limit {
            None => self.complain(&at.key("limit"), "a limit is required: the number of prefixes of one family"),
            Some(0) => self.complain(&at.key("limit"), "0 would end every session that carries something; use at least 1"),
            Some(_) => {}
        }
        let restart_after = written.restart_after.map_or(RESTART_AFTER, |period| period.0);
        Some(MaxPrefixes { limit: written.limit?, action, restart_after })
    }

    fn ttl(&mut self, scope: &Scope, ebgp: Option<bool>) -> Ttl {
        let s = &scope.merged;
        let (multihop, security) = (scope.at("multihop", |s| &s.multihop), scope.at("ttlSecurity", |s| &s.ttl_security));
        if s.multihop == Some(0) {
            self.complain(&multihop, "nothing leaves the machine with TTL 0; use 1..=255");
        }
        if s.ttl_security == Some(0) {
            self.complain(&security, "a directly connected neighbor is 1 hop away; use 1..=254");
        }
        if s.multihop.is_some() && s.ttl_security.is_some() {
            self.complain(
                &security,
                "excludes multihop, since both decide the TTL that we send (RFC 5082); say the number of hops in ttlSecurity alone",
            );
        }
        match (s.ttl_security, s.multihop) {
            (Some(hops), _) => Ttl::Security(hops),
            (None, Some(ttl)) => Ttl::Send(ttl),
            (None, None) if ebgp == Some(true) => Ttl::Send(EBGP_TTL),
            (None, None) => Ttl::Send(IBGP_TTL),
        }
    }

    fn password(&mut self, scope: &Scope) -> Option<Password> {
        let written = scope.merged.password.as_ref()?;
        let at = scope.at("password", |s| &s.password);
        let source = match (&written.file, &written.env, &written.secret) {
            (Some(path), None, None) => SecretSource::File(path.clone()),
            (None, Some(name), None) => SecretSource::Env(name.clone()),
            (None, None, Some(name)) => SecretSource::Secret(name.clone()),
            _ => {
                self.complain(&at, "say where the key is: exactly one of file, env, secret");
                return None;
            }
        };
        match self.host.secret(&source) {
            Err(reason) => self.complain(&at, format!("the key is not there: {reason}")),
            Ok(octets) if octets.is_empty() => self.complain(&at, "the key is empty; write one of 1..=80 octets, or remove password"),
            Ok(octets) if octets.len() > MD5_KEY_LEN => {
                self.complain(
                    &at,
                    format!("the key has {} octets; the kernel takes at most {MD5_KEY_LEN} (TCP MD5, RFC 2385)", octets.len()),
                );
            }
            Ok(octets) => return Some(Password { source, value: Secret::new(octets) }),
        }
        None
    }

    /// RFC 8212: without policy, eBGP imports nothing and exports only what is ours; iBGP imports all and exports per RFC 4456.
    fn session_chains(&mut self, scope: &Scope, ebgp: Option<bool>) -> (Chain, Chain) {
        let (at_import, at_export) = match ebgp {
            Some(true) => (AtEnd::Reject(Reason::NoPolicy), AtEnd::OnlyLocal),
            _ => (AtEnd::Accept, AtEnd::Accept),
        };
        let (import, export) = (scope.at("import", |s| &s.import), scope.at("export", |s| &s.export));
        self.import_next_hops(&import, scope.merged.import.as_ref());
        let import = self.chain(&import, scope.merged.import.as_ref(), at_import);
        let export = self.chain(&export, scope.merged.export.as_ref(), at_export);
        (import, export)
    }

    /// `self` and `unchanged` speak to the session that sends a route, so on import they would do nothing.
    fn import_next_hops(&mut self, place: &Place, names: Option<&List<String>>) {
        for (i, name) in names.iter().flat_map(|list| &list.0).enumerate() {
            let rules = self.policies.get(name).map(|p| p.policy.params().rules.as_slice()).unwrap_or_default();
            if rules.iter().any(|rule| matches!(rule.sets.next_hop, Some(NextHopSet::Own | NextHopSet::Unchanged))) {
                self.complain(
                    &place.index(i),
                    format!("policy `{name}` sets nextHop to self or unchanged, which is for export; use an address"),
                );
            }
        }
    }
}

fn role(name: file::RoleName) -> Role {
    match name {
        file::RoleName::Provider => Role::Provider,
        file::RoleName::Customer => Role::Customer,
        file::RoleName::Peer => Role::Peer,
        file::RoleName::RouteServer => Role::RouteServer,
        file::RoleName::RouteServerClient => Role::RouteServerClient,
    }
}

/// Words that commands take in the place of a neighbor.
const RESERVED_NAMES: [&str; 2] = ["all", "group"];
/// More paths than any table has for one prefix.
const MOST_PATHS: u32 = 65535;
/// TCP_MD5SIG_MAXKEYLEN of Linux.
const MD5_KEY_LEN: usize = 80;
/// IFNAMSIZ of Linux, less the terminator.
const DEVICE_LEN: usize = 15;
const MAX_DYNAMIC: u32 = 5000;
pub(in crate::config) const HOLD_TIME: Duration = Duration::from_secs(90);
const CONNECT_RETRY_TIME: Duration = Duration::from_secs(5);
/// The least that RFC 9687 timers start with; otherwise twice the hold time.
const SEND_HOLD_TIME: Duration = Duration::from_secs(90);
const RESTART_TIME: Duration = Duration::from_secs(120);
const STALE_TIME: Duration = Duration::from_secs(360);
/// How long a session stays down after `maxPrefixes` with action restart.
const RESTART_AFTER: Duration = Duration::from_secs(300);
/// eBGP peers are directly connected unless told otherwise (RFC 4271 5.1.3).
pub(in crate::config) const EBGP_TTL: u8 = 1;
/// iBGP peers may be anywhere.
pub(in crate::config) const IBGP_TTL: u8 = 255;
/// Seconds, 24 bits.
const LONGEST_LIVED: u64 = 0xFF_FFFF;
