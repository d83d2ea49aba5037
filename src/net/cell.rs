//! The state of one peer in its shard: the machine, the connections, the members, and what is on its way to the RIB. Pure of waiting:
//! [`super::runner`] does that.

use super::conn::Conn;
use super::connect;
use super::contain::contain;
use super::import::{Origin, import};
use super::member::{Member, Progress};
use super::message::{Faults, FromShard, Item, PeerConfig, PeerSnapshot, Up};
use super::runner::Place;
use super::shard::{PeerChange, PeerEvent, Shard, next_conn, now};
use crate::policy::Import;
use crate::session::{CloseMode, ConnId, Direction, Down, DownReason, Event, Negotiated, Output, Peer, State, StopReason};
use crate::wire::{Family, FamilySet, RefreshKind, RouteRefresh};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tracing::{debug, error, info, warn};

/// Everything about one peer that its shard changes.
pub struct Cell {
    pub config: PeerConfig,
    pub place: Option<Place>,
    pub machine: Peer,
    pub conns: Vec<Conn>,
    pub last_conn: u32,
    /// Counts Established; answers of the RIB to an older session are void.
    pub session: u32,
    pub established: Option<ConnId>,
    /// How UPDATEs of the established session are imported.
    pub import: Option<(Import, Origin)>,
    pub members: [Option<Member>; 2],
    /// For the RIB, in order. While it is not empty the peer is not read: that is the back-pressure.
    pub outbox: VecDeque<FromShard>,
    pub holding: bool,
    pub dial: Dial,
    pub removed: bool,
    /// When a peer of a range, without connection, is forgotten.
    pub forget_at: Option<Instant>,
    pub faults: Faults,
    /// Sessions that a bug of ours ended.
    pub failures: u32,
    /// Since when the socket takes nothing, and for how long it has taken nothing before.
    pub blocked_since: Option<Instant>,
    pub blocked_for: Duration,
    pub bytes_sent: u64,
    pub bytes_received: u64,
}

/// What came of writing.
#[derive(Default)]
pub struct Pumped {
    pub more: bool,
    pub read_journal: bool,
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub enum Dial {
    No,
    Wanted,
    UnderWay,
}

impl Cell {
    pub fn conn(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.iter_mut().find(|c| c.id == id)
    }

