//! Advertisements: by themselves, and against the pools and peers that they name.

use super::{COMMUNITY_FORMS, Item, names, selectors, unknown_fields};
use crate::kube::metallb::complaint::{Fault, Report, Source};
use crate::kube::metallb::model::{Advertisement, Config, Pool, PoolChoice};
use crate::kube::metallb::objects::BGPAdvertisementSpec;
use crate::kube::metallb::ranges::Family;
use crate::kube::metallb::values::AnyCommunity;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub fn check(item: &Item<BGPAdvertisementSpec>, aliases: &BTreeMap<String, AnyCommunity>, report: &mut Report) -> Option<Advertisement> {
    let (spec, source, before) = (&item.spec, &item.source, report.errors());
    unknown_fields(source, &spec.unknown, report);
    let aggregation = length(source, "aggregationLength", spec.aggregation_length, 32, report);
    let aggregation_v6 = length(source, "aggregationLengthV6", spec.aggregation_length_v6, 128, report);
    let services = selectors(source, "serviceSelectors", &spec.service_selectors, report);
    if !services.is_empty() && (aggregation, aggregation_v6) != (32, 128) {
        let message = "an aggregate stands for all Services in it, whatever serviceSelectors says".to_owned();
        report.error(source, "serviceSelectors", Fault::Conflict, (message, "remove the selectors, or the aggregation lengths"));
    }
    names(source, "communities", &spec.communities, report);
    let advertisement = Advertisement {
        name: item.name.clone(),
        source: source.clone(),
        pools: PoolChoice {
            names: names(source, "ipAddressPools", &spec.ip_address_pools, report),
            selectors: selectors(source, "ipAddressPoolSelectors", &spec.ip_address_pool_selectors, report),
            except: BTreeSet::new(),
        },
        nodes: selectors(source, "nodeSelectors", &spec.node_selectors, report),
        services,
        peers: names(source, "peers", &spec.peers, report),
        aggregation,
        aggregation_v6,
        local_pref: Some(spec.local_pref).filter(|p| *p > 0),
        communities: communities(source, &spec.communities, aliases, report),
    };
    (report.errors() == before).then_some(advertisement)
}

fn length(source: &Source, field: &str, written: Option<i32>, longest: u8, report: &mut Report) -> u8 {
    let Some(value) = written else { return longest };
    u8::try_from(value).ok().filter(|v| (1..=longest).contains(v)).unwrap_or_else(|| {
        report.error(source, field, Fault::Invalid, (format!("{value} is not in 1..={longest}"), "use a prefix length"));
        longest
    })
}

/// An alias of the user wins over a literal and over a well-known name.
fn communities(
    source: &Source,
    written: &[String],
    aliases: &BTreeMap<String, AnyCommunity>,
    report: &mut Report,
) -> BTreeSet<AnyCommunity> {
    let mut read = BTreeSet::new();
    for (i, text) in written.iter().enumerate() {
        let field = format!("communities[{i}]");
        if let Some(value) = aliases.get(text).copied().or_else(|| AnyCommunity::well_known(text)) {
            read.insert(value);
        } else if !text.contains(':') {
            let message = format!("no Community object defines `{text}`");
            report.error(source, &field, Fault::UnknownReference, (message, "define the alias, or write the community itself"));
        } else {
            match AnyCommunity::parse(text) {
                Ok(value) => drop(read.insert(value)),
                Err(why) => report.error(source, &field, Fault::Invalid, (why, COMMUNITY_FORMS)),
            }
        }
    }
    read
}

/// Names that nothing has, aggregates that reach beyond a pool, and advertisements that contradict each other.
pub fn check_references(config: &mut Config, report: &mut Report) {
    let mut checked = BTreeMap::new();
    for (name, advertisement) in &config.advertisements {
        unknown_names(config, advertisement, report);
        let except = too_short(config, advertisement, report);
        let mut advertisement = advertisement.clone();
        if advertisement.pools.except != except {
            Arc::make_mut(&mut advertisement).pools.except = except;
        }
        checked.insert(name.clone(), advertisement);
    }
    config.advertisements = checked;
    contradictions(config, report);
}

fn unknown_names(config: &Config, advertisement: &Advertisement, report: &mut Report) {
    let source = &advertisement.source;
    for name in &advertisement.pools.names {
        if !config.pools.contains_key(name) && !config.broken_pools.contains(name) {
            let message = format!("there is no pool `{name}`");
            report.warn(source, "ipAddressPools", Fault::UnknownReference, (message, "create the pool, or remove the name"));
        }
    }
    for name in &advertisement.peers {
        if !config.peers.contains_key(name) {
            let message = format!("there is no usable peer `{name}`");
            report.warn(source, "peers", Fault::UnknownReference, (message, "create or correct the BGPPeer, or remove the name"));
        }
    }
}

/// Pools with a part that is smaller than the aggregate: announcing it would attract traffic for addresses of others.
fn too_short(config: &Config, advertisement: &Advertisement, report: &mut Report) -> BTreeSet<String> {
    let mut except = BTreeSet::new();
    for pool in config.pools.values().filter(|pool| advertisement.pools.names_or_selects(pool)) {
        for block in &pool.blocks {
            let (field, length) = match block.family() {
                Family::V4 => ("aggregationLength", advertisement.aggregation),
                Family::V6 => ("aggregationLengthV6", advertisement.aggregation_v6),
            };
            let shortest = block.prefixes().iter().map(IpNet::prefix_len).min().unwrap_or(length);
            if length < shortest {
                let message = format!(
                    "length {length} reaches beyond {}-{} of pool `{}`, whose largest prefix is a /{shortest}; this pool is not announced",
                    block.first, block.last, pool.name
                );
                report.error(
                    &advertisement.source,
                    field,
                    Fault::Invalid,
                    (message, "use a longer aggregation length, or exclude the pool"),
                );
                except.insert(pool.name.clone());
                break;
            }
        }
    }
    except
}

/// Two advertisements that send one prefix to one peer with different LOCAL_PREF: the highest counts.
fn contradictions(config: &Config, report: &mut Report) {
    let all: Vec<&Arc<Advertisement>> = config.advertisements.values().collect();
    for (i, one) in all.iter().enumerate() {
        for other in all.iter().skip(i + 1).filter(|other| other.local_pref != one.local_pref && may_meet(one, other)) {
            let shared = config
                .pools
                .values()
                .find(|pool| one.pools.includes(pool) && other.pools.includes(pool) && same_prefixes(pool, one, other));
            if let Some(pool) = shared {
                let message = format!("`{}` announces pool `{}` with another localPref; the highest counts", one.name, pool.name);
                report.warn(&other.source, "localPref", Fault::Conflict, (message, "use one value, or other peers, nodes or lengths"));
            }
        }
    }
}

/// Whether some peer may get both. Selectors of nodes and Services are judged when it comes to it.
fn may_meet(one: &Advertisement, other: &Advertisement) -> bool {
    let peers = one.peers.is_empty() || other.peers.is_empty() || !one.peers.is_disjoint(&other.peers);
    let always = |a: &Advertisement| a.services.is_empty();
    let nodes = one.nodes == other.nodes || one.nodes.is_empty() || other.nodes.is_empty();
    peers && nodes && always(one) && always(other)
}

fn same_prefixes(pool: &Pool, one: &Advertisement, other: &Advertisement) -> bool {
    (pool.has(Family::V4) && one.aggregation == other.aggregation) || (pool.has(Family::V6) && one.aggregation_v6 == other.aggregation_v6)
}
