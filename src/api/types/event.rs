//! What happened: events, histories, and the frames of a watch.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ErrorInfo, SessionState};

/// Something that an operator may want to know.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    #[serde(rename = "type")]
    pub kind: EventKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub peer: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// One sentence.
    pub message: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum EventKind {
    SessionUp,
    SessionDown,
    PrefixLimit,
    ConfigReloaded,
    ConfigRejected,
    FibError,
    Admin,
}

impl EventKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::SessionUp => "sessionUp",
            Self::SessionDown => "sessionDown",
            Self::PrefixLimit => "prefixLimit",
            Self::ConfigReloaded => "configReloaded",
            Self::ConfigRejected => "configRejected",
            Self::FibError => "fibError",
            Self::Admin => "admin",
        }
    }
}

/// The last state changes of one neighbor, oldest first.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct History {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub entries: Vec<HistoryEntry>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    pub from: SessionState,
    pub to: SessionState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorInfo>,
    /// The event of the state machine in words, for example `hold timer expired`.
    pub reason: String,
    /// What the kernel said about a connection that failed or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp_error: Option<String>,
}

/// A change of the best path of a prefix. What went before is the entry of the same prefix before it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteChange {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    #[schema(value_type = String)]
    pub prefix: IpNet,
    pub kind: RouteChangeKind,
    /// Where the best path comes from; absent for a route of our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub peer: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_name: Option<String>,
    /// Absent where each session puts its own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub next_hop: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_pref: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_path_length: Option<u16>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum RouteChangeKind {
    /// This path is the best one from now on.
    Best,
    /// No path is left that can be used.
    Gone,
}

impl RouteChangeKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Gone => "gone",
        }
    }
}

/// One line of a watch.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct WatchEvent<T> {
    #[serde(rename = "type")]
    pub kind: WatchKind,
    /// Absent in `BOOKMARK` and `LAGGED`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<T>,
}

impl<T> WatchEvent<T> {
    pub const fn added(object: T) -> Self {
        Self { kind: WatchKind::Added, object: Some(object) }
    }

    pub const fn modified(object: T) -> Self {
        Self { kind: WatchKind::Modified, object: Some(object) }
    }

    pub const fn deleted(object: T) -> Self {
        Self { kind: WatchKind::Deleted, object: Some(object) }
    }

    /// What existed at the start has been listed; from here on come changes.
    pub const fn bookmark() -> Self {
        Self { kind: WatchKind::Bookmark, object: None }
    }

    /// The reader was too slow and missed changes.
    pub const fn lagged() -> Self {
        Self { kind: WatchKind::Lagged, object: None }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum WatchKind {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Lagged,
}
