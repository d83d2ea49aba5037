//! Next-hop resolution: the longest match over the kernel's routes of others (RFC 4271 9.1.2.1), with the state of links.
//! Our own routes are left out, so that a route can never resolve a next hop through itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;
use smallvec::SmallVec;

use super::link::{Host, Link};
use super::{Action, Device, Failure, Hop, Hops, KernelRoute, Key, Route};

/// What the kernel's other routes say about a next hop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NextHopState {
    Unreachable(Failure),
    Reachable {
        /// The metric of the route that leads there: the IGP cost of the decision process.
        metric: u32,
        /// On a connected network, no gateway between.
        connected: bool,
        /// The gateway, where not connected; the first one of several.
        via: Option<IpAddr>,
        /// The interface; the first one of several.
        device: u32,
    },
}

impl NextHopState {
    pub const fn is_reachable(&self) -> bool {
        matches!(self, Self::Reachable { .. })
    }
}

/// The kernel as others made it: their routes, the links, our addresses.
pub(crate) struct NextHops {
    v4: PrefixMap<Ipv4Net, Entries>,
    v6: PrefixMap<Ipv6Net, Entries>,
    host: Host,
    via_default: bool,
    /// Hosts that static routes of ours lead to, with their gateways.
    gateways: BTreeMap<IpAddr, IpAddr>,
}

impl NextHops {
    pub fn new(via_default: bool) -> Self {
        Self { v4: PrefixMap::new(), v6: PrefixMap::new(), host: Host::default(), via_default, gateways: BTreeMap::new() }
    }

    /// Takes these hosts and gateways in place of all earlier ones.
    pub fn set_gateways(&mut self, gateways: BTreeMap<IpAddr, IpAddr>) {
        self.gateways = gateways;
    }

    /// Takes the routes of others in place of all earlier ones.
    pub fn set_routes(&mut self, routes: impl IntoIterator<Item = KernelRoute>) {
        self.v4 = PrefixMap::new();
        self.v6 = PrefixMap::new();
        for found in routes {
            let prefix = found.route.prefix;
            let entry = Entry::from(found);
            let entries = match prefix {
                IpNet::V4(net) => self.v4.entry(net).or_default(),
                IpNet::V6(net) => self.v6.entry(net).or_default(),
            };
            let at = entries.partition_point(|e| e.metric <= entry.metric);
            entries.insert(at, entry);
        }
    }

    pub fn host(&self) -> &Host {
        &self.host
    }

    pub fn host_mut(&mut self) -> &mut Host {
        &mut self.host
    }

    /// How `address` is reached.
    pub fn state(&self, address: IpAddr) -> NextHopState {
        match self.lookup(address) {
            Err(failure) => NextHopState::Unreachable(failure),
            Ok(found) => match found.hops.first() {
                None => NextHopState::Unreachable(Failure::LinkDown),
                Some(hop) => {
                    NextHopState::Reachable { metric: found.metric, connected: hop.via.is_none(), via: hop.via, device: hop.device }
                }
            },
        }
    }

    /// Everything that resolution of `address` yields, to be compared with an earlier answer.
    pub fn resolution(&self, address: IpAddr) -> Result<(u32, SmallVec<[Leg; 1]>), Failure> {
        self.lookup(address).map(|found| (found.metric, found.hops))
    }

    /// The protocol number of a route of others on the very same prefix and metric.
    pub fn occupant(&self, key: Key) -> Option<u8> {
        let entries = match key.prefix {
            IpNet::V4(net) => self.v4.get(&net),
            IpNet::V6(net) => self.v6.get(&net),
        }?;
        entries.iter().find(|e| e.metric == key.metric).map(|e| e.protocol)
    }

