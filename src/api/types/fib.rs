//! Kernel routes, next hops and interfaces.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which side of the kernel synchronisation a list shows.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum FibView {
    /// What we want installed.
    #[default]
    Desired,
    /// Every route of the kernel table, ours and others'.
    Kernel,
    /// Only where the two differ, with the error.
    Diff,
}

/// One route, as wanted or as found.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FibEntry {
    #[schema(value_type = String)]
    pub prefix: IpNet,
    pub state: FibState,
    /// Empty for a blackhole.
    pub hops: Vec<Hop>,
    #[serde(default)]
    pub blackhole: bool,
    pub metric: u32,
    /// The kernel's routing protocol number.
    pub protocol: u8,
    pub table: u32,
    /// The kernel's answer where the last operation failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hop {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub via: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    #[serde(default)]
    pub onlink: bool,
    pub weight: u16,
}

/// How a route stands between us and the kernel.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum FibState {
    Installed,
    /// Wanted, not yet confirmed by the kernel.
    Pending,
    /// The kernel refused; see `error`.
    Failed,
    /// Ours in the kernel, no longer wanted.
    Extra,
    /// Ours from before a restart, not selected again yet.
    Stale,
    /// Not ours; never touched.
    Foreign,
}

impl FibState {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Extra => "extra",
            Self::Stale => "stale",
            Self::Foreign => "foreign",
        }
    }
}

/// A BGP next hop and how the kernel reaches it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NextHop {
    #[schema(value_type = String)]
    pub address: IpAddr,
    pub reachable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub via: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    #[serde(default)]
    pub connected: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<u32>,
    /// Paths that use it.
    pub paths: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Interface {
    pub name: String,
    pub index: u32,
    pub up: bool,
    pub mtu: u32,
    #[schema(value_type = Vec<String>)]
    pub addresses: Vec<IpNet>,
}
