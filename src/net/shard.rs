//! A shard: one thread that moves the bytes of many peers. It owns its peers, answers commands, and fans the journals out.

use super::inlet::Inlet;
use super::member::GroupView;
use super::message::{Command, FromShard, Joined, PeerConfig, PeerIds, PeerSnapshot, RangeConfig};
use super::pulse::Pulse;
use super::runner::{Place, Runner};
use crate::export::{Journal, View};
use crate::rib::PeerId;
use crate::session::{Cause, ConnId, Direction, State, StopReason};
use crate::wire::Family;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::{Notify, broadcast, mpsc, oneshot};
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

/// Where a shard sends what it hears, and what it shares with the other shards.
#[derive(Clone)]
pub struct Links {
    pub to_rib: Inlet,
    pub events: broadcast::Sender<PeerEvent>,
    pub ids: PeerIds,
}

/// Something that happened to a peer, for live watches.
#[derive(Clone, Debug)]
pub struct PeerEvent {
    pub peer: PeerId,
    pub remote: IpAddr,
    pub what: PeerChange,
}

#[derive(Clone, Copy, Debug)]
pub enum PeerChange {
    State {
        from: State,
        to: State,
        cause: Cause,
    },
    /// The session came up with a peer that has restarted (R bit, RFC 4724 3).
    Restarted,
    /// It has more prefixes than it may (RFC 4486 4).
    PrefixLimit {
        family: Family,
        limit: u32,
    },
}

/// The way to a running shard.
#[derive(Clone, Debug)]
pub struct ShardHandle {
    pub index: usize,
    commands: mpsc::Sender<Command>,
    wake: Arc<Notify>,
    pulse: Pulse,
}

impl ShardHandle {
    /// Starts the thread of shard `index`.
    ///
    /// # Errors
    /// The operating system refuses a thread or its event queue.
    pub fn start(index: usize, links: Links) -> std::io::Result<Self> {
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let wake = Arc::new(Notify::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let pulse = Pulse::default();
        let for_thread = (Arc::clone(&wake), pulse.clone());
        std::thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, Shard::new(index, links, for_thread).run(inbox));
        })?;
        Ok(Self { index, commands, wake, pulse })
    }

    /// Delivers a command; waits while the shard's queue is full. False when the shard is gone.
    pub async fn send(&self, command: Command) -> bool {
        self.commands.send(command).await.is_ok()
    }

    /// Like [`Self::send`] from a thread outside of any runtime's tasks; drops the command when the queue is full.
    pub fn try_send(&self, command: Command) -> bool {
        self.commands.try_send(command).is_ok()
    }

    /// Says that some journal has more to read. Cheap, and as good once as many times.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Ends whenever the shard has looked after a wake.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// What the shard knows of its peers; empty when it is gone.
    pub async fn snapshot(&self) -> Vec<PeerSnapshot> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Snapshot(reply)).await;
        answer.await.unwrap_or_default()
    }
}

/// State of the thread; tasks of it share it through `Rc`.
pub struct Shard {
    pub(super) index: usize,
    pub(super) links: Links,
    /// One read buffer for all peers: nobody keeps bytes in it.
    pub(super) scratch: RefCell<Box<[u8]>>,
    /// Peers at work, and connections that end with a NOTIFICATION on its way.
    pub(super) tasks: TaskTracker,
    /// The fan-out loop shall run.
    pub(super) wake: Arc<Notify>,
    pulse: Pulse,
    groups: RefCell<Vec<Rc<GroupView>>>,
    peers: RefCell<BTreeMap<PeerId, Rc<Runner>>>,
    by_address: RefCell<BTreeMap<IpAddr, PeerId>>,
    ranges: RefCell<Vec<RangeConfig>>,
}

impl Shard {
    fn new(index: usize, links: Links, (wake, pulse): (Arc<Notify>, Pulse)) -> Self {
        Self {
            index,
            links,
            scratch: RefCell::new(vec![0; SCRATCH].into()),
            tasks: TaskTracker::new(),
            wake,
            pulse,
            groups: RefCell::default(),
            peers: RefCell::default(),
            by_address: RefCell::default(),
            ranges: RefCell::default(),
        }
    }

    async fn run(self, mut inbox: mpsc::Receiver<Command>) {
        let shard = Rc::new(self);
        tokio::task::spawn_local(Rc::clone(&shard).fan_out());
        while let Some(command) = inbox.recv().await {
            match command {
                Command::Shutdown { reason, done } => shard.shut_down(reason, done).await,
                other => shard.obey(other),
            }
        }
    }

