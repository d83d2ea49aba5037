//! Services with addresses that we announce, and what decides about them: pools, allocations, advertisements.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Community, Family, LargeCommunity};

/// A Service, or an address of the file, as it stands on this node.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// Absent for what the file says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    pub name: String,
    pub source: ServiceSource,
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<TrafficPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Endpoints>,
    /// What stands for the addresses in BGP.
    #[schema(value_type = Vec<String>)]
    pub prefixes: Vec<IpNet>,
    /// The nodes that announce, as far as the one that answers knows: itself.
    pub nodes: Vec<String>,
    /// Peers that are to get it, and whether they did.
    pub peers: Vec<ServicePeer>,
    /// `advertised`, or the code of the first thing that blocks. Where only addresses are given: `assigned`.
    pub reason: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Why it has no address, or not the one that it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<AddressRefusal>,
}

/// Why a Service has no address, or not the one that it asks for.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AddressRefusal {
    /// `poolExhausted`, `addressInUse`, ...
    pub reason: String,
    /// One sentence.
    pub message: String,
    /// What each pool says to it; empty where no pool was asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<PoolAnswer>,
}

/// Why a pool gave no address.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolAnswer {
    pub pool: String,
    pub reason: String,
}

impl ServiceStatus {
    /// `namespace/name`, or the name where there is no namespace.
    pub fn label(&self) -> String {
        self.namespace.as_ref().map_or_else(|| self.name.clone(), |namespace| format!("{namespace}/{}", self.name))
    }

    /// How many of the peers were sent everything that is for them.
    pub fn advertised(&self) -> usize {
        self.peers.iter().filter(|peer| peer.advertised).count()
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ServiceSource {
    Kubernetes,
    File,
}

/// `externalTrafficPolicy`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum TrafficPolicy {
    Cluster,
    Local,
}

impl TrafficPolicy {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cluster => "Cluster",
            Self::Local => "Local",
        }
    }
}

/// Usable endpoints.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// On the node that answers.
    pub local: u64,
    pub total: u64,
}

/// A peer that is to get the prefixes of a Service.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServicePeer {
    pub name: String,
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// Its Adj-RIB-Out holds every prefix that is for it, and it took them.
    pub advertised: bool,
    /// `advertised`, or why the first of them was not sent.
    pub reason: String,
}

/// A pool of addresses.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolInfo {
    pub name: String,
    /// Ranges `first-last`.
    pub addresses: Vec<String>,
    pub auto_assign: bool,
    #[serde(rename = "avoidBuggyIPs")]
    pub avoid_buggy_ips: bool,
    /// False where the object cannot be read and nothing of it is in force.
    pub valid: bool,
    pub families: Vec<PoolUsage>,
    /// How many Services have addresses of it.
    pub services: u64,
    /// Services that asked it for an address in vain, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<String, u64>,
    /// The advertisements that include it.
    pub advertisements: Vec<String>,
    /// What is wrong with the object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// How full a pool is; numbers that do not fit are as large as can be.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolUsage {
    pub family: Family,
    pub total: u64,
    pub used: u64,
    pub free: u64,
}

/// An address in use.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Allocation {
    #[schema(value_type = String)]
    pub address: IpAddr,
    /// Absent where the address is in no pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// `namespace/name`; several share it.
    pub services: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharing_key: Option<String>,
}

/// What binds pools to peers, nodes and attributes.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdvertisementInfo {
    pub name: String,
    /// The pools that it includes.
    pub pools: Vec<String>,
    /// Peers of this node that it is for.
    pub peers: Vec<String>,
    /// Whether it includes this node.
    pub selected: bool,
    pub aggregation_length: u8,
    pub aggregation_length_v6: u8,
    /// Absent: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_pref: Option<u32>,
    #[schema(value_type = Vec<String>)]
    pub communities: Vec<Community>,
    #[schema(value_type = Vec<String>)]
    pub large_communities: Vec<LargeCommunity>,
    /// How many Services and prefixes are announced through it.
    pub services: u64,
    pub prefixes: u64,
    /// What is wrong with the object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}
