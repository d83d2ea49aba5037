//! One peer at work: its machine, its connections, its place in the update groups, and the task that waits for all of them.

use super::conn::Conn;
use super::connect;
use super::import::{Origin, import};
use super::member::{GroupView, Member, Progress};
use super::message::{FromShard, Item, Joined, Leave, PeerConfig, PeerSnapshot, Rules, Up};
use super::shard::{PeerChange, PeerEvent, Shard, next_conn, now};
use crate::export::Journal;
use crate::policy::Import;
use crate::session::{CloseMode, ConnId, Direction, Down, DownReason, Event, Negotiated, Output, Peer, PeerParams, State, StopReason};
use crate::wire::{Family, FamilySet, RefreshKind, RouteRefresh};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{Interest, Ready};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tracing::{debug, error, info, warn};

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

struct Cell {
    config: PeerConfig,
    place: Option<Place>,
    machine: Peer,
    conns: Vec<Conn>,
    last_conn: u32,
    /// Counts Established; answers of the RIB to an older session are void.
    session: u32,
    established: Option<ConnId>,
    /// How UPDATEs of the established session are imported.
    import: Option<(Import, Origin)>,
    members: [Option<Member>; 2],
    /// For the RIB, in order. While it is not empty the peer is not read: that is the back-pressure.
    outbox: VecDeque<FromShard>,
    holding: bool,
    dial: Dial,
    removed: bool,
    /// When a peer of a range, without connection, is forgotten.
    forget_at: Option<Instant>,
    update_errors: u64,
    bytes_sent: u64,
    bytes_received: u64,
}

/// What came of writing.
#[derive(Default)]
struct Pumped {
    more: bool,
    read_journal: bool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Dial {
    No,
    Wanted,
    UnderWay,
}

/// What the task waits for next.
struct Wait {
    conns: [Option<(ConnId, Rc<TcpStream>, Interest)>; 2],
    deadline: Option<Instant>,
    deliver: bool,
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
                update_errors: 0,
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
                permit = shard.links.to_rib.reserve(), if wait.deliver => match permit {
                    Ok(permit) => self.deliver(permit),
                    // The RIB is gone: the process ends.
                    Err(_) => break,
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
        cell.config.params = params.clone();
        cell.config.socket = socket;
        cell.config.remote = remote;
        cell.machine.set_params(params);
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
        old.iter().for_each(|old| new.follow(old));
        cell.members[joined.family.index()] = Some(new);
        if let Some(conn) = cell.conn(id) {
            joined.farewell.into_iter().for_each(|message| conn.push(message));
        }
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
        self.cell.borrow().snapshot(shard, now)
    }

    /// Carries out what the machine wants.
    pub(super) fn settle(&self, shard: &Shard) {
        let mut cell = self.cell.borrow_mut();
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
        Wait { conns, deadline, deliver: !reading, finished }
    }

