//! What a scrape needs: plain numbers of one moment, filled by the daemon.

use std::net::IpAddr;

use super::process::Process;

/// Everything that `/metrics` shows.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub build: Build,
    pub start_time_seconds: f64,
    pub config: Config,
    /// 0 none, 1 routes are marked, 2 they are withdrawn.
    pub drain_state: u8,
    pub peers: Vec<Peer>,
    pub rib: Vec<RibFamily>,
    pub attribute_sets: u64,
    pub groups: Vec<UpdateGroup>,
    /// Packets for no session of BFD, by reason.
    pub bfd_discarded: Vec<(&'static str, u64)>,
    pub convergence: Option<HistogramData>,
    pub rib_batch: Option<HistogramData>,
    /// `None` when nothing is installed in the kernel.
    pub fib: Option<Fib>,
    /// `None` when no cluster is followed.
    pub cluster: Option<Cluster>,
    /// `None` when this process announces no Services.
    pub services: Option<Services>,
    /// VIPs of the file.
    pub vips: Vec<Vip>,
    pub process: Process,
    pub compat: Compat,
    pub peer_label: PeerLabel,
}

#[derive(Clone, Debug, Default)]
pub struct Build {
    pub version: String,
    pub commit: String,
}

/// Access to the API server of a cluster.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// Every watch is in contact.
    pub connected: bool,
    /// What the objects say was put in force at least once.
    pub config_loaded: bool,
    /// An object, or all of them together, could not be put in force as it is now.
    pub config_stale: bool,
    /// Changes that were taken in.
    pub updates: u64,
    pub kinds: Vec<ClusterKind>,
    /// Objects that are not, or not entirely, in effect: kind, `error` or `warning`, how many.
    pub faulty: Vec<(String, &'static str, u64)>,
    /// `None` without the role.
    pub allocator: Option<Ipam>,
}

/// What the role `allocator` does.
#[derive(Clone, Debug, Default)]
pub struct Ipam {
    pub leads: bool,
    pub pools: Vec<IpamPool>,
    /// Pool, reason code, how often.
    pub failures: Vec<(String, &'static str, u64)>,
    pub write_failures: u64,
}

/// A pool; IPv4 and IPv6.
#[derive(Clone, Debug)]
pub struct IpamPool {
    pub name: String,
    pub total: [u128; 2],
    pub used: [u64; 2],
    /// That have addresses of it.
    pub services: u64,
}

/// Services of a node that announces their addresses.
#[derive(Clone, Debug, Default)]
pub struct Services {
    /// Our Node.
    pub node: String,
    /// `namespace/name` and address of what is announced.
    pub announced: Vec<(String, String)>,
    pub advertised: u64,
    /// How many Services are not announced, by the first reason.
    pub blocked: Vec<(&'static str, u64)>,
}

/// A VIP of the file.
#[derive(Clone, Debug)]
pub struct Vip {
    pub name: String,
    pub is_healthy: bool,
    pub is_announced: bool,
    /// Successes and failures; `None` where there is no check.
    pub checks: Option<[u64; 2]>,
}

#[derive(Clone, Debug)]
pub struct ClusterKind {
    pub kind: &'static str,
    pub objects: u64,
    pub watch_restarts: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Config {
    pub last_reload_successful: bool,
    pub last_reload_timestamp_seconds: f64,
    pub stale: bool,
}

/// Which foreign names are served beside our own (`metrics.compat`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Compat {
    #[default]
    None,
    Metallb,
    FrrK8s,
}

/// How the foreign names write a peer (`metrics.peerLabel`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum PeerLabel {
    #[default]
    Ip,
    IpPort,
}

/// One peer and its session.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    /// Address without port; the interface of an unnumbered peer that has not been heard yet.
    pub address: String,
    pub port: u16,
    /// Empty if it has none.
    pub name: String,
    pub remote_asn: Option<u32>,
    pub kind: PeerType,
    pub state: State,
    pub admin_up: bool,
    /// 0 while down.
    pub uptime_seconds: f64,
    pub last_change_timestamp_seconds: f64,
    pub established_count: u64,
    pub dropped_count: u64,
    /// Only reasons that occurred.
    pub down: Vec<(DownReason, u64)>,
    pub sent: Messages,
    pub received: Messages,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    /// Only codes that occurred.
    pub notifications: Vec<Notifications>,
    pub update_errors: UpdateErrors,
    pub out_queue_messages: u64,
    pub out_queue_bytes: u64,
    pub send_blocked_seconds: f64,
    pub families: Vec<PeerFamily>,
    /// Where its path is watched.
    pub bfd: Option<Bfd>,
}

/// The session of BFD with a peer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bfd {
    pub up: bool,
    pub ups: u64,
    pub downs: u64,
    pub sent: u64,
    pub received: u64,
}

