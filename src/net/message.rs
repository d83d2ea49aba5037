//! What shards, the RIB task and the speaker say to each other. Every channel that carries these is bounded.

use super::connect::SocketOptions;
use crate::export::{AddPath, Cursor, Journal, NextHopMode};
use crate::policy::{Chain, Import, PeerKind, Reason};
use crate::rib::PeerId;
use crate::session::{Down, Negotiated, PeerParams, PeerStatus, StopReason};
use crate::wire::attr::AttrSet;
use crate::wire::nlri::Nlri;
use crate::wire::{Asn, ClusterId, Family, FamilySet, FaultAction, Role};
use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Everything that a shard needs to run one peer.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    pub id: PeerId,
    pub remote: SocketAddr,
    pub params: PeerParams,
    pub socket: SocketOptions,
    pub rules: Arc<Rules>,
}

/// What happens to the routes of a peer; a change of it does not touch the session.
#[derive(Clone, Debug)]
pub struct Rules {
    /// An iBGP peer is a route reflection client of ours (RFC 4456).
    pub client: bool,
    pub router_as: Asn,
    pub cluster_id: ClusterId,
    pub allow_own_as: u8,
    pub role: Option<Role>,
    pub import: Chain,
    pub export: Chain,
    pub next_hop: NextHopMode,
    pub add_path_send: AddPath,
    pub max_prefixes: Option<MaxPrefixes>,
}

impl Rules {
    /// How we relate to the peer of an established session.
    pub fn kind(&self, session: &Negotiated) -> PeerKind {
        match (session.ebgp, self.client) {
            (true, _) => PeerKind::Ebgp,
            (false, true) => PeerKind::Client,
            (false, false) => PeerKind::NonClient,
        }
    }

    /// The import of an established session.
    pub fn import(&self, session: &Negotiated) -> Import {
        Import {
            local_as: session.local_as,
            router_as: self.router_as,
            remote_as: session.remote_as,
            router_id: session.local_id,
            cluster_id: Some(self.cluster_id),
            allow_own_as: self.allow_own_as,
            ebgp: session.ebgp,
            role: self.role,
            chain: self.import.clone(),
        }
    }
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
    SetRules {
        peer: PeerId,
        rules: Arc<Rules>,
        refresh: bool,
    },
    /// New session parameters, used from the next connection on.
    SetParams {
        peer: PeerId,
        params: Box<PeerParams>,
        socket: SocketOptions,
        remote: SocketAddr,
    },
    Stop {
        peer: PeerId,
        reason: StopReason,
    },
    Start {
        peer: PeerId,
    },
    /// The path to this address failed (RFC 5882 3.2, RFC 9384). `independent`: so did the peer's forwarding, also where its session is
    /// down already and its routes stay for a graceful restart.
    PathFailed {
        address: IpAddr,
        independent: bool,
    },
    Remove {
        peer: PeerId,
        reason: StopReason,
    },
    SetRanges(Vec<RangeConfig>),
    /// Ends the sessions that came from a range; they may come back.
    StopRange {
        range: ipnet::IpNet,
        reason: StopReason,
    },
    Accepted {
        stream: std::net::TcpStream,
        remote: IpAddr,
    },
    /// The answer to [`Up`] or [`FromShard::Left`], for one family.
    Joined(Box<Joined>),
    /// The restart is over: OPENs say no more that we have just restarted (RFC 4724 4.1).
    EndRestart,
    /// A member stops to read its group's journal, and says so with [`FromShard::Left`]; then it gets [`Self::Joined`] for another.
    Leave(Leave),
    /// Asks the peer to send its routes again (RFC 2918); nothing happens where that was not negotiated.
    RequestRefresh {
        peer: PeerId,
        family: Family,
    },
    /// Sends the peer all routes again, as if it had asked.
    Resend {
        peer: PeerId,
        family: Family,
    },
    /// Resets the members of a journal that have read no further than `need`: they hold back too much memory.
    ResetLaggards {
        journal: Arc<Journal>,
        need: u64,
    },
    Snapshot(oneshot::Sender<Vec<PeerSnapshot>>),
    /// Ends all sessions; answers when the last NOTIFICATION is written.
    Shutdown {
        reason: StopReason,
        done: oneshot::Sender<()>,
    },
}

