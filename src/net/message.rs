//! What shards, the RIB task and the speaker say to each other. Every channel that carries these is bounded.

use super::connect::SocketOptions;
use crate::export::{Cursor, Journal};
use crate::policy::{Chain, Import, PeerKind, Reason};
use crate::rib::PeerId;
use crate::session::{Down, Negotiated, PeerParams, PeerStatus, StopReason};
use crate::wire::attr::AttrSet;
use crate::wire::nlri::Nlri;
use crate::wire::refresh::RouteRefresh;
use crate::wire::{ClusterId, Family, FamilySet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// Everything that a shard needs to run one peer.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    pub id: PeerId,
    pub remote: SocketAddr,
    pub params: PeerParams,
    pub socket: SocketOptions,
    pub rules: Arc<Rules>,
    /// For peers accepted from a range: the peer goes when its session has been down for this long.
    pub forget_after: Option<Duration>,
}

/// What happens to the routes of a peer; a change of it does not touch the session.
#[derive(Clone, Debug)]
pub struct Rules {
    pub kind: PeerKind,
    pub import: Import,
    pub export: Chain,
    pub next_hop: NextHopMode,
    pub cluster_id: ClusterId,
    pub add_path_send: AddPathSend,
    pub max_prefixes: [Option<MaxPrefixes>; 2],
}

/// How the next hop of advertised routes is chosen.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum NextHopMode {
    /// eBGP: ourselves; iBGP: unchanged, ourselves for what we originate (RFC 4271 5.1.3).
    #[default]
    Auto,
    /// Always ourselves, on reflected routes too.
    SelfAddress,
    Unchanged,
}

/// How many paths of a prefix the peer gets where add-path is negotiated (RFC 7911).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AddPathSend {
    #[default]
    Off,
    Best(u16),
    All,
}

/// A prefix limit (RFC 4486 4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MaxPrefixes {
    pub limit: u32,
    pub action: LimitAction,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LimitAction {
    Warn,
    /// Routes over the limit are not used.
    Drop,
    Shutdown,
    Restart(Duration),
}

/// Sessions that are accepted from anywhere in a prefix; the template is completed with the address that connects.
#[derive(Clone, Debug)]
pub struct RangeConfig {
    pub range: ipnet::IpNet,
    /// `id` and `remote` are placeholders.
    pub template: PeerConfig,
    pub max: usize,
    /// Sessions of this range over all shards.
    pub count: Arc<AtomicUsize>,
}

/// Gives out [`PeerId`]s, never one twice.
#[derive(Clone, Debug)]
pub struct PeerIds(Arc<AtomicU32>);

impl Default for PeerIds {
    fn default() -> Self {
        // 0 is ourselves.
        Self(Arc::new(AtomicU32::new(1)))
    }
}

impl PeerIds {
    pub fn next(&self) -> PeerId {
        PeerId(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Speaker or RIB to shard.
pub enum Command {
    Add(Box<PeerConfig>),
    /// New rules for a running peer; the session stays. `refresh`: ask the peer for its routes again.
    SetRules { peer: PeerId, rules: Arc<Rules>, refresh: bool },
    /// New session parameters, used from the next connection on.
    SetParams { peer: PeerId, params: Box<PeerParams>, socket: SocketOptions, remote: SocketAddr },
    Stop { peer: PeerId, reason: StopReason },
    Start { peer: PeerId },
    Remove { peer: PeerId, reason: StopReason },
    SetRanges(Vec<RangeConfig>),
    Accepted { stream: std::net::TcpStream, remote: IpAddr },
    /// The answer to [`Up`], for one family.
    Joined(Box<Joined>),
    /// Asks the peer to send its routes again (RFC 2918); nothing happens where that was not negotiated.
    RequestRefresh { peer: PeerId, family: Family },
    Snapshot(oneshot::Sender<Vec<PeerSnapshot>>),
    /// Ends all sessions; answers when the last NOTIFICATION is written.
    Shutdown { reason: StopReason, done: oneshot::Sender<()> },
}

/// A member of an update group starts to read its journal.
pub struct Joined {
    pub peer: PeerId,
    pub session: u32,
    pub family: Family,
    pub cursor: Cursor,
    pub journal: Arc<Journal>,
}

/// Shard to RIB, in the order in which things happened to the peer.
pub enum FromShard {
    Up(Box<Up>),
    Routes { peer: PeerId, items: Vec<Item> },
    Down { peer: PeerId, down: Box<Down> },
    /// The rules of an established peer changed: its update groups may have to.
    Rules { peer: PeerId, rules: Arc<Rules> },
    /// The peer is gone for good.
    Gone { peer: PeerId },
}

/// A session is established.
pub struct Up {
    pub peer: PeerId,
    pub shard: usize,
    /// Counts the sessions of this peer; answers to an older one are void.
    pub session: u32,
    pub negotiated: Arc<Negotiated>,
    pub rules: Arc<Rules>,
}

/// One thing that a peer said about routes.
pub enum Item {
    Announce { family: Family, attrs: AttrSet, filtered: Option<Reason>, nlri: Vec<Nlri> },
    Withdraw { family: Family, nlri: Vec<Nlri> },
    EndOfRib(Family),
    Refresh(RouteRefresh),
}

impl Item {
    /// How many prefixes it is about, for bounds on batches.
    pub fn weight(&self) -> usize {
        match self {
            Self::Announce { nlri, .. } | Self::Withdraw { nlri, .. } => nlri.len(),
            Self::EndOfRib(_) | Self::Refresh(_) => 1,
        }
    }
}

/// What a shard knows of a peer, copied for whoever asks.
#[derive(Clone, Debug)]
pub struct PeerSnapshot {
    pub id: PeerId,
    pub remote: SocketAddr,
    pub dynamic: bool,
    pub shard: usize,
    pub status: PeerStatus,
    pub rules: Arc<Rules>,
    pub socket: SocketOptions,
    /// Bytes that wait for the socket, and whether it is full.
    pub queued_bytes: usize,
    pub blocked: bool,
    pub eor_sent: FamilySet,
    /// Seconds to the next timers.
    pub next_timeout: Option<Duration>,
}
