//! Query parameters of the lists. Unknown parameters are refused: a misspelt filter must not look like "everything matches".

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::types::{Community, ConfigView, Family, FibView, LargeCommunity, Neighbor, NeighborType, Origin};

/// Which neighbors a request means: the path parameter `{id}` and the PEER of the CLI.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Selector {
    All,
    Group(String),
    /// Address, name, interface or description.
    Peer(String),
}

impl Selector {
    /// Reads `all`, `group G`, or one neighbor.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        match text.strip_prefix("group ") {
            Some(group) => Self::Group(group.trim().to_owned()),
            None if text == "all" => Self::All,
            None => Self::Peer(text.to_owned()),
        }
    }

    /// Whether the request means this neighbor.
    pub fn matches(&self, neighbor: &Neighbor) -> bool {
        match self {
            Self::All => true,
            Self::Group(group) => neighbor.group.as_ref() == Some(group),
            Self::Peer(text) => {
                let by_address = text.parse::<IpAddr>().is_ok_and(|address| neighbor.address == Some(address));
                let named = [&neighbor.name, &neighbor.interface, &neighbor.description];
                by_address || named.into_iter().any(|name| name.as_ref() == Some(text))
            }
        }
    }
}

/// Filters of the neighbor list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct NeighborQuery {
    /// Address, name, interface or description of one neighbor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub state: Option<StateFilter>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub kind: Option<NeighborType>,
    /// Only neighbors that carry this family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub family: Option<Family>,
    /// Stream changes as NDJSON.
    #[serde(default, skip_serializing_if = "is_false")]
    pub watch: bool,
    /// With `watch`: leave out what exists at the start.
    #[serde(default, skip_serializing_if = "is_false")]
    pub changes_only: bool,
}

impl NeighborQuery {
    /// Whether the neighbor passes every filter.
    pub fn matches(&self, neighbor: &Neighbor) -> bool {
        self.neighbor.as_ref().is_none_or(|text| Selector::Peer(text.clone()).matches(neighbor))
            && self.state.is_none_or(|state| state.matches(neighbor))
            && self.group.as_ref().is_none_or(|group| neighbor.group.as_ref() == Some(group))
            && self.kind.is_none_or(|kind| neighbor.kind == kind)
            && self.family.is_none_or(|family| neighbor.families.iter().any(|status| status.family == family))
    }
}

/// A session state, or a group of states that operators ask for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum StateFilter {
    /// Every state but `established`.
    Down,
    Idle,
    Connect,
    Active,
    OpenSent,
    OpenConfirm,
    Established,
}

impl StateFilter {
    fn matches(self, neighbor: &Neighbor) -> bool {
        use super::types::SessionState as State;
        let wanted = match self {
            Self::Down => return neighbor.state != State::Established,
            Self::Idle => State::Idle,
            Self::Connect => State::Connect,
            Self::Active => State::Active,
            Self::OpenSent => State::OpenSent,
            Self::OpenConfirm => State::OpenConfirm,
            Self::Established => State::Established,
        };
        neighbor.state == wanted
    }
}

/// Filters of the RIB views; a row must pass all of them.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RibQuery {
    #[serde(default)]
    #[param(inline)]
    pub view: RibView,
    /// Source of the route, or its receiver in the view `out`, where it is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub family: Option<Family>,
    /// A prefix, or an address (a host prefix).
    #[serde(default, deserialize_with = "prefix_or_address", skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub prefix: Option<IpNet>,
    #[serde(rename = "match", default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub matching: Option<PrefixMatch>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub community: Option<Community>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub large_community: Option<LargeCommunity>,
    /// Regular expression on the AS path as text; `_` stands for a boundary between AS numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_path: Option<String>,
    /// An AS anywhere in the path.
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    pub transit_as: Option<u32>,
    /// The AS that originated the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_as: Option<u32>,
    /// The AS nearest to us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_as: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub next_hop: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub origin: Option<Origin>,
    /// Only best paths, or only others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<bool>,
    /// Only paths used for ECMP.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ecmp: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub stale: bool,
    /// Only paths that are not eligible.
    #[serde(default, skip_serializing_if = "is_false")]
    pub invalid: bool,
    /// At most that many rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// `metadata.continue` of the former answer.
    #[serde(rename = "continue", default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
    /// Extended communities, cluster lists and reasons as well.
    #[serde(default, skip_serializing_if = "is_false")]
    pub detail: bool,
    /// Only count.
    #[serde(default, skip_serializing_if = "is_false")]
    pub count: bool,
    #[serde(default)]
    #[param(inline)]
    pub format: Format,
    /// Stream changes as NDJSON.
    #[serde(default, skip_serializing_if = "is_false")]
    pub watch: bool,
    /// With `watch`: leave out what exists at the start.
    #[serde(default, skip_serializing_if = "is_false")]
    pub changes_only: bool,
}

