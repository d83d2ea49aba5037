//! What would become of the kernel's routes if we began now. Reads the kernel and changes nothing.
//!
//! What neighbors will announce is not known before there are sessions with them. Routes of the program that we take over from, and of
//! a former life of ours, are taken to be announced as they are in the kernel, and what else is expected comes from the caller.

use super::link::Host;
use super::nexthop::NextHops;
use super::rules::{Learned, LearnedHop, LearnedHops, Left, Metric};
use super::sync::{self, Reading};
use super::{Action, Device, Failure, KernelRoute, NextHopState, Params, Policy, Route};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr};

/// A route that some neighbor will announce.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Expected {
    pub next_hop: IpAddr,
    pub local_pref: Option<u32>,
}

/// What would become of a route.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It is ours and right already.
    Keep,
    /// It would get our number, and stay as it is otherwise.
    Adopt,
    Add,
    /// Another route would come into its place.
    Replace,
    /// It would go when neighbors have sent all of theirs.
    Remove,
    /// It would stay the other program's.
    Leave(Option<Left>),
    /// It would be wanted, and not be put there.
    Fail(Failure),
}

/// One route, as it is and as it would be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Forecast {
    pub prefix: IpNet,
    pub fate: Fate,
    /// The route in the kernel with its protocol number; devices by name.
    pub now: Option<(Route, u8)>,
    pub then: Option<Route>,
}

/// Reads the kernel and says what would become of each route, in the order of prefixes.
///
/// # Errors
/// A netlink socket fails, or the kernel refuses to answer.
pub async fn preview(params: &Params, policy: &Policy, expected: &BTreeMap<IpNet, Expected>) -> io::Result<Vec<Forecast>> {
    Ok(forecast(params, policy, expected, sync::read(params).await?))
}

fn forecast(params: &Params, policy: &Policy, expected: &BTreeMap<IpNet, Expected>, reading: Reading) -> Vec<Forecast> {
    let mut table = NextHops::new(params.resolve_via_default);
    table.set_gateways(policy.gateways());
    table.set_routes(reading.others);
    *table.host_mut() = reading.host;
    let mut held: BTreeMap<IpNet, Vec<Held>> = BTreeMap::new();
    for KernelRoute { route, protocol, .. } in reading.ours {
        let route = route.normalized();
        held.entry(route.prefix).or_default().push(Held { route, is_own: protocol == params.protocol, protocol });
    }
    held.values_mut().for_each(|routes| routes.sort_by_key(|held| held.route.metric));
    let oracle = Oracle { policy, table: &table, expected };
    let prefixes: BTreeSet<&IpNet> = held.keys().chain(policy.statics.keys()).chain(expected.keys()).collect();
    let mut found = Vec::new();
    for prefix in prefixes {
        oracle.judge(*prefix, held.get(prefix).map(Vec::as_slice).unwrap_or_default(), &mut found);
    }
    for forecast in &mut found {
        let routes = forecast.now.as_mut().map(|(route, _)| route).into_iter().chain(forecast.then.as_mut());
        routes.for_each(|route| name_devices(route, table.host()));
    }
    found
}

/// A route of the other program, or of a former life of ours.
struct Held {
    route: Route,
    is_own: bool,
    protocol: u8,
}

struct Oracle<'a> {
    policy: &'a Policy,
    table: &'a NextHops,
    expected: &'a BTreeMap<IpNet, Expected>,
}

