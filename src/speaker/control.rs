//! The owner of the running configuration: takes a new Plan, and changes what differs and nothing else.

use super::drain::Drain;
use super::fib_feed::FibFeed;
use super::handle::{HandleError, Running, Shared};
use super::inputs::{InputHost, Inputs};
use super::listen::Listening;
use super::paths::Paths;
use super::restart::{self, Marker};
use super::rib_task::{RibCommand, RibState};
use super::sessions::{self, Context};
use super::{kernel, shard_of};
use crate::config::file::GracefulRestartMode;
use crate::config::plan::{DynamicPlan, PeerPlan, Plan};
use crate::config::{self, Action, Diagnostics, diff};
use crate::fib::{self, Leave};
use crate::net::{Command, Keys, Password, PeerIds, RangeConfig};
use crate::rib::PeerId;
use crate::session::StopReason;
use crate::wire::attr::AttrSet;
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info, warn};

/// What the control task is asked to do.
pub enum Order {
    Inputs(Box<Inputs>, oneshot::Sender<Result<ReloadOutcome, HandleError>>),
    Reload(Reload, oneshot::Sender<Result<ReloadOutcome, HandleError>>),
    Confirm(oneshot::Sender<Result<ReloadOutcome, HandleError>>),
    Rollback(oneshot::Sender<Result<ReloadOutcome, HandleError>>),
    Network(Box<NetworkChange>, oneshot::Sender<Result<(), HandleError>>),
    /// The prefixes of the configured VIPs that may be announced.
    Vips(BTreeSet<IpNet>, oneshot::Sender<()>),
    /// BFD watches another path, which the next life has to know.
    PathUp,
    /// Traffic is to leave this node, or may come back.
    Drain(bool, oneshot::Sender<Drain>),
    Stop {
        /// Without a drain, also where one has begun.
        at_once: bool,
        done: oneshot::Sender<()>,
    },
}

/// How to take the file again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reload {
    /// Say what would change and change nothing.
    pub dry_run: bool,
    /// Go back by yourself unless somebody confirms within this time.
    pub confirm: Option<Duration>,
}

/// What a reload did or would do.
#[derive(Clone, Debug)]
pub struct ReloadOutcome {
    pub applied: bool,
    pub generation: u64,
    pub actions: Vec<Action>,
    pub confirm_within: Option<Duration>,
}

/// A prefix of our own for the life of the process.
#[derive(Clone, Debug)]
pub struct NetworkChange {
    pub prefix: IpNet,
    /// `None` takes it away.
    pub attrs: Option<AttrSet>,
}

/// A configuration that comes back unless somebody confirms the one after it.
pub(super) struct Fallback {
    plan: Plan,
    text: Arc<str>,
    at: Instant,
}

/// The task.
pub struct Control {
    pub(super) shared: Arc<Shared>,
    pub(super) running: watch::Sender<Arc<Running>>,
    pub(super) plan: Plan,
    /// The text of the file that `plan` is made of.
    pub(super) text: Arc<str>,
    pub(super) context: Context,
    pub(super) ids: PeerIds,
    pub(super) listening: Listening,
    pub(super) fib: Option<fib::Handle>,
    /// What decides about kernel routes, as the RIB was told last.
    pub(super) kernel_policy: Option<Arc<fib::Policy>>,
    pub(super) peers: BTreeMap<IpAddr, PeerId>,
    pub(super) ranges: BTreeMap<IpNet, Arc<AtomicUsize>>,
    pub(super) networks: BTreeMap<IpNet, AttrSet>,
    /// Prefixes of VIPs that are healthy here.
    pub(super) vips: BTreeSet<IpNet>,
    /// What the RIB was told to originate.
    pub(super) originated: BTreeMap<IpNet, AttrSet>,
    pub(super) drain: Drain,
    pub(super) paths: Paths,
    /// The configuration to go back to, and when.
    pub(super) fallback: Option<Fallback>,
    /// What is configured outside the file, as it was last told, be it in force or not.
    pub(super) inputs: Inputs,
    /// Who the neighbors are is not known before the inputs come: until then a restart of ours is not taken up.
    pub(super) begins_later: bool,
    pub(super) addresses: Vec<fib::Address>,
    pub(super) marker: Marker,
    /// Peers whose sessions are established, for the next life.
    pub(super) up: BTreeSet<IpAddr>,
    /// Those of the former life, until its restart is over.
    pub(super) former: BTreeSet<IpAddr>,
    /// When the marker is to be written because peers came or went.
    pub(super) mark_at: Option<Instant>,
    /// The marker could not be written, which has been said.
    pub(super) marker_failed: bool,
}

