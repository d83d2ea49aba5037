//! What the shell tells a [`Peer`](super::Peer): its settings, the names of connections, the reasons to stop.

use std::fmt;
use std::time::Duration;

use crate::wire::{Asn, Capability, CeaseCode, Family, FamilySet, Notification, Role, RouterId};

/// Settings of one peer. They take effect with the next OPEN.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerParams {
    /// The AS number that this session shows, i.e. the router's own or the `local-as` of this peer (RFC 7705).
    pub local_as: Asn,
    pub remote_as: RemoteAs,
    pub router_id: RouterId,
    /// The hold time that we propose.
    pub hold_time: HoldTime,
    /// A proposal of the peer below this is refused with 2/6; zero (no hold timer) is always accepted (RFC 4271 4.2).
    pub min_hold_time: Duration,
    /// Keepalive interval; the negotiated one is the smaller of this and a third of the negotiated hold time.
    pub keepalive: Option<Duration>,
    /// First ConnectRetryTimer value; it doubles up to two minutes.
    pub connect_retry: Duration,
    /// Send hold time (RFC 9687); default is twice the hold time, at least 90 s. Never less than the hold time.
    pub send_hold: Option<Duration>,
    /// Never dial; wait for the peer.
    pub passive: bool,
    /// The peer starts by itself when it is made; otherwise it waits for `handle_start`.
    pub admin_up: bool,
    pub families: FamilySet,
    /// Families without which no session is wanted: their absence is answered with 2/7 (RFC 5492 3).
    pub required_families: FamilySet,
    /// Families for which we offer to receive several paths (RFC 7911).
    pub add_path_rx: FamilySet,
    /// Families for which we offer to send several paths.
    pub add_path_tx: FamilySet,
    /// Offer IPv4 NLRI with IPv6 next hops (RFC 8950).
    pub extended_next_hop: bool,
    /// Offer messages of up to 65535 octets (RFC 8654).
    pub extended_messages: bool,
    pub graceful_restart: GrParams,
    /// Upper bound of the long-lived stale time that we grant (RFC 9494); zero is off.
    pub llgr_time: Duration,
    /// Our BGP role on an eBGP session (RFC 9234).
    pub role: Option<RoleParams>,
    /// Treat an eBGP path whose first AS is not the peer's as malformed (RFC 4271 6.3).
    pub enforce_first_as: bool,
    /// Accept AS_SET and AS_CONFED_SET instead of treating the route as withdrawn (RFC 9774).
    pub allow_as_set: bool,
    /// LOCAL_PREF of an iBGP path that comes without; `None`: it is treated as withdrawn (RFC 4271 5.1.5).
    pub default_local_pref: Option<u32>,
    /// Host name for the FQDN capability; empty is off.
    pub hostname: String,
    /// Seed of the timer jitter.
    pub seed: u64,
}

impl PeerParams {
    /// The settings of an ordinary peer; the caller changes what is different.
    pub fn new(local_as: Asn, remote_as: RemoteAs, router_id: RouterId) -> Self {
        Self {
            local_as,
            remote_as,
            router_id,
            hold_time: HoldTime::DEFAULT,
            min_hold_time: Duration::ZERO,
            keepalive: None,
            connect_retry: Duration::from_secs(5),
            send_hold: None,
            passive: false,
            admin_up: true,
            families: FamilySet::from_iter([Family::Ipv4Unicast]),
            required_families: FamilySet::NONE,
            add_path_rx: FamilySet::NONE,
            add_path_tx: FamilySet::NONE,
            extended_next_hop: false,
            extended_messages: true,
            graceful_restart: GrParams::default(),
            llgr_time: Duration::ZERO,
            role: None,
            enforce_first_as: true,
            allow_as_set: false,
            default_local_pref: None,
            hostname: String::new(),
            seed: 0,
        }
    }

    /// The capabilities of the next OPEN.
    pub fn capabilities(&self) -> Vec<Capability> {
        super::negotiate::capabilities(self)
    }
}

/// Which AS number the peer's OPEN must show.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RemoteAs {
    Fixed(Asn),
    /// The same as ours.
    Internal,
    /// Any but ours.
    External,
}

impl RemoteAs {
    /// Whether a peer of AS `remote` is the one we want, as seen from `local`.
    pub fn accepts(self, remote: Asn, local: Asn) -> bool {
        match self {
            Self::Fixed(asn) => remote == asn,
            Self::Internal => remote == local,
            Self::External => remote != local,
        }
    }
}

/// A hold time in whole seconds: 0 (no hold timer) or at least 3 (RFC 4271 4.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HoldTime(u16);

impl HoldTime {
    pub const DEFAULT: Self = Self(90);

    /// Fails for 1 and 2.
    pub const fn new(seconds: u16) -> Result<Self, InvalidHoldTime> {
        match seconds {
            1 | 2 => Err(InvalidHoldTime(seconds)),
            _ => Ok(Self(seconds)),
        }
    }

    pub const fn seconds(self) -> u16 {
        self.0
    }

    /// `None` when the hold timer is off.
    pub const fn duration(self) -> Option<Duration> {
        match self.0 {
            0 => None,
            s => Some(Duration::from_secs(s as u64)),
        }
    }
}

/// The hold time that RFC 4271 4.2 forbids.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidHoldTime(pub u16);

