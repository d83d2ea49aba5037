//! A neighbor and its session.

use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Family;

/// One configured or accepted neighbor with everything that is known about its session.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Neighbor {
    /// Absent for neighbors accepted from a range without a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Absent only for an unnumbered neighbor that has not been heard yet; see `interface`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// TCP port that we dial.
    pub port: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Accepted from `dynamicNeighbors`.
    #[serde(default)]
    pub dynamic: bool,
    #[serde(rename = "type")]
    pub kind: NeighborType,
    pub local_asn: u32,
    /// Absent while `asn: internal|external` has not met its peer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_asn: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub local_address: Option<IpAddr>,
    /// BGP identifier of the peer, from its OPEN; a dotted quad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub router_id: Option<String>,
    pub admin: Admin,
    pub state: SessionState,
    #[schema(value_type = String, format = DateTime)]
    pub state_since: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_for_seconds: Option<f64>,
    /// Since the last session ended, or since the neighbor was configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down_for_seconds: Option<f64>,
    pub established_count: u64,
    pub dropped_count: u64,
    /// The last NOTIFICATION or local reason that ended or prevented a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<ErrorInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_tcp_error: Option<TcpErrorInfo>,
    pub timers: Timers,
    /// `none`, `md5`; the key itself is never shown.
    pub auth: String,
    /// GTSM (RFC 5082): the number of hops allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_security: Option<u8>,
    /// TTL of outgoing packets where eBGP may cross routers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multihop: Option<u8>,
    /// Kernel counters that tell a wrong key or TTL from silence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpHints>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bfd: Option<BfdStatus>,
    #[serde(default)]
    pub capabilities: Capabilities,
    pub families: Vec<FamilyStatus>,
    pub messages: Messages,
    pub queues: Queues,
    /// We are draining towards this neighbor.
    pub drain: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_read_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_write_at: Option<Timestamp>,
}

impl Neighbor {
    /// The address, or the interface of an unnumbered neighbor that has not been heard yet.
    pub fn label(&self) -> String {
        match (self.address, &self.interface) {
            (Some(address), _) => address.to_string(),
            (None, Some(interface)) => interface.clone(),
            (None, None) => self.name.clone().unwrap_or_default(),
        }
    }

    pub fn is_established(&self) -> bool {
        self.state == SessionState::Established
    }

    /// The sum of one counter over the families.
    pub fn total(&self, counter: impl Fn(&FamilyStatus) -> u64) -> u64 {
        self.families.iter().map(counter).sum()
    }
}

/// How we relate to a neighbor.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NeighborType {
    Ebgp,
    Ibgp,
    /// An iBGP neighbor that is our route reflection client (RFC 4456).
    RrClient,
}

impl NeighborType {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ebgp => "ebgp",
            Self::Ibgp => "ibgp",
            Self::RrClient => "rr-client",
        }
    }
}

/// What the operator wants.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Admin {
    Up,
    Down,
}

/// The states of RFC 4271 8.2.2.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum SessionState {
    Idle,
    Connect,
    Active,
    OpenSent,
    OpenConfirm,
    Established,
}

impl SessionState {
    pub const ALL: [Self; 6] = [Self::Idle, Self::Connect, Self::Active, Self::OpenSent, Self::OpenConfirm, Self::Established];
}

/// The word of the RFC.
impl fmt::Display for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "Idle",
            Self::Connect => "Connect",
            Self::Active => "Active",
            Self::OpenSent => "OpenSent",
            Self::OpenConfirm => "OpenConfirm",
            Self::Established => "Established",
        })
    }
}

/// Who spoke.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    Sent,
    Received,
}