impl Peer {
    /// The `peer` label of the foreign names; an IPv6 address before a port stands in brackets.
    pub(super) fn label(&self, form: PeerLabel) -> String {
        match (form, self.address.parse::<IpAddr>()) {
            (PeerLabel::IpPort, Ok(address)) => std::net::SocketAddr::new(address, self.port).to_string(),
            (PeerLabel::IpPort, Err(_)) => format!("{}:{}", self.address, self.port),
            (PeerLabel::Ip, _) => self.address.clone(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum PeerType {
    #[default]
    Ebgp,
    Ibgp,
    RrClient,
}

impl PeerType {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Ebgp => "ebgp",
            Self::Ibgp => "ibgp",
            Self::RrClient => "rr-client",
        }
    }
}

/// The states of RFC 4271 8.2.2.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum State {
    #[default]
    Idle,
    Connect,
    Active,
    OpenSent,
    OpenConfirm,
    Established,
}

impl State {
    pub(super) const ALL: [Self; 6] = [Self::Idle, Self::Connect, Self::Active, Self::OpenSent, Self::OpenConfirm, Self::Established];

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connect => "connect",
            Self::Active => "active",
            Self::OpenSent => "openSent",
            Self::OpenConfirm => "openConfirm",
            Self::Established => "established",
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DownReason {
    HoldTimer,
    NotificationSent,
    NotificationReceived,
    Tcp,
    Bfd,
    Admin,
    Limit,
    Collision,
    Config,
}

impl DownReason {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::HoldTimer => "hold_timer",
            Self::NotificationSent => "notification_sent",
            Self::NotificationReceived => "notification_received",
            Self::Tcp => "tcp",
            Self::Bfd => "bfd",
            Self::Admin => "admin",
            Self::Limit => "limit",
            Self::Collision => "collision",
            Self::Config => "config",
        }
    }
}

/// Messages of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Messages {
    pub open: u64,
    pub update: u64,
    pub notification: u64,
    pub keepalive: u64,
    pub route_refresh: u64,
}

impl Messages {
    pub(super) const fn total(&self) -> u64 {
        self.open + self.update + self.notification + self.keepalive + self.route_refresh
    }

    pub(super) const fn by_type(&self) -> [(&'static str, u64); 5] {
        [
            ("open", self.open),
            ("update", self.update),
            ("notification", self.notification),
            ("keepalive", self.keepalive),
            ("route_refresh", self.route_refresh),
        ]
    }
}

/// NOTIFICATIONs of one direction and kind.
#[derive(Clone, Copy, Debug)]
pub struct Notifications {
    /// Sent by us, else received.
    pub sent: bool,
    pub code: u8,
    pub subcode: u8,
    pub count: u64,
}

/// RFC 7606 verdicts.
#[derive(Clone, Copy, Debug, Default)]
pub struct UpdateErrors {
    pub treat_as_withdraw: u64,
    pub attribute_discard: u64,
    pub session_reset: u64,
}

impl UpdateErrors {
    pub(super) const fn by_action(&self) -> [(&'static str, u64); 3] {
        [
            ("treat_as_withdraw", self.treat_as_withdraw),
            ("attribute_discard", self.attribute_discard),
            ("session_reset", self.session_reset),
        ]
    }
}

/// Prefix counters of one family of a peer.
#[derive(Clone, Copy, Debug, Default)]
pub struct PeerFamily {
    /// For example `ipv4-unicast`.
    pub family: &'static str,
    pub received: u64,
    pub accepted: u64,
    pub filtered: u64,
    pub best: u64,
    pub advertised: u64,
    pub stale: u64,
    /// Should be advertised, not sent yet.
    pub pending: u64,
    pub limit: Option<u64>,
    pub limit_hit: bool,
}

impl PeerFamily {
    pub(super) const fn by_view(&self) -> [(&'static str, u64); 6] {
        [
            ("received", self.received),
            ("accepted", self.accepted),
            ("filtered", self.filtered),
            ("best", self.best),
            ("advertised", self.advertised),
            ("stale", self.stale),
        ]
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct RibFamily {
    /// For example `ipv4-unicast`.
    pub family: &'static str,
    pub prefixes: u64,
    pub paths: u64,
    pub memory_bytes: u64,
}

/// Peers that share what they are sent.
#[derive(Clone, Debug, Default)]
pub struct UpdateGroup {
    /// Names the group while the daemon lives.
    pub id: u32,
    /// For example `ipv4-unicast`.
    pub family: &'static str,
    pub kind: PeerType,
    pub members: u64,
    pub routes: u64,
    /// Messages that were ever encoded, however many members read them.
    pub messages_encoded: u64,
    pub bytes_encoded: u64,
    pub memory_bytes: u64,
    /// Encoded messages kept for the members, and what of them nobody needs any more.
    pub journal_bytes: u64,
    pub journal_dead_bytes: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Fib {
    pub families: Vec<FibFamily>,
    pub operations: Vec<FibOperation>,
    /// Resynchronisations by cause, for example `start`, `overrun`, `link`.
    pub resyncs: Vec<(&'static str, u64)>,
    /// Routes that the daemon that we took over from wrote since.
    pub rivals: u64,
    pub sync_seconds: Option<HistogramData>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct FibFamily {
    /// For example `ipv4-unicast`.
    pub family: &'static str,
    pub routes: u64,
    pub pending: u64,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct FibOperation {
    /// `add`, `replace` or `delete`.
    pub op: &'static str,
    pub ok: bool,
    pub count: u64,
}

/// A histogram as plain numbers.
#[derive(Clone, Debug, Default)]
pub struct HistogramData {
    /// Upper bounds in seconds, rising, each with the count of all samples at or below it; the bound `+Inf` is implied.
    pub buckets: Vec<(f64, u64)>,
    pub sum: f64,
    pub count: u64,
}
