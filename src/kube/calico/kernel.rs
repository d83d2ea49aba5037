//! Which learned routes go to the kernel, and how: what Felix owns is left to it, tunnels are a device and not a next hop to resolve.

use super::World;
use super::node::{CalicoNode, IpFamily};
use super::report::Report;
use super::settings::{Era, Mode, PRIORITY_SUM, Pool, Settings};
use crate::fib::{Action, Device, Hop, Hops, Route};
use ipnet::IpNet;
use serde::Serialize;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

/// Who programs a class of routes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Owner {
    /// The BGP daemon.
    Us,
    Felix,
    /// Both are told to: we leave the class to Felix.
    Both,
    /// Neither is.
    Nobody,
}

/// Who programs which class; VXLAN is always Felix's.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ownership {
    pub ipip: Owner,
    pub no_encap: Owner,
}

impl Ownership {
    /// Reads what both sides were told, with the defaults of this version; overlaps and holes are reported.
    pub fn read(settings: &Settings, reports: &mut Vec<Report>) -> Self {
        let (bgp, felix) = &settings.program_cluster_routes;
        let (bgp, felix) = match settings.era {
            // The field of the BGP side came with 3.32.
            Era::Plain => (Classes::ALL, Classes::two(felix.as_deref()).unwrap_or(Classes::NONE)),
            Era::Metric => {
                let (bgp, felix) = (Classes::two(bgp.as_deref()), Classes::two(felix.as_deref()));
                (bgp.unwrap_or(Classes::ALL), felix.unwrap_or(Classes::NONE))
            }
            Era::Split => {
                let (bgp, felix) = (Classes::four(bgp.as_deref()), Classes::four(felix.as_deref()));
                (bgp.unwrap_or(Classes::NO_ENCAP), felix.unwrap_or(Classes::IPIP))
            }
        };
        let owner = |bgp: bool, felix: bool| match (bgp, felix) {
            (true, false) => Owner::Us,
            (false, true) => Owner::Felix,
            (true, true) => Owner::Both,
            (false, false) => Owner::Nobody,
        };
        let ownership = Self { ipip: owner(bgp.ipip, felix.ipip), no_encap: owner(bgp.no_encap, felix.no_encap) };
        let uses = |ipip: bool| settings.pools.iter().any(|p| p.vxlan == Mode::Never && (p.ipip != Mode::Never) == ipip);
        for (class, owner, is_used) in [("IPIP", ownership.ipip, uses(true)), ("no encapsulation", ownership.no_encap, uses(false))] {
            let message = match owner {
                _ if !is_used => continue,
                Owner::Both => format!("routes of pools with {class} are programmed by Felix too; kubgp leaves them to it"),
                Owner::Nobody => format!("routes of pools with {class} are programmed by nobody; FelixConfiguration says no as well"),
                Owner::Us | Owner::Felix => continue,
            };
            reports.push(Report::warning("BGPConfiguration", "default", "spec.programClusterRoutes", message));
        }
        ownership
    }
}

/// The classes that one side programs.
#[derive(Clone, Copy)]
struct Classes {
    ipip: bool,
    no_encap: bool,
}

impl Classes {
    const ALL: Self = Self { ipip: true, no_encap: true };
    const NONE: Self = Self { ipip: false, no_encap: false };
    const IPIP: Self = Self { ipip: true, no_encap: false };
    const NO_ENCAP: Self = Self { ipip: false, no_encap: true };

    /// `None` for a value that is unset or unknown to the version.
    fn two(value: Option<&str>) -> Option<Self> {
        match value? {
            "Enabled" => Some(Self::ALL),
            "Disabled" => Some(Self::NONE),
            _ => None,
        }
    }

    fn four(value: Option<&str>) -> Option<Self> {
        match value? {
            "EnabledIPIPOnly" => Some(Self::IPIP),
            "EnabledNoEncapOnly" => Some(Self::NO_ENCAP),
            other => Self::two(Some(other)),
        }
    }
}

/// A selected route as it stands in the RIB.
#[derive(Clone, Copy, Debug)]
pub struct Learned<'a> {
    pub prefix: IpNet,
    pub local_pref: Option<u32>,
    /// Of the best path, and of those that share traffic with it.
    pub hops: &'a [LearnedHop],
}

/// One BGP next hop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LearnedHop {
    pub address: IpAddr,
    /// The kernel has a route to it. Of no interest where a tunnel leads there.
    pub is_resolved: bool,
}

/// Why a route does not go to the kernel.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Left {
    /// A service address: kube-proxy's, whoever announces it.
    Service,
    /// The next hop is a node that Felix reaches through WireGuard.
    WireGuard,
    /// Pools with VXLAN are Felix's.
    Vxlan,
    /// Felix programs this class of pools.
    Felix,
    /// `programClusterRoutes` says that the BGP daemon does not program this class, and nobody else does.
    SwitchedOff,
    /// It has no next hop.
    NoNextHop,
}