/// A member of an update group starts to read its journal.
pub struct Joined {
    pub peer: PeerId,
    pub session: u32,
    pub family: Family,
    pub cursor: Cursor,
    pub journal: Arc<Journal>,
    /// Messages to send before the first of the new group, when the member comes from another one.
    pub farewell: Vec<Bytes>,
}

/// A member that changes its update group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Leave {
    pub peer: PeerId,
    pub session: u32,
    pub family: Family,
}

/// Shard to RIB, in the order in which things happened to the peer.
pub enum FromShard {
    Up(Box<Up>),
    Routes {
        peer: PeerId,
        items: Vec<Item>,
        /// When the first of it was read, for those who measure.
        read_at: Option<Instant>,
    },
    Down {
        peer: PeerId,
        down: Box<Down>,
    },
    /// A refresh of this member can go on once its group is free of dead entries.
    AskClean {
        peer: PeerId,
        family: Family,
    },
    /// The rules of an established peer changed: its update groups may have to.
    Rules {
        peer: PeerId,
        rules: Arc<Rules>,
    },
    /// A peer does not take our connection, while we wait for peers after our own restart.
    Unreachable {
        address: IpAddr,
    },
    /// The answer to [`Command::Leave`].
    Left(Leave),
    /// The peer is gone for good.
    Gone {
        peer: PeerId,
    },
}

impl FromShard {
    /// How many prefixes it is about, for bounds.
    pub fn weight(&self) -> u32 {
        match self {
            Self::Routes { items, .. } => u32::try_from(items.iter().map(Item::weight).sum::<usize>()).unwrap_or(u32::MAX),
            _ => 0,
        }
    }
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
    Announce {
        family: Family,
        attrs: AttrSet,
        filtered: Option<Reason>,
        nlri: Vec<Nlri>,
    },
    Withdraw {
        family: Family,
        nlri: Vec<Nlri>,
    },
    EndOfRib(Family),
    /// BoRR and EoRR (RFC 7313).
    BeginRefresh(Family),
    EndRefresh(Family),
}

impl Item {
    /// How many prefixes it is about, for bounds on batches.
    pub fn weight(&self) -> usize {
        match self {
            Self::Announce { nlri, .. } | Self::Withdraw { nlri, .. } => nlri.len(),
            Self::EndOfRib(_) | Self::BeginRefresh(_) | Self::EndRefresh(_) => 1,
        }
    }
}

/// Malformed path attributes by what came of them (RFC 7606 2).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Faults {
    pub discarded: u64,
    /// Treated as withdraw.
    pub withdrawn: u64,
}

impl Faults {
    pub fn count(&mut self, action: FaultAction) {
        match action {
            FaultAction::Ignored => {}
            FaultAction::Discard => self.discarded += 1,
            FaultAction::TreatAsWithdraw => self.withdrawn += 1,
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
    pub params: PeerParams,
    pub rules: Arc<Rules>,
    pub socket: SocketOptions,
    /// Bytes that wait for the socket, and whether it is full.
    pub queued_bytes: usize,
    pub blocked: bool,
    /// Messages for the RIB that it has not taken yet; meanwhile the peer is not read.
    pub undelivered: usize,
    pub eor_sent: FamilySet,
    /// Malformed path attributes by what came of them.
    pub faults: Faults,
    /// How long the socket has taken nothing although there was something.
    pub blocked_for: Duration,
    /// Control messages that wait for the socket.
    pub queued_messages: usize,
    /// Octets to and from the sockets.
    pub bytes_sent: u64,
    pub bytes_received: u64,
    /// Seconds to the next timers.
    pub next_timeout: Option<Duration>,
}
