//! Prefixes of our own: those of the file, and those that were added at run time.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::Daemon;
use super::rows;
use super::walk::problem;
use crate::api::types::{Community, LargeCommunity, Network, NetworkRequest, Problem};
use crate::policy::NEXT_HOP_SELF;
use crate::speaker::NetworkChange;
use crate::wire::attr::{AttrSet, NextHop, PathAttributes, Tags};

/// Those of the file first.
pub(super) fn list(daemon: &Daemon) -> Vec<Network> {
    let running = daemon.speaker().running();
    let configured = running.plan.networks.values().map(|network| row(network.prefix, &network.attrs, "config"));
    let added = running.networks.iter().filter(|(prefix, _)| !running.plan.networks.contains_key(prefix));
    configured.chain(added.map(|(prefix, attrs)| row(*prefix, attrs, "runtime"))).collect()
}

fn row(prefix: IpNet, attrs: &AttrSet, source: &str) -> Network {
    Network {
        prefix,
        source: source.to_owned(),
        next_hop: rows::next_hop(attrs),
        local_pref: attrs.head().local_pref(),
        med: attrs.med(),
        communities: attrs.communities().map(Community).collect(),
        large_communities: attrs.large_communities().map(|[a, b, c]| LargeCommunity(a, b, c)).collect(),
    }
}

/// # Errors
/// A next hop that is none, or a prefix of the file.
pub(super) async fn add(daemon: &Daemon, request: NetworkRequest) -> Result<Network, Problem> {
    let prefix = request.prefix.trunc();
    let attrs = AttrSet::from(&attributes(&request)?);
    let change = NetworkChange { prefix, attrs: Some(attrs.clone()) };
    daemon.speaker().change_network(change).await.map_err(|e| problem(&e))?;
    Ok(row(prefix, &attrs, "runtime"))
}

/// # Errors
/// A prefix of the file, or one that was not added.
pub(super) async fn delete(daemon: &Daemon, prefix: IpNet) -> Result<Network, Problem> {
    let prefix = prefix.trunc();
    let attrs = daemon.speaker().running().networks.get(&prefix).cloned();
    daemon.speaker().change_network(NetworkChange { prefix, attrs: None }).await.map_err(|e| problem(&e))?;
    attrs.map(|attrs| row(prefix, &attrs, "runtime")).ok_or_else(|| Problem::not_found(format!("{prefix} was not added at run time")))
}

fn attributes(request: &NetworkRequest) -> Result<PathAttributes, Problem> {
    let (next_hop, tags) = match (request.next_hop, request.prefix) {
        (None, IpNet::V4(_)) => (NextHop::V4(Ipv4Addr::UNSPECIFIED), NEXT_HOP_SELF),
        (None, IpNet::V6(_)) => (NextHop::V6(Ipv6Addr::UNSPECIFIED), NEXT_HOP_SELF),
        (Some(address), _) if address.is_unspecified() || address.is_multicast() || address.is_loopback() => {
            return Err(Problem::usage(format!(
                "{address} is not the address of a host; leave the next hop out, or give a unicast address"
            )));
        }
        (Some(address), IpNet::V6(_)) if address.is_ipv4() => {
            return Err(Problem::usage(format!("{address} cannot be the next hop of an IPv6 prefix")));
        }
        (Some(address), _) => (NextHop::from(address), Tags::default()),
    };
    Ok(PathAttributes {
        med: request.med,
        local_pref: request.local_pref,
        communities: sorted(request.communities.iter().map(|c| c.0)),
        large_communities: sorted(request.large_communities.iter().map(|c| [c.0, c.1, c.2])),
        tags,
        ..PathAttributes::new(next_hop)
    })
}

/// Sorted and without duplicates, as attributes want them.
pub(super) fn sorted<T: Ord>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.dedup();
    values
}