impl Control {
    /// Runs until it is told to stop.
    pub async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut events = self.shared.events.subscribe();
        // Sessions may have come up before the events were heard.
        self.count_up().await;
        let mut scan = tokio::time::interval(SCAN);
        scan.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Those who wait for the end, which a drain may precede.
        let mut stopping = Vec::new();
        loop {
            let fallback = self.fallback.as_ref().map(|f| f.at);
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Stop { at_once, done }) => {
                        stopping.push(done);
                        if at_once || !self.drain_before_stop().await {
                            break;
                        }
                    }
                    Some(order) => self.obey(order).await,
                    None => return,
                },
                () = until(self.drain.deadline()) => {
                    self.drain_on().await;
                    if !stopping.is_empty() {
                        break;
                    }
                }
                _ = scan.tick() => {
                    self.scan_addresses().await;
                    self.mark().await;
                }
                event = events.recv() => self.follow(event).await,
                () = until(self.mark_at) => self.mark().await,
                () = until(self.paths.due) => self.sync_bfd().await,
                () = until(fallback) => {
                    warn!("the configuration was not confirmed in time: the former one comes back");
                    let _ = self.rollback().await;
                }
            }
        }
        self.stop().await;
        for done in stopping {
            let _ = done.send(());
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Inputs(inputs, reply) => drop(reply.send(self.take_inputs(*inputs).await)),
            Order::Reload(reload, reply) => drop(reply.send(self.reload(reload).await)),
            Order::Confirm(reply) => drop(reply.send(self.confirm())),
            Order::Rollback(reply) => drop(reply.send(self.rollback().await)),
            Order::Network(change, reply) => drop(reply.send(self.change_network(*change).await)),
            Order::Vips(prefixes, reply) => {
                self.announce_vips(prefixes).await;
                let _ = reply.send(());
            }
            Order::PathUp => self.mark_soon(),
            Order::Drain(wanted, reply) => drop(reply.send(self.drain_by_operator(wanted).await)),
            Order::Stop { .. } => unreachable!("handled by the caller, which ends"),
        }
    }

    /// Takes the first Plan: everything is new.
    pub async fn begin(&mut self) {
        let plan = self.plan.clone();
        self.begins_later = plan.kubernetes.is_some();
        self.tell_kernel_policy().await;
        self.scan_addresses().await;
        if !self.begins_later {
            self.take_up().await;
        }
        self.listening.set_keys(&self.keys());
        self.listening.open(&plan.listeners, &self.shared.shards);
        for (_, peer) in plan.peers {
            self.add_peer(&peer).await;
        }
        self.send_ranges().await;
        self.sync_routes().await;
        self.publish(|_| {});
    }

    /// Goes on where the former life ended, if there was one.
    async fn take_up(&mut self) {
        let inherits = self.succeed().await;
        if !self.begin_restart(inherits).await {
            // What an earlier life left in the kernel and nobody will select again.
            self.tell_rib(RibCommand::SweepKernel).await;
        }
    }

    /// After a restart of ours route selection waits for the peers that were up (RFC 4724 4.1). True if it is one. The routes of a
    /// daemon that was here before us forward like our own: to its neighbors we are it, back from a restart.
    async fn begin_restart(&mut self, inherits: bool) -> bool {
        let sessions = self.plan.peers.values().map(|p| &p.session).chain(self.plan.dynamic.values().map(|d| &d.session));
        let ours = sessions.map(|s| s.graceful_restart).filter(|g| g.mode == GracefulRestartMode::Full);
        let Some(time) = ours.map(|g| g.time).max() else { return false };
        let former = match self.marker.read(restart::uptime(), time) {
            Some(former) => former.peers,
            None if inherits => self.plan.peers.keys().map(|peer| (*peer, 0)).collect(),
            None => return false,
        };
        info!(peers = former.len(), "restarted: kernel routes stay, route selection waits for the peers that were up");
        self.context.restart_until = Some(super::now() + DEFERRAL);
        self.former = former.keys().copied().collect();
        self.end_former_paths(&former).await;
        self.tell_rib(RibCommand::Defer { expected: self.former.iter().copied().collect(), time: DEFERRAL }).await;
        true
    }

    /// Whether the kernel holds routes of a daemon that we take over from, now that we do.
    async fn succeed(&self) -> bool {
        match self.fib.as_ref().filter(|_| self.plan.fib.adopt.is_some()) {
            Some(fib) => fib.succeed().await.is_ok_and(|routes| routes > 0),
            None => false,
        }
    }

    async fn reload(&mut self, reload: Reload) -> Result<ReloadOutcome, HandleError> {
        let host = InputHost { local: super::local_host().await, inputs: &self.inputs };
        let (plan, text) = match config::load(&self.shared.path, &self.inputs.fragments, &host) {
            Ok(loaded) => loaded,
            Err(diagnostics) if reload.dry_run => return Err(HandleError::Config(Box::new(diagnostics))),
            Err(diagnostics) => return Err(self.refuse(diagnostics)),
        };
        let actions = diff(&self.plan, &plan);
        if reload.dry_run {
            let generation = self.running.borrow().generation;
            return Ok(ReloadOutcome { applied: false, generation, actions, confirm_within: None });
        }
        let (former, former_text) = (self.plan.clone(), Arc::clone(&self.text));
        self.fallback = reload.confirm.map(|time| Fallback { plan: former, text: former_text, at: super::now() + time });
        self.apply(plan, text.into(), &actions).await;
        Ok(self.outcome(actions))
    }

    /// Takes other inputs to the file as it was loaded.
    async fn take_inputs(&mut self, inputs: Inputs) -> Result<ReloadOutcome, HandleError> {
        self.inputs = inputs;
        self.drain_by_cordon().await;
        let plan = self.check(&self.text).await.map_err(|diagnostics| self.refuse(diagnostics))?;
        let begins = std::mem::take(&mut self.begins_later);
        if begins {
            self.plan = plan.clone();
            self.tell_kernel_policy().await;
            self.take_up().await;
        }
        let running = Arc::clone(&self.running.borrow());
        let actions = diff(&running.plan, &plan);
        if !actions.is_empty() || running.last_failure.is_some() {
            self.apply(plan, Arc::clone(&self.text), &actions).await;
        } else {
            self.tell_kernel_policy().await;
        }
        Ok(self.outcome(actions))
    }

    /// A text as the configuration file, with the inputs as they are now.
    async fn check(&self, text: &str) -> Result<Plan, Diagnostics> {
        let host = InputHost { local: super::local_host().await, inputs: &self.inputs };
        let name = self.shared.path.display().to_string();
        config::load_text(&name, text, &self.inputs.fragments, &host)
    }

    fn refuse(&self, diagnostics: Diagnostics) -> HandleError {
        let complaints = diagnostics.complaints.len();
        error!(path = %self.shared.path.display(), complaints, "the new configuration is not good; the running one stays");
        let failure = Some(Arc::new(diagnostics.clone()));
        self.publish(|running| running.last_failure = failure);
        HandleError::Config(Box::new(diagnostics))
    }

    fn confirm(&mut self) -> Result<ReloadOutcome, HandleError> {
        self.fallback.take().ok_or(HandleError::NothingToConfirm)?;
        self.publish(|running| running.confirm_until = None);
        Ok(self.outcome(Vec::new()))
    }

    async fn rollback(&mut self) -> Result<ReloadOutcome, HandleError> {
        let Fallback { plan, text, .. } = self.fallback.take().ok_or(HandleError::NothingToConfirm)?;
        // Inputs that came meanwhile stay, where the former text bears them.
        let plan = self.check(&text).await.unwrap_or(plan);
        let actions = diff(&self.plan, &plan);
        self.apply(plan, text, &actions).await;
        Ok(self.outcome(actions))
    }

    fn outcome(&self, actions: Vec<Action>) -> ReloadOutcome {
        let confirm_within = self.fallback.as_ref().map(|f| f.at.saturating_duration_since(super::now()));
        ReloadOutcome { applied: true, generation: self.running.borrow().generation, actions, confirm_within }
    }

    async fn apply(&mut self, plan: Plan, text: Arc<str>, actions: &[Action]) {
        self.plan = plan;
        self.text = text;
        self.context.router = self.plan.router;
        self.tell_kernel_policy().await;
        // Before sessions of BGP end for good.
        self.sync_bfd().await;
        for action in actions {
            self.act(action).await;
        }
        self.sync_routes().await;
        self.drain_by_cordon().await;
        self.listening.set_keys(&self.keys());
        let confirm_until = self.fallback.as_ref().map(|f| f.at);
        info!(changes = actions.len(), "configuration applied");
        self.publish(|running| {
            running.generation += 1;
            running.loaded_at = super::wall_clock();
            running.last_failure = None;
            running.confirm_until = confirm_until;
        });
    }

    async fn act(&mut self, action: &Action) {
        match action {
            Action::StopListening(addresses) => self.listening.close(addresses),
            Action::Listen(addresses) => self.listening.open(addresses, &self.shared.shards),
            Action::RemovePeer(address) => self.remove_peer(*address).await,
            Action::AddPeer(plan) => self.add_peer(plan).await,
            Action::ChangePeer { plan, change } => self.change_peer(plan, change).await,
            Action::RemoveRange(_) | Action::AddRange(_) => self.send_ranges().await,
            Action::ChangeRange { plan, change } => self.change_range(plan, change).await,
            Action::Fib(_) => self.restart_kernel().await,
            // What we originate is compared as a whole.
            Action::Withdraw(_) | Action::Originate(_) | Action::Vips(_) | Action::Bmp(_) => {}
            // Those who serve them follow the running configuration.
            Action::Router(_)
            | Action::Policies { .. }
            | Action::Bfd(_)
            | Action::Kubernetes(_)
            | Action::Api(_)
            | Action::Metrics(_)
            | Action::Log(_)
            | Action::Drain(_) => {}
        }
    }

    async fn add_peer(&mut self, plan: &PeerPlan) {
        let id = self.ids.next();
        self.peers.insert(plan.address, id);
        self.tell_shard(plan.address, Command::Add(Box::new(self.context.peer(id, plan)))).await;
    }

    async fn remove_peer(&mut self, address: IpAddr) {
        if let Some(peer) = self.peers.remove(&address) {
            self.tell_shard(address, Command::Remove { peer, reason: StopReason::Deconfigured }).await;
        }
    }

    async fn change_peer(&mut self, plan: &PeerPlan, change: &config::diff::Change) {
        let Some(peer) = self.peers.get(&plan.address).copied() else { return };
        let config = self.context.peer(peer, plan);
        let (remote, socket) = (config.remote, config.socket);
        let admin_up = config.params.admin_up;
        self.tell_shard(plan.address, Command::SetParams { peer, params: Box::new(config.params), socket, remote }).await;
        self.tell_shard(plan.address, Command::SetRules { peer, rules: config.rules, refresh: change.refresh_in }).await;
        let down = || StopReason::AdminDown(Some(plan.session.description.clone()).filter(|d| !d.is_empty()));
        if change.what.contains(&"adminState") {
            let command = if admin_up { Command::Start { peer } } else { Command::Stop { peer, reason: down() } };
            self.tell_shard(plan.address, command).await;
        } else if change.reset {
            self.tell_shard(plan.address, Command::Stop { peer, reason: StopReason::ConfigChange }).await;
        }
    }

    async fn change_range(&mut self, plan: &DynamicPlan, change: &config::diff::Change) {
        self.send_ranges().await;
        if change.reset {
            for shard in &self.shared.shards {
                shard.send(Command::StopRange { range: plan.range, reason: StopReason::ConfigChange }).await;
            }
        }
    }

    /// All ranges to all shards: each keeps those peers of them whose address is its own.
    async fn send_ranges(&mut self) {
        let plans = self.plan.dynamic.clone();
        self.ranges.retain(|range, _| plans.contains_key(range));
        let ranges: Vec<RangeConfig> = plans
            .values()
            .map(|plan| {
                let count = self.ranges.entry(plan.range).or_default();
                self.context.range(plan, Arc::clone(count))
            })
            .collect();
        for shard in &self.shared.shards {
            shard.send(Command::SetRanges(ranges.clone())).await;
        }
    }

    /// MD5 keys of all neighbors and ranges.
    pub(super) fn keys(&self) -> Keys {
        let peers = self.plan.peers.values().map(|p| (IpNet::from(p.address), &p.session));
        let ranges = self.plan.dynamic.values().map(|d| (d.range, &d.session));
        let key = |session| -> Option<Password> { sessions::socket(session).password };
        peers.chain(ranges).filter_map(|(net, session)| Some((net, key(session)?))).collect()
    }

    /// Passes on what decides about kernel routes, where it has changed.
    async fn tell_kernel_policy(&mut self) {
        let policy = self.inputs.kernel_policy(&self.plan);
        if policy.as_ref() != self.kernel_policy.as_deref() {
            self.kernel_policy = policy.map(Arc::new);
            self.tell_rib(RibCommand::KernelPolicy(self.kernel_policy.clone())).await;
        }
    }

    /// Other kernel settings: our routes move to where they belong now.
    async fn restart_kernel(&mut self) {
        if let Some(old) = self.fib.take() {
            self.tell_rib(RibCommand::Fib(FibFeed::none(), None)).await;
            let _ = old.stop(Leave::Remove).await;
        }
        match kernel::start(&self.plan.fib, &self.shared.rib) {
            Ok(kernel) => {
                self.fib = kernel.as_ref().map(|k| k.handle.clone());
                self.shared.fib.store(self.fib.clone().map(Arc::new));
                self.tell_rib(RibCommand::Fib(kernel.map_or_else(FibFeed::none, |k| k.feed), self.kernel_policy.clone())).await;
            }
            Err(e) => error!(error = %e, "kernel routes are off: netlink cannot be opened"),
        }
    }

    async fn scan_addresses(&mut self) {
        let Ok(addresses) = fib::addresses().await else { return };
        if addresses != self.addresses {
            self.addresses.clone_from(&addresses);
            let own = addresses.into_iter().map(|a| (a.interface, a.local)).collect();
            self.tell_rib(RibCommand::Addresses(own)).await;
            // Which neighbors are on a link of ours may have changed.
            self.sync_bfd().await;
        }
    }

    async fn stop(&mut self) {
        let graceful = self.plan.keeps_routes_on_stop();
        if graceful {
            self.mark().await;
        } else {
            self.marker.remove();
        }
        self.listening.close_all();
        if graceful {
            // What follows from the end of the sessions must reach neither the kernel nor the peers whose turn to end comes later, and
            // nothing is selected because nobody is left to wait for. The answer says that this was seen before that.
            self.tell_rib(RibCommand::Fib(FibFeed::none(), None)).await;
            let (seen, answer) = oneshot::channel();
            let freeze = move |state: &mut RibState| {
                state.freeze();
                // The one who asked is waiting.
                let _ = seen.send(());
            };
            self.tell_rib(RibCommand::Inspect(Box::new(freeze))).await;
            let _ = answer.await;
        }
        if !graceful {
            // Before the sessions end, so that no peer takes it for a failure of the path.
            self.end_bfd().await;
        }
        let reason = if graceful { StopReason::GracefulClose } else { StopReason::AdminDown(None) };
        let mut ends = Vec::new();
        for shard in &self.shared.shards {
            let (done, end) = oneshot::channel();
            shard.send(Command::Shutdown { reason: reason.clone(), done }).await;
            ends.push(end);
        }
        for end in ends {
            let _ = end.await;
        }
        // After a graceful end, so that the peers know of the restart when the path is no longer watched (RFC 5882 4.3).
        self.end_bfd().await;
        if let Some(fib) = self.fib.take() {
            let leave = match graceful {
                true if self.plan.hands_routes_over() => Leave::HandOver,
                true => Leave::Keep,
                false => Leave::Remove,
            };
            let _ = fib.stop(leave).await;
        }
    }

    /// Shows the configuration in force to everybody.
    pub(super) fn publish(&self, change: impl FnOnce(&mut Running)) {
        self.running.send_modify(|running| {
            let mut next = (**running).clone();
            next.plan = Arc::new(self.plan.clone());
            next.text = Arc::clone(&self.text);
            next.peers = self.peers.iter().map(|(address, id)| (*id, *address)).collect();
            next.listening = self.listening.addresses();
            next.networks.clone_from(&self.networks);
            next.drain = self.drain;
            change(&mut next);
            *running = Arc::new(next);
        });
    }

    async fn tell_shard(&self, address: IpAddr, command: Command) {
        let shards = &self.shared.shards;
        if let Some(shard) = shards.get(shard_of(address, shards.len())) {
            shard.send(command).await;
        }
    }

    pub(super) async fn tell_rib(&self, command: RibCommand) {
        // It ends only with the process.
        let _ = self.shared.rib.send(command).await;
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// How often our own addresses are compared with what the RIB knows, and how old the restart state can be.
const SCAN: Duration = Duration::from_secs(5);
/// How long route selection waits after a restart of ours, at the most.
const DEFERRAL: Duration = Duration::from_secs(30);

impl Running {
    /// The state before anything ran.
    pub(super) fn new(plan: Plan, text: Arc<str>, loaded_at: SystemTime) -> Self {
        Self {
            plan: Arc::new(plan),
            text,
            peers: BTreeMap::new(),
            listening: BTreeSet::new(),
            networks: BTreeMap::new(),
            drain: Drain::default(),
            generation: 1,
            loaded_at,
            last_failure: None,
            confirm_until: None,
        }
    }
}