impl Oracle<'_> {
    fn judge(&self, prefix: IpNet, held: &[Held], found: &mut Vec<Forecast>) {
        let wanted = self.wanted(prefix, held);
        let target = match &wanted {
            Some(Ok(route)) => Some(self.table.resolve(route)),
            Some(Err(_)) | None => None,
        };
        if let Some(Ok(target)) = &target
            && !held.iter().any(|held| held.route.key() == target.key())
        {
            let fate = self.table.occupant(target.key()).map_or(Fate::Add, |other| Fate::Fail(Failure::Occupied(other)));
            found.push(Forecast { prefix, fate, now: None, then: Some(target.clone()) });
        }
        if let (Some(Err(failure)), Some(Ok(route))) = (&target, &wanted) {
            found.push(Forecast { prefix, fate: Fate::Fail(*failure), now: None, then: Some(route.clone()) });
        }
        let reason = wanted.as_ref().and_then(|wanted| wanted.as_ref().err().copied());
        for held in held {
            let (fate, then) = match &target {
                Some(Ok(target)) if held.route == *target => (if held.is_own { Fate::Keep } else { Fate::Adopt }, Some(target.clone())),
                Some(Ok(target)) if held.route.key() == target.key() => (Fate::Replace, Some(target.clone())),
                None if !held.is_own && !self.policy.rules.owns(&prefix) => (Fate::Leave(reason), None),
                Some(_) | None => (Fate::Remove, None),
            };
            found.push(Forecast { prefix, fate, now: Some((held.route.clone(), held.protocol)), then });
        }
    }

    /// What the kernel shall hold for a prefix; `None` when nobody is expected to announce it.
    fn wanted(&self, prefix: IpNet, held: &[Held]) -> Option<Result<Route, Left>> {
        if let Some(route) = self.policy.statics.get(&prefix) {
            return Some(Ok(route.clone()));
        }
        let expected = self.expected.get(&prefix);
        let announced = held.iter().find_map(|held| match &held.route.action {
            Action::Unicast(hops) => {
                let hops: LearnedHops = hops.iter().filter_map(|hop| Some(self.hop(hop.via?))).collect();
                (!hops.is_empty()).then_some((hops, held.route.metric))
            }
            // Somebody announces it with a next hop that leads nowhere.
            Action::Unreachable => {
                let nowhere = LearnedHop { address: Ipv4Addr::UNSPECIFIED.into(), is_resolved: false, is_connected: false };
                let hop = expected.map_or(nowhere, |expected| self.hop(expected.next_hop));
                Some(([hop].into_iter().collect(), held.route.metric))
            }
            Action::Blackhole | Action::Prohibit => None,
        });
        let (hops, metric) = announced.or_else(|| Some(([self.hop(expected?.next_hop)].into_iter().collect(), 0)))?;
        let local_pref = match self.policy.rules.metric {
            Metric::Mirrors(sum) if metric > 0 => sum.checked_sub(metric),
            _ => expected.and_then(|expected| expected.local_pref),
        };
        let decided = self.policy.rules.decide(&Learned { prefix, local_pref, hops: &hops });
        // Of what is not there, that it would not be there is no news.
        (decided.is_ok() || !held.is_empty()).then_some(decided)
    }

    fn hop(&self, address: IpAddr) -> LearnedHop {
        let state = self.table.state(address);
        LearnedHop {
            address,
            is_resolved: state.is_reachable(),
            is_connected: matches!(state, NextHopState::Reachable { connected: true, .. }),
        }
    }
}