    /// The route as the kernel shall hold it: guarded, every hop with gateway and interface. Hops that cannot be used are left
    /// out; the failure of the first one is the answer when none is left.
    pub fn resolve(&self, wanted: &Route) -> Result<Route, Failure> {
        if let Some(refused) = self.refusal(&wanted.prefix) {
            return Err(refused);
        }
        let Action::Unicast(wanted_hops) = &wanted.action else {
            return Ok(wanted.clone().normalized());
        };
        let mut hops = Hops::new();
        let mut failure = None;
        for hop in wanted_hops {
            match self.resolve_hop(hop) {
                Ok(found) => hops.extend(found),
                Err(why) => failure = failure.or(Some(why)),
            }
        }
        hops.truncate(MAX_HOPS);
        if hops.is_empty() {
            return Err(failure.unwrap_or(Failure::Incomplete));
        }
        Ok(Route { prefix: wanted.prefix, action: Action::Unicast(hops), metric: wanted.metric }.normalized())
    }

    /// Why a destination must never be installed, whatever its next hop.
    fn refusal(&self, prefix: &IpNet) -> Option<Failure> {
        if is_martian(prefix) {
            return Some(Failure::Martian);
        }
        (prefix.prefix_len() == prefix.max_prefix_len() && self.host.is_own(prefix.addr())).then_some(Failure::OwnAddress)
    }

    fn resolve_hop(&self, hop: &Hop) -> Result<Hops, Failure> {
        if hop.via.is_some_and(|via| self.host.is_own(via)) {
            return Err(Failure::NextHopOwn);
        }
        if let Some(device) = &hop.device {
            let link = self.host.find(device).ok_or(Failure::NoDevice)?;
            if !link.up {
                return Err(Failure::LinkDown);
            }
            return Ok(SmallVec::from_elem(Hop { device: Some(Device::Index(link.index)), ..hop.clone() }, 1));
        }
        let via = hop.via.ok_or(Failure::Incomplete)?;
        if is_link_local(via) {
            return Err(Failure::Incomplete);
        }
        let found = self.lookup(via)?;
        let legs = found.hops.iter().map(|leg| Hop {
            via: Some(leg.via.unwrap_or(via)),
            device: Some(Device::Index(leg.device)),
            onlink: leg.onlink,
            // A weight on either side survives; the product of two stays within the kernel's eight bits.
            weight: u8::try_from(u16::from(hop.weight.max(1)) * u16::from(leg.weight)).unwrap_or(u8::MAX),
        });
        Ok(legs.collect())
    }

    fn lookup(&self, address: IpAddr) -> Result<Found, Failure> {
        match self.gateways.get(&address) {
            Some(gateway) => {
                let mut found = self.look_up(*gateway)?;
                found.hops.iter_mut().for_each(|leg| leg.via = leg.via.or(Some(*gateway)));
                Ok(found)
            }
            None => self.look_up(address),
        }
    }

    fn look_up(&self, address: IpAddr) -> Result<Found, Failure> {
        if self.host.is_own(address) {
            return Err(Failure::NextHopOwn);
        }
        if is_link_local(address) {
            // Every interface has the link-local network: the device comes with the route, here only "is there any".
            let link = self.host.links.values().find(|l| l.up && !l.loopback).ok_or(Failure::LinkDown)?;
            let leg = Leg { via: None, device: link.index, onlink: false, weight: 1 };
            return Ok(Found { metric: 0, hops: SmallVec::from_elem(leg, 1) });
        }
        let (length, entries) = match address {
            IpAddr::V4(a) => self.v4.get_lpm(&Ipv4Net::from(a)).map(|(net, e)| (net.prefix_len(), e)),
            IpAddr::V6(a) => self.v6.get_lpm(&Ipv6Net::from(a)).map(|(net, e)| (net.prefix_len(), e)),
        }
        .ok_or(Failure::NextHopUnresolved)?;
        if length == 0 && !self.via_default {
            return Err(Failure::NextHopViaDefault);
        }
        // The kernel forwards by the lowest metric alone; a worse one with a live link is not what packets would take.
        let best = entries.first().ok_or(Failure::NextHopUnresolved)?;
        match &best.target {
            Target::Local => Err(Failure::NextHopOwn),
            Target::Reject => Err(Failure::NextHopRejected),
            Target::Legs(legs) => {
                let hops: SmallVec<[Leg; 1]> = legs.iter().filter(|leg| self.is_up(leg.device)).cloned().collect();
                if hops.is_empty() { Err(Failure::LinkDown) } else { Ok(Found { metric: best.metric, hops }) }
            }
        }
    }

