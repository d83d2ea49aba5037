//! Drains: traffic is to leave this node.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far a drain is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum DrainStage {
    /// There is none.
    #[default]
    Serving,
    /// Our prefixes carry GRACEFUL_SHUTDOWN (RFC 8326).
    Leaving,
    /// Our prefixes are withdrawn.
    Left,
}

/// Who wants a drain.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum DrainCause {
    /// `bgpctl drain`.
    Operator,
    /// Our Node is cordoned (`drain.onCordon`).
    Cordon,
    /// The daemon ends.
    Stop,
}

impl DrainCause {
    pub const fn words(self) -> &'static str {
        match self {
            Self::Operator => "bgpctl drain",
            Self::Cordon => "the Node is cordoned",
            Self::Stop => "the daemon ends",
        }
    }
}

/// The state of the drain.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    pub stage: DrainStage,
    /// Empty while there is none; it goes on until this is empty.
    pub causes: Vec<DrainCause>,
    /// Until our prefixes are withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining_seconds: Option<f64>,
}

impl Drain {
    pub fn is_active(&self) -> bool {
        self.stage != DrainStage::Serving
    }
}

/// How to drain.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DrainRequest {
    /// Answer when our prefixes are withdrawn, or after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_seconds: Option<f64>,
}