    /// Hands one message to the RIB; the peer is read again when none is left.
    fn deliver(&self, permit: tokio::sync::mpsc::Permit<'_, FromShard>) {
        let mut cell = self.cell.borrow_mut();
        if let Some(message) = cell.outbox.pop_front() {
            permit.send(message);
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

impl Cell {
    fn conn(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.iter_mut().find(|c| c.id == id)
    }

    fn connected(&mut self, stream: TcpStream, direction: Direction, now: Instant) {
        let id = next_conn(&mut self.last_conn);
        let prepared = connect::prepare(&stream, direction, &self.config.socket);
        let (Ok(local), Ok(remote), Ok(())) = (stream.local_addr(), stream.peer_addr(), prepared) else {
            // It was gone before we had it.
            if direction == Direction::Outbound {
                self.machine.handle_connect_failed(now, "the connection ended at once".to_owned());
            }
            return;
        };
        self.conns.push(Conn::new(id, stream));
        self.forget_at = None;
        self.machine.handle_connected(id, direction, local, remote, now);
    }

    fn closed(&mut self, id: ConnId, error: Option<String>, now: Instant) {
        self.conns.retain(|c| c.id != id);
        self.machine.handle_closed(id, error, now);
        self.mind_forgetting(now, FORGET_AFTER);
    }

    fn mind_forgetting(&mut self, now: Instant, after: Duration) {
        if self.place.is_some() && self.conns.is_empty() {
            self.forget_at = Some(now + after);
        }
    }

    fn read(&mut self, id: ConnId, shard: &Shard, now: Instant) {
        let Some(stream) = self.conn(id).map(|c| Rc::clone(&c.stream)) else { return };
        let mut scratch = shard.scratch.borrow_mut();
        match stream.try_read(&mut scratch) {
            Ok(0) => self.closed(id, None, now),
            Ok(n) => {
                let bytes = scratch.get(..n).unwrap_or_default();
                self.bytes_received += n as u64;
                // Framing, decoding and import are pure and share nothing half-written: a bug there costs this peer's session only.
                let outcome = catch_unwind(AssertUnwindSafe(|| self.machine.handle_bytes(id, bytes, now)));
                if outcome.is_err() {
                    self.start_over(now);
                }
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => self.closed(id, Some(e.to_string()), now),
        }
    }

    /// After a panic in the peer's own code: the session ends, the machine is made anew, nobody else notices.
    fn start_over(&mut self, now: Instant) {
        error!(peer = %self.config.remote.ip(), "a bug in the handling of this peer's messages; its session is reset");
        self.machine.handle_stop(StopReason::OutOfResources, now);
        let ended = catch_unwind(AssertUnwindSafe(|| std::iter::from_fn(|| self.machine.poll()).count()));
        if ended.is_err() {
            debug!("the old machine could not be drained");
        }
        if self.established.take().is_some() {
            self.members = [None, None];
            let reason = DownReason::ConnectionLost(None);
            let (retain, none) = (FamilySet::NONE, Duration::ZERO);
            let down = Down { reason, retain, restart_time: none, stale_time: none, llgr_time: [none; 2] };
            self.outbox.push_back(FromShard::Down { peer: self.config.id, down: Box::new(down) });
        }
        self.conns.drain(..).for_each(Conn::reset);
        self.dial = Dial::No;
        self.machine = Peer::new(self.config.params.clone(), now);
    }

    fn obey(&mut self, output: Output, shard: &Shard) {
        match output {
            Output::Connect => self.dial = Dial::Wanted,
            Output::CancelConnect => self.dial = Dial::No,
            Output::Send(id, message) => {
                if let Some(conn) = self.conn(id) {
                    conn.push(message);
                }
            }
            Output::Close(id, mode) => self.close(id, mode, shard),
            Output::Event(event) => self.hear(event, shard),
        }
    }

    fn close(&mut self, id: ConnId, mode: CloseMode, shard: &Shard) {
        let Some(at) = self.conns.iter().position(|c| c.id == id) else { return };
        let mut conn = self.conns.swap_remove(at);
        self.mind_forgetting(now(), FORGET_AFTER);
        // A NOTIFICATION inside an UPDATE would be lost on the peer.
        if self.established == Some(id)
            && mode != CloseMode::Silent
            && let Some(rest) = self.members.iter().flatten().find_map(Member::unfinished)
        {
            conn.push_first(rest);
        }
        match mode {
            CloseMode::AfterNotification => drop(shard.tasks.spawn_local(conn.finish())),
            CloseMode::Silent => {}
            CloseMode::Reset => {
                // One try; whether it worked does not matter for a connection that ends.
                let _ = conn.write_control();
                conn.reset();
            }
        }
    }

    fn hear(&mut self, event: Event, shard: &Shard) {
        let peer = self.config.id;
        match event {
            Event::StateChanged { from, to, cause } => self.state_changed(from, to, cause, shard),
            Event::Established(negotiated, conn) => {
                self.session += 1;
                self.established = Some(conn);
                self.import = Some(self.importer(&negotiated));
                let (session, rules) = (self.session, Arc::clone(&self.config.rules));
                let up = Up { peer, shard: shard.index, session, negotiated, rules };
                self.outbox.push_back(FromShard::Up(Box::new(up)));
            }
            Event::Update(update) => {
                self.update_errors += update.faults.len() as u64;
                for fault in &update.faults {
                    debug!(peer = %self.config.remote.ip(), code = fault.code, action = ?fault.action, why = %fault.why, "malformed path attribute");
                }
                if let Some((rules, origin)) = self.import.take() {
                    import(update, &rules, origin, self.items());
                    self.import = Some((rules, origin));
                }
            }
            Event::Refresh(refresh) => self.refresh(refresh),
            Event::Down(down) => {
                self.established = None;
                self.import = None;
                self.members = [None, None];
                let stay = if down.retain.is_empty() { Duration::ZERO } else { down.restart_time };
                self.mind_forgetting(now(), stay + FORGET_AFTER);
                self.outbox.push_back(FromShard::Down { peer, down: Box::new(down) });
            }
        }
    }

    fn refresh(&mut self, refresh: RouteRefresh) {
        let Some(family) = Family::from_afi_safi(refresh.family) else { return };
        match refresh.kind {
            // A member that has not joined yet gets the whole table anyway.
            RefreshKind::Request => {
                if let Some(member) = &mut self.members[family.index()] {
                    member.refresh();
                }
            }
            RefreshKind::Begin => self.items().push(Item::BeginRefresh(family)),
            RefreshKind::End => self.items().push(Item::EndRefresh(family)),
            RefreshKind::Other(_) => {}
        }
    }

    /// The batch at the end of the outbox.
    fn items(&mut self) -> &mut Vec<Item> {
        if !matches!(self.outbox.back(), Some(FromShard::Routes { .. })) {
            self.outbox.push_back(FromShard::Routes { peer: self.config.id, items: Vec::new() });
        }
        match self.outbox.back_mut() {
            Some(FromShard::Routes { items, .. }) => items,
            _ => unreachable!("a batch was just put there"),
        }
    }

    fn state_changed(&self, from: State, to: State, cause: crate::session::Cause, shard: &Shard) {
        let remote = self.config.remote;
        if to == State::Established {
            info!(peer = %remote.ip(), %from, "session established");
        } else if from == State::Established {
            warn!(peer = %remote.ip(), %to, reason = %self.in_words(cause), "session down");
        } else {
            debug!(peer = %remote.ip(), %from, %to, reason = %self.in_words(cause), "state changed");
        }
        // Without a listener there is nobody to tell.
        let what = PeerChange::State { from, to, cause };
        let _ = shard.links.events.send(PeerEvent { peer: self.config.id, remote: remote.ip(), what });
    }

    /// A cause with the words of its NOTIFICATION, the operator's text among them (RFC 9003).
    fn in_words(&self, cause: crate::session::Cause) -> String {
        use crate::session::Cause::{NotificationReceived, NotificationSent};
        let status = self.machine.status();
        let record = match cause {
            NotificationReceived { .. } => &status.last_received_error,
            NotificationSent { .. } => &status.last_sent_error,
            _ => &None,
        };
        record.as_ref().map_or_else(|| cause.to_string(), |record| format!("{cause}: {}", record.notification))
    }

    fn importer(&self, negotiated: &Negotiated) -> (Import, Origin) {
        let rules = &self.config.rules;
        (rules.import(negotiated), Origin { neighbor: self.config.remote.ip(), kind: rules.kind(negotiated) })
    }

    /// Control messages first, between UPDATEs; then journals, family by family.
    fn pump(&mut self, now: Instant) -> Pumped {
        let mut pumped = Pumped::default();
        let mut broken = Vec::new();
        for conn in &mut self.conns {
            if conn.blocked {
                continue;
            }
            let mut progress = Progress::default();
            let established = self.established == Some(conn.id);
            let members: &mut [Option<Member>] = if established { &mut self.members } else { &mut [] };
            let result = super::member::write(conn, members, BUDGET, &mut progress);
            self.bytes_sent += conn.take_sent();
            if progress.messages > 0 {
                self.machine.handle_written(conn.id, now);
                self.machine.count_sent_updates(progress.updates);
                pumped.read_journal |= progress.updates > 0;
            }
            for family in Family::ALL.into_iter().filter(|f| progress.ask_clean[f.index()]) {
                self.outbox.push_back(FromShard::AskClean { peer: self.config.id, family });
            }
            match result {
                Ok(()) => pumped.more |= progress.more,
                Err(e) => broken.push((conn.id, e.to_string())),
            }
        }
        for (id, error) in broken {
            self.closed(id, Some(error), now);
        }
        pumped
    }

    /// Whether the task must change what it waits for.
    fn wants_attention(&self) -> bool {
        !self.outbox.is_empty() || self.conns.iter().any(|c| c.blocked) || (self.established.is_some() && self.conns.is_empty())
    }

    fn snapshot(&self, shard: usize, now: Instant) -> PeerSnapshot {
        PeerSnapshot {
            id: self.config.id,
            remote: self.config.remote,
            dynamic: self.place.is_some(),
            shard,
            status: self.machine.status().clone(),
            params: self.config.params.clone(),
            rules: Arc::clone(&self.config.rules),
            socket: self.config.socket.clone(),
            queued_bytes: self.conns.iter().map(Conn::control_bytes).sum(),
            blocked: self.conns.iter().any(|c| c.blocked),
            undelivered: self.outbox.len(),
            eor_sent: Family::ALL
                .into_iter()
                .filter(|f| self.members[f.index()].as_ref().is_some_and(Member::eor_sent))
                .collect::<FamilySet>(),
            update_errors: self.update_errors,
            bytes_sent: self.bytes_sent,
            bytes_received: self.bytes_received,
            next_timeout: self.machine.poll_timeout().map(|at| at.saturating_duration_since(now)),
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

/// Bytes that one peer writes in one pass of the fan-out.
const BUDGET: usize = 256 * 1024;
/// A dynamic peer without a connection is remembered this long, so that its back-off counts.
const FORGET_AFTER: Duration = Duration::from_secs(60);
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);
