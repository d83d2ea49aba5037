//! The one owner of the RIB and the update groups. A turn takes what shards and commands have sent, decides every destination that
//! changed once, and lets groups and kernel follow.

use super::fib_feed::FibFeed;
use super::grace::{Deferral, Due, Grace, Preserved, Retention};
use super::groups::{ForShard, Groups};
use super::route_log::RouteLog;
use crate::fib::Policy;
use crate::net::{Command, FromShard, Item, LimitAction, MaxPrefixes, Outlet, PeerChange, PeerEvent, Pulse, Rules, ShardHandle, Up, fault};
use crate::policy::{PeerKind, Reason};
use crate::rib::{Changed, PeerId, PeerInfo, Resolution, Rib};
use crate::session::{Down, Negotiated, StopReason};
use crate::wire::Nlri;
use crate::wire::attr::AttrSet;
use crate::wire::{Family, FamilySet};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc};
use tracing::{debug, info, warn};

/// What others ask of the RIB task.
pub enum RibCommand {
    /// Routes of our own, all at once: `None` takes one away.
    Originate(Vec<(IpNet, Option<AttrSet>)>),
    /// Prefixes of our own that a drain keeps back.
    Withhold(BTreeSet<IpNet>),
    NextHops(Vec<(IpAddr, Resolution)>),
    /// The addresses of this host and the interfaces that have them.
    Addresses(Vec<(u32, IpAddr)>),
    /// Another kernel side: it is told everything that its policy asks for.
    Fib(FibFeed, Option<Arc<Policy>>),
    /// Other rules for kernel routes; without any nothing is installed and nothing removed.
    KernelPolicy(Option<Arc<Policy>>),
    /// Kernel routes of a former life go, as soon as it is known which of them are selected again.
    SweepKernel,
    /// What the kernel had to say of next hops has come.
    KernelSettled,
    /// Reads, or in slices dumps, the tables between two turns.
    Inspect(Box<dyn FnOnce(&mut RibState) + Send>),
    /// We have just restarted: selection waits for these peers (RFC 4724 4.1).
    Defer {
        expected: Vec<IpAddr>,
        time: Duration,
    },
}

/// The tables and what hangs on them; [`super::Handle::inspect`] sees it whole.
pub struct RibState {
    pub rib: Rib,
    pub groups: Groups,
    pub grace: Grace,
    pub deferral: Deferral,
    pub live: BTreeMap<PeerId, Live>,
    /// Prefixes of our own that a drain keeps back, for those who ask where they are.
    pub withheld: BTreeSet<IpNet>,
    pub turns: Turns,
    pub route_log: RouteLog,
    /// Prefixes of which a path changed, a turn and family at a time, while somebody listens.
    pub changes: broadcast::Sender<Arc<[IpNet]>>,
}

/// An established session, as the RIB task sees it.
pub struct Live {
    pub shard: usize,
    pub session: u32,
    pub negotiated: Arc<Negotiated>,
    pub rules: Arc<Rules>,
    pub kind: PeerKind,
    /// Families in which End-of-RIB came.
    pub eor_received: FamilySet,
    /// Families whose prefix limit has been reported.
    pub limit_hit: FamilySet,
}

/// Counters of the turns.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turns {
    pub prefixes: u64,
    pub decided: u64,
    /// How long turns took.
    pub busy: Times,
    /// From the reading of the oldest UPDATE of a turn until what follows from it was handed to the shards.
    pub convergence: Times,
}

/// Durations, counted for a histogram.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    pub count: u64,
    pub sum: Duration,
    /// How many took at most [`Times::BOUNDS`] of the same place; longer ones count in `count` only.
    pub within: [u64; Times::BOUNDS.len()],
}

impl Times {
    pub const BOUNDS: [Duration; 8] = [
        Duration::from_micros(100),
        Duration::from_millis(1),
        Duration::from_millis(5),
        Duration::from_millis(20),
        Duration::from_millis(100),
        Duration::from_millis(500),
        Duration::from_secs(2),
        Duration::from_secs(10),
    ];

    fn count(&mut self, time: Duration) {
        self.count += 1;
        self.sum += time;
        for (bound, count) in Self::BOUNDS.iter().zip(&mut self.within) {
            *count += u64::from(time <= *bound);
        }
    }
}

