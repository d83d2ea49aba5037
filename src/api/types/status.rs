//! The daemon as a whole.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Drain, Family};

/// The head of `show summary`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// A dotted quad.
    pub router_id: String,
    pub asn: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    pub roles: Vec<String>,
    pub version: String,
    pub uptime_seconds: f64,
    pub neighbors: NeighborCounts,
    pub rib: Vec<RibSize>,
    pub resident_bytes: u64,
    /// Time of all threads on all cores since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<f64>,
    /// Number of the configuration in force, from 1.
    pub config_generation: u64,
    #[schema(value_type = String, format = DateTime)]
    pub config_loaded_at: Timestamp,
    /// The newest reload failed: what runs is older than the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_error: Option<String>,
    /// A reload waits for `bgpctl confirm` and is undone after that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_within_seconds: Option<f64>,
    pub drain: bool,
    /// How far that is, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain_state: Option<Drain>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct NeighborCounts {
    pub total: u64,
    pub established: u64,
    /// Down although they should be up.
    pub down: u64,
    pub admin_down: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RibSize {
    pub family: Family,
    pub prefixes: u64,
    pub paths: u64,
}

/// Where the memory is.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// Resident set of the process.
    pub resident_bytes: u64,
    /// What the allocator handed out; absent when the allocator does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocated_bytes: Option<u64>,
    pub attribute_sets: u64,
    pub attribute_bytes: u64,
    pub families: Vec<FamilyMemory>,
    pub update_groups: u64,
    pub journal_bytes: u64,
    pub slots: u64,
    /// The last changes of best paths (`bgpctl show history PREFIX`), now and at most.
    #[serde(default)]
    pub history_bytes: u64,
    #[serde(default)]
    pub history_max_bytes: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FamilyMemory {
    pub family: Family,
    pub prefixes: u64,
    pub paths: u64,
    pub bytes: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    pub version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Compile-time features.
    pub features: Vec<String>,
}

/// A monitoring station that we send BMP to (RFC 7854).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BmpStation {
    #[schema(value_type = String)]
    pub address: std::net::IpAddr,
    pub port: u16,
    pub connected: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected_for_seconds: Option<f64>,
    /// Times that a connection was made.
    pub connections: u64,
    pub messages: u64,
    pub octets: u64,
    /// Why there is no connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The answer to a change of the log level.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogStatus {
    pub directives: String,
    /// The former directives come back after that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverts_in_seconds: Option<f64>,
}

/// Whether the daemon is ready: configuration loaded and first synchronisation done. Sessions do not count: a switch that is
/// down must not restart the daemon.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    pub ready: bool,
    pub checks: Vec<Check>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    pub name: String,
    pub ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
