//! What others may ask of the running speaker: snapshots of sessions, looks into the tables, and orders to the control task.

use super::control::{NetworkChange, Order, Reload, ReloadOutcome};
use super::drain::Drain;
use super::inputs::Inputs;
use super::rib_task::{RibCommand, RibState};
use super::watchdog::Health;
use crate::bfd;
use crate::config::{Diagnostics, Plan};
use crate::fib;
use crate::net::{Command, PeerEvent, PeerSnapshot, ShardHandle};
use crate::rib::PeerId;
use crate::session::StopReason;
use crate::wire::Family;
use crate::wire::attr::AttrSet;
use arc_swap::ArcSwapOption;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// The way to the running speaker; cheap to clone.
#[derive(Clone)]
pub struct Handle(pub(super) Arc<Shared>);

pub(super) struct Shared {
    pub orders: mpsc::Sender<Order>,
    pub shards: Vec<ShardHandle>,
    pub rib: mpsc::Sender<RibCommand>,
    pub fib: ArcSwapOption<fib::Handle>,
    /// Once a neighbor was to be watched.
    pub bfd: ArcSwapOption<bfd::Handle>,
    pub running: watch::Receiver<Arc<Running>>,
    pub events: broadcast::Sender<PeerEvent>,
    pub path: PathBuf,
    pub started: (Instant, SystemTime),
    pub health: Health,
}

/// The configuration in force and what was made of it. Replaced as a whole.
#[derive(Clone, Debug)]
pub struct Running {
    pub plan: Arc<Plan>,
    /// The file that it was made of, as it was then.
    pub text: Arc<str>,
    /// The neighbors of the file.
    pub peers: BTreeMap<PeerId, IpAddr>,
    /// Where we listen: those addresses of the plan that were free.
    pub listening: BTreeSet<SocketAddr>,
    /// Prefixes that were added at run time.
    pub networks: BTreeMap<IpNet, AttrSet>,
    /// Whether traffic is to leave this node, and how far that is.
    pub drain: Drain,
    /// Counts the configurations that were taken.
    pub generation: u64,
    pub loaded_at: SystemTime,
    /// The last reload failed; the configuration in force is older than the file.
    pub last_failure: Option<Arc<Diagnostics>>,
    /// Until then the configuration has to be confirmed, or the former one comes back.
    pub confirm_until: Option<Instant>,
}

/// The speaker cannot answer.
#[derive(Debug)]
pub enum HandleError {
    /// It is stopping.
    Stopped,
    /// No peer of this id is left.
    NoSuchPeer,
    /// The new configuration is not good; the running one stays.
    Config(Box<Diagnostics>),
    /// Nothing waits for a confirmation.
    NothingToConfirm,
    /// The prefix was not added at run time.
    NoSuchNetwork,
    /// The prefix belongs to the configuration.
    ConfiguredNetwork,
}

impl fmt::Display for HandleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str("the daemon is stopping"),
            Self::NoSuchPeer => f.write_str("the neighbor is gone"),
            Self::Config(diagnostics) => f.write_str(&diagnostics.render(false)),
            Self::NothingToConfirm => f.write_str("no reload waits for a confirmation"),
            Self::NoSuchNetwork => f.write_str("this prefix was not added at run time"),
            Self::ConfiguredNetwork => f.write_str("this prefix is in the configuration file; remove it there and reload"),
        }
    }
}

impl std::error::Error for HandleError {}

impl Handle {
    /// The configuration in force.
    pub fn running(&self) -> Arc<Running> {
        Arc::clone(&self.0.running.borrow())
    }

    /// Follows the configuration in force.
    pub fn watch_running(&self) -> watch::Receiver<Arc<Running>> {
        self.0.running.clone()
    }

    pub fn config_path(&self) -> &Path {
        &self.0.path
    }

    pub fn uptime(&self) -> Duration {
        self.0.started.0.elapsed()
    }

    /// Whether a thread of ours is stuck, so that the process is about to end.
    pub fn is_stuck(&self) -> bool {
        self.0.health.is_stuck()
    }

    pub fn started_at(&self) -> SystemTime {
        self.0.started.1
    }

    /// The kernel side, where there is one.
    pub fn fib(&self) -> Option<Arc<fib::Handle>> {
        self.0.fib.load_full()
    }

    /// The sessions of BFD, and the packets that were none of theirs.
    pub async fn bfd(&self) -> bfd::Report {
        match self.0.bfd.load_full() {
            Some(bfd) => bfd.report().await,
            None => bfd::Report::default(),
        }
    }

    /// Changes of session states from now on. A slow reader learns that it missed some.
    pub fn events(&self) -> broadcast::Receiver<PeerEvent> {
        self.0.events.subscribe()
    }

    /// All peers, static and dynamic, by address.
    pub async fn peers(&self) -> Vec<PeerSnapshot> {
        let mut all = Vec::new();
        for shard in &self.0.shards {
            all.extend(shard.snapshot().await);
        }
        all.sort_by_key(|p| p.remote);
        all
    }

