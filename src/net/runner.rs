//! One peer at work: its machine, its connections, its place in the update groups, and the task that waits for all of them.

use super::cell::{Cell, Dial, FORGET_AFTER};
use super::connect;
use super::inlet::Admission;
use super::member::{GroupView, Member};
use super::message::{Faults, FromShard, Joined, Leave, PeerConfig, PeerSnapshot, Rules};
use super::shard::{Shard, now};
use crate::export::Journal;
use crate::session::{ConnId, Direction, Peer, PeerParams, StopReason};
use crate::wire::Family;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{Interest, Ready};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tracing::warn;

/// A peer of a shard. All methods borrow the cell for the length of the call only, never across an await.
pub struct Runner {
    cell: RefCell<Cell>,
    /// The task shall look again: something changed from outside.
    changed: Notify,
}

/// A place in a range of dynamic neighbors; given back when dropped.
pub struct Place(Arc<AtomicUsize>);

impl Place {
    pub(super) fn taken(count: Arc<AtomicUsize>) -> Self {
        Self(count)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the task waits for next.
struct Wait {
    conns: [Option<(ConnId, Rc<TcpStream>, Interest)>; 2],
    deadline: Option<Instant>,
    /// The weight of the message that waits for the RIB.
    deliver: Option<u32>,
    finished: bool,
}

type Dialing = Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>;

impl Runner {
    pub fn new(config: PeerConfig, place: Option<Place>, now: Instant) -> Self {
        let machine = Peer::new(config.params.clone(), now);
        let forget_at = place.is_some().then(|| now + FORGET_AFTER);
        Self {
            cell: RefCell::new(Cell {
                config,
                place,
                machine,
                conns: Vec::new(),
                last_conn: 0,
                session: 0,
                established: None,
                import: None,
                members: [None, None],
                outbox: VecDeque::new(),
                holding: false,
                dial: Dial::No,
                removed: false,
                forget_at,
                faults: Faults::default(),
                failures: 0,
                blocked_since: None,
                blocked_for: Duration::ZERO,
                bytes_sent: 0,
                bytes_received: 0,
            }),
            changed: Notify::new(),
        }
    }

    /// The peer's task; ends when the peer is removed.
    pub async fn run(&self, shard: &Rc<Shard>) {
        let mut dialing: Option<Dialing> = None;
        let far = tokio::time::Instant::from_std(now() + FAR);
        let mut timer = std::pin::pin!(tokio::time::sleep_until(far));
        loop {
            self.settle(shard);
            self.update_dial(&mut dialing);
            let wait = self.wait();
            if wait.finished {
                break;
            }
            let deadline = wait.deadline.map_or(far, tokio::time::Instant::from_std);
            if timer.deadline() != deadline {
                timer.as_mut().reset(deadline);
            }
            let [first, second] = wait.conns;
            tokio::select! {
                ready = readiness(first) => self.ready(shard, ready),
                ready = readiness(second) => self.ready(shard, ready),
                admission = shard.links.to_rib.admit(wait.deliver.unwrap_or_default()), if wait.deliver.is_some() => match admission {
                    Some(admission) => self.deliver(admission),
                    // The RIB is gone: the process ends.
                    None => break,
                },
                result = until_dialed(&mut dialing) => {
                    dialing = None;
                    self.dialed(result);
                }
                () = &mut timer => self.timeout(shard),
                () = self.changed.notified() => {}
            }
        }
    }

    /// Feeds the machine from outside and lets the task deal with what comes out.
    pub fn machine(&self, input: impl FnOnce(&mut Peer)) {
        input(&mut self.cell.borrow_mut().machine);
        self.changed.notify_one();
    }

    pub fn connected(&self, stream: TcpStream, direction: Direction, now: Instant) {
        let mut cell = self.cell.borrow_mut();
        cell.connected(stream, direction, now);
        drop(cell);
        self.changed.notify_one();
    }

    /// Ends the session because the path to the peer failed.
    pub fn path_failed(&self, independent: bool, now: Instant) {
        self.cell.borrow_mut().path_failed(independent, now);
        self.changed.notify_one();
    }

    /// Ends the session and then the peer.
    pub fn remove(&self, reason: StopReason, now: Instant) {
        let mut cell = self.cell.borrow_mut();
        cell.machine.handle_stop(reason, now);
        cell.removed = true;
        drop(cell);
        self.changed.notify_one();
    }

    pub fn set_rules(&self, rules: Arc<Rules>, refresh: bool) {
        let mut cell = self.cell.borrow_mut();
        cell.config.rules = Arc::clone(&rules);
        let peer = cell.config.id;
        if let Some((_, negotiated)) = cell.machine.established() {
            let negotiated = Arc::clone(negotiated);
            cell.import = Some(cell.importer(&negotiated));
            cell.outbox.push_back(FromShard::Rules { peer, rules });
            if refresh {
                // Peers that cannot refresh keep what they announced under the former rules until they announce again.
                for family in Family::ALL {
                    cell.machine.request_refresh(family);
                }
            }
        }
        drop(cell);
        self.changed.notify_one();
    }

    pub fn set_params(&self, params: PeerParams, socket: connect::SocketOptions, remote: SocketAddr) {
        let mut cell = self.cell.borrow_mut();
        let rekeyed = socket.password.clone().filter(|_| cell.config.socket.password.is_some());
        let rekeyed = rekeyed.filter(|key| cell.config.socket.password.as_ref() != Some(key));
        cell.config.params = params.clone();
        cell.config.socket = socket;
        cell.config.remote = remote;
        cell.machine.set_params(params);
        if let Some(key) = rekeyed {
            if matches!(cell.dial, Dial::UnderWay) {
                cell.dial = Dial::Wanted;
            }
            if let Some(e) = cell.conns.iter().find_map(|conn| connect::rekey(&conn.stream, &key).err()) {
                warn!(peer = %remote.ip(), error = %e, "the kernel does not take another MD5 key for an open connection: the session is reset");
                cell.machine.handle_stop(StopReason::ConfigChange, now());
            }
        }
        drop(cell);
        self.changed.notify_one();
    }

    pub fn request_refresh(&self, family: Family) {
        self.cell.borrow_mut().machine.request_refresh(family);
        self.changed.notify_one();
    }

    pub fn is_dynamic(&self) -> bool {
        self.cell.borrow().place.is_some()
    }

    pub fn remote(&self) -> SocketAddr {
        self.cell.borrow().config.remote
    }

    pub fn has_members(&self) -> bool {
        self.cell.borrow().members.iter().any(Option::is_some)
    }

    /// Starts to read an update group's journal, unless the session that asked for it is over.
    pub fn join(&self, joined: Joined, group: Rc<GroupView>) {
        let mut cell = self.cell.borrow_mut();
        let Some(id) = cell.established.filter(|_| cell.session == joined.session) else { return };
        let enhanced = cell.machine.status().negotiated.as_ref().is_some_and(|n| n.enhanced_refresh);
        let mut new = Member::new(joined.family, group, joined.cursor, enhanced);
        let old = cell.members[joined.family.index()].take();
        let Some(conn) = cell.conn(id) else { return };
        new.succeed(old.as_ref(), joined.farewell, conn);
        cell.members[joined.family.index()] = Some(new);
    }

    /// Stops to read an update group's journal; the RIB learns it when no more will be read.
    pub fn leave(&self, leave: Leave) {
        let mut cell = self.cell.borrow_mut();
        if cell.established.is_some() && cell.session == leave.session {
            if let Some(member) = &mut cell.members[leave.family.index()] {
                member.retire();
            }
            cell.outbox.push_back(FromShard::Left(leave));
        }
        drop(cell);
        self.changed.notify_one();
    }

    /// Sends all routes of a family again.
    pub fn resend(&self, family: Family) {
        if let Some(member) = &mut self.cell.borrow_mut().members[family.index()] {
            member.refresh();
        }
        self.changed.notify_one();
    }

    /// Whether it reads `journal` and needs something at or below `need`.
    pub fn lags(&self, journal: &Arc<Journal>, need: u64) -> bool {
        self.cell.borrow().members.iter().flatten().any(|m| m.lags(journal, need))
    }

    /// Adds the needs of this peer's cursors to the count of their groups.
    pub fn count_needs(&self) {
        self.cell.borrow().members.iter().flatten().for_each(Member::count_need);
    }

    /// Writes what is due and what the socket takes, up to a bound. True when there is more and the socket would take it.
    pub fn pump(&self, now: Instant) -> bool {
        let mut cell = self.cell.borrow_mut();
        let pumped = cell.pump(now);
        let look_again = cell.wants_attention();
        drop(cell);
        if look_again {
            self.changed.notify_one();
        }
        pumped.more
    }

    pub fn snapshot(&self, shard: usize, now: Instant) -> PeerSnapshot {
        self.cell.borrow_mut().snapshot(shard, now)
    }

    /// Carries out what the machine wants.
    pub(super) fn settle(&self, shard: &Shard) {
        let mut cell = self.cell.borrow_mut();
        cell.account();
        while let Some(output) = cell.machine.poll() {
            cell.obey(output, shard);
        }
        let at = now();
        if !cell.outbox.is_empty() && !cell.holding {
            cell.machine.pause_hold(at);
            cell.holding = true;
        }
        let pumped = cell.pump(at);
        if pumped.more {
            self.changed.notify_one();
        }
        if pumped.read_journal {
            // The group learns how far this member is.
            shard.wake.notify_one();
        }
    }

    /// What has arrived already counts before the deadline does: a late turn of ours must not expire the peer's hold timer.
    fn timeout(&self, shard: &Shard) {
        let mut cell = self.cell.borrow_mut();
        let at = now();
        if cell.outbox.is_empty() {
            let conns: Vec<ConnId> = cell.conns.iter().map(|c| c.id).collect();
            conns.into_iter().for_each(|id| cell.read(id, shard, at));
        }
        cell.account();
        cell.machine.handle_timeout(at);
    }

    fn update_dial(&self, dialing: &mut Option<Dialing>) {
        let mut cell = self.cell.borrow_mut();
        match cell.dial {
            Dial::No => *dialing = None,
            Dial::Wanted => {
                let (remote, options) = (cell.config.remote, cell.config.socket.clone());
                *dialing = Some(Box::pin(async move { connect::connect(remote, &options).await }));
                cell.dial = Dial::UnderWay;
            }
            Dial::UnderWay => {}
        }
    }

    fn dialed(&self, result: io::Result<TcpStream>) {
        let mut cell = self.cell.borrow_mut();
        cell.dial = Dial::No;
        match result {
            Ok(stream) => cell.connected(stream, Direction::Outbound, now()),
            Err(e) => {
                if cell.config.params.graceful_restart.restarting {
                    let address = cell.config.remote.ip();
                    cell.outbox.push_back(FromShard::Unreachable { address });
                }
                cell.machine.handle_connect_failed(now(), e.to_string());
            }
        }
    }

    fn wait(&self) -> Wait {
        let cell = self.cell.borrow();
        let reading = cell.outbox.is_empty();
        let mut conns = cell.conns.iter().map(|conn| {
            let interest = match (reading, conn.blocked) {
                (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
                (true, false) => Some(Interest::READABLE),
                (false, true) => Some(Interest::WRITABLE),
                (false, false) => None,
            };
            interest.map(|interest| (conn.id, Rc::clone(&conn.stream), interest))
        });
        let conns = [conns.next().flatten(), conns.next().flatten()];
        let forgotten = cell.place.is_some() && cell.forget_at.is_some_and(|at| at <= now());
        let deadline = match (cell.machine.poll_timeout(), cell.forget_at.filter(|_| cell.place.is_some())) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let finished = (cell.removed || forgotten) && cell.conns.is_empty() && cell.outbox.is_empty();
        Wait { conns, deadline, deliver: cell.outbox.front().map(FromShard::weight), finished }
    }

    /// Hands one message to the RIB; the peer is read again when none is left.
    fn deliver(&self, admission: Admission<'_>) {
        let mut cell = self.cell.borrow_mut();
        if let Some(message) = cell.outbox.pop_front() {
            admission.send(message);
        }
        if cell.outbox.is_empty() && cell.holding {
            cell.holding = false;
            cell.machine.resume_hold(now());
        }
    }

    fn ready(&self, shard: &Shard, (id, ready): (ConnId, io::Result<Ready>)) {
        let mut cell = self.cell.borrow_mut();
        let at = now();
        match ready {
            Ok(ready) => {
                if ready.is_writable()
                    && let Some(conn) = cell.conn(id)
                {
                    conn.blocked = false;
                }
                if ready.is_readable() || ready.is_read_closed() || ready.is_error() {
                    cell.read(id, shard, at);
                }
            }
            Err(e) => cell.closed(id, Some(e.to_string()), at),
        }
    }
}

async fn readiness(conn: Option<(ConnId, Rc<TcpStream>, Interest)>) -> (ConnId, io::Result<Ready>) {
    match conn {
        Some((id, stream, interest)) => (id, stream.ready(interest).await),
        None => std::future::pending().await,
    }
}

async fn until_dialed(dialing: &mut Option<Dialing>) -> io::Result<TcpStream> {
    match dialing {
        Some(dialing) => dialing.await,
        None => std::future::pending().await,
    }
}

const FAR: Duration = Duration::from_secs(365 * 24 * 3600);
