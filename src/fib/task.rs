//! The task: moves changes into the plan, requests to the kernel, answers back, and decides when the kernel is read anew.

mod bound;
mod end;

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};

use super::cause::Cause;
use super::handle::{Command, Shared};
use super::link::Link;
use super::netlink::{self, Address, Message};
use super::nexthop::{Leg, NextHops, address_changes, covers_any};
use super::plan::{Found, Outcome, Plan};
use super::socket::{Change, Events, Filter, Requester};
use super::sync::{self, Reading};
use super::{Action, Event, Handle, KernelRoute, NextHopState, NextHopView, Params, RouteState, RouteView, View};

/// Starts the room in the network namespace of the caller. Events arrive on the receiver; once it is dropped none are kept.
/// Needs a tokio runtime with time and I/O, and CAP_NET_ADMIN to change anything.
///
/// # Errors
/// Netlink sockets cannot be opened.
pub fn spawn(params: Params) -> io::Result<(Handle, mpsc::Receiver<Event>)> {
    let shared = Arc::new(Shared::default());
    let (commands, orders) = mpsc::channel(COMMANDS);
    let (events, receiver) = mpsc::channel(EVENTS);
    let kernel = Kernel::open(&params)?;
    let task = Task::new(params, Arc::clone(&shared), events);
    tokio::spawn(task.run(kernel, orders));
    Ok((Handle::new(shared, commands), receiver))
}

/// The sockets: requests here, events in a task of their own that waits when we are busy (the kernel then drops, and says so).
struct Kernel {
    requester: Requester,
    changes: mpsc::Receiver<Vec<Change>>,
    reader: JoinHandle<()>,
}