    pub fn connected(&mut self, stream: TcpStream, direction: Direction, now: Instant) {
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

    pub fn closed(&mut self, id: ConnId, error: Option<String>, now: Instant) {
        self.conns.retain(|c| c.id != id);
        self.machine.handle_closed(id, error, now);
        self.mind_forgetting(now, FORGET_AFTER);
    }

    pub fn mind_forgetting(&mut self, now: Instant, after: Duration) {
        if self.place.is_some() && self.conns.is_empty() {
            self.forget_at = Some(now + after);
        }
    }

    pub fn read(&mut self, id: ConnId, shard: &Shard, now: Instant) {
        let Some(stream) = self.conn(id).map(|c| Rc::clone(&c.stream)) else { return };
        let mut scratch = shard.scratch.borrow_mut();
        match stream.try_read(&mut scratch) {
            Ok(0) => self.closed(id, None, now),
            Ok(n) => {
                let bytes = scratch.get(..n).unwrap_or_default();
                self.bytes_received += n as u64;
                if contain(|| self.machine.handle_bytes(id, bytes, now)).is_none() {
                    self.start_over(now);
                }
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => self.closed(id, Some(e.to_string()), now),
        }
    }

    /// After a panic in the peer's own code: the session ends, the machine is made anew, nobody else notices.
    pub fn start_over(&mut self, now: Instant) {
        error!(peer = %self.config.remote.ip(), "a bug in the handling of this peer's messages; its session is reset");
        let drained = contain(|| {
            self.machine.handle_stop(StopReason::OutOfResources, now);
            std::iter::from_fn(|| self.machine.poll()).count()
        });
        if drained.is_none() {
            debug!("the old machine could not be drained");
        }
        if self.established.take().is_some() {
            self.members = [None, None];
            self.drop_routes();
        }
        self.conns.drain(..).for_each(Conn::reset);
        self.dial = Dial::No;
        self.import = None;
        self.mind_forgetting(now, FORGET_AFTER);
        self.failures += 1;
        self.machine = Peer::after_failures(self.config.params.clone(), self.failures, now);
    }

    /// The path to the peer failed. A session that is not established has its own timers; but routes that stay for a graceful restart
    /// go when the peer's forwarding is known to have failed (RFC 5882 4.3).
    pub fn path_failed(&mut self, independent: bool, now: Instant) {
        if self.established.is_some() {
            self.machine.handle_stop(StopReason::BfdDown { independent }, now);
        } else if independent {
            self.drop_routes();
        }
    }

    /// Tells the RIB that nothing of this peer stays.
    fn drop_routes(&mut self) {
        let reason = DownReason::ConnectionLost(None);
        let (retain, none) = (FamilySet::NONE, Duration::ZERO);
        let down = Down { reason, retain, restart_time: none, stale_time: none, llgr_time: [none; 2] };
        self.outbox.push_back(FromShard::Down { peer: self.config.id, down: Box::new(down) });
    }

    pub fn obey(&mut self, output: Output, shard: &Shard) {
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

    pub fn close(&mut self, id: ConnId, mode: CloseMode, shard: &Shard) {
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

    pub fn hear(&mut self, event: Event, shard: &Shard) {
        let peer = self.config.id;
        match event {
            Event::StateChanged { from, to, cause } => self.state_changed(from, to, cause, shard),
            Event::Established(negotiated, conn) => {
                if negotiated.gr.as_ref().is_some_and(|gr| gr.restarting) {
                    self.tell(PeerChange::Restarted, shard);
                }
                self.session += 1;
                self.established = Some(conn);
                self.import = Some(self.importer(&negotiated));
                let (session, rules) = (self.session, Arc::clone(&self.config.rules));
                let up = Up { peer, shard: shard.index, session, negotiated, rules };
                self.outbox.push_back(FromShard::Up(Box::new(up)));
            }
            Event::Update(update) => {
                for fault in &update.faults {
                    self.faults.count(fault.action);
                    debug!(peer = %self.config.remote.ip(), code = fault.code, action = ?fault.action, why = %fault.why, "malformed path attribute");
                }
                if let Some((rules, origin)) = self.import.take() {
                    match contain(|| import(update, &rules, origin, self.items())) {
                        Some(()) => self.import = Some((rules, origin)),
                        None => self.start_over(now()),
                    }
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

    pub fn refresh(&mut self, refresh: RouteRefresh) {
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
    pub fn items(&mut self) -> &mut Vec<Item> {
        if !matches!(self.outbox.back(), Some(FromShard::Routes { .. })) {
            self.outbox.push_back(FromShard::Routes { peer: self.config.id, items: Vec::new(), read_at: Some(now()) });
        }
        match self.outbox.back_mut() {
            Some(FromShard::Routes { items, .. }) => items,
            _ => unreachable!("a batch was just put there"),
        }
    }

    pub fn state_changed(&self, from: State, to: State, cause: crate::session::Cause, shard: &Shard) {
        let remote = self.config.remote;
        if to == State::Established {
            info!(peer = %remote.ip(), %from, "session established");
        } else if from == State::Established {
            warn!(peer = %remote.ip(), %to, reason = %self.in_words(cause), "session down");
        } else {
            debug!(peer = %remote.ip(), %from, %to, reason = %self.in_words(cause), "state changed");
        }
        self.tell(PeerChange::State { from, to, cause }, shard);
    }

    fn tell(&self, what: PeerChange, shard: &Shard) {
        // Without a listener there is nobody to tell.
        let _ = shard.links.events.send(PeerEvent { peer: self.config.id, remote: self.config.remote.ip(), what });
    }

    /// A cause with the words of its NOTIFICATION, the operator's text among them (RFC 9003).
    pub fn in_words(&self, cause: crate::session::Cause) -> String {
        use crate::session::Cause::{NotificationReceived, NotificationSent};
        let status = self.machine.status();
        let record = match cause {
            NotificationReceived { .. } => &status.last_received_error,
            NotificationSent { .. } => &status.last_sent_error,
            _ => &None,
        };
        record.as_ref().map_or_else(|| cause.to_string(), |record| format!("{cause}: {}", record.notification))
    }

    pub fn importer(&self, negotiated: &Negotiated) -> (Import, Origin) {
        let rules = &self.config.rules;
        (rules.import(negotiated), Origin { neighbor: self.config.remote.ip(), kind: rules.kind(negotiated) })
    }

    /// Counts the time in which the socket takes nothing.
    pub fn mind_blocking(&mut self, now: Instant) {
        let blocked = self.conns.iter().any(|c| c.blocked);
        match (blocked, self.blocked_since) {
            (true, None) => self.blocked_since = Some(now),
            (false, Some(at)) => {
                self.blocked_for += now.saturating_duration_since(at);
                self.blocked_since = None;
            }
            _ => {}
        }
    }

    /// Control messages first, between UPDATEs; then journals, family by family.
    pub fn pump(&mut self, now: Instant) -> Pumped {
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
                conn.note_written(progress.updates, now);
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
        self.mind_blocking(now);
        pumped
    }

    /// Tells the machine what was written. Its timers need to know only when one of them fires: a pass over thousands of peers
    /// should not look at each one's.
    pub fn account(&mut self) {
        for conn in &mut self.conns {
            if let Some((at, updates)) = conn.take_written() {
                self.machine.handle_written(conn.id, at);
                self.machine.count_sent_updates(updates);
            }
        }
    }

    /// Whether the task must change what it waits for.
    pub fn wants_attention(&self) -> bool {
        !self.outbox.is_empty() || self.conns.iter().any(|c| c.blocked) || (self.established.is_some() && self.conns.is_empty())
    }

    pub fn snapshot(&mut self, shard: usize, now: Instant) -> PeerSnapshot {
        self.account();
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
            faults: self.faults,
            blocked_for: self.blocked_for + self.blocked_since.map_or(Duration::ZERO, |at| now.saturating_duration_since(at)),
            queued_messages: self.conns.iter().map(Conn::control_messages).sum(),
            bytes_sent: self.bytes_sent,
            bytes_received: self.bytes_received,
            next_timeout: self.machine.poll_timeout().map(|at| at.saturating_duration_since(now)),
        }
    }
}

/// Bytes that one peer writes in one pass of the fan-out.
const BUDGET: usize = 256 * 1024;
/// A dynamic peer without a connection is remembered this long, so that its back-off counts.
pub const FORGET_AFTER: Duration = Duration::from_secs(60);