/// Everything that decides about kernel routes, as plain values.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelRules {
    era: Era,
    ownership: Ownership,
    pools: Vec<Pool>,
    services: Vec<IpNet>,
    /// Addresses of nodes that speak WireGuard with us.
    wireguard: BTreeSet<IpAddr>,
    /// Our address and its subnet.
    own_v4: Option<IpNet>,
    tunnel: Arc<str>,
}

impl KernelRules {
    pub fn new(world: &World<'_>) -> Self {
        let mut wireguard = BTreeSet::new();
        for family in IpFamily::ALL.into_iter().filter(|family| world.own.has_wireguard(*family)) {
            let speaks = |n: &&CalicoNode| n.name != world.own.name && n.has_wireguard(family);
            wireguard.extend(world.nodes.values().filter(speaks).filter_map(|n| n.address(family)));
        }
        Self {
            era: world.settings.era,
            ownership: world.ownership,
            pools: world.settings.pools.clone(),
            services: world.settings.service_ranges().collect(),
            wireguard,
            own_v4: world.own.ipv4,
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
        let ipip = self.encapsulation(&route.prefix)?;
        let direct = |hop: &LearnedHop| match ipip {
            Mode::Never => true,
            Mode::Always => false,
            Mode::CrossSubnet => self.own_v4.is_some_and(|own| own.contains(&hop.address)),
        };
        let usable = route.hops.iter().filter(|hop| !self.wireguard.contains(&hop.address));
        let hops: Hops = usable
            .filter_map(|hop| match direct(hop) {
                true => hop.is_resolved.then(|| Hop::via(hop.address)),
                false => Some(Hop { device: Some(Device::Name(self.tunnel.clone())), onlink: true, ..Hop::via(hop.address) }),
            })
            .collect();
        // What leads nowhere must not fall through to a shorter prefix.
        let action = if hops.is_empty() { Action::Unreachable } else { Action::Unicast(hops) };
        Ok(Route { prefix: route.prefix, action, metric: self.metric(route.local_pref) }.normalized())
    }

    /// What stands in the kernel for an own block, so that traffic to unused addresses of it ends here.
    ///
    /// # Errors
    /// Why it is not ours to put there.
    pub fn blackhole(&self, block: IpNet) -> Result<Route, Left> {
        self.encapsulation(&block)?;
        Ok(Route { prefix: block, action: Action::Blackhole, metric: self.static_metric() }.normalized())
    }

    /// The metric of routes that are not learned: Calico gives them none in any era.
    pub const fn static_metric(&self) -> u32 {
        0
    }

    /// The pool's IPIP mode, `Never` for prefixes outside of all pools.
    fn encapsulation(&self, prefix: &IpNet) -> Result<Mode, Left> {
        // Calico has no rules for pools on a node without IPv4 network.
        if matches!(prefix, IpNet::V4(_)) && self.own_v4.is_none() {
            return Ok(Mode::Never);
        }
        let Some(pool) = self.pools.iter().find(|pool| pool.net.contains(prefix)) else { return Ok(Mode::Never) };
        let owner = match pool {
            Pool { vxlan: Mode::Always | Mode::CrossSubnet, .. } => return Err(Left::Vxlan),
            Pool { ipip: Mode::Never, .. } => self.ownership.no_encap,
            Pool { .. } => self.ownership.ipip,
        };
        match owner {
            Owner::Us => Ok(pool.ipip),
            Owner::Felix | Owner::Both => Err(Left::Felix),
            Owner::Nobody => Err(Left::SwitchedOff),
        }
    }

    /// None in the first era; later the mirror of LOCAL_PREF, whose default is 100.
    fn metric(&self, local_pref: Option<u32>) -> u32 {
        match self.era {
            Era::Plain => 0,
            Era::Metric | Era::Split => PRIORITY_SUM.saturating_sub(local_pref.unwrap_or(DEFAULT_LOCAL_PREF)).max(1),
        }
    }
}

/// Why a kernel protocol number cannot be ours beside Felix.
pub const fn protocol_fault(protocol: u8) -> Option<&'static str> {
    match protocol {
        3 => Some("Felix removes routes of protocol 3 (boot) from workload interfaces"),
        80 => Some("80 is Felix's own: it removes what it did not program"),
        _ => None,
    }
}

/// The protocol number under which BIRD leaves routes behind; they are adopted at take-over.
pub const BIRD_PROTOCOL: u8 = 12;
/// The device that Felix creates for IPIP.
const TUNNEL: &str = "tunl0";
/// What a route without LOCAL_PREF counts as.
const DEFAULT_LOCAL_PREF: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_felix_cleans_up_are_refused() {
        assert!(protocol_fault(3).is_some() && protocol_fault(80).is_some());
        assert_eq!([BIRD_PROTOCOL, 179].map(protocol_fault), [None, None]);
    }
}