    /// Whenever a journal grew: every member in turn writes what its socket takes, a bounded amount a pass; a member whose socket is
    /// full goes on from its own task.
    async fn fan_out(self: Rc<Self>) {
        let mut busy: Vec<Rc<Runner>> = Vec::new();
        loop {
            self.wake.notified().await;
            busy.clear();
            busy.extend(self.peers.borrow().values().filter(|p| p.has_members()).cloned());
            loop {
                self.pulse.end();
                let now = now();
                busy.retain(|p| p.pump(now));
                if busy.is_empty() {
                    break;
                }
                // The peers' own tasks read between the passes.
                tokio::task::yield_now().await;
            }
            self.publish();
        }
    }

    /// Tells every group how far its members here have read: all of them, those too that joined a moment ago.
    fn publish(&self) {
        let mut groups = self.groups.borrow_mut();
        groups.iter().for_each(|g| g.begin_count());
        self.peers.borrow().values().for_each(|p| p.count_needs());
        groups.iter().for_each(|g| g.publish());
        groups.retain(|g| Rc::strong_count(g) > 1);
    }

    /// What the members of a group share here.
    fn group_view(&self, journal: &Arc<Journal>) -> Rc<GroupView> {
        let mut groups = self.groups.borrow_mut();
        if let Some(known) = groups.iter().find(|g| Arc::ptr_eq(g.view.borrow().journal(), journal)) {
            return Rc::clone(known);
        }
        let new = Rc::new(GroupView::new(View::new(Arc::clone(journal), self.index)));
        groups.push(Rc::clone(&new));
        new
    }

    fn obey(self: &Rc<Self>, command: Command) {
        let now = now();
        match command {
            Command::Add(config) => self.add(*config, None),
            Command::SetRules { peer, rules, refresh } => self.with(peer, |p| p.set_rules(rules, refresh)),
            Command::SetParams { peer, params, socket, remote } => {
                self.by_address.borrow_mut().insert(remote.ip(), peer);
                self.with(peer, |p| p.set_params(*params, socket, remote));
            }
            Command::Stop { peer, reason } => self.with(peer, |p| p.machine(|m| m.handle_stop(reason, now))),
            Command::PathFailed { address, independent } => {
                let known = self.by_address.borrow().get(&address).copied();
                known.into_iter().for_each(|peer| self.with(peer, |p| p.path_failed(independent, now)));
            }
            Command::Start { peer } => self.with(peer, |p| p.machine(|m| m.handle_start(now))),
            Command::Remove { peer, reason } => self.with(peer, |p| p.remove(reason, now)),
            Command::SetRanges(ranges) => self.set_ranges(ranges, now),
            Command::Accepted { stream, remote } => self.accepted(stream, remote),
            Command::Joined(joined) => self.joined(*joined),
            Command::EndRestart => self.end_restart(),
            Command::Leave(leave) => self.with(leave.peer, |p| p.leave(leave)),
            Command::RequestRefresh { peer, family } => self.with(peer, |p| p.request_refresh(family)),
            Command::StopRange { range, reason } => {
                let peers = self.peers.borrow();
                let of_range = peers.values().filter(|p| p.is_dynamic() && range.contains(&p.remote().ip()));
                of_range.for_each(|p| p.machine(|m| m.handle_stop(reason.clone(), now)));
            }
            Command::Resend { peer, family } => self.with(peer, |p| p.resend(family)),
            Command::ResetLaggards { journal, need } => {
                for peer in self.peers.borrow().values().filter(|p| p.lags(&journal, need)) {
                    warn!(peer = %peer.remote().ip(), "reads too slowly: its session is reset to free memory");
                    peer.machine(|m| m.handle_stop(StopReason::OutOfResources, now));
                }
            }
            Command::Snapshot(reply) => {
                let all = self.peers.borrow().values().map(|p| p.snapshot(self.index, now)).collect();
                // Nobody waits for it any more: nothing to do.
                let _ = reply.send(all);
            }
            Command::Shutdown { .. } => unreachable!("handled by the caller, which can wait"),
        }
    }

    fn with(&self, peer: PeerId, act: impl FnOnce(&Runner)) {
        // A peer that went in the meantime needs nothing more.
        if let Some(runner) = self.peers.borrow().get(&peer).cloned() {
            act(&runner);
        }
    }

