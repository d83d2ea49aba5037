//! What is told outside about Services and pools: the contents of ServiceBGPStatus objects, of the pools' status, and the values of
//! MetalLB's metrics.

use super::allocator::Allocator;
use super::announce::Announcer;
use super::complaint::as_text;
use super::model::{Config, Pool};
use super::ranges::Family;
use crate::kube::objects::Key;
use ipnet::IpNet;
use serde::Serialize;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The content of one ServiceBGPStatus object.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceBgpStatus {
    pub node: String,
    pub service_name: String,
    pub service_namespace: String,
    /// Names of the BGPPeers whose Adj-RIB-Out holds every prefix that is meant for them, sorted. The object goes when there are none.
    pub peers: BTreeSet<String>,
}

/// The status of one Service from this node. `is_sent` says whether a session is up and its Adj-RIB-Out holds the prefix.
pub fn service_status(announcer: &Announcer, service: &Key, is_sent: impl Fn(&str, &IpNet) -> bool) -> Option<ServiceBgpStatus> {
    let routes = announcer.routes_of(service);
    let wanted: BTreeSet<&String> = routes.iter().flat_map(|route| route.peers.keys()).collect();
    let sent = |peer: &str| routes.iter().filter(|route| route.peers.contains_key(peer)).all(|route| is_sent(peer, &route.prefix));
    let peers: BTreeSet<String> = wanted.into_iter().filter(|peer| sent(peer)).cloned().collect();
    (!peers.is_empty()).then(|| ServiceBgpStatus {
        node: announcer.node().name.clone(),
        service_name: service.name.to_string(),
        service_namespace: service.namespace.to_string(),
        peers,
    })
}

/// The status of an IPAddressPool; numbers end at `i64::MAX`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolStatus {
    #[serde(rename = "assignedIPv4")]
    pub assigned_ipv4: i64,
    #[serde(rename = "assignedIPv6")]
    pub assigned_ipv6: i64,
    #[serde(rename = "availableIPv4")]
    pub available_ipv4: i64,
    #[serde(rename = "availableIPv6")]
    pub available_ipv6: i64,
}

impl PoolStatus {
    fn new(pool: &Pool, [v4, v6]: [u64; 2]) -> Self {
        let number = |value: u128| i64::try_from(value).unwrap_or(i64::MAX);
        let available = |family, used: u64| number(pool.size(family).saturating_sub(used.into()));
        Self {
            assigned_ipv4: number(v4.into()),
            assigned_ipv6: number(v6.into()),
            available_ipv4: available(Family::V4, v4),
            available_ipv6: available(Family::V6, v6),
        }
    }
}

/// Every pool and its status.
pub fn pool_statuses(allocator: &Allocator) -> Vec<(String, PoolStatus)> {
    allocator.usage().into_iter().map(|(pool, used)| (pool.name.clone(), PoolStatus::new(&pool, used))).collect()
}

/// The values behind `metallb_allocator_*` of one pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PoolMetrics {
    pub pool: String,
    /// `addresses_total`, `ipv4_addresses_total`, `ipv6_addresses_total`.
    pub total: [f64; 3],
    /// `addresses_in_use_total`, `ipv4_addresses_in_use_total`, `ipv6_addresses_in_use_total`.
    pub in_use: [f64; 3],
}

/// One series of `metallb_speaker_announced`; the node and `protocol="bgp"` are the same for all.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Announced {
    #[serde(serialize_with = "as_text")]
    pub service: Key,
    pub ip: IpAddr,
}

/// MetalLB's metrics as far as they come from objects. Those of sessions come from sessions, those of watches from watches.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Metrics {
    pub pools: Vec<PoolMetrics>,
    pub announced: Vec<Announced>,
    /// `metallb_k8s_client_config_loaded_bool`.
    pub config_loaded: bool,
    /// `metallb_k8s_client_config_stale_bool`.
    pub config_stale: bool,
}

impl Metrics {
    /// Of the roles that this process has. `config` is `None` before the first one was read.
    pub fn collect(config: Option<&Config>, allocator: Option<&Allocator>, announcer: Option<&Announcer>) -> Self {
        let pools = allocator.map(Allocator::usage).unwrap_or_default();
        let announced = announcer.into_iter().flat_map(|announcer| {
            let on = announcer.services().filter(|(_, _, blocked)| blocked.is_none());
            on.flat_map(|(key, ips, _)| ips.iter().map(|ip| Announced { service: key.clone(), ip: *ip }))
        });
        Self {
            pools: pools.iter().map(|(pool, used)| pool_metrics(pool, *used)).collect(),
            announced: announced.collect(),
            config_loaded: config.is_some(),
            config_stale: config.is_some_and(Config::is_stale),
        }
    }
}

fn pool_metrics(pool: &Pool, [v4, v6]: [u64; 2]) -> PoolMetrics {
    let [total4, total6] = Family::BOTH.map(|family| pool.size(family) as f64);
    let [used4, used6] = [v4 as f64, v6 as f64];
    PoolMetrics { pool: pool.name.clone(), total: [total4 + total6, total4, total6], in_use: [used4 + used6, used4, used6] }
}
