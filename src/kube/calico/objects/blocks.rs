//! Pools, blocks, and what says who programs routes.

use super::{Problem, Validate, calico_object};
use crate::kube::objects::null_as_default;
use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected};
use serde_json::Value;
use std::collections::BTreeMap;

calico_object! {
    /// A range that workloads, tunnels or LoadBalancers take addresses from.
    IpPool(IpPoolSpec) = "IPPool", "ippools"
}

/// See [`IpPool`]. Whether it is disabled, and for which nodes it is, makes no difference to BGP.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct IpPoolSpec {
    pub cidr: String,
    /// `Never`, `Always` or `CrossSubnet`; empty means `Never`.
    #[serde(deserialize_with = "null_as_default")]
    pub ipip_mode: String,
    #[serde(deserialize_with = "null_as_default")]
    pub vxlan_mode: String,
    #[serde(rename = "disableBGPExport", deserialize_with = "null_as_default")]
    pub disable_bgp_export: bool,
}

impl Validate for IpPoolSpec {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let cidr = self.cidr.parse::<IpNet>();
        if cidr.is_err() {
            problems.push(Problem::fatal("spec.cidr", format!("`{}` is not a prefix", self.cidr)));
        }
        for (field, mode) in [("spec.ipipMode", &self.ipip_mode), ("spec.vxlanMode", &self.vxlan_mode)] {
            if !["", "Never", "Always", "CrossSubnet"].contains(&mode.as_str()) {
                problems.push(Problem::minor(field, format!("`{mode}` is not one of Never, Always, CrossSubnet; Never is used")));
            }
        }
        let is_on = |mode: &str| matches!(mode, "Always" | "CrossSubnet");
        if is_on(&self.ipip_mode) && is_on(&self.vxlan_mode) {
            problems.push(Problem::minor("spec.vxlanMode", "excludes ipipMode; VXLAN is used"));
        }
        if is_on(&self.ipip_mode) && matches!(cidr, Ok(IpNet::V6(_))) {
            problems.push(Problem::minor("spec.ipipMode", "carries IPv4 only; Never is used"));
        }
        problems
    }
}

calico_object! {
    /// Which node a block belongs to.
    BlockAffinity(BlockAffinitySpec) = "BlockAffinity", "blockaffinities"
}

/// See [`BlockAffinity`].
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct BlockAffinitySpec {
    /// `pending`, `confirmed` or `pendingDeletion`; empty means confirmed.
    #[serde(deserialize_with = "null_as_default")]
    pub state: String,
    pub node: String,
    /// `host` or `virtual`; empty means host.
    #[serde(rename = "type", deserialize_with = "null_as_default")]
    pub kind: String,
    pub cidr: String,
    /// Text in v1 storage.
    #[serde(deserialize_with = "bool_or_text")]
    pub deleted: bool,
}

impl Validate for BlockAffinitySpec {
    fn problems(&self) -> Vec<Problem> {
        let bad = self.cidr.parse::<IpNet>().is_err();
        bad.then(|| Problem::fatal("spec.cidr", format!("`{}` is not a prefix", self.cidr))).into_iter().collect()
    }
}

calico_object! {
    /// A block and who has which of its addresses.
    IpamBlock(IpamBlockSpec) = "IPAMBlock", "ipamblocks", |spec| {
        spec.attributes.iter_mut().for_each(|a| a.secondary.retain(|key, _| key == NODE || key == TYPE));
    }
}

/// See [`IpamBlock`].
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct IpamBlockSpec {
    pub cidr: String,
    /// `host:NODE` or `virtual:NAME`.
    pub affinity: Option<String>,
    /// Per address of the block, in order: an index into `attributes`.
    #[serde(deserialize_with = "null_as_default")]
    pub allocations: Vec<Option<u32>>,
    #[serde(deserialize_with = "null_as_default")]
    pub attributes: Vec<Attribute>,
    #[serde(deserialize_with = "bool_or_text")]
    pub deleted: bool,
}

impl Validate for IpamBlockSpec {
    fn problems(&self) -> Vec<Problem> {
        let bad = self.cidr.parse::<IpNet>().is_err();
        bad.then(|| Problem::fatal("spec.cidr", format!("`{}` is not a prefix", self.cidr))).into_iter().collect()
    }
}

/// Who has an address.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct Attribute {
    #[serde(deserialize_with = "null_as_default")]
    pub secondary: BTreeMap<String, String>,
}

impl Attribute {
    /// The node where the address is in use.
    pub fn node(&self) -> Option<&str> {
        self.secondary.get(NODE).map(String::as_str)
    }

    /// `ipipTunnelAddress`, `vxlanTunnelAddress`, `wireguardTunnelAddress` and their IPv6 kin; `None` for workloads.
    pub fn kind(&self) -> Option<&str> {
        self.secondary.get(TYPE).map(String::as_str)
    }
}

calico_object! {
    /// Which Calico this is.
    ClusterInformation(ClusterInformationSpec) = "ClusterInformation", "clusterinformations"
}

/// See [`ClusterInformation`].
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterInformationSpec {
    #[serde(deserialize_with = "null_as_default")]
    pub calico_version: String,
    /// False while the datastore is migrated: what is read then may be incomplete.
    pub datastore_ready: Option<bool>,
}

calico_object! {
    /// Felix's settings, of the cluster (`default`) or of one node (`node.NAME`).
    FelixConfiguration(FelixConfigurationSpec) = "FelixConfiguration", "felixconfigurations"
}

/// See [`FelixConfiguration`].
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct FelixConfigurationSpec {
    pub program_cluster_routes: Option<String>,
}

fn bool_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Bool(value) => Ok(value),
        Value::Null => Ok(false),
        Value::String(text) => Ok(text.eq_ignore_ascii_case("true")),
        other => Err(D::Error::invalid_type(Unexpected::Other(&other.to_string()), &"true, false, \"true\" or \"false\"")),
    }
}

/// Keys of [`Attribute::secondary`].
const NODE: &str = "node";
const TYPE: &str = "type";
