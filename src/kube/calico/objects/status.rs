//! CalicoNodeStatus: a request for a node's status. Its status is written by calico-node's own reporter.

use super::calico_object;
use crate::kube::objects::null_as_default;
use serde::Deserialize;

calico_object! {
    /// Which parts of a node's status are wanted, and how often.
    CalicoNodeStatus(CalicoNodeStatusSpec) = "CalicoNodeStatus", "caliconodestatuses"
}

/// See [`CalicoNodeStatus`].
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct CalicoNodeStatusSpec {
    pub node: String,
    /// `Agent`, `BGP`, `Routes`.
    #[serde(deserialize_with = "null_as_default")]
    pub classes: Vec<String>,
    /// 0 means never.
    #[serde(deserialize_with = "null_as_default")]
    pub update_period_seconds: u32,
}