    /// Looks into the tables between two turns of the RIB task. Long walks go in slices, one call each.
    ///
    /// # Errors
    /// [`HandleError::Stopped`].
    pub async fn inspect<T: Send + 'static>(&self, look: impl FnOnce(&mut RibState) -> T + Send + 'static) -> Result<T, HandleError> {
        let (reply, answer) = oneshot::channel();
        let look = Box::new(move |state: &mut RibState| drop(reply.send(look(state))));
        self.0.rib.send(RibCommand::Inspect(look)).await.map_err(|_| HandleError::Stopped)?;
        answer.await.map_err(|_| HandleError::Stopped)
    }

    /// Which of these prefixes and peers go together in fact: the session is established, its Adj-RIB-Out has the prefix, and the
    /// peer has read it.
    ///
    /// # Errors
    /// [`HandleError::Stopped`].
    pub async fn sent(&self, wanted: BTreeMap<IpNet, BTreeSet<IpAddr>>) -> Result<BTreeSet<(IpNet, IpAddr)>, HandleError> {
        let look = move |state: &mut RibState| {
            let live: BTreeMap<IpAddr, PeerId> = state.live.iter().map(|(id, live)| (live.negotiated.remote_addr.ip(), *id)).collect();
            let pairs = wanted.into_iter().flat_map(|(prefix, peers)| peers.into_iter().map(move |peer| (prefix, peer)));
            let is_sent =
                |(prefix, peer): &(IpNet, IpAddr)| live.get(peer).is_some_and(|peer| state.groups.has_sent(&state.rib, prefix, *peer));
            pairs.filter(is_sent).collect()
        };
        self.inspect(look).await
    }

    /// Ends the session of a peer for `reason`.
    pub async fn stop_peer(&self, peer: &PeerSnapshot, reason: StopReason) -> Result<(), HandleError> {
        self.to_peer(peer, Command::Stop { peer: peer.id, reason }).await
    }

    /// Starts a peer that was stopped, or ends its back-off.
    pub async fn start_peer(&self, peer: &PeerSnapshot) -> Result<(), HandleError> {
        self.to_peer(peer, Command::Start { peer: peer.id }).await
    }

    /// Asks a peer to send its routes again.
    pub async fn refresh_in(&self, peer: &PeerSnapshot, family: Family) -> Result<(), HandleError> {
        self.to_peer(peer, Command::RequestRefresh { peer: peer.id, family }).await
    }

    /// Sends all routes to a peer again.
    pub async fn refresh_out(&self, peer: &PeerSnapshot, family: Family) -> Result<(), HandleError> {
        self.to_peer(peer, Command::Resend { peer: peer.id, family }).await
    }

    async fn to_peer(&self, peer: &PeerSnapshot, command: Command) -> Result<(), HandleError> {
        let shard = self.0.shards.get(peer.shard).ok_or(HandleError::NoSuchPeer)?;
        if shard.send(command).await { Ok(()) } else { Err(HandleError::Stopped) }
    }

    /// Reads the configuration file again.
    ///
    /// # Errors
    /// [`HandleError::Config`] with what is wrong; nothing has changed then.
    pub async fn reload(&self, reload: Reload) -> Result<ReloadOutcome, HandleError> {
        self.order(|reply| Order::Reload(reload, reply)).await?
    }

    /// Replaces what is configured outside the file; the file stays as it was loaded.
    ///
    /// # Errors
    /// [`HandleError::Config`] with what is wrong; nothing has changed then. The next reload of the file tries these inputs again.
    pub async fn set_inputs(&self, inputs: Inputs) -> Result<ReloadOutcome, HandleError> {
        self.order(|reply| Order::Inputs(Box::new(inputs), reply)).await?
    }

    /// Keeps a configuration that was loaded with a confirmation time.
    ///
    /// # Errors
    /// [`HandleError::NothingToConfirm`].
    pub async fn confirm(&self) -> Result<ReloadOutcome, HandleError> {
        self.order(Order::Confirm).await?
    }

    /// Goes back to the configuration before the one that waits for a confirmation.
    ///
    /// # Errors
    /// [`HandleError::NothingToConfirm`].
    pub async fn rollback(&self) -> Result<ReloadOutcome, HandleError> {
        self.order(Order::Rollback).await?
    }

    /// Originates a prefix until the daemon ends, or takes such a prefix away.
    ///
    /// # Errors
    /// The prefix is one of the file, or was never added.
    pub async fn change_network(&self, change: NetworkChange) -> Result<(), HandleError> {
        self.order(|reply| Order::Network(Box::new(change), reply)).await?
    }

    /// Announces those of the configured VIPs that have these prefixes, and no others.
    ///
    /// # Errors
    /// [`HandleError::Stopped`].
    pub async fn announce_vips(&self, prefixes: BTreeSet<IpNet>) -> Result<(), HandleError> {
        self.order(|reply| Order::Vips(prefixes, reply)).await
    }

    /// Asks for a drain of this node, or takes that back: others may still want it. Returns how it stands.
    ///
    /// # Errors
    /// [`HandleError::Stopped`].
    pub async fn drain(&self, wanted: bool) -> Result<Drain, HandleError> {
        self.order(|reply| Order::Drain(wanted, reply)).await
    }

    /// Ends all sessions as the configuration says, and the speaker: where graceful restart does not keep our prefixes, after a drain.
    pub async fn stop(&self) {
        // An error says that it has stopped already.
        let _ = self.order(|done| Order::Stop { at_once: false, done }).await;
    }

    /// As [`Self::stop`], without a drain; one that has begun is over.
    pub async fn stop_at_once(&self) {
        // As above.
        let _ = self.order(|done| Order::Stop { at_once: true, done }).await;
    }

    async fn order<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, HandleError> {
        let (reply, answer) = oneshot::channel();
        self.0.orders.send(order(reply)).await.map_err(|_| HandleError::Stopped)?;
        answer.await.map_err(|_| HandleError::Stopped)
    }
}
