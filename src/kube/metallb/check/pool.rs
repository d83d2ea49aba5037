//! Pools: addresses that make sense and belong to one pool only.

use super::{Item, Specs, last_valid, name_twice, names, selectors, unknown_fields};
use crate::kube::metallb::complaint::{Fault, Report};
use crate::kube::metallb::model::{Config, Pin, Pool};
use crate::kube::metallb::objects::{IPAddressPoolSpec, ServiceAllocation};
use crate::kube::metallb::ranges::Block;
use std::cmp::Reverse;
use std::sync::Arc;

/// Accepts pools one after the other: those that did not change, then the others from the oldest on. So a new pool never takes
/// addresses from one that works.
pub fn check_all(specs: &Specs, previous: &Config, config: &mut Config, report: &mut Report) {
    let mut read: Vec<(&Item<IPAddressPoolSpec>, Option<Pool>)> = specs.pools.iter().map(|item| (item, check(item, report))).collect();
    let is_old = |item: &Item<IPAddressPoolSpec>, pool: &Option<Pool>| {
        pool.as_ref().is_some_and(|pool| last_valid(item, &previous.pools).is_some_and(|old| old.blocks == pool.blocks))
    };
    read.sort_by_cached_key(|(item, pool)| (Reverse(is_old(item, pool)), item.created.clone(), item.name.clone()));
    for (item, pool) in read {
        if config.pools.contains_key(&item.name) {
            name_twice(&item.source, &item.name, report);
            continue;
        }
        let fits = pool.filter(|pool| is_apart(item, pool, config, report)).map(Arc::new);
        let old = || last_valid(item, &previous.pools).filter(|old| config.pools.values().all(|other| overlap(other, old).is_none()));
        match fits.or_else(old) {
            Some(pool) => drop(config.pools.insert(item.name.clone(), pool)),
            None => drop(config.broken_pools.insert(item.name.clone())),
        }
    }
    let unreadable = previous.pools.values().filter(|pool| specs.unreadable.contains(&pool.source.object));
    config.broken_pools.extend(unreadable.map(|pool| pool.name.clone()));
    config.broken_pools.retain(|name| !config.pools.contains_key(name));
}

fn is_apart(item: &Item<IPAddressPoolSpec>, pool: &Pool, config: &Config, report: &mut Report) -> bool {
    let before = report.errors();
    for other in config.pools.values() {
        if let Some((theirs, ours)) = overlap(other, pool) {
            let field = pool.blocks.iter().position(|b| *b == ours).map_or_else(|| "addresses".to_owned(), |i| format!("addresses[{i}]"));
            let text = format!(
                "{}-{} overlaps {}-{} of pool `{}` ({})",
                ours.first, ours.last, theirs.first, theirs.last, other.name, other.source
            );
            report.error(&item.source, &field, Fault::Overlap, (text, "let each address belong to one pool only"));
        }
    }
    report.errors() == before
}

/// A block of each that overlap.
pub fn overlap(one: &Pool, other: &Pool) -> Option<(Block, Block)> {
    one.blocks.iter().find_map(|a| other.blocks.iter().find(|b| a.overlaps(b)).map(|b| (*a, *b)))
}

fn check(item: &Item<IPAddressPoolSpec>, report: &mut Report) -> Option<Pool> {
    let (spec, source, before) = (&item.spec, &item.source, report.errors());
    unknown_fields(source, &spec.unknown, report);
    if spec.addresses.is_empty() {
        report.error(source, "addresses", Fault::Missing, ("the pool has no addresses".to_owned(), "list prefixes or ranges"));
    }
    let mut blocks: Vec<Block> = Vec::new();
    for (i, text) in spec.addresses.iter().enumerate() {
        let field = format!("addresses[{i}]");
        match Block::parse(text) {
            Ok(block) => {
                if let Some(other) = blocks.iter().find(|other| other.overlaps(&block)) {
                    let message = format!("`{text}` overlaps {}-{} of the same pool", other.first, other.last);
                    report.error(source, &field, Fault::Overlap, (message, "list each address once"));
                }
                blocks.push(block);
            }
            Err(why) => {
                report.error(source, &field, Fault::Invalid, (why, "write 192.0.2.0/24, 192.0.2.7/32 or 192.0.2.10-192.0.2.20"));
            }
        }
    }
    let pin = spec.service_allocation.as_ref().map(|allocation| pin(item, allocation, report));
    let pool = Pool {
        name: item.name.clone(),
        source: source.clone(),
        labels: item.labels.clone(),
        blocks,
        auto_assign: spec.auto_assign.unwrap_or(true),
        avoid_buggy: spec.avoid_buggy_ips,
        pin,
    };
    (report.errors() == before).then_some(pool)
}

fn pin(item: &Item<IPAddressPoolSpec>, written: &ServiceAllocation, report: &mut Report) -> Pin {
    let source = &item.source;
    unknown_fields(source, &written.unknown, report);
    Pin {
        priority: written.priority,
        namespaces: names(source, "serviceAllocation.namespaces", &written.namespaces, report),
        namespace_selectors: selectors(source, "serviceAllocation.namespaceSelectors", &written.namespace_selectors, report),
        service_selectors: selectors(source, "serviceAllocation.serviceSelectors", &written.service_selectors, report),
    }
}