/// What came of a message of a shard.
pub struct Heard {
    /// How many prefixes it was about.
    pub weight: usize,
    /// A refresh can go on: shards must look although nothing was published.
    pub refreshed: bool,
    pub overrun: Option<Overrun>,
}

/// A peer has more prefixes than it may, which is new; its session ends where there is a `reason`.
pub struct Overrun {
    pub shard: usize,
    pub peer: PeerId,
    pub family: Family,
    pub limit: u32,
    pub action: LimitAction,
    pub reason: Option<StopReason>,
}

/// What fell due.
pub struct Expired {
    /// Stale routes that are gone, or stay on as long-lived ones.
    pub due: Vec<(PeerId, Family, Due)>,
    /// The wait after our own restart is over.
    pub selection_begins: bool,
}

/// The task itself.
pub struct RibTask {
    state: RibState,
    shards: Vec<ShardHandle>,
    fib: FibFeed,
    events: broadcast::Sender<PeerEvent>,
    /// A refresh can go on: shards must look although nothing was published.
    refreshed: bool,
    /// When the oldest UPDATE of this turn was read.
    oldest: Option<Instant>,
    /// Route selection is complete after a restart: once it is in the kernel, what is left there from before goes.
    sweep_kernel: bool,
    /// Beats once a turn.
    pulse: Pulse,
}

impl RibTask {
    pub fn new(rib: Rib, shards: Vec<ShardHandle>, fib: FibFeed, (events, pulse): (broadcast::Sender<PeerEvent>, Pulse)) -> Self {
        let state = RibState::new(rib, shards.len());
        Self { state, shards, fib, events, refreshed: false, oldest: None, sweep_kernel: false, pulse }
    }

