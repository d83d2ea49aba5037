//! Sessions of BFD.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::BfdState;

/// The path to a neighbor, watched by BFD (RFC 5880).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BfdSession {
    #[schema(value_type = String)]
    pub address: IpAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(rename = "type")]
    pub kind: BfdKind,
    /// What arrives with a smaller TTL is dropped.
    pub minimum_ttl: u8,
    pub profile: String,
    pub state: BfdState,
    #[schema(value_type = String)]
    pub state_since: Timestamp,
    pub state_for_seconds: f64,
    /// Why it is in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnostic: Option<String>,
    /// What the neighbor says of itself; absent while it is silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_state: Option<BfdState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_diagnostic: Option<String>,
    /// C bit: the neighbor's BFD survives a restart of its control plane.
    pub remote_independent: bool,
    pub local_discriminator: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_discriminator: Option<u32>,
    /// Between our packets; 0 where the neighbor wants none.
    pub transmit_seconds: f64,
    /// Between the neighbor's packets, at the most.
    pub receive_seconds: f64,
    /// Silence of this length means that the path is down; 0 before the neighbor was heard.
    pub detection_seconds: f64,
    pub multiplier: u8,
    pub packets_sent: u64,
    pub packets_received: u64,
    pub up_count: u64,
    pub down_count: u64,
}

/// RFC 5881 or RFC 5883.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum BfdKind {
    SingleHop,
    Multihop,
}