impl Kernel {
    fn open(params: &Params) -> io::Result<Self> {
        let requester = Requester::open()?;
        let mut events = Events::open(Filter::new(requester.port(), params))?;
        let (sender, changes) = mpsc::channel(CHANGES);
        let reader = tokio::spawn(async move {
            loop {
                match events.next().await {
                    Ok(batch) => {
                        if sender.send(batch).await.is_err() {
                            return;
                        }
                    }
                    Err(error) => {
                        // Dropping the sender makes the task open everything anew.
                        warn!(%error, "netlink event socket failed");
                        return;
                    }
                }
            }
        });
        Ok(Self { requester, changes, reader })
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

type Resolution = Result<(u32, SmallVec<[Leg; 1]>), super::Failure>;

struct Task {
    params: Params,
    plan: Plan,
    table: NextHops,
    /// Watched next hops with the state told last.
    watched: BTreeMap<IpAddr, Option<NextHopState>>,
    /// How every used or watched next hop resolved when its routes were last looked at.
    known: BTreeMap<IpAddr, Resolution>,
    /// States to tell, merged by address until the receiver has room.
    outbox: BTreeMap<IpAddr, NextHopState>,
    ready: Option<usize>,
    /// Somebody waits until all states have been told.
    settle: bool,
    /// When the kernel is read next, and why.
    due: Option<(Instant, Cause)>,
    /// The last reading: its end and what it took. `None` before the first.
    last: Option<(Instant, Duration)>,
    /// Foreign routes changed that no next hop in use depends on; a new next hop has to wait for a reading.
    outdated: bool,
    /// Addresses to be on the loopback; true where we put them there.
    bound: BTreeMap<IpAddr, bool>,
    /// The program that we take over from has to be gone.
    has_succeeded: bool,
    /// The request connection is gone: open everything anew.
    broken: bool,
    shared: Arc<Shared>,
    events: Option<mpsc::Sender<Event>>,
}

impl Task {
    fn new(params: Params, shared: Arc<Shared>, events: mpsc::Sender<Event>) -> Self {
        Self {
            plan: Plan::new(params.report_routes),
            table: NextHops::new(params.resolve_via_default),
            params,
            watched: BTreeMap::new(),
            known: BTreeMap::new(),
            outbox: BTreeMap::new(),
            ready: None,
            settle: false,
            due: Some((now(), Cause::Start)),
            last: None,
            outdated: false,
            bound: BTreeMap::new(),
            has_succeeded: false,
            broken: false,
            shared,
            events: Some(events),
        }
    }

    async fn run(mut self, mut kernel: Kernel, mut orders: mpsc::Receiver<Command>) {
        let shared = Arc::clone(&self.shared);
        loop {
            self.take_pending();
            if std::mem::take(&mut self.broken) {
                self.reopen(&mut kernel).await;
            }
            if self.due.is_some_and(|(at, _)| at <= now()) {
                self.resync(&mut kernel.requester).await;
            }
            let busy = self.last.is_some() && self.plan.has_work(now());
            let events = self.events.clone();
            tokio::select! {
                changes = kernel.changes.recv() => match changes {
                    Some(changes) => changes.into_iter().for_each(|change| self.handle_change(change)),
                    None => self.reopen(&mut kernel).await,
                },
                order = orders.recv() => match order {
                    Some(Command::Stop { leave, reply }) => {
                        let left = self.stop(leave, &mut kernel.requester).await;
                        let _ = reply.send(left);
                        return;
                    }
                    Some(order) => self.handle_order(order, &mut kernel.requester).await,
                    None => return,
                },
                () = shared.wake.notified() => {}
                permit = reserve(events), if self.has_event() => match permit {
                    Some(permit) => permit.into_iter().for_each(|p| self.tell(p)),
                    None => self.events = None,
                },
                () = sleep_until(self.next_wake()), if !busy => {}
                () = ready(()), if busy => self.step(&mut kernel.requester).await,
            }
        }
    }

    fn take_pending(&mut self) {
        let pending = self.shared.take();
        if let Some(gateways) = pending.gateways {
            self.table.set_gateways(gateways);
            self.look_again(BTreeSet::new(), false);
        }
        let mut new = false;
        for (prefix, route) in pending.routes {
            if let Some(Action::Unicast(hops)) = route.as_ref().map(|r| &r.action) {
                for via in hops.iter().filter(|h| h.device.is_none()).filter_map(|h| h.via) {
                    new |= !self.known.contains_key(&via);
                    self.known.entry(via).or_insert_with(|| self.table.resolution(via));
                }
            }
            self.plan.apply(prefix, route);
        }
        for (address, watch) in pending.watches {
            if watch {
                new |= !self.known.contains_key(&address);
                self.watched.entry(address).or_insert(None);
                self.known.entry(address).or_insert_with(|| self.table.resolution(address));
            } else {
                self.watched.remove(&address);
                self.outbox.remove(&address);
            }
        }
        self.settle |= pending.settle;
        if new && self.outdated {
            self.due = Some((now(), Cause::Route));
        }
        if self.last.is_some() {
            self.tell_watchers();
        }
    }

    /// Sends the next requests and takes their answers.
    async fn step(&mut self, requester: &mut Requester) {
        let mut ops = self.plan.poll(now(), BATCH, &self.table).into_iter().peekable();
        while ops.peek().is_some() {
            let (mut part, mut size) = (Vec::new(), 0);
            while let Some(op) = ops.next_if(|op| part.is_empty() || size + netlink::request_size(op) <= BATCH_OCTETS) {
                size += netlink::request_size(&op);
                part.push(op);
            }
            let messages = part.iter().map(|op| netlink::request(op, &self.params)).collect();
            let outcomes = self.send(messages, requester).await;
            let at = now();
            for (op, outcome) in part.into_iter().zip(outcomes) {
                if let Outcome::Refused(errno) = outcome {
                    debug!(?op, errno, "the kernel refused");
                }
                self.plan.complete(op, outcome, at);
            }
        }
        if self.plan.take_suspicion() {
            self.schedule(Cause::Conflict);
        }
        self.publish();
    }

    /// Sends one batch; every outcome is unknown where the connection broke.
    async fn send(&mut self, messages: Vec<Message>, requester: &mut Requester) -> Vec<Outcome> {
        let count = messages.len();
        match requester.batch(messages).await {
            Ok(outcomes) => outcomes,
            Err(error) => {
                warn!(%error, "netlink connection failed");
                self.broken = true;
                vec![Outcome::Unknown; count]
            }
        }
    }

    async fn reopen(&mut self, kernel: &mut Kernel) {
        match Kernel::open(&self.params) {
            Ok(fresh) => *kernel = fresh,
            Err(error) => {
                warn!(%error, "cannot open netlink sockets");
                tokio::time::sleep(RETRY).await;
            }
        }
        self.schedule(Cause::Overrun);
    }

    fn handle_change(&mut self, change: Change) {
        match change {
            Change::Overrun => self.schedule(Cause::Overrun),
            Change::Link(link) => self.handle_link(link),
            Change::LinkGone(index) => {
                if self.table.host_mut().links.remove(&index).is_some() {
                    self.schedule(Cause::Link);
                    self.look_again(BTreeSet::new(), true);
                }
            }
            Change::Address(address, added) => self.handle_address(address, added),
            Change::Route(found) => self.handle_route(found, true),
            Change::RouteGone(found) => self.handle_route(found, false),
        }
    }

    fn handle_link(&mut self, link: Link) {
        let (index, up) = (link.index, link.up);
        let old = self.table.host_mut().links.insert(index, link.clone());
        if old.as_ref() == Some(&link) {
            return;
        }
        debug!(device = %link.name, up, "link changed");
        // IPv4 routes vanish with their link and no event says so. A new link has none to lose.
        if old.is_some() {
            self.schedule(Cause::Link);
        }
        self.look_again(BTreeSet::new(), true);
    }

    fn handle_address(&mut self, found: Address, added: bool) {
        let host = self.table.host_mut();
        let known = (found.address, found.index);
        let changed = if added { host.addresses.insert(known) } else { host.addresses.remove(&known) };
        if !changed {
            return;
        }
        if !added {
            host.marked.remove(&found.address);
            self.schedule(Cause::Address);
        } else if found.protocol == self.params.protocol && host.loopback() == Some(found.index) {
            host.marked.insert(found.address);
        }
        self.look_again(BTreeSet::from([found.address]), false);
    }

    fn handle_route(&mut self, found: KernelRoute, present: bool) {
        let (table, protocol) = (found.table, found.protocol);
        let route = found.route.normalized();
        let key = route.key();
        if table == self.params.table {
            if present && self.params.adopt == Some(protocol) && self.has_succeeded {
                self.notice_rival(key.prefix, protocol);
            }
            match (protocol == self.params.protocol, present) {
                (true, true) => return self.plan.handle_foreign_write(route, now()),
                (true, false) => return self.plan.handle_lost(key, now()),
                (false, _) if self.plan.is_desired(&key.prefix) || self.plan.is_installed(&key) => {
                    self.plan.handle_foreign(key);
                    self.schedule(Cause::Route);
                }
                (false, _) => {}
            }
        }
        if table == self.params.resolve_table {
            if covers_any(&key.prefix, &self.known) {
                self.schedule(Cause::Route);
            } else {
                self.outdated = true;
            }
        }
    }

    /// Inherits what the program before us has left by now: at our start it may have lived. How many routes those are.
    async fn succeed(&mut self, requester: &mut Requester) -> usize {
        self.plan.forget_kernel();
        (self.last, self.due, self.has_succeeded) = (None, Some((now(), Cause::Start)), true);
        self.resync(requester).await;
        self.plan.inherited_len()
    }

    /// Two daemons that write the same routes take them from each other.
    fn notice_rival(&mut self, prefix: ipnet::IpNet, protocol: u8) {
        let rivals = &mut self.plan.counters_mut().rivals;
        *rivals += 1;
        if *rivals == 1 {
            warn!(%prefix, protocol, "another program writes kernel routes beside us: the daemon that we took over from has to be ended");
        }
    }

    async fn handle_order(&mut self, order: Command, requester: &mut Requester) {
        // What was applied before the order was given counts as before.
        self.take_pending();
        match order {
            Command::Dump(view, reply) => {
                if matches!(view, View::Kernel | View::Diff) {
                    self.due = Some((now(), Cause::Asked));
                    self.resync(requester).await;
                }
                let _ = reply.send(self.view(view));
            }
            Command::NextHops(reply) => {
                let _ = reply.send(self.view_next_hops());
            }
            Command::Links(reply) => {
                let _ = reply.send(self.table.host().links.values().cloned().collect());
            }
            Command::SweepStale(families, rules) => self.plan.sweep_stale(families, |prefix| rules.owns(prefix)),
            Command::Succeed(reply) => {
                let _ = reply.send(self.succeed(requester).await);
            }
            Command::Address { address, add, reply } => {
                let result = if add { self.bind(address, requester).await } else { self.unbind(address, requester).await };
                let _ = reply.send(result);
            }
            Command::SweepAddresses(reply) => {
                let _ = reply.send(self.sweep_addresses(requester).await);
            }
            Command::Stop { .. } => {}
        }
    }

    fn view(&self, view: View) -> Vec<RouteView> {
        match view {
            View::Desired => self.plan.view_desired(),
            View::Of(prefix) => vec![self.plan.view(prefix)],
            View::Kernel => self.plan.view_all().into_iter().filter(|v| v.kernel.is_some()).collect(),
            View::Diff => self.plan.view_all().into_iter().filter(|v| v.state != Some(RouteState::Installed)).collect(),
        }
    }

    fn view_next_hops(&self) -> Vec<NextHopView> {
        let view = |address: &IpAddr| NextHopView {
            address: *address,
            state: self.table.state(*address),
            routes: self.plan.gateways().get(address).copied().unwrap_or_default(),
            watched: self.watched.contains_key(address),
        };
        let used: BTreeSet<&IpAddr> = self.plan.gateways().keys().chain(self.watched.keys()).collect();
        used.into_iter().map(view).collect()
    }

    /// Reads the kernel and takes everything from there.
    async fn resync(&mut self, requester: &mut Requester) {
        let cause = self.due.take().map_or(Cause::Asked, |(_, cause)| cause);
        let started = now();
        match sync::read(&self.params).await {
            Ok(reading) => {
                let complete = reading.complete;
                self.take_reading(reading);
                let took = now().saturating_duration_since(started);
                self.last = Some((now(), took));
                let counters = self.plan.counters_mut();
                counters.resyncs.count(cause);
                counters.last_resync = took;
                debug!(cause = cause.label(), complete, ?took, "kernel read");
                if complete {
                    self.outdated = false;
                } else {
                    self.due = Some((now() + RETRY, cause));
                }
                self.restore_addresses(requester).await;
            }
            Err(error) => {
                warn!(%error, "cannot read kernel routes");
                self.due = Some((now() + RETRY, cause));
            }
        }
        self.publish();
    }

    fn take_reading(&mut self, reading: Reading) {
        let first = self.last.is_none();
        let inherits = |plan: &Plan, key: &super::Key| first || plan.is_installed(key);
        // Another program's route that came later is its own: it lives.
        let (ours, late): (Vec<_>, Vec<_>) = reading
            .ours
            .into_iter()
            .partition(|found| found.protocol == self.params.protocol || inherits(&self.plan, &found.route.clone().normalized().key()));
        let moved = address_changes(self.table.host(), &reading.host);
        let links_changed = self.table.host().links != reading.host.links;
        *self.table.host_mut() = reading.host;
        if reading.complete || first {
            self.table.set_routes(reading.others.into_iter().chain(late));
        }
        let found = |r: KernelRoute| Found { inherited: r.protocol != self.params.protocol, route: r.route.normalized() };
        self.plan.handle_kernel(ours.into_iter().map(found), reading.complete);
        if first {
            let adopted = self.plan.installed_len();
            info!(adopted, inherited = self.plan.inherited_len(), "kernel routes read");
            self.ready = Some(adopted);
        }
        self.look_again(moved, links_changed);
    }

    /// Resolves every next hop in use anew and has the plan look at routes whose next hop changed.
    fn look_again(&mut self, moved: BTreeSet<IpAddr>, links_changed: bool) {
        let mut changed = moved;
        let (plan, watched, table) = (&self.plan, &self.watched, &self.table);
        self.known.retain(|address, _| plan.gateways().contains_key(address) || watched.contains_key(address));
        for (address, resolution) in &mut self.known {
            let fresh = table.resolution(*address);
            if *resolution != fresh {
                *resolution = fresh;
                changed.insert(*address);
            }
        }
        self.plan.handle_table(&changed, links_changed);
        if self.last.is_some() || self.ready.is_some() {
            self.tell_watchers();
        }
    }

    fn tell_watchers(&mut self) {
        for (address, told) in &mut self.watched {
            let state = self.table.state(*address);
            if *told != Some(state) {
                *told = Some(state);
                self.outbox.insert(*address, state);
            }
        }
    }

    fn has_event(&self) -> bool {
        self.events.is_some() && (self.ready.is_some() || !self.outbox.is_empty() || self.is_settled() || self.plan.has_reports())
    }

    /// Somebody waits for it, and the kernel has been read since next hops needed that.
    fn is_settled(&self) -> bool {
        self.settle && self.last.is_some() && self.due.is_none_or(|(at, _)| at > now())
    }

    fn tell(&mut self, permit: mpsc::OwnedPermit<Event>) {
        let event = if let Some(adopted) = self.ready.take() {
            Event::Ready { adopted }
        } else if self.outbox.is_empty() && self.is_settled() {
            self.settle = false;
            Event::Settled
        } else if self.outbox.is_empty() {
            Event::Routes(self.plan.take_reports(REPORTS))
        } else {
            Event::NextHops(std::mem::take(&mut self.outbox).into_iter().collect())
        };
        permit.send(event);
    }

    /// Asks for a reading soon: after the debounce time, and not so often that reading is all we do.
    fn schedule(&mut self, cause: Cause) {
        let soon = now() + self.params.debounce;
        let at = self.last.map_or(soon, |(end, took)| soon.max(end + took * 2));
        if self.due.is_none_or(|(due, _)| at < due) {
            self.due = Some((at, cause));
        }
    }

    fn next_wake(&mut self) -> Instant {
        if let Some((end, _)) = self.last
            && self.due.is_none()
        {
            self.due = Some((end + self.params.rescan, Cause::Periodic));
        }
        let due = self.due.map(|(at, _)| at);
        let retry = self.last.and_then(|_| self.plan.poll_timeout());
        due.into_iter().chain(retry).min().unwrap_or_else(|| now() + self.params.rescan)
    }

    fn publish(&mut self) {
        let counters = *self.plan.counters_mut();
        self.shared.publish(counters);
    }
}

/// Room for one event; `None` when nobody listens any more.
async fn reserve(events: Option<mpsc::Sender<Event>>) -> Option<Option<mpsc::OwnedPermit<Event>>> {
    match events {
        Some(events) => events.reserve_owned().await.ok().map(Some),
        None => Some(None),
    }
}

async fn sleep_until(at: Instant) {
    tokio::time::sleep_until(at.into()).await;
}

/// The clock of this room, in one place.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

const COMMANDS: usize = 64;
const EVENTS: usize = 64;
const CHANGES: usize = 64;
const REPORTS: usize = 4096;
/// Requests in one write: beyond some dozens the cost a request does not fall any more.
const BATCH: usize = 128;
/// Requests of one write stay well below the default send buffer of a socket (208 KiB).
const BATCH_OCTETS: usize = 64 * 1024;
const RETRY: Duration = Duration::from_secs(1);