    fn add(self: &Rc<Self>, config: PeerConfig, place: Option<Place>) {
        let (id, address) = (config.id, config.remote.ip());
        let runner = Rc::new(Runner::new(config, place, now()));
        self.by_address.borrow_mut().insert(address, id);
        self.peers.borrow_mut().insert(id, Rc::clone(&runner));
        let shard = Rc::clone(self);
        let tasks = self.tasks.clone();
        tasks.spawn_local(async move {
            runner.run(&shard).await;
            shard.forget(id, address);
            // Without a RIB the process ends.
            shard.links.to_rib.send(FromShard::Gone { peer: id }).await;
        });
    }

    fn forget(&self, id: PeerId, address: IpAddr) {
        self.peers.borrow_mut().remove(&id);
        let mut by_address = self.by_address.borrow_mut();
        if by_address.get(&address) == Some(&id) {
            by_address.remove(&address);
        }
    }

    fn set_ranges(&self, ranges: Vec<RangeConfig>, now: Instant) {
        let orphans: Vec<_> = {
            let peers = self.peers.borrow();
            let dynamic = peers.values().filter(|p| p.is_dynamic());
            dynamic.filter(|p| !ranges.iter().any(|r| r.range.contains(&p.remote().ip()))).cloned().collect()
        };
        for peer in orphans {
            peer.remove(StopReason::Deconfigured, now);
        }
        for range in &ranges {
            for peer in self.peers.borrow().values().filter(|p| p.is_dynamic() && range.range.contains(&p.remote().ip())) {
                peer.set_rules(Arc::clone(&range.template.rules), true);
            }
        }
        *self.ranges.borrow_mut() = ranges;
    }

    fn end_restart(&self) {
        self.peers.borrow().values().for_each(|p| p.machine(|m| m.end_restart()));
        for range in self.ranges.borrow_mut().iter_mut() {
            range.template.params.graceful_restart.restarting = false;
        }
    }

    /// An inbound connection: to the peer of that address, or to a new one of the most specific range.
    fn accepted(self: &Rc<Self>, stream: std::net::TcpStream, remote: IpAddr) {
        let stream = match TcpStream::from_std(stream) {
            Ok(stream) => stream,
            Err(e) => return warn!(peer = %remote, error = %e, "cannot take over a connection"),
        };
        let known = self.by_address.borrow().get(&remote).copied();
        let id = known.or_else(|| self.add_dynamic(remote));
        match id {
            Some(id) => self.with(id, |p| p.connected(stream, Direction::Inbound, now())),
            None => debug!(peer = %remote, "connection from an address that is no neighbor"),
        }
    }

    fn add_dynamic(self: &Rc<Self>, remote: IpAddr) -> Option<PeerId> {
        let range = {
            let ranges = self.ranges.borrow();
            ranges.iter().filter(|r| r.range.contains(&remote)).max_by_key(|r| r.range.prefix_len())?.clone()
        };
        let Some(place) = Place::take(&range.count, range.max) else {
            warn!(peer = %remote, range = %range.range, max = range.max, "the range is full");
            return None;
        };
        let mut config = range.template;
        config.id = self.links.ids.next();
        config.remote = SocketAddr::new(remote, config.remote.port());
        config.params.passive = true;
        config.params.seed ^= u64::from(config.id.0);
        let id = config.id;
        self.add(config, Some(place));
        Some(id)
    }

    fn joined(self: &Rc<Self>, joined: Joined) {
        let peer = joined.peer;
        let Some(runner) = self.peers.borrow().get(&peer).cloned() else { return };
        let group = self.group_view(&joined.journal);
        runner.join(joined, group);
        self.wake.notify_one();
    }

    async fn shut_down(&self, reason: StopReason, done: oneshot::Sender<()>) {
        let all: Vec<_> = self.peers.borrow().values().cloned().collect();
        for peer in all {
            peer.remove(reason.clone(), now());
        }
        self.tasks.close();
        let _ = tokio::time::timeout(SHUTDOWN, self.tasks.wait()).await;
        let _ = done.send(());
    }
}

/// Next free name for a connection of a peer.
pub(super) fn next_conn(last: &mut u32) -> ConnId {
    *last = last.wrapping_add(1);
    ConnId(*last)
}

#[expect(clippy::disallowed_methods, reason = "the shell owns the clock of its machines")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Commands that may wait; a node's whole configuration fits many times over.
const COMMANDS: usize = 4096;
const SCRATCH: usize = 64 * 1024;
const SHUTDOWN: Duration = Duration::from_secs(2);

impl Place {
    fn take(count: &Arc<std::sync::atomic::AtomicUsize>, max: usize) -> Option<Self> {
        count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n < max).then_some(n + 1)).ok()?;
        Some(Self::taken(Arc::clone(count)))
    }
}
