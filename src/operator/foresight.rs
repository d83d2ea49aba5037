//! What an allocator would decide about Services without address, worked out from what a node knows when somebody asks: the node sees
//! the Services and the pools, though not the allocator, nor the labels of Namespaces.

use super::state::{Foresight, Foresights};
use crate::kube::metallb::allocator::Allocator;
use crate::kube::metallb::class::ingress_addresses;
use crate::kube::metallb::model::{Config, Pool};
use crate::kube::objects::{Key, Object, Service};
use crate::kube::store::Store;
use std::sync::Arc;

/// Plays the allocator with what there is.
pub fn foresee(config: &Config, class: Option<&str>, store: &Store) -> Foresights {
    let is_opaque = |pool: &Arc<Pool>| pool.pin.as_ref().is_some_and(|pin| !pin.namespace_selectors.is_empty());
    let (opaque, clear): (Vec<_>, Vec<_>) = config.pools.values().partition(|pool| is_opaque(pool));
    let pools = clear.into_iter().map(|pool| (pool.name.clone(), Arc::clone(pool))).collect();
    let mut allocator = Allocator::new(class.map(str::to_owned));
    allocator.handle_config(&Config { pools, broken_pools: config.broken_pools.clone(), ..Config::default() });
    for service in store.list::<Service>() {
        allocator.handle_service(&service.key(), Some(service));
    }
    allocator.handle_synced();
    while allocator.poll().is_some() {}
    let is_without = |key: &Key| store.get::<Service>(key).is_some_and(|service| ingress_addresses(service).is_empty());
    let told = allocator.allocations().filter(|allocation| is_without(allocation.service)).filter_map(|allocation| {
        let foresight = match (allocation.pool, allocation.refusal) {
            (Some(pool), _) => Foresight::Gets(allocation.addresses.to_vec(), pool.to_owned()),
            (None, Some(refusal)) => Foresight::Nothing(refusal.clone()),
            (None, None) => return None,
        };
        Some((allocation.service.clone(), foresight))
    });
    Foresights { services: told.collect(), opaque: opaque.into_iter().map(|pool| pool.name.clone()).collect() }
}
