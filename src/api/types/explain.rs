//! The decision trace of one prefix, or of one Service.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a prefix, or the addresses of a Service, are or are not where one expects it: steps in the order in which a route travels, ending at the first that blocks.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// The prefix that was asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub prefix: Option<IpNet>,
    /// The Service that was asked about, `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The neighbor whose session was asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbor: Option<String>,
    /// The neighbor that was to get it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub to: Option<IpAddr>,
    pub steps: Vec<Step>,
    /// Nothing blocks.
    pub ok: bool,
    /// Reason code of the first blocking step, or `advertised`; of a session `established`; `assigned` where nothing but addresses is
    /// known.
    pub reason: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// `received`, `import`, `decision`, `export`, `send`, `fib`; before them for a Service `service`, `address`, `allocation`, `pool`,
    /// `advertisement`, `node`, `peers`, `endpoints`, `announce`; of a session `configuration`, `admin`, `bfd`, `tcp`, `session`, `family`.
    pub stage: String,
    pub verdict: Verdict,
    /// One sentence.
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A fixed code, and what to do about it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReasonCode {
    pub code: String,
    /// `route`, `service` or `session`.
    pub about: String,
    /// Absent where all is as it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    Pass,
    Block,
    /// Said for information.
    Note,
}
