//! Pools, allocations and advertisements, from what the role `vip` decided last.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Daemon;
use crate::api::types::{AdvertisementInfo, Allocation, Community, Family, LargeCommunity, PoolInfo, PoolUsage};
use crate::operator::Vips;
use crate::operator::metallb::announce::Standing;
use crate::operator::metallb::model::Pool;
use crate::operator::metallb::ranges::Family as PoolFamily;
use crate::operator::metallb::values::AnyCommunity;

/// All pools by name; those that cannot be read too.
pub(super) fn pools(daemon: &Daemon) -> Vec<PoolInfo> {
    let Some(vips) = daemon.cluster().state().vips.clone() else { return Vec::new() };
    let mut used: BTreeMap<&str, Use> = BTreeMap::new();
    for standing in vips.announcer.standings() {
        let Some(pool) = standing.pool else { continue };
        let of = used.entry(&pool.name).or_default();
        of.services += 1;
        of.addresses.extend(standing.addresses.iter().filter(|address| pool.contains(address)));
    }
    let good = vips.config.pools.values().map(|pool| pool_info(&vips, pool, used.get(pool.name.as_str())));
    let bad = vips.config.broken_pools.iter().filter(|name| !vips.config.pools.contains_key(*name));
    let bad = bad.map(|name| PoolInfo {
        name: name.clone(),
        addresses: Vec::new(),
        auto_assign: false,
        avoid_buggy_ips: false,
        valid: false,
        families: Vec::new(),
        services: 0,
        advertisements: Vec::new(),
        problems: problems(&vips, "IPAddressPool", name),
    });
    let mut all: Vec<_> = good.chain(bad).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Who uses a pool.
#[derive(Default)]
struct Use {
    services: u64,
    addresses: BTreeSet<IpAddr>,
}

fn pool_info(vips: &Vips, pool: &Pool, used: Option<&Use>) -> PoolInfo {
    let usage = |family: PoolFamily| {
        let count = used.map_or(0, |u| u.addresses.iter().filter(|address| PoolFamily::of(address) == family).count());
        let (total, used) = (pool.size(family), count as u64);
        let free = number(total.saturating_sub(used.into()));
        PoolUsage { family: shown(family), total: number(total), used, free }
    };
    let range = |block: &crate::operator::metallb::ranges::Block| format!("{}-{}", block.first, block.last);
    let including = vips.config.advertisements.values().filter(|a| a.pools.includes(pool));
    PoolInfo {
        name: pool.name.clone(),
        addresses: pool.blocks.iter().map(range).collect(),
        auto_assign: pool.auto_assign,
        avoid_buggy_ips: pool.avoid_buggy,
        valid: !vips.config.broken_pools.contains(&pool.name),
        families: PoolFamily::BOTH.into_iter().filter(|family| pool.has(*family)).map(usage).collect(),
        services: used.map_or(0, |u| u.services),
        advertisements: including.map(|a| a.name.clone()).collect(),
        problems: problems(vips, "IPAddressPool", &pool.name),
    }
}

/// Addresses that Services have, by address.
pub(super) fn allocations(daemon: &Daemon) -> Vec<Allocation> {
    let Some(vips) = daemon.cluster().state().vips.clone() else { return Vec::new() };
    let mut all: BTreeMap<IpAddr, Allocation> = BTreeMap::new();
    let mut note = |address: IpAddr, standing: &Standing<'_>| {
        let pool = standing.pool.filter(|pool| pool.contains(&address)).map(|pool| pool.name.clone());
        let entry = all.entry(address).or_insert_with(|| Allocation { address, pool, services: Vec::new(), sharing_key: None });
        entry.services.push(standing.service.to_string());
        entry.sharing_key = entry.sharing_key.take().or_else(|| standing.sharing.map(str::to_owned));
    };
    for standing in vips.announcer.standings() {
        standing.addresses.iter().for_each(|address| note(*address, &standing));
    }
    all.into_values().collect()
}

/// All advertisements by name.
pub(super) fn advertisements(daemon: &Daemon) -> Vec<AdvertisementInfo> {
    let Some(vips) = daemon.cluster().state().vips.clone() else { return Vec::new() };
    let (announcer, config) = (&vips.announcer, &vips.config);
    let rows = config.advertisements.values().map(|advertisement| {
        let (services, prefixes) = announcer.reach(advertisement);
        let (communities, large_communities) = split(&advertisement.communities);
        let meant = |name: &&String| advertisement.peers.is_empty() || advertisement.peers.contains(*name);
        AdvertisementInfo {
            name: advertisement.name.clone(),
            pools: config.pools.values().filter(|pool| advertisement.pools.includes(pool)).map(|pool| pool.name.clone()).collect(),
            peers: announcer.peers().iter().filter(meant).cloned().collect(),
            selected: advertisement.nodes.any_or_empty(&announcer.node().labels),
            aggregation_length: advertisement.aggregation,
            aggregation_length_v6: advertisement.aggregation_v6,
            local_pref: advertisement.local_pref,
            communities,
            large_communities,
            services: services as u64,
            prefixes: prefixes as u64,
            problems: problems(&vips, "BGPAdvertisement", &advertisement.name),
        }
    });
    rows.collect()
}

fn split(all: &BTreeSet<AnyCommunity>) -> (Vec<Community>, Vec<LargeCommunity>) {
    let (mut standard, mut large) = (Vec::new(), Vec::new());
    for community in all {
        match community {
            AnyCommunity::Standard(value) => standard.push(Community(value.0)),
            AnyCommunity::Large(value) => large.push(LargeCommunity(value.0[0], value.0[1], value.0[2])),
        }
    }
    (standard, large)
}

/// What is to be said about one object.
fn problems(vips: &Vips, kind: &str, name: &str) -> Vec<String> {
    let about = vips.config.complaints.iter().filter(|c| c.object.kind == kind && &*c.object.key.name == name);
    about.map(|c| if c.path.is_empty() { c.message.clone() } else { format!("{}: {}", c.path, c.message) }).collect()
}

fn number(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

const fn shown(family: PoolFamily) -> Family {
    match family {
        PoolFamily::V4 => Family::Ipv4Unicast,
        PoolFamily::V6 => Family::Ipv6Unicast,
    }
}
