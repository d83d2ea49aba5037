//! The JSON that the admin API speaks and `bgpctl` reads: one set of types for both ends.
//!
//! camelCase; numbers are numbers; durations end in `Seconds`; timestamps are RFC 3339 in UTC; what is unknown is absent.
//! Additive changes only: scripts and dashboards rely on these names.

mod bfd;
mod config;
mod drain;
mod event;
mod explain;
mod fib;
mod health;
mod neighbor;
mod preview;
mod request;
mod rib;
mod status;
mod vip;

pub use bfd::{BfdKind, BfdSession};
pub use config::{
    Change, ChangeKind, Config, ConfigView, MatchAction, Network, PolicyInfo, PolicyTableResult, PolicyTableRoute, PolicyTestResult,
    ReloadResult, RouteDiff, RouteDirection, RouteImpact, RuleHits,
};
pub use drain::{Drain, DrainCause, DrainRequest, DrainStage};
pub use event::{Event, EventKind, History, HistoryEntry, RouteChange, RouteChangeKind, WatchEvent, WatchKind};
pub use explain::{ReasonCode, Step, Trace, Verdict};
pub use fib::{FibEntry, FibState, FibView, Hop, Interface, NextHop};
pub use health::Health;
pub use neighbor::{
    Admin, BfdState, BfdStatus, Capabilities, Capability, Direction, ErrorInfo, FamilyStatus, GrState, LimitAction, LimitStatus, Malformed,
    MessageCounters, Messages, Neighbor, NeighborType, Queues, SessionState, TcpErrorInfo, TcpHints, Timers,
};
pub use preview::{Preview, PreviewRoute, PreviewSession, RouteFate, RouteForm, RouteShape};
pub use request::{
    Action, ActionOutcome, ActionRequest, LogRequest, NetworkRequest, PolicyTableRequest, PolicyTableView, PolicyTestRequest, ReloadRequest,
};
pub use rib::{Community, LargeCommunity, Origin, PathDetail, RibCount, RibEntry, RouteDetail, SentTo};
pub use status::{BmpStation, Check, FamilyMemory, LogStatus, Memory, NeighborCounts, Readiness, RibSize, Summary, Version};
pub use vip::{
    AddressRefusal, AdvertisementInfo, Allocation, Endpoints, PoolAnswer, PoolInfo, PoolUsage, ServicePeer, ServiceSource, ServiceStatus,
    TrafficPolicy,
};

/// The content of a CalicoNodeStatus.
pub use crate::operator::calico_status::NodeStatus;

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The `apiVersion` of every document.
pub const API_VERSION: &str = "kubgp.io/v1";

/// An address family that we route, spelled as in the configuration.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, ToSchema)]
pub enum Family {
    #[serde(rename = "ipv4-unicast")]
    Ipv4Unicast,
    #[serde(rename = "ipv6-unicast")]
    Ipv6Unicast,
}

impl Family {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipv4Unicast => "ipv4-unicast",
            Self::Ipv6Unicast => "ipv6-unicast",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Family {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "ipv4-unicast" | "ipv4" => Ok(Self::Ipv4Unicast),
            "ipv6-unicast" | "ipv6" => Ok(Self::Ipv6Unicast),
            other => Err(format!("unknown address family `{other}`; use ipv4-unicast or ipv6-unicast")),
        }
    }
}

/// Something that is listed; the word names the `kind` of its list.
pub trait Listed {
    /// `kind` of a list of these, for example `NeighborList`.
    const LIST_KIND: &'static str;
}

/// A list as it stands in a response.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    /// Always `kubgp.io/v1`.
    pub api_version: String,
    /// For example `NeighborList`.
    pub kind: String,
    pub items: Vec<T>,
    #[serde(default)]
    pub metadata: ListMeta,
}

impl<T: Listed> From<Vec<T>> for List<T> {
    fn from(items: Vec<T>) -> Self {
        Self { api_version: API_VERSION.to_owned(), kind: T::LIST_KIND.to_owned(), items, metadata: ListMeta::default() }
    }
}