    /// Runs until both channels are closed.
    pub async fn run(mut self, mut from_shards: Outlet, mut commands: mpsc::Receiver<RibCommand>) {
        let mut batch = Vec::new();
        loop {
            let deadline = self.state.next_deadline();
            let building = self.state.groups.is_building();
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(command) => {
                        self.pulse.begin();
                        self.obey(command).await;
                    }
                    None => break,
                },
                n = from_shards.recv_many(&mut batch, MESSAGES) => if n == 0 { break },
                () = until(deadline) => {}
                () = std::future::ready(()), if building => {}
            }
            self.pulse.begin();
            self.turn(&mut batch, &mut from_shards).await;
            self.pulse.end();
        }
    }

    /// Takes messages up to the bound of a batch, then decides and publishes.
    async fn turn(&mut self, batch: &mut Vec<FromShard>, more: &mut Outlet) {
        let start = now();
        let mut weight = 0;
        loop {
            for message in batch.drain(..) {
                weight += self.hear(message, start).await;
            }
            // Busy means bigger batches; idle means at once.
            if weight >= BATCH || now() - start > TURN {
                break;
            }
            match more.try_recv() {
                Ok(message) => batch.push(message),
                Err(_) => break,
            }
        }
        self.expire(start).await;
        self.decide(start).await;
        let (turns, end) = (&mut self.state.turns, now());
        turns.prefixes += weight as u64;
        turns.busy.count(end - start);
        if let Some(read_at) = self.oldest.take() {
            turns.convergence.count(end.saturating_duration_since(read_at));
        }
    }

    async fn decide(&mut self, at: Instant) {
        let state = &mut self.state;
        let mut wake = std::mem::take(&mut self.refreshed);
        for family in Family::ALL {
            let changed = state.rib.decide(family);
            if !changed.is_empty() {
                state.turns.decided += changed.paths.len() as u64;
                state.tell(family, &changed);
                state.route_log.note(&state.rib, &changed, at);
                wake |= state.groups.sync(&mut state.rib, &changed);
                self.fib.sync(&state.rib, &changed);
            }
        }
        state.published();
        wake |= state.groups.build(&mut state.rib);
        for out in state.groups.take_joins(&state.rib, at) {
            let (shard, command) = match out {
                ForShard::Leave { shard, leave } => (shard, Command::Leave(leave)),
                ForShard::Join { shard, joined } => (shard, Command::Joined(joined)),
            };
            self.shards[shard].send(command).await;
        }
        for (shard, journal, need) in state.groups.maintain(&mut state.rib, at).laggards {
            self.shards[shard].send(Command::ResetLaggards { journal, need }).await;
        }
        if wake {
            self.shards.iter().for_each(ShardHandle::wake);
        }
        self.fib.watch(&mut state.rib);
        if std::mem::take(&mut self.sweep_kernel) {
            self.fib.settle();
        }
    }

    /// Returns how many prefixes it was about.
    async fn hear(&mut self, message: FromShard, at: Instant) -> usize {
        if let FromShard::Routes { read_at: Some(read_at), .. } = &message {
            self.oldest = Some(self.oldest.map_or(*read_at, |oldest| oldest.min(*read_at)));
        }
        let heard = self.state.hear(message, at);
        self.refreshed |= heard.refreshed;
        if let Some(Overrun { shard, peer, family, limit, action, reason }) = heard.overrun {
            if let Some(live) = self.state.live.get(&peer) {
                let remote = live.negotiated.remote_addr.ip();
                warn!(peer = %remote, %family, limit, ?action, "the peer has more prefixes than it may");
                // Without a listener there is nobody to tell.
                let _ = self.events.send(PeerEvent { peer, remote, what: PeerChange::PrefixLimit { family, limit } });
            }
            if let Some(reason) = reason {
                self.shards[shard].send(Command::Stop { peer, reason }).await;
            }
        }
        heard.weight
    }

    /// What fell due on the clock.
    async fn expire(&mut self, at: Instant) {
        let expired = self.state.expire(at);
        for (peer, family, due) in expired.due {
            match due {
                Due::Sweep => debug!(?peer, %family, "stale routes go: the peer did not send them again in time"),
                Due::BeginLongLived => info!(?peer, %family, "the peer is still away: its routes stay as long-lived stale ones"),
            }
        }
        if expired.selection_begins {
            info!("the restart is over: route selection begins");
            self.sweep_kernel = true;
            for shard in &self.shards {
                shard.send(Command::EndRestart).await;
            }
        }
    }

    async fn obey(&mut self, command: RibCommand) {
        let state = &mut self.state;
        match command {
            RibCommand::Originate(routes) => {
                for (prefix, attrs) in routes {
                    match attrs {
                        Some(attrs) => state.rib.originate(prefix, &attrs),
                        None => state.rib.unoriginate(prefix),
                    }
                }
            }
            RibCommand::Withhold(prefixes) => state.withheld = prefixes,
            RibCommand::NextHops(states) => states.into_iter().for_each(|(a, r)| state.rib.next_hop_changed(a, r)),
            RibCommand::Addresses(addresses) => {
                let own: Vec<_> = addresses.iter().map(|(_, a)| *a).collect();
                state.rib.set_own_addresses(&own);
                state.groups.set_addresses(addresses);
            }
            RibCommand::Fib(feed, policy) => {
                self.fib = feed;
                self.fib.set_policy(&state.rib, policy, state.deferral.is_active());
            }
            RibCommand::KernelPolicy(policy) => self.fib.set_policy(&state.rib, policy, state.deferral.is_active()),
            RibCommand::SweepKernel => self.sweep_kernel = true,
            RibCommand::KernelSettled => self.fib.sweep().await,
            RibCommand::Inspect(look) => look(state),
            RibCommand::Defer { expected, time } => state.defer(expected, time, now()),
        }
    }
}

impl RibState {
    /// Empty tables for `shards` shards.
    pub fn new(rib: Rib, shards: usize) -> Self {
        Self {
            rib,
            groups: Groups::new(shards),
            grace: Grace::default(),
            deferral: Deferral::none(),
            live: BTreeMap::new(),
            withheld: BTreeSet::new(),
            turns: Turns::default(),
            route_log: RouteLog::default(),
            changes: broadcast::Sender::new(CHANGES),
        }
    }

    /// Takes one message of a shard into the tables; decided and published is later.
    pub fn hear(&mut self, message: FromShard, at: Instant) -> Heard {
        let mut heard = Heard { weight: 1, refreshed: false, overrun: None };
        match message {
            FromShard::Up(up) => self.up(*up, at),
            FromShard::Routes { peer, items, .. } => {
                heard.weight = self.routes(peer, items, at);
                heard.overrun = self.enforce_limit(peer);
            }
            FromShard::Down { peer, down } => self.down(peer, &down, at),
            FromShard::Rules { peer, rules } => self.set_rules(peer, rules),
            FromShard::Left(leave) => self.groups.left(leave),
            FromShard::AskClean { peer, family } => {
                self.groups.refresh(&self.rib, peer, family);
                heard.refreshed = true;
            }
            FromShard::Unreachable { address } => self.deferral.unreachable(address),
            FromShard::Gone { peer } => self.gone(peer, at),
        }
        heard
    }