impl fmt::Display for InvalidHoldTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hold time {} s is not allowed, use 0 or at least 3", self.0)
    }
}

impl std::error::Error for InvalidHoldTime {}

/// Graceful restart settings (RFC 4724, RFC 8538).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GrParams {
    pub mode: GrMode,
    /// How long the peer shall wait for us, whole seconds up to 4095.
    pub time: Duration,
    /// Upper bound of the restart time that we grant the peer.
    pub max_peer_time: Duration,
    /// How long stale routes may stay after the peer is back without End-of-RIB.
    pub stale_time: Duration,
    /// The restart window is open: we have just restarted (R bit).
    pub restarting: bool,
    /// Families whose forwarding state survived our restart (F bit); shown only while `restarting`.
    pub forwarding: FamilySet,
}

impl Default for GrParams {
    fn default() -> Self {
        Self {
            mode: GrMode::Full,
            time: Duration::from_secs(120),
            max_peer_time: Duration::from_secs(4095),
            stale_time: Duration::from_secs(360),
            restarting: false,
            forwarding: FamilySet::NONE,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GrMode {
    /// Helper, and the peer keeps our routes when we restart.
    Full,
    /// Keep the peer's routes; ask for nothing.
    Helper,
    Off,
}

/// Our BGP role towards the peer (RFC 9234).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RoleParams {
    pub role: Role,
    /// Refuse a peer that shows no role.
    pub strict: bool,
}

/// A TCP connection, named by the shell, unique within one peer.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConnId(pub u32);

/// Who opened a TCP connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Direction {
    Outbound,
    Inbound,
}

/// Why we end a session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StopReason {
    /// 6/2 with a text for the peer's operator (RFC 9003). The peer stays down until `handle_start`.
    AdminDown(Option<String>),
    /// 6/3. The peer stays down.
    Deconfigured,
    /// 6/6. The session comes back with the settings of that moment.
    ConfigChange,
    /// 6/4 with a text. The session comes back.
    AdminReset(Option<String>),
    /// 6/4 as Hard Reset where the peer understands it (RFC 8538): the peer drops our routes. The session comes back.
    HardReset(Option<String>),
    /// 6/1 with family and limit (RFC 4486 4). Comes back after `restart_after`, or stays down.
    MaxPrefix { family: Family, limit: u32, restart_after: Option<Duration> },
    /// 6/8. Comes back after the back-off.
    OutOfResources,
    /// 6/10 (RFC 9384). Comes back after the back-off. `independent`: the peer's BFD does not depend on its control plane (C bit), so
    /// its forwarding has failed and its routes go; otherwise the peer may just be restarting, and what graceful restart keeps stays
    /// (RFC 5882 4.3).
    BfdDown { independent: bool },
    /// No NOTIFICATION: the TCP connection just ends and a graceful restart helper keeps our routes. Stays down.
    GracefulClose,
}

impl StopReason {
    /// The operator wants the peer down until further notice.
    pub(super) const fn stays_down(&self) -> bool {
        matches!(self, Self::AdminDown(_) | Self::Deconfigured | Self::GracefulClose | Self::MaxPrefix { restart_after: None, .. })
    }

    /// ManualStop (event 2) rather than AutomaticStop (event 8).
    pub(super) const fn is_manual(&self) -> bool {
        !matches!(self, Self::MaxPrefix { .. } | Self::OutOfResources | Self::BfdDown { .. })
    }

    /// The routes of both sides must go, so the Cease is wrapped as Hard Reset when both sides know it (RFC 8538 5).
    pub(super) const fn is_hard(&self) -> bool {
        matches!(
            self,
            Self::AdminDown(_) | Self::Deconfigured | Self::HardReset(_) | Self::MaxPrefix { .. } | Self::BfdDown { independent: true }
        )
    }

    /// The Cease of this reason; `None` where the connection just ends.
    pub(super) fn notification(&self) -> Option<Notification> {
        Some(match self {
            Self::AdminDown(text) => Notification::cease(CeaseCode::AdminShutdown, text.as_deref()),
            Self::Deconfigured => Notification::cease(CeaseCode::Deconfigured, None),
            Self::ConfigChange => Notification::cease(CeaseCode::ConfigChange, None),
            Self::AdminReset(text) | Self::HardReset(text) => Notification::cease(CeaseCode::AdminReset, text.as_deref()),
            Self::MaxPrefix { family, limit, .. } => Notification::max_prefixes(family.afi_safi(), *limit),
            Self::OutOfResources => Notification::cease(CeaseCode::OutOfResources, None),
            Self::BfdDown { .. } => Notification::cease(CeaseCode::BfdDown, None),
            Self::GracefulClose => return None,
        })
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AdminDown(_) => f.write_str("administrative shutdown"),
            Self::Deconfigured => f.write_str("peer removed from the configuration"),
            Self::ConfigChange => f.write_str("configuration changed"),
            Self::AdminReset(_) => f.write_str("administrative reset"),
            Self::HardReset(_) => f.write_str("hard reset"),
            Self::MaxPrefix { family, limit, .. } => write!(f, "more than {limit} {family} prefixes"),
            Self::OutOfResources => f.write_str("out of resources"),
            Self::BfdDown { .. } => f.write_str("BFD down"),
            Self::GracefulClose => f.write_str("closed for a graceful restart"),
        }
    }
}