    fn is_up(&self, index: u32) -> bool {
        self.host.links.get(&index).is_some_and(|link: &Link| link.up)
    }
}

/// One way towards a next hop.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Leg {
    via: Option<IpAddr>,
    device: u32,
    onlink: bool,
    weight: u8,
}

struct Found {
    metric: u32,
    hops: SmallVec<[Leg; 1]>,
}

/// The routes of one prefix, lowest metric first.
type Entries = SmallVec<[Entry; 1]>;

struct Entry {
    metric: u32,
    protocol: u8,
    target: Target,
}

enum Target {
    Legs(SmallVec<[Leg; 1]>),
    Local,
    Reject,
}

impl From<KernelRoute> for Entry {
    fn from(found: KernelRoute) -> Self {
        let target = match found.route.action {
            _ if found.local => Target::Local,
            Action::Unicast(hops) => {
                // Which of them are alive is asked of the links at each lookup: the flags of a route change later than those of
                // its link, without an event of their own.
                let legs = hops.into_iter().filter_map(|hop| match hop.device {
                    Some(Device::Index(device)) => Some(Leg { via: hop.via, device, onlink: hop.onlink, weight: hop.weight }),
                    _ => None,
                });
                Target::Legs(legs.collect())
            }
            Action::Blackhole | Action::Unreachable | Action::Prohibit => Target::Reject,
        };
        Self { metric: found.route.metric, protocol: found.protocol, target }
    }
}

/// Whether any address of `set` lies within `prefix`.
pub(crate) fn covers_any<V>(prefix: &IpNet, set: &std::collections::BTreeMap<IpAddr, V>) -> bool {
    let (first, last) = match prefix {
        IpNet::V4(net) => (IpAddr::V4(net.network()), IpAddr::V4(net.broadcast())),
        IpNet::V6(net) => (IpAddr::V6(net.network()), IpAddr::V6(net.broadcast())),
    };
    set.range(first..=last).next().is_some()
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(a) if a.is_unicast_link_local())
}

/// Destinations that no route of ours may have: this host, loopback, link-local, multicast, reserved (RFC 6890), and any
/// prefix inside them. The default routes are not martian.
fn is_martian(prefix: &IpNet) -> bool {
    match prefix {
        IpNet::V4(net) if net.prefix_len() == 0 => false,
        IpNet::V6(net) if net.prefix_len() == 0 => false,
        IpNet::V4(net) => {
            let first = net.network();
            first.octets()[0] == 0 && net.prefix_len() >= 8
                || first.is_loopback()
                || first.is_link_local()
                || first >= Ipv4Addr::new(224, 0, 0, 0)
        }
        IpNet::V6(net) => {
            let first = net.network();
            first == Ipv6Addr::UNSPECIFIED && net.prefix_len() == 128
                || first.is_loopback()
                || first.is_unicast_link_local()
                || first.is_multicast()
                || first.to_ipv4_mapped().is_some() && net.prefix_len() >= 96
        }
    }
}

/// The addresses that two host states do not share.
pub(crate) fn address_changes(a: &Host, b: &Host) -> BTreeSet<IpAddr> {
    a.addresses.symmetric_difference(&b.addresses).map(|(address, _)| *address).collect()
}

/// How many hops one route may have; the kernel's practical limit.
const MAX_HOPS: usize = 128;

#[cfg(test)]
mod tests;
