//! Which learned routes go to the kernel, and how, as plain values: what belongs to other programs is left to them, and a tunnel is
//! a device and not a next hop to resolve.

use super::{Action, Device, Hop, Hops, Route};
use ipnet::IpNet;
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A selected route as it stands in the RIB.
#[derive(Clone, Copy, Debug)]
pub struct Learned<'a> {
    pub prefix: IpNet,
    pub local_pref: Option<u32>,
    /// Of the best path, and of those that share traffic with it.
    pub hops: &'a [LearnedHop],
}

/// The next hops of one route; nearly always few.
pub type LearnedHops = SmallVec<[LearnedHop; 4]>;

/// One BGP next hop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LearnedHop {
    pub address: IpAddr,
    /// The kernel has a route to it. Of no interest where a tunnel leads there.
    pub is_resolved: bool,
    /// It is on a network that this host is on.
    pub is_connected: bool,
}

/// Why a route does not go to the kernel.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Left {
    /// A service address: kube-proxy's, whoever announces it.
    Service,
    /// The next hop is a node that is reached through WireGuard, which somebody else routes.
    WireGuard,
    /// VXLAN, which somebody else routes.
    Vxlan,
    /// Felix programs this class of routes.
    Felix,
    /// Nobody programs this class of routes.
    SwitchedOff,
    /// It has no next hop.
    NoNextHop,
    /// Nothing leads to its next hops.
    Unresolved,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service => "an address of Services",
            Self::WireGuard => "Felix routes what is behind WireGuard",
            Self::Vxlan => "Felix routes VXLAN",
            Self::Felix => "Felix programs routes of this pool",
            Self::SwitchedOff => "nobody is told to program routes of this pool",
            Self::NoNextHop => "no next hop",
            Self::Unresolved => "no route to the next hop",
        })
    }
}

/// How a class of routes goes to the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// Through the gateway, as the kernel reaches it.
    Direct,
    /// Through the tunnel device, whatever the network between is.
    Tunnel,
    /// Through the tunnel device, unless the gateway is inside this network of ours.
    TunnelUnlessWithin(IpNet),
    /// Through the tunnel device, unless the gateway is on any network of ours.
    TunnelUnlessConnected,
}

/// The routes inside a range.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Class {
    pub within: IpNet,
    pub way: Result<Way, Left>,
}

/// The metric of learned routes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Metric {
    Is(u32),
    /// This minus LOCAL_PREF, and at least 1.
    Mirrors(u32),
}

/// See the head of this file.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Ranges that are never installed.
    pub services: Vec<IpNet>,
    /// Gateways whose routes are left to others.
    pub wireguard: BTreeSet<IpAddr>,
    /// The first one that contains a prefix counts.
    pub classes: Vec<Class>,
    /// For what no class contains.
    pub otherwise: Way,
    pub metric: Metric,
    /// A route to whose next hops nothing leads is there as unreachable, so that packets do not take a shorter prefix.
    pub blocks_unresolved: bool,
    /// The tunnel device.
    pub tunnel: Arc<str>,
}

impl Rules {
    /// Everything goes to the kernel as it is learned, with this metric.
    pub fn plain(metric: u32) -> Self {
        Self {
            services: Vec::new(),
            wireguard: BTreeSet::new(),
            classes: Vec::new(),
            otherwise: Way::Direct,
            metric: Metric::Is(metric),
            blocks_unresolved: false,
            tunnel: TUNNEL.into(),
        }
    }

    /// What the kernel shall hold for a learned route.
    ///
    /// # Errors
    /// Why it shall hold nothing of ours.
    pub fn decide(&self, route: &Learned<'_>) -> Result<Route, Left> {
        if self.services.iter().any(|net| net.contains(&route.prefix)) {
            return Err(Left::Service);
        }
        let Some(first) = route.hops.first() else { return Err(Left::NoNextHop) };
        if self.wireguard.contains(&first.address) {
            return Err(Left::WireGuard);
        }
        let way = self.way(&route.prefix)?;
        let usable = route.hops.iter().filter(|hop| !self.wireguard.contains(&hop.address));
        let hops: Hops = usable.filter_map(|hop| self.hop(hop, way)).collect();
        let action = match (hops.is_empty(), self.blocks_unresolved) {
            (false, _) => Action::Unicast(hops),
            (true, true) => Action::Unreachable,
            (true, false) => return Err(Left::Unresolved),
        };
        let metric = match self.metric {
            Metric::Is(metric) => metric,
            Metric::Mirrors(sum) => sum.saturating_sub(route.local_pref.unwrap_or(DEFAULT_LOCAL_PREF)).max(1),
        };
        Ok(Route { prefix: route.prefix, action, metric }.normalized())
    }

