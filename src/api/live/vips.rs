//! Pools, allocations and advertisements, from what the roles `vip` and `allocator` decided last.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Daemon;
use super::allocation::{self, Addresses};
use crate::api::types::{AdvertisementInfo, Allocation, Community, Family, LargeCommunity, PoolInfo, PoolUsage};
use crate::operator::metallb::model::{Config, Pool};
use crate::operator::metallb::ranges::Family as PoolFamily;
use crate::operator::metallb::values::AnyCommunity;
use crate::operator::{Allocating, Key, State, Vips};

/// All pools by name; those that cannot be read too.
pub(super) async fn pools(daemon: &Daemon) -> Vec<PoolInfo> {
    let state = daemon.cluster().state();
    let addresses = Addresses::ask(daemon, &state).await;
    let Some(config) = config(&state, &addresses) else { return Vec::new() };
    let mut used = state.vips.as_deref().map(used_by_status).unwrap_or_default();
    if let Some(leading) = addresses.leading() {
        used = used_by_decision(leading);
    }
    let refused = addresses.refused();
    let refusals = |name: &str| refused.get(name).cloned().unwrap_or_default();
    let good = config.pools.values().map(|pool| PoolInfo {
        refused: refusals(&pool.name),
        ..pool_info(config, pool, used.get(pool.name.as_str()).copied().unwrap_or_default())
    });
    let bad = config.broken_pools.iter().filter(|name| !config.pools.contains_key(*name));
    let bad = bad.map(|name| PoolInfo {
        name: name.clone(),
        addresses: Vec::new(),
        auto_assign: false,
        avoid_buggy_ips: false,
        valid: false,
        families: Vec::new(),
        services: 0,
        refused: refusals(name),
        advertisements: Vec::new(),
        problems: problems(config, "IPAddressPool", name),
    });
    let mut all: Vec<_> = good.chain(bad).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// What the objects say: to the role `vip`, which reads all of them, or else to the allocator.
fn config<'a>(state: &'a State, addresses: &'a Addresses) -> Option<&'a Config> {
    state.vips.as_ref().map(|vips| &*vips.config).or_else(|| addresses.leading().map(|leading| &*leading.config))
}

/// How much of a pool is in use.
#[derive(Clone, Copy, Default)]
struct Use {
    services: u64,
    /// IPv4 and IPv6.
    addresses: [u64; 2],
}

/// As the statuses of Services show it.
fn used_by_status(vips: &Vips) -> BTreeMap<&str, Use> {
    let mut addresses: BTreeMap<&str, BTreeSet<IpAddr>> = BTreeMap::new();
    let mut services: BTreeMap<&str, u64> = BTreeMap::new();
    for standing in vips.announcer.standings() {
        let Some(pool) = standing.pool else { continue };
        *services.entry(&pool.name).or_default() += 1;
        addresses.entry(&pool.name).or_default().extend(standing.addresses.iter().filter(|address| pool.contains(address)));
    }
    let count = |all: &BTreeSet<IpAddr>| PoolFamily::BOTH.map(|family| all.iter().filter(|a| PoolFamily::of(a) == family).count() as u64);
    let of = |(name, all): (&'_ str, BTreeSet<IpAddr>)| Use {
        services: services.get(name).copied().unwrap_or_default(),
        addresses: count(&all),
    };
    addresses.into_iter().map(|(name, all)| (name, of((name, all)))).collect()
}

/// As the allocator decided it, whether it is written already or not.
fn used_by_decision(leading: &Allocating) -> BTreeMap<&str, Use> {
    let mut used: BTreeMap<&str, Use> =
        leading.pools.iter().map(|of| (of.pool.name.as_str(), Use { services: 0, addresses: of.used })).collect();
    for name in leading.services.iter().filter_map(|service| service.pool.as_deref()) {
        used.entry(name).or_default().services += 1;
    }
    used
}

fn pool_info(config: &Config, pool: &Pool, used: Use) -> PoolInfo {
    let usage = |(family, used): (PoolFamily, u64)| {
        let total = pool.size(family);
        let free = number(total.saturating_sub(used.into()));
        PoolUsage { family: shown(family), total: number(total), used, free }
    };
    let range = |block: &crate::operator::metallb::ranges::Block| format!("{}-{}", block.first, block.last);
    let including = config.advertisements.values().filter(|a| a.pools.includes(pool));
    let families = PoolFamily::BOTH.into_iter().zip(used.addresses);
    PoolInfo {
        name: pool.name.clone(),
        addresses: pool.blocks.iter().map(range).collect(),
        auto_assign: pool.auto_assign,
        avoid_buggy_ips: pool.avoid_buggy,
        valid: !config.broken_pools.contains(&pool.name),
        families: families.filter(|(family, _)| pool.has(*family)).map(usage).collect(),
        services: used.services,
        refused: BTreeMap::new(),
        advertisements: including.map(|a| a.name.clone()).collect(),
        problems: problems(config, "IPAddressPool", &pool.name),
    }
}

/// Addresses that Services have, by address: as the allocator decided, where this process is the one, else as their statuses show.
pub(super) fn allocations(daemon: &Daemon) -> Vec<Allocation> {
    let state = daemon.cluster().state();
    let mut all: BTreeMap<IpAddr, Allocation> = BTreeMap::new();
    let mut note = |address: IpAddr, pool: Option<&str>, service: &Key, sharing: Option<&str>| {
        let pool = pool.map(str::to_owned);
        let entry = all.entry(address).or_insert_with(|| Allocation { address, pool, services: Vec::new(), sharing_key: None });
        entry.services.push(service.to_string());
        entry.sharing_key = entry.sharing_key.take().or_else(|| sharing.map(str::to_owned));
    };
    if let Some(leading) = allocation::leading(&state) {
        for service in &leading.services {
            let (pool, sharing) = (service.pool.as_deref(), service.sharing.as_deref());
            service.addresses.iter().for_each(|address| note(*address, pool, &service.service, sharing));
        }
    } else if let Some(vips) = &state.vips {
        for standing in vips.announcer.standings() {
            for address in standing.addresses {
                let pool = standing.pool.filter(|pool| pool.contains(address)).map(|pool| pool.name.as_str());
                note(*address, pool, standing.service, standing.sharing);
            }
        }
    }
    all.into_values().collect()
}

/// All advertisements by name.
pub(super) fn advertisements(daemon: &Daemon) -> Vec<AdvertisementInfo> {
    let Some(vips) = daemon.cluster().state().vips.clone() else { return Vec::new() };
    let (announcer, config) = (&vips.announcer, &*vips.config);
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
            problems: problems(config, "BGPAdvertisement", &advertisement.name),
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
fn problems(config: &Config, kind: &str, name: &str) -> Vec<String> {
    let about = config.complaints.iter().filter(|c| c.object.kind == kind && &*c.object.key.name == name);
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
