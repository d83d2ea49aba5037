//! What a configuration would do before it does it.

use super::Hop;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use utoipa::ToSchema;

/// What the daemon would do on this machine if it were started now.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    pub sessions: Vec<PreviewSession>,
    /// Absent where it was not asked for, or where no kernel route would be touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routes: Option<Vec<PreviewRoute>>,
    /// What there is to say about objects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// A session that would be there.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviewSession {
    pub name: String,
    #[schema(value_type = String)]
    pub address: IpAddr,
    pub port: u16,
    /// Absent where any is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_asn: Option<u32>,
    /// We wait for the neighbor to connect.
    pub passive: bool,
    /// It would stay down, for a reason that the remarks give or because the configuration says so.
    #[serde(default)]
    pub held_down: bool,
}

/// A route of the kernel, or one that would come.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviewRoute {
    #[schema(value_type = String)]
    pub prefix: IpNet,
    pub fate: RouteFate,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<RouteForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub then: Option<RouteForm>,
    /// Why it is left alone, or would not be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How a route stands in the kernel.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteForm {
    pub shape: RouteShape,
    /// Only for unicast.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hops: Vec<Hop>,
    pub metric: u32,
    /// The kernel's routing protocol number.
    pub protocol: u8,
}

/// What the kernel does with packets.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum RouteShape {
    Unicast,
    Blackhole,
    Unreachable,
    Prohibit,
}

/// What would become of a route.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum RouteFate {
    /// It is as it should be.
    Keep,
    /// Another program's; it would get our number and stay as it is otherwise.
    Adopt,
    Add,
    /// Another route would come into its place, without a gap.
    Replace,
    /// It would go when all neighbors have sent their routes.
    Remove,
    /// It would stay the other program's.
    Leave,
    /// It would be wanted, and could not be there.
    Fail,
}

impl RouteFate {
    pub const ALL: [Self; 7] = [Self::Keep, Self::Adopt, Self::Add, Self::Replace, Self::Remove, Self::Leave, Self::Fail];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Adopt => "adopt",
            Self::Add => "add",
            Self::Replace => "replace",
            Self::Remove => "remove",
            Self::Leave => "leave",
            Self::Fail => "fail",
        }
    }
}