    fn up(&mut self, up: Up, at: Instant) {
        let kind = up.rules.kind(&up.negotiated);
        let end_of_rib = if up.negotiated.gr.is_some() { up.negotiated.families } else { FamilySet::NONE };
        let info = PeerInfo {
            addr: up.negotiated.remote_addr.ip(),
            asn: up.negotiated.remote_as,
            router_id: up.negotiated.remote_id,
            kind,
            end_of_rib,
        };
        self.rib.peer_up(up.peer, info);
        let preserved = Preserved { restart: up.negotiated.stale_kept(), long_lived: up.negotiated.llgr_kept };
        let swept = self.grace.back(up.peer, preserved, at);
        self.rib.sweep_stale(up.peer, swept);
        let restarting = up.negotiated.gr.is_some_and(|gr| gr.restarting);
        self.deferral.up((up.peer, info.addr), end_of_rib, restarting, at);
        let live = Live {
            shard: up.shard,
            session: up.session,
            negotiated: up.negotiated,
            rules: up.rules,
            kind,
            eor_received: FamilySet::NONE,
            limit_hit: FamilySet::NONE,
        };
        self.groups.join(up.peer, &live);
        self.live.insert(up.peer, live);
    }

    fn routes(&mut self, peer: PeerId, items: Vec<Item>, at: Instant) -> usize {
        let mut weight = 0;
        for item in items {
            weight += item.weight();
            match item {
                Item::Announce { family, attrs, filtered, nlri } => self.announce(peer, (family, &nlri), &attrs, filtered),
                Item::Withdraw { family, nlri } => self.rib.withdraw(peer, family, &nlri),
                Item::EndOfRib(family) => {
                    if let Some(live) = self.live.get_mut(&peer) {
                        live.eor_received.insert(family);
                    }
                    self.rib.end_of_rib(peer, family);
                    self.grace.end_of_rib(peer, family);
                    self.deferral.end_of_rib(peer, family);
                }
                // One that comes at the wrong time is ignored (RFC 7313 4).
                Item::BeginRefresh(family) => {
                    if self.rib.begin_refresh(peer, family) {
                        self.grace.refreshing(peer, family, at);
                    }
                }
                Item::EndRefresh(family) => {
                    if self.rib.end_refresh(peer, family) {
                        self.grace.end_of_rib(peer, family);
                    }
                }
            }
        }
        weight
    }

    /// Reacts once to a peer that has more prefixes than it may (RFC 4486 4).
    fn enforce_limit(&mut self, peer: PeerId) -> Option<Overrun> {
        let live = self.live.get_mut(&peer)?;
        let MaxPrefixes { limit, action } = live.rules.max_prefixes?;
        let over = |f: &Family| self.rib.counters(peer, *f).received > limit && !live.limit_hit.contains(*f);
        let family = live.negotiated.families.iter().find(over)?;
        live.limit_hit.insert(family);
        let restart_after = match action {
            LimitAction::Warn | LimitAction::Drop => None,
            LimitAction::Shutdown => Some(None),
            LimitAction::Restart(after) => Some(Some(after)),
        };
        let reason = restart_after.map(|restart_after| StopReason::MaxPrefix { family, limit, restart_after });
        Some(Overrun { shard: live.shard, peer, family, limit, action, reason })
    }

    fn down(&mut self, peer: PeerId, down: &Down, at: Instant) {
        self.live.remove(&peer);
        self.groups.leave(peer, at);
        self.rib.peer_down(peer, down.retain);
        let times = Retention { restart: down.restart_time, stale: down.stale_time, long_lived: down.llgr_time };
        self.grace.lost(peer, down.retain, times, at);
        self.deferral.down(peer);
    }

    fn gone(&mut self, peer: PeerId, at: Instant) {
        self.live.remove(&peer);
        self.groups.leave(peer, at);
        self.rib.peer_down(peer, FamilySet::NONE);
        self.grace.forget(peer);
        self.deferral.down(peer);
    }