/// Why a session ended, or did not come up.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorInfo {
    /// Absent when no NOTIFICATION was exchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// NOTIFICATION error code (RFC 4271 4.5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subcode: Option<u8>,
    /// For example `Cease/Administrative Shutdown`.
    pub text: String,
    /// The shutdown communication (RFC 9003).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What the operator can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// The last error of the TCP connection.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TcpErrorInfo {
    /// For example `connection refused`.
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// Counters of the whole host: rising while a session does not come up, they point at a key or TTL mismatch.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TcpHints {
    /// Segments with a wrong MD5 signature (TCPMD5Failure).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5_failures: Option<u64>,
    /// Segments without the expected signature (TCPMD5NotFound).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5_missing: Option<u64>,
    /// Signed segments where none was expected (TCPMD5Unexpected).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5_unexpected: Option<u64>,
    /// Packets below the minimum TTL (TCPMinTTLDrop).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_ttl_drops: Option<u64>,
    /// TTL that we send with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u8>,
    /// Smoothed round trip time of the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_seconds: Option<f64>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Timers {
    /// Negotiated hold time; 0 = no keepalives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive_seconds: Option<f64>,
    pub configured_hold_seconds: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_expires_in_seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keepalive_in_seconds: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_retry_in_seconds: Option<f64>,
    /// Idle hold: automatic start is held back that long after errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_hold_in_seconds: Option<f64>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BfdStatus {
    pub profile: String,
    pub state: BfdState,
}

/// RFC 5880 4.1.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum BfdState {
    AdminDown,
    Down,
    Init,
    Up,
}

impl fmt::Display for BfdState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AdminDown => "AdminDown",
            Self::Down => "Down",
            Self::Init => "Init",
            Self::Up => "Up",
        })
    }
}

/// What each side offers and what came of it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities {
    pub local: Vec<Capability>,
    pub remote: Vec<Capability>,
    pub negotiated: Vec<Capability>,
}

/// One capability (RFC 5492).
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capability {
    pub code: u8,
    /// For example `multiprotocol`, `routeRefresh`, `gracefulRestart`; `unknown` for a code that we do not know.
    pub name: String,
    /// The value in words, for example `ipv4-unicast` or `restart time 120 s, ipv4-unicast (forwarding)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Prefix counters of one family.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct FamilyStatus {
    pub family: Family,
    /// Both sides agreed on this family; false while the session is down.
    #[serde(default)]
    pub negotiated: bool,
    /// Prefixes that the neighbor announced, before policy.
    pub received: u64,
    /// Of those, eligible for selection.
    pub accepted: u64,
    /// Of those received, rejected by policy or loop checks.
    pub filtered: u64,
    /// Of those accepted, selected as best path.
    pub best: u64,
    /// Prefixes that we announced to the neighbor.
    pub advertised: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitStatus>,
    pub eor_received: bool,
    pub eor_sent: bool,
    /// Kept from an earlier session (RFC 4724).
    pub stale: u64,
    pub gr: GrState,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitStatus {
    pub max: u64,
    pub action: LimitAction,
    pub hit: bool,
}

/// `maxPrefixes.action` of the configuration.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum LimitAction {
    Warn,
    Drop,
    Shutdown,
    Restart,
}

impl LimitAction {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Drop => "drop",
            Self::Shutdown => "shutdown",
            Self::Restart => "restart",
        }
    }
}

/// Graceful restart of the neighbor for one family.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum GrState {
    /// Not negotiated.
    None,
    /// Negotiated, nothing going on.
    Ready,
    /// The neighbor is gone and its routes are kept (RFC 4724 4.2).
    Retained,
    /// The neighbor is back and has not sent End-of-RIB.
    Resyncing,
    /// Kept as long-lived stale routes (RFC 9494).
    LongLived,
}

impl GrState {
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ready => "ready",
            Self::Retained => "retained",
            Self::Resyncing => "resyncing",
            Self::LongLived => "longLived",
        }
    }
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Messages {
    pub sent: MessageCounters,
    pub received: MessageCounters,
    /// Malformed path attributes that did not end the session; absent where there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub malformed: Option<Malformed>,
}

/// Malformed path attributes by what came of them (RFC 7606 2).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Malformed {
    /// The attribute was discarded, the route counts without it.
    pub discarded: u64,
    /// The routes of the UPDATE were treated as withdrawn.
    pub treated_as_withdraw: u64,
}

/// Messages since the neighbor was configured.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageCounters {
    pub open: u64,
    pub update: u64,
    pub notification: u64,
    pub keepalive: u64,
    pub route_refresh: u64,
    pub total: u64,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Queues {
    /// Messages or chunks that wait for the socket.
    pub out: u64,
    pub out_bytes: u64,
    /// Received batches that wait for the RIB.
    #[serde(rename = "in")]
    pub input: u64,
}
