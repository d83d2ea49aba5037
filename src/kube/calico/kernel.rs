//! Which learned routes go to the kernel, and how: what Felix owns is left to it, tunnels are a device and not a next hop to resolve.

use super::World;
use super::node::{CalicoNode, IpFamily};
use super::report::Report;
use super::settings::{Era, Mode, PRIORITY_SUM, Pool, Settings};
use crate::fib::rules::{Class, Left, Metric, TUNNEL, Way};
use crate::fib::{Action, Route, Rules};
use ipnet::IpNet;
use serde::Serialize;
use std::collections::BTreeSet;

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

/// The rules of the kernel's side.
pub fn rules(world: &World<'_>) -> Rules {
    let mut wireguard = BTreeSet::new();
    for family in IpFamily::ALL.into_iter().filter(|family| world.own.has_wireguard(*family)) {
        let speaks = |n: &&CalicoNode| n.name != world.own.name && n.has_wireguard(family);
        wireguard.extend(world.nodes.values().filter(speaks).filter_map(|n| n.address(family)));
    }
    // Calico has no rules for pools on a node without IPv4 network.
    let pools = world.settings.pools.iter().filter(|pool| matches!(pool.net, IpNet::V6(_)) || world.own.ipv4.is_some());
    Rules {
        services: world.settings.service_ranges().collect(),
        wireguard,
        classes: pools.map(|pool| class(pool, world)).collect(),
        otherwise: Way::Direct,
        metric: match world.settings.era {
            Era::Plain => Metric::Is(STATIC_METRIC),
            Era::Metric | Era::Split => Metric::Mirrors(PRIORITY_SUM),
        },
        blocks_unresolved: true,
        tunnel: TUNNEL.into(),
    }
}

/// What stands in the kernel for an own block, so that traffic to unused addresses of it ends here.
///
/// # Errors
/// Why it is not ours to put there.
pub fn blackhole(rules: &Rules, block: IpNet) -> Result<Route, Left> {
    rules.way(&block)?;
    Ok(Route { prefix: block, action: Action::Blackhole, metric: STATIC_METRIC }.normalized())
}

fn class(pool: &Pool, world: &World<'_>) -> Class {
    let owner = match pool {
        Pool { vxlan: Mode::Always | Mode::CrossSubnet, .. } => return Class { within: pool.net, way: Err(Left::Vxlan) },
        Pool { ipip: Mode::Never, .. } => world.ownership.no_encap,
        Pool { .. } => world.ownership.ipip,
    };
    let way = match owner {
        Owner::Us => Ok(match (pool.ipip, world.own.ipv4) {
            (Mode::Never, _) => Way::Direct,
            (Mode::CrossSubnet, Some(own)) => Way::TunnelUnlessWithin(own),
            (Mode::Always, _) | (Mode::CrossSubnet, None) => Way::Tunnel,
        }),
        Owner::Felix | Owner::Both => Err(Left::Felix),
        Owner::Nobody => Err(Left::SwitchedOff),
    };
    Class { within: pool.net, way }
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
/// The metric of routes that are not learned: Calico gives them none in any era.
pub const STATIC_METRIC: u32 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_felix_cleans_up_are_refused() {
        assert!(protocol_fault(3).is_some() && protocol_fault(80).is_some());
        assert_eq!([BIRD_PROTOCOL, 179].map(protocol_fault), [None, None]);
    }
}