    /// How routes to this prefix go to the kernel, whatever their next hops are.
    ///
    /// # Errors
    /// Why they do not.
    pub fn way(&self, prefix: &IpNet) -> Result<Way, Left> {
        self.classes.iter().find(|class| class.within.contains(prefix)).map_or(Ok(self.otherwise), |class| class.way)
    }

    /// Whether routes to this prefix are ours to put there and to take away.
    pub fn owns(&self, prefix: &IpNet) -> bool {
        !self.services.iter().any(|net| net.contains(prefix)) && self.way(prefix).is_ok()
    }

    fn hop(&self, hop: &LearnedHop, way: Way) -> Option<Hop> {
        let is_direct = match way {
            // Tunnels of this kind carry IPv4 only, between IPv4 addresses.
            _ if hop.address.is_ipv6() => true,
            Way::Direct => true,
            Way::Tunnel => false,
            Way::TunnelUnlessWithin(own) => own.contains(&hop.address),
            Way::TunnelUnlessConnected => hop.is_connected,
        };
        match is_direct {
            true => hop.is_resolved.then(|| Hop::via(hop.address)),
            false => Some(Hop { device: Some(Device::Name(self.tunnel.clone())), onlink: true, ..Hop::via(hop.address) }),
        }
    }
}

/// Everything that decides about kernel routes beside what is learned.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub rules: Rules,
    /// Routes that no neighbor announces, by prefix: they come before learned ones. One to a host behind a gateway also leads to
    /// what has that host as its next hop.
    pub statics: BTreeMap<IpNet, Route>,
}

impl Policy {
    /// Everything goes to the kernel as it is learned, with this metric.
    pub fn plain(metric: u32) -> Self {
        Self { rules: Rules::plain(metric), statics: BTreeMap::new() }
    }

    /// Hosts behind a gateway.
    pub fn gateways(&self) -> BTreeMap<IpAddr, IpAddr> {
        let hosts = self.statics.iter().filter(|(prefix, _)| prefix.prefix_len() == prefix.max_prefix_len());
        let gateway = |route: &Route| match &route.action {
            Action::Unicast(hops) => hops.first()?.via,
            _ => None,
        };
        hosts.filter_map(|(prefix, route)| Some((prefix.addr(), gateway(route)?))).collect()
    }
}

/// The device that Felix creates for IPIP, and the usual one elsewhere.
pub const TUNNEL: &str = "tunl0";
/// What a route without LOCAL_PREF counts as (RFC 4271 9.1.1).
const DEFAULT_LOCAL_PREF: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tunnel_of_the_file_is_left_out_where_the_gateway_is_near() {
        let rules = Rules { otherwise: Way::TunnelUnlessConnected, tunnel: "tun7".into(), ..Rules::plain(20) };
        let hop = |address: &str, is_connected| LearnedHop { address: address.parse().unwrap(), is_resolved: true, is_connected };
        let devices = |prefix: &str, hop: LearnedHop| {
            let route = rules.decide(&Learned { prefix: prefix.parse().unwrap(), local_pref: None, hops: &[hop] }).unwrap();
            let Action::Unicast(hops) = route.action else { panic!("{route:?}") };
            (route.metric, hops.iter().map(|h| (h.device.clone(), h.onlink)).collect::<Vec<_>>())
        };
        let tunnel = Some(Device::Name("tun7".into()));
        assert_eq!(devices("10.1.0.0/24", hop("10.0.0.2", true)), (20, vec![(None, false)]));
        assert_eq!(devices("10.1.0.0/24", hop("10.9.0.2", false)), (20, vec![(tunnel, true)]));
        assert_eq!(devices("fd00:1::/64", hop("fd00::2", false)), (20, vec![(None, false)]), "IPv4 in IPv4 only");
    }
}