/// What belongs to a list as a whole.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListMeta {
    /// Token for the parameter `continue`: the list was cut by `limit` and goes on here.
    #[serde(rename = "continue", default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
    /// Sequence number of the table that the rows were read from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<u64>,
}

/// A single document: the fields of `T` beside `apiVersion` and `kind`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Document<T> {
    /// Always `kubgp.io/v1`.
    pub api_version: String,
    /// The type of the document, for example `Summary`.
    pub kind: String,
    #[serde(flatten)]
    pub body: T,
}

/// Something that is answered on its own.
pub trait Single {
    /// `kind` of the document, for example `Summary`.
    const KIND: &'static str;
}

impl<T: Single> From<T> for Document<T> {
    fn from(body: T) -> Self {
        Self { api_version: API_VERSION.to_owned(), kind: T::KIND.to_owned(), body }
    }
}

macro_rules! listed {
    ($($item:ty => $kind:literal),* $(,)?) => { $(impl Listed for $item { const LIST_KIND: &'static str = $kind; })* };
}

macro_rules! single {
    ($($item:ty => $kind:literal),* $(,)?) => { $(impl Single for $item { const KIND: &'static str = $kind; })* };
}

listed! {
    BfdSession => "BfdList",
    Neighbor => "NeighborList", RibEntry => "RibList", FibEntry => "FibList", NextHop => "NextHopList", Interface => "InterfaceList",
    PolicyInfo => "PolicyList", Network => "NetworkList", Event => "EventList", ActionOutcome => "ActionOutcomeList",
    ServiceStatus => "ServiceList", PoolInfo => "PoolList", Allocation => "AllocationList", AdvertisementInfo => "AdvertisementList",
    History => "HistoryList", RouteChange => "RouteChangeList", BmpStation => "BmpStationList", ReasonCode => "ReasonCodeList",
}

single! {
    Neighbor => "Neighbor", RibCount => "RibCount", RouteDetail => "Route", Trace => "Trace", Summary => "Summary", Memory => "Memory",
    Version => "Version", Config => "Config", History => "History", PolicyTestResult => "PolicyTestResult", PolicyTableResult => "PolicyTableResult", Network => "Network",
    ReloadResult => "ReloadResult", LogStatus => "LogStatus", Drain => "Drain", Readiness => "Readiness",
    Preview => "Preview", NodeStatus => "CalicoNodeStatus",
}

/// An error answer (RFC 9457), served as `application/problem+json`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Always `about:blank`: the title says what happened.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What to do about it, or which value was wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The exit code of `bgpctl` for this problem.
    pub code: u8,
    /// Configuration complaints, one entry each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub complaints: Vec<String>,
}

impl Problem {
    fn new(status: u16, code: u8, title: impl Into<String>) -> Self {
        Self { kind: "about:blank".to_owned(), title: title.into(), status, detail: None, code, complaints: Vec::new() }
    }

    /// The daemon refused or failed (exit code 1).
    pub fn failed(title: impl Into<String>) -> Self {
        Self::new(500, 1, title)
    }

    /// The request conflicts with the daemon's state (exit code 1), for example a rollback without a pending reload.
    pub fn conflict(title: impl Into<String>) -> Self {
        Self::new(409, 1, title)
    }

    /// The request itself is wrong (exit code 2).
    pub fn usage(title: impl Into<String>) -> Self {
        Self::new(400, 2, title)
    }

    /// No such peer, prefix or service (exit code 4).
    pub fn not_found(title: impl Into<String>) -> Self {
        Self::new(404, 4, title)
    }

    /// The daemon is starting or stopping and cannot answer (exit code 3).
    pub fn unavailable(title: impl Into<String>) -> Self {
        Self::new(503, 3, title)
    }

    /// The configuration is invalid; one entry per complaint (exit code 7).
    pub fn config_invalid(complaints: Vec<String>) -> Self {
        Self { complaints, ..Self::new(422, 7, "configuration is invalid") }
    }

    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        self.complaints.iter().try_for_each(|complaint| write!(f, "\n{complaint}"))
    }
}

impl std::error::Error for Problem {}
