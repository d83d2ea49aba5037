//! What the objects say, checked: pools, advertisements, peers. Custom resources and the legacy ConfigMap come to the same.

use super::complaint::{Complaint, Severity, Source};
use super::ranges::{Block, Family, is_buggy};
use super::selector::{Labels, Selectors};
use super::values::AnyCommunity;
use crate::config::plan::Secret;
use crate::wire::Asn;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

/// Everything that is valid, and what is to be said about the rest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Their addresses never overlap.
    pub pools: BTreeMap<String, Arc<Pool>>,
    /// Pools that exist but cannot be read: nobody may take it that they are gone.
    pub broken_pools: BTreeSet<String>,
    pub advertisements: BTreeMap<String, Arc<Advertisement>>,
    pub peers: BTreeMap<String, Arc<Peer>>,
    pub bfd_profiles: BTreeMap<String, Arc<BfdProfile>>,
    pub complaints: Vec<Complaint>,
}

impl Config {
    /// Whether something that was written is not in force (`metallb_k8s_client_config_stale_bool`).
    pub fn is_stale(&self) -> bool {
        self.complaints.iter().any(|c| c.severity == Severity::Error)
    }
}

/// Addresses, and who may have them.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    pub name: String,
    pub source: Source,
    pub labels: Labels,
    /// In declared order; they do not overlap.
    pub blocks: Vec<Block>,
    pub auto_assign: bool,
    pub avoid_buggy: bool,
    /// `None`: for everybody.
    pub pin: Option<Pin>,
}

/// For whom a pool is; such pools are tried before the others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pin {
    /// Lower first, 0 last.
    pub priority: i64,
    pub namespaces: BTreeSet<String>,
    pub namespace_selectors: Selectors,
    pub service_selectors: Selectors,
}

/// Why a Service may not have addresses of a pool.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exclusion {
    Namespace,
    ServiceLabels,
}

impl Pool {
    /// Whether a Service may have addresses of this pool.
    pub fn admits(&self, namespace: &str, namespace_labels: &Labels, service_labels: &Labels) -> Result<(), Exclusion> {
        let Some(pin) = &self.pin else { return Ok(()) };
        let restricted = !pin.namespaces.is_empty() || !pin.namespace_selectors.is_empty();
        if restricted && !pin.namespaces.contains(namespace) && !pin.namespace_selectors.any(namespace_labels) {
            return Err(Exclusion::Namespace);
        }
        if !pin.service_selectors.any_or_empty(service_labels) {
            return Err(Exclusion::ServiceLabels);
        }
        Ok(())
    }

    /// Where it comes among the pools that are tried: pinned ones first, by priority with 0 last, then the others.
    pub fn rank(&self) -> (bool, i64) {
        match &self.pin {
            Some(Pin { priority: 0, .. }) => (false, i64::MAX),
            Some(pin) => (false, pin.priority),
            None => (true, 0),
        }
    }

    pub fn contains(&self, address: &IpAddr) -> bool {
        self.blocks.iter().any(|block| block.contains(address))
    }

    /// Whether the address is one that this pool never gives.
    pub fn avoids(&self, address: &IpAddr) -> bool {
        self.avoid_buggy && is_buggy(address)
    }

    pub fn has(&self, family: Family) -> bool {
        self.blocks.iter().any(|block| block.family() == family)
    }

    /// How many addresses it can give.
    pub fn size(&self, family: Family) -> u128 {
        let of_family = self.blocks.iter().filter(|block| block.family() == family);
        of_family.fold(0, |sum: u128, block| sum.saturating_add(block.count(self.avoid_buggy)))
    }
}

/// Which pool an address belongs to, in logarithmic time.
#[derive(Clone, Debug, Default)]
pub struct PoolIndex {
    /// First address of a block to the block and its pool.
    blocks: BTreeMap<IpAddr, (Block, Arc<Pool>)>,
}

impl PoolIndex {
    pub fn new<'a>(pools: impl IntoIterator<Item = &'a Arc<Pool>>) -> Self {
        let blocks = pools.into_iter().flat_map(|pool| pool.blocks.iter().map(|block| (block.first, (*block, pool.clone()))));
        Self { blocks: blocks.collect() }
    }

    pub fn find(&self, address: &IpAddr) -> Option<&Arc<Pool>> {
        let (_, (block, pool)) = self.blocks.range(..=*address).next_back()?;
        block.contains(address).then_some(pool)
    }
}

/// Binds pools to nodes, peers and attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct Advertisement {
    pub name: String,
    pub source: Source,
    pub pools: PoolChoice,
    /// Empty: all nodes.
    pub nodes: Selectors,
    /// Empty: all Services.
    pub services: Selectors,
    /// Names of peers; empty: all.
    pub peers: BTreeSet<String>,
    pub aggregation: u8,
    pub aggregation_v6: u8,
    pub local_pref: Option<u32>,
    pub communities: BTreeSet<AnyCommunity>,
}

impl Advertisement {
    /// The prefix that stands for an address.
    pub fn prefix(&self, address: IpAddr) -> IpNet {
        let length = match address {
            IpAddr::V4(_) => self.aggregation,
            IpAddr::V6(_) => self.aggregation_v6,
        };
        IpNet::new_assert(address, length).trunc()
    }
}

/// Which pools an advertisement is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PoolChoice {
    /// With no selector either: every pool.
    pub names: BTreeSet<String>,
    pub selectors: Selectors,
    /// Pools with parts that the aggregation length is too short for.
    pub except: BTreeSet<String>,
}

impl PoolChoice {
    pub fn includes(&self, pool: &Pool) -> bool {
        !self.except.contains(&pool.name) && self.names_or_selects(pool)
    }

    pub fn names_or_selects(&self, pool: &Pool) -> bool {
        let every = self.names.is_empty() && self.selectors.is_empty();
        every || self.names.contains(&pool.name) || self.selectors.any(&pool.labels)
    }
}

/// A router and the settings of the session with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    pub name: String,
    pub source: Source,
    pub my_asn: Asn,
    pub remote_as: RemoteAs,
    /// What we claim to be instead of `my_asn`.
    pub local_asn: Option<Asn>,
    pub address: IpAddr,
    pub port: u16,
    pub source_address: Option<IpAddr>,
    /// Hold time and keepalive time; `None`: the defaults.
    pub timers: Option<(Duration, Duration)>,
    pub connect_time: Option<Duration>,
    pub router_id: Option<Ipv4Addr>,
    /// Empty: all nodes.
    pub nodes: Selectors,
    pub password: Option<Secret>,
    pub bfd_profile: Option<String>,
    pub graceful_restart: bool,
    pub ebgp_multihop: bool,
    pub both_families: bool,
}

/// Which AS the peer may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RemoteAs {
    Number(Asn),
    Internal,
    External,
}

/// RFC 5880 settings; `None`: the default of the BFD room.
#[derive(Clone, Debug, PartialEq)]
pub struct BfdProfile {
    pub name: String,
    pub source: Source,
    pub receive: Option<Duration>,
    pub transmit: Option<Duration>,
    pub multiplier: Option<u8>,
    pub passive: bool,
    pub minimum_ttl: Option<u8>,
}