    fn set_rules(&mut self, peer: PeerId, rules: Arc<Rules>) {
        let Some(live) = self.live.get_mut(&peer) else { return };
        live.kind = rules.kind(&live.negotiated);
        live.rules = rules;
        live.limit_hit = FamilySet::NONE;
        if self.rib.set_kind(peer, live.kind) {
            // Its routes go to others now than before.
            self.groups.rebuild();
        }
        self.groups.change(peer, live);
    }

    /// We have just restarted: selection waits for these peers (RFC 4724 4.1).
    pub fn defer(&mut self, expected: Vec<IpAddr>, time: Duration, at: Instant) {
        self.deferral = Deferral::new(expected, time, at);
        Family::ALL.into_iter().for_each(|f| self.rib.set_deferred(f, true));
        self.groups.set_deferred(true);
    }

    /// Does what fell due on the clock.
    pub fn expire(&mut self, at: Instant) -> Expired {
        let due = self.grace.expired(at);
        for (peer, family, due) in &due {
            let families = FamilySet::from_iter([*family]);
            match due {
                Due::Sweep => self.rib.sweep_stale(*peer, families),
                Due::BeginLongLived => self.rib.begin_long_lived(*peer, families),
            }
        }
        // A next hop that is not resolved yet would cost routes that the kernel has.
        let resolved = !self.deferral.is_active() || !self.rib.awaits_next_hops();
        let selection_begins = self.deferral.finished(resolved, at);
        if selection_begins {
            Family::ALL.into_iter().for_each(|f| self.rib.set_deferred(f, false));
        }
        Expired { due, selection_begins }
    }

    /// Nothing is selected any more: we are about to go, and peers shall keep what they have of us.
    pub fn freeze(&mut self) {
        Family::ALL.into_iter().for_each(|f| self.rib.set_deferred(f, true));
    }

    /// The groups have published what this turn selected. After a restart End-of-RIB may go out from now on, behind the routes: a
    /// helper drops what it has not got again by then (RFC 4724 4.2).
    pub fn published(&mut self) {
        if !self.deferral.is_active() {
            self.groups.set_deferred(false);
        }
    }

    /// When [`Self::expire`] or the groups have something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        [self.grace.next(), self.deferral.deadline(), self.groups.next_deadline()].into_iter().flatten().min()
    }

    /// Tells who listens which prefixes changed; their destinations are still there.
    fn tell(&self, family: Family, changed: &Changed) {
        if self.changes.receiver_count() > 0 {
            let prefixes = changed.paths.iter().filter_map(|id| self.rib.dest(family, *id)).map(|d| d.prefix());
            // The last listener may have gone meanwhile.
            let _ = self.changes.send(prefixes.collect());
        }
    }

    /// Stores routes of a peer. Where a limit drops, what is beyond it is kept with its reason and not used.
    fn announce(&mut self, peer: PeerId, (family, nlri): (Family, &[Nlri]), attrs: &AttrSet, filtered: Option<Reason>) {
        if cfg!(debug_assertions) {
            nlri.iter().for_each(|n| fail_on_purpose(n.prefix));
        }
        let drops = |live: &&mut Live| live.rules.max_prefixes.is_some_and(|m| m.action == LimitAction::Drop);
        let limit = self.live.get_mut(&peer).filter(drops).and_then(|live| live.rules.max_prefixes);
        let Some(MaxPrefixes { limit, .. }) = limit.filter(|_| filtered.is_none()) else {
            return self.rib.announce(peer, family, nlri, attrs, filtered);
        };
        for nlri in nlri {
            let known = self.rib.has_accepted(peer, nlri);
            let over = !known && self.rib.counters(peer, family).accepted >= limit;
            self.rib.announce(peer, family, &[*nlri], attrs, over.then_some(Reason::LimitReached));
        }
    }
}

/// For the tests of supervision.
fn fail_on_purpose(prefix: IpNet) {
    assert!(!fault::strikes(fault::PANIC_IN_RIB, prefix), "a panic on purpose");
    while fault::strikes(fault::STALL_RIB, prefix) {
        std::thread::yield_now();
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

#[expect(clippy::disallowed_methods, reason = "the task owns the clock of the machines that it drives")]
fn now() -> Instant {
    Instant::now()
}

/// Messages taken from the channel at once, prefixes handled in one turn, and how long a turn collects them.
const MESSAGES: usize = 256;
const BATCH: usize = 4096;
/// Turns that somebody who follows changes may be behind.
const CHANGES: usize = 256;
const TURN: Duration = Duration::from_millis(1);