/// A view of the routing tables.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum RibView {
    /// The Loc-RIB with all eligible paths.
    #[default]
    Loc,
    /// Everything that neighbors announced (Adj-RIB-In), rejected routes included.
    In,
    /// What we announced to a neighbor (Adj-RIB-Out).
    Out,
    /// Only what import rejected, with the reason.
    Filtered,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum PrefixMatch {
    #[default]
    Exact,
    /// The most specific prefix that holds it.
    Longest,
    /// The prefix and everything inside it.
    Longer,
    /// The prefix and everything that holds it.
    Shorter,
}

/// How a list of rows is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Format {
    #[default]
    Json,
    /// One row a line.
    Ndjson,
}

#[derive(Clone, Debug, Default, Deserialize, IntoParams, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FibQuery {
    #[serde(default)]
    #[param(inline)]
    pub view: FibView,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub family: Option<Family>,
    #[serde(default)]
    #[param(inline)]
    pub format: Format,
}

#[derive(Clone, Debug, Deserialize, IntoParams, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExplainQuery {
    /// A prefix, or an address (the most specific prefix that holds it). Either this, `service` or `neighbor`.
    #[serde(default, deserialize_with = "prefix_or_address", skip_serializing_if = "Option::is_none")]
    #[param(value_type = Option<String>)]
    pub prefix: Option<IpNet>,
    /// `namespace/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Why the session of this neighbor is down, or what it carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbor: Option<String>,
    /// The neighbor that should have the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize, IntoParams, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// Only events of one neighbor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub neighbor: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    pub watch: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub changes_only: bool,
}

/// Which changes of best paths are asked for.
#[derive(Clone, Debug, Deserialize, IntoParams, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryQuery {
    /// A prefix; an address means every prefix that holds it.
    #[serde(deserialize_with = "required_prefix")]
    #[param(value_type = String)]
    pub prefix: IpNet,
    /// Also those of more specific prefixes.
    #[serde(default, skip_serializing_if = "is_false")]
    pub longer: bool,
}

impl HistoryQuery {
    pub fn matches(&self, prefix: &IpNet) -> bool {
        let is_host = self.prefix.prefix_len() == self.prefix.max_prefix_len();
        *prefix == self.prefix || (self.longer && self.prefix.contains(prefix)) || (is_host && prefix.contains(&self.prefix))
    }
}

#[derive(Clone, Debug, Default, Deserialize, IntoParams, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ConfigQuery {
    #[serde(default)]
    #[param(inline)]
    pub view: ConfigView,
}

#[derive(Clone, Debug, Deserialize, IntoParams, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PrefixQuery {
    #[serde(deserialize_with = "required_prefix")]
    #[param(value_type = String)]
    pub prefix: IpNet,
}

/// Filters of the list of Services; a row must pass all of them.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ServiceQuery {
    /// `namespace/name`, or the name of an address of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Only Services with addresses of this pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Only Services with this reason, for example `noEndpoints`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Only Services with an address of this family.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub family: Option<Family>,
}

/// Reads a prefix with its host bits cleared, or an address as a host prefix.
///
/// # Errors
/// A text that is neither; the error says what was expected.
pub fn parse_prefix(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .map(|prefix| prefix.trunc())
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| format!("`{text}` is neither a prefix nor an address"))
}

fn required_prefix<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IpNet, D::Error> {
    parse_prefix(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

fn prefix_or_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpNet>, D::Error> {
    required_prefix(deserializer).map(Some)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_false(value: &bool) -> bool {
    !*value
}