fn name_devices(route: &mut Route, host: &Host) {
    if let Action::Unicast(hops) = &mut route.action {
        for hop in hops {
            if let Some(link) = hop.device.as_ref().and_then(|device| host.find(device)) {
                hop.device = Some(Device::Name(link.name.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fib::rules::{Class, Way};
    use crate::fib::{Hop, Link, Rules};

    const BIRD: u8 = 12;
    const KERNEL: u8 = 2;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn on(index: u32, via: Option<&str>, onlink: bool) -> Action {
        let hop = Hop { via: via.map(|v| v.parse().unwrap()), device: Some(Device::Index(index)), onlink, weight: 1 };
        Action::Unicast([hop].into_iter().collect())
    }

    fn route(prefix: &str, action: Action, metric: u32, protocol: u8) -> KernelRoute {
        KernelRoute { route: Route { prefix: net(prefix), action, metric }, table: 254, protocol, local: false }
    }

    fn host() -> Host {
        let link = |(index, name): (u32, &str)| (index, Link { index, name: name.into(), up: true, loopback: false });
        Host {
            links: [(2, "eth0"), (3, "tunl0")].map(link).into(),
            addresses: [("10.0.0.1".parse().unwrap(), 2)].into(),
            ..Host::default()
        }
    }

    fn policy() -> Policy {
        let class = |within: &str, way| Class { within: net(within), way };
        let classes = vec![class("10.245.0.0/16", Ok(Way::Tunnel)), class("10.247.0.0/16", Err(Left::Vxlan))];
        let rules = Rules {
            classes,
            metric: Metric::Mirrors(2_147_483_647),
            services: vec![net("10.96.0.0/12")],
            blocks_unresolved: true,
            ..Rules::plain(0)
        };
        let blackhole = Route { prefix: net("10.244.1.0/26"), action: Action::Blackhole, metric: 0 };
        Policy { rules, statics: [(blackhole.prefix, blackhole)].into() }
    }

    fn told(ours: Vec<KernelRoute>, expected: &[(&str, &str)]) -> Vec<(String, Fate)> {
        let others = vec![route("10.0.0.0/24", on(2, None, false), 0, KERNEL), route("10.244.8.0/26", on(2, None, false), 1024, KERNEL)];
        let reading = Reading { host: host(), ours, others, complete: true };
        let usual = Some(2_147_483_647 - 1024);
        let expected = expected.iter().map(|(p, hop)| (net(p), Expected { next_hop: hop.parse().unwrap(), local_pref: usual })).collect();
        let params = Params { adopt: Some(BIRD), ..Params::default() };
        forecast(&params, &policy(), &expected, reading).into_iter().map(|f| (f.prefix.to_string(), f.fate)).collect()
    }

    #[test]
    fn routes_of_the_other_program_are_adopted_replaced_left_or_removed() {
        let ours = vec![
            route("10.244.2.0/26", on(2, Some("10.0.0.2"), false), 1024, BIRD),
            route("10.244.3.0/26", on(2, Some("10.0.0.3"), false), 1024, 179),
            // A metric of its own is a LOCAL_PREF of its own.
            route("10.244.4.0/26", on(2, Some("10.0.0.3"), false), 512, BIRD),
            // Outside of the tunnel, where it belongs inside.
            route("10.245.2.0/26", on(2, Some("10.0.0.2"), false), 1024, BIRD),
            route("10.247.2.0/26", on(2, Some("10.0.0.2"), false), 1024, BIRD),
            route("10.96.7.0/24", on(2, Some("10.0.0.2"), false), 1024, BIRD),
            // A block that was given back.
            route("10.244.7.0/26", Action::Blackhole, 0, BIRD),
            route("10.244.1.0/26", Action::Blackhole, 0, BIRD),
        ];
        let owned = |list: &[(&str, Fate)]| list.iter().map(|(prefix, fate)| ((*prefix).to_owned(), *fate)).collect::<Vec<_>>();
        assert_eq!(
            told(ours, &[]),
            owned(&[
                ("10.96.7.0/24", Fate::Leave(Some(Left::Service))),
                ("10.244.1.0/26", Fate::Adopt),
                ("10.244.2.0/26", Fate::Adopt),
                ("10.244.3.0/26", Fate::Keep),
                ("10.244.4.0/26", Fate::Adopt),
                ("10.244.7.0/26", Fate::Remove),
                ("10.245.2.0/26", Fate::Replace),
                ("10.247.2.0/26", Fate::Leave(Some(Left::Vxlan))),
            ])
        );
    }

    #[test]
    fn what_is_missing_is_added_and_what_cannot_be_is_said() {
        let ours = vec![
            // From before the era of metrics: for the kernel another route, which goes when ours is there.
            route("10.244.2.0/26", on(2, Some("10.0.0.2"), false), 0, BIRD),
            route("10.244.6.0/26", Action::Unreachable, 1024, BIRD),
        ];
        let expected = [
            ("10.244.2.0/26", "10.0.0.2"),
            ("10.244.6.0/26", "10.0.0.6"),
            ("10.244.8.0/26", "10.0.0.8"),
            ("10.244.9.0/26", "172.16.0.9"),
            ("10.247.5.0/26", "10.0.0.5"),
        ];
        let fates = told(ours, &expected);
        let of = |prefix: &str| fates.iter().filter(|(p, _)| p == prefix).map(|(_, fate)| *fate).collect::<Vec<_>>();
        assert_eq!(of("10.244.1.0/26"), [Fate::Add]);
        assert_eq!(of("10.244.2.0/26"), [Fate::Add, Fate::Remove]);
        assert_eq!(of("10.244.6.0/26"), [Fate::Replace]);
        assert_eq!(of("10.244.8.0/26"), [Fate::Fail(Failure::Occupied(KERNEL))]);
        // Unreachable: nothing leads to its next hop.
        assert_eq!(of("10.244.9.0/26"), [Fate::Add]);
        assert_eq!(of("10.247.5.0/26"), []);
    }
}
