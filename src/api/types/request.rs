//! Bodies of requests that change something, and their answers.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Community, LargeCommunity, Origin};

/// What to do with a neighbor.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Ask the neighbor for its routes again (RFC 2918) and run import policy on them.
    SoftIn,
    /// Run export policy again and send all routes again.
    SoftOut,
    /// End the session (Cease/Administrative Reset) and start again.
    Reset,
    Enable,
    /// Cease/Administrative Shutdown with the reason as its text (RFC 9003).
    Disable,
    /// Both soft directions.
    Refresh,
}

impl Action {
    pub const fn name(self) -> &'static str {
        match self {
            Self::SoftIn => "softIn",
            Self::SoftOut => "softOut",
            Self::Reset => "reset",
            Self::Enable => "enable",
            Self::Disable => "disable",
            Self::Refresh => "refresh",
        }
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ActionRequest {
    pub action: Action,
    /// Told to the neighbor where the message has room for it, and logged.
    #[serde(default)]
    pub reason: String,
}

/// What became of an action on one neighbor.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionOutcome {
    /// Address or interface.
    pub neighbor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub ok: bool,
    /// For example `route refresh requested` or `the neighbor did not offer route refresh`.
    pub message: String,
}

/// A prefix to originate until the daemon restarts.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkRequest {
    #[schema(value_type = String)]
    pub prefix: IpNet,
    /// Absent = our own address towards each neighbor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub next_hop: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_pref: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub med: Option<u32>,
    #[serde(default)]
    pub communities: Vec<Community>,
    #[serde(default)]
    pub large_communities: Vec<LargeCommunity>,
}

/// A route to run through a policy.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyTestRequest {
    pub policy: String,
    #[schema(value_type = String)]
    pub prefix: IpNet,
    /// Address, name or description of the neighbor that the route comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(default)]
    pub as_path: Vec<u32>,
    #[serde(default)]
    pub communities: Vec<Community>,
    #[serde(default)]
    pub large_communities: Vec<LargeCommunity>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub next_hop: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_pref: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub med: Option<u32>,
}

/// A table to run through a policy.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyTableRequest {
    pub policy: String,
    pub view: PolicyTableView,
    /// Only routes of this neighbor: address, name or description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbor: Option<String>,
    /// How many routes are listed; 100 unless said otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum PolicyTableView {
    /// What came from neighbors: accepted routes as the present import policies left them, rejected ones as they came.
    In,
    /// The best paths.
    Loc,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReloadRequest {
    /// Check and compare only.
    #[serde(default)]
    pub dry_run: bool,
    /// Go back to the former configuration after that time unless confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_seconds: Option<f64>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogRequest {
    /// Directives of tracing's `EnvFilter`, for example `info,kubgp::session=debug`.
    pub directives: String,
    /// Go back to the former directives after that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_seconds: Option<f64>,
}
