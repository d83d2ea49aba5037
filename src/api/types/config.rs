//! Configuration, policies and networks of our own.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Community, LargeCommunity, RibEntry};

/// Which configuration to show.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ConfigView {
    /// What runs, with every default filled in.
    #[default]
    Effective,
    /// The text that was loaded, secrets masked.
    Running,
    /// The file as it is now, not loaded yet.
    Candidate,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    pub view: ConfigView,
    /// Path of the file.
    pub source: String,
    /// YAML; secrets are masked.
    pub text: String,
    pub generation: u64,
    #[schema(value_type = String, format = DateTime)]
    pub loaded_at: Timestamp,
}

/// One policy and what it did so far.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyInfo {
    pub name: String,
    /// One line per rule, in order.
    pub rules: Vec<String>,
    /// Neighbors and groups that import through it.
    pub import_of: Vec<String>,
    pub export_of: Vec<String>,
}

/// The answer of `policy test`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyTestResult {
    pub policy: String,
    pub action: MatchAction,
    /// Number of the rule that decided, from 1; absent when the default did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<u16>,
    /// Reason code of a rejection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What happened, rule by rule.
    pub trace: Vec<String>,
    /// The route as it leaves the policy; absent when rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<RibEntry>,
}

/// What a policy makes of a table.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyTableResult {
    pub policy: String,
    pub accepted: u64,
    pub rejected: u64,
    /// Of the accepted ones, those whose attributes it changes.
    pub changed: u64,
    pub rules: Vec<RuleHits>,
    /// The first routes, in table order.
    pub routes: Vec<PolicyTableRoute>,
}

/// How many routes a rule decided on.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleHits {
    /// From 1; absent when the default decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<u16>,
    pub action: MatchAction,
    pub routes: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyTableRoute {
    #[schema(value_type = String)]
    pub prefix: IpNet,
    /// Where it comes from; absent for a route of our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub peer: Option<IpAddr>,
    pub action: MatchAction,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<u16>,
    pub changed: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum MatchAction {
    Accept,
    Reject,
}

impl MatchAction {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Reject => "reject",
        }
    }
}

/// A prefix that we originate.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    #[schema(value_type = String)]
    pub prefix: IpNet,
    /// `config` for the file, `runtime` for `bgpctl network add` (gone after a restart), or the role that made it.
    pub source: String,
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

/// What a reload did, or would do.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReloadResult {
    /// False for a dry run.
    pub applied: bool,
    pub generation: u64,
    pub changes: Vec<Change>,
    /// Of a dry run: what other policies would do to the routes of sessions that go on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteImpact>,
    /// Undone after that time unless confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_within_seconds: Option<f64>,
}

/// How the routes from or to a neighbor would change.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteImpact {
    /// Name or address.
    pub neighbor: String,
    pub direction: RouteDirection,
    pub added: u64,
    pub removed: u64,
    pub changed: u64,
    /// The first of them.
    pub routes: Vec<RouteDiff>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum RouteDirection {
    Import,
    Export,
}

/// One route that would come, go, or have other attributes.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteDiff {
    #[schema(value_type = String)]
    pub prefix: IpNet,
    pub kind: ChangeKind,
    /// Reason code, where it would be rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One difference between the running and the new configuration.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    pub kind: ChangeKind,
    /// For example `neighbor tor-a`.
    pub subject: String,
    /// For example `holdTime 90s -> 9s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The session goes down for it.
    #[serde(default)]
    pub resets_session: bool,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ChangeKind {
    Added,
    Changed,
    Removed,
}
