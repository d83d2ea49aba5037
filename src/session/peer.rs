//! [`Peer`]: the machine that the shell drives. It feeds events to the state table and carries out what the table says.

mod ending;
mod receive;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use self::ending::{Ending, Trigger};
use super::connection::Connection;
use super::fsm::{self, Action, Count, Input, Notify};
use super::negotiate::{self, Link};
use super::status::{DownClass, NotificationKey};
use super::timers::{Backoff, FIRST_IDLE_HOLD, Jitter};
use super::{
    Cause, CloseMode, ConnId, Direction, Down, DownReason, ErrorRecord, Event, Output, PeerParams, PeerStatus, State, StopReason, TcpError,
};
use crate::wire::{Capability, CeaseCode, Family, FamilySet, MessageType, Notification, RefreshKind, RouteRefresh, keepalive};

/// One peer: the FSM of RFC 4271 8 with both connections of a collision, back-off and graceful restart retention.
///
/// After every `handle_*` call the shell drains [`Peer::poll`] and asks [`Peer::poll_timeout`] again. What a connection has
/// received is to be handled before `handle_timeout`, so that a late turn of the shell expires no hold timer.
#[derive(Debug)]
pub struct Peer {
    params: Arc<PeerParams>,
    status: PeerStatus,
    dial: Dial,
    connections: Vec<Connection>,
    outputs: VecDeque<Output>,
    jitter: Jitter,
    /// Doubles ConnectRetryTime with each dial that fails.
    retry: Backoff,
    /// Doubles IdleHoldTime with each session that fails.
    backoff: Backoff,
    connect_retry: Option<Instant>,
    idle_hold: Option<Instant>,
    /// Inbound connections are refused while the IdleHoldTimer runs. Not after the first failure: a peer that restarts
    /// comes back at once, and to refuse it could cost its own retry time.
    refusing: bool,
    /// We have stopped reading by our own choice.
    paused: bool,
}

/// The state of the part of the FSM that has no connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Dial {
    /// Idle.
    Off,
    /// Connect.
    Dialing,
    /// Active.
    Waiting,
    /// A connection makes dialing needless.
    Parked,
}

impl Peer {
    /// A peer in Idle; with `admin_up` it starts at once, so [`Peer::poll`] has something to say already.
    pub fn new(params: PeerParams, now: Instant) -> Self {
        let mut peer = Self {
            status: PeerStatus::new(now, params.admin_up),
            dial: Dial::Off,
            connections: Vec::new(),
            outputs: VecDeque::new(),
            jitter: Jitter::new(params.seed),
            retry: Backoff::default(),
            backoff: Backoff::default(),
            connect_retry: None,
            idle_hold: None,
            refusing: false,
            paused: false,
            params: Arc::new(params),
        };
        if peer.params.admin_up {
            peer.handle_start(now);
        }
        peer
    }

    /// A peer in place of one that failed by a bug of ours, for the `failures`th time: it waits as after as many failed sessions.
    pub fn after_failures(params: PeerParams, failures: u32, now: Instant) -> Self {
        let admin_up = params.admin_up;
        let mut peer = Self::new(PeerParams { admin_up: false, ..params }, now);
        Arc::make_mut(&mut peer.params).admin_up = admin_up;
        peer.status.admin_up = admin_up;
        (0..failures).for_each(|_| peer.backoff.grow());
        if admin_up {
            peer.arm_idle_hold(Count::Damp, now);
        }
        peer
    }

    /// ManualStart. Ends a back-off; ignored unless the peer is Idle.
    pub fn handle_start(&mut self, now: Instant) {
        self.status.admin_up = true;
        let input = Input::ManualStart { passive: self.params.passive };
        if fsm::step(self.state(), input).action != Action::Ignore {
            self.count(Count::Reset);
            self.backoff.reset();
            self.drive(input, Cause::Started, now);
        }
    }

    /// ManualStop or AutomaticStop, as the reason says. Reasons that do not keep the peer down bring it back after the
    /// back-off or with `handle_start`.
    pub fn handle_stop(&mut self, reason: StopReason, now: Instant) {
        self.status.admin_up &= !reason.stays_down();
        let input = if reason.is_manual() { Input::ManualStop } else { Input::AutomaticStop };
        if self.connections.is_empty() {
            if self.dial != Dial::Off {
                self.drive(input, Cause::Stopped, now);
            }
        } else {
            self.park();
            // The furthest last, so that its end is the end of the peer's session.
            self.connections.sort_by_key(|c| c.state);
            for id in self.ids() {
                self.handle_connection(id, input, Trigger::Stop(reason.clone()), now);
            }
        }
        if !self.status.admin_up {
            self.idle_hold = None;
        } else if let StopReason::MaxPrefix { restart_after: Some(after), .. } = reason {
            self.idle_hold = Some(now + after);
            self.refusing = true;
        } else if self.idle_hold.is_none() {
            self.arm_idle_hold(Count::Keep, now);
        }
    }

    /// A TCP connection stands. An unwanted one is closed at once: `poll` says so.
    pub fn handle_connected(&mut self, id: ConnId, direction: Direction, local: SocketAddr, remote: SocketAddr, now: Instant) {
        if direction == Direction::Outbound && self.dial != Dial::Dialing {
            return self.outputs.push_back(Output::Close(id, CloseMode::Silent));
        }
        if direction == Direction::Inbound && !self.admit(now) {
            self.status.refused += 1;
            return self.outputs.push_back(Output::Close(id, CloseMode::Reset));
        }
        match fsm::step(self.state(), Input::Connected).action {
            Action::SendOpen | Action::Track => self.open(Link { id, direction, local, remote, connected: now }),
            _ => {
                self.status.refused += 1;
                self.outputs.push_back(Output::Close(id, CloseMode::Reset));
            }
        }
        self.note_state(Cause::Connected, now);
    }

    /// The dial that [`Output::Connect`] asked for has failed.
    pub fn handle_connect_failed(&mut self, now: Instant, error: String) {
        if self.dial == Dial::Dialing {
            self.status.last_tcp_error = Some(TcpError { at: now, text: error });
            self.drive(Input::TcpFails, Cause::ConnectFailed, now);
        }
    }

    /// Octets of a connection, split in any way. Only the beginning of an incomplete message is kept.
    pub fn handle_bytes(&mut self, id: ConnId, bytes: &[u8], now: Instant) {
        let mut input = bytes;
        while let Some(connection) = self.connection(id) {
            match connection.framer.next(&mut input, negotiate::max_receive(&connection.offered)) {
                Ok(Some(message)) => self.handle_message(id, &message, now),
                Ok(None) => break,
                Err(error) => self.handle_connection(id, Input::HeaderError, Trigger::Error(error), now),
            }
        }
    }

    /// The TCP connection ended, by the peer or by an error.
    pub fn handle_closed(&mut self, id: ConnId, error: Option<String>, now: Instant) {
        if self.connection(id).is_none() {
            return;
        }
        if let Some(text) = error.clone() {
            self.status.last_tcp_error = Some(TcpError { at: now, text });
        }
        self.handle_connection(id, Input::TcpFails, Trigger::TcpLost(error), now);
    }

    /// The kernel has taken a whole message of this connection. Restarts send hold timer and keepalive timer.
    pub fn handle_written(&mut self, id: ConnId, now: Instant) {
        if let Some(connection) = self.connections.iter_mut().find(|c| c.link.id == id) {
            connection.written(&mut self.jitter, now);
        }
    }

    /// Fires every timer that is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        for id in self.ids() {
            if self.connection(id).is_some_and(|c| c.hold.expired(now)) {
                self.handle_connection(id, Input::HoldExpires, Trigger::Plain, now);
            }
            if self.connection(id).is_some_and(|c| c.send_hold.expired(now)) {
                self.handle_connection(id, Input::SendHoldExpires, Trigger::Plain, now);
            }
            if self.connection(id).is_some_and(|c| c.keepalive.expired(now)) {
                self.handle_connection(id, Input::KeepaliveExpires, Trigger::Plain, now);
            }
        }
        if self.connect_retry.is_some_and(|at| at <= now) {
            self.connect_retry = None;
            self.drive(Input::ConnectRetryExpires, Cause::ConnectRetry, now);
        }
        if self.idle_hold.is_some_and(|at| at <= now) {
            self.idle_hold = None;
            if self.dial == Dial::Off && self.status.admin_up {
                self.drive(Input::IdleHoldExpires { passive: self.params.passive }, Cause::BackoffOver, now);
            }
        }
    }

    /// The shell stops reading by its own choice: silence is no fault of the peer, so the hold timers stand still.
    pub fn pause_hold(&mut self, now: Instant) {
        self.paused = true;
        self.connections.iter_mut().for_each(|c| c.hold.pause(now));
    }

    /// The shell reads again; the hold timers go on with what was left.
    pub fn resume_hold(&mut self, now: Instant) {
        self.paused = false;
        self.connections.iter_mut().for_each(|c| c.hold.resume(now));
    }

    /// Changes the settings for the next session. Whether the present one may go on is the caller's choice: if not, it calls
    /// `handle_stop(StopReason::ConfigChange)` first.
    pub fn set_params(&mut self, params: PeerParams) {
        self.params = Arc::new(params);
    }

    /// Our restart is over: the next OPEN shows neither R nor F bits (RFC 4724 4.1).
    pub fn end_restart(&mut self) {
        let gr = &mut Arc::make_mut(&mut self.params).graceful_restart;
        gr.restarting = false;
        gr.forwarding = FamilySet::NONE;
    }

    /// Asks the peer of an established session for its routes of `family` again; false where it cannot be asked.
    pub fn request_refresh(&mut self, family: Family) -> bool {
        let asked = self.established().filter(|(_, agreed)| agreed.route_refresh && agreed.families.contains(family));
        let Some((id, _)) = asked else { return false };
        let mut message = BytesMut::new();
        RouteRefresh { family: family.afi_safi(), kind: RefreshKind::Request }.encode(&mut message);
        self.send(id, MessageType::RouteRefresh, message.freeze());
        true
    }

    /// Adds to the UPDATEs sent, which the shell takes from elsewhere.
    pub fn count_sent_updates(&mut self, count: u64) {
        self.status.sent.update += count;
    }

    /// The next thing to do; `None` when there is nothing until the next `handle_*`.
    pub fn poll(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        // A burst must not leave its buffer with a peer that is quiet from now on.
        if output.is_none() {
            self.outputs = VecDeque::new();
        }
        output
    }

    /// When `handle_timeout` is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let connections = self.connections.iter().filter_map(Connection::deadline);
        connections.chain(self.connect_retry).chain(self.idle_hold).min()
    }

    pub fn status(&self) -> &PeerStatus {
        &self.status
    }

    pub fn params(&self) -> &PeerParams {
        &self.params
    }

    /// The capabilities that our next OPEN shows.
    pub fn local_capabilities(&self) -> Vec<Capability> {
        negotiate::capabilities(&self.params)
    }

    /// The established session, if there is one.
    pub fn established(&self) -> Option<(ConnId, &Arc<super::Negotiated>)> {
        let up = self.connections.iter().find(|c| c.state == State::Established)?;
        Some((up.link.id, up.agreed.as_ref()?))
    }

    /// The state of the furthest connection, or of the dialing part.
    fn state(&self) -> State {
        self.connections.iter().map(|c| c.state).max().unwrap_or_else(|| self.dial_state())
    }

    fn dial_state(&self) -> State {
        match self.dial {
            Dial::Off | Dial::Parked => State::Idle,
            Dial::Dialing => State::Connect,
            Dial::Waiting => State::Active,
        }
    }

    fn connection(&mut self, id: ConnId) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|c| c.link.id == id)
    }

    fn ids(&self) -> Vec<ConnId> {
        self.connections.iter().map(|c| c.link.id).collect()
    }

    /// Gives an event to the part of the FSM that has no connection.
    fn drive(&mut self, input: Input, cause: Cause, now: Instant) {
        match fsm::step(self.dial_state(), input).action {
            Action::Dial => self.start_dial(now),
            Action::Redial => {
                // Sooner than the kernel would give up, so that this is all that tells of an unanswered connection.
                self.status.last_tcp_error = Some(TcpError { at: now, text: TcpError::NO_ANSWER.to_owned() });
                self.outputs.push_back(Output::CancelConnect);
                self.start_dial(now);
            }
            Action::Listen => self.leave_idle(Dial::Waiting),
            Action::AwaitRetry => self.await_retry(now),
            Action::Drop { count, .. } => {
                self.go_idle();
                self.count(count);
                if self.status.admin_up {
                    self.arm_idle_hold(count, now);
                }
            }
            _ => {}
        }
        self.note_state(cause, now);
    }

    fn leave_idle(&mut self, dial: Dial) {
        if self.dial == Dial::Off {
            self.idle_hold = None;
        }
        self.dial = dial;
    }

    fn start_dial(&mut self, now: Instant) {
        self.leave_idle(Dial::Dialing);
        self.arm_connect_retry(now);
        self.outputs.push_back(Output::Connect);
    }

    fn await_retry(&mut self, now: Instant) {
        self.dial = Dial::Waiting;
        self.connect_retry = None;
        if !self.params.passive {
            self.arm_connect_retry(now);
        }
    }

    fn arm_connect_retry(&mut self, now: Instant) {
        let time = self.retry.delay(self.params.connect_retry);
        self.retry.grow();
        self.connect_retry = Some(now + self.jitter.apply(time));
    }

    /// Stops dialing because a connection makes it needless.
    fn park(&mut self) {
        self.cancel_dial();
        self.dial = Dial::Parked;
    }

    fn go_idle(&mut self) {
        self.cancel_dial();
        self.dial = Dial::Off;
    }

    fn cancel_dial(&mut self) {
        self.connect_retry = None;
        if self.dial == Dial::Dialing {
            self.outputs.push_back(Output::CancelConnect);
        }
    }

    fn count(&mut self, count: Count) {
        match count {
            Count::Reset => self.status.connect_retry_counter = 0,
            Count::Keep => {}
            Count::Damp => self.status.connect_retry_counter += 1,
        }
    }

    fn arm_idle_hold(&mut self, count: Count, now: Instant) {
        if count == Count::Reset {
            self.backoff.reset();
        }
        self.refusing = !self.backoff.is_first();
        self.idle_hold = Some(now + self.jitter.apply(self.backoff.delay(FIRST_IDLE_HOLD)));
        if count == Count::Damp {
            self.backoff.grow();
        }
    }

    /// Whether an inbound connection gets a session. In a back-off that refuses nobody it ends the back-off.
    fn admit(&mut self, now: Instant) -> bool {
        if !self.status.admin_up {
            return false;
        }
        if self.idle_hold.is_some() {
            if self.refusing {
                return false;
            }
            if self.dial == Dial::Off {
                self.drive(Input::AutomaticStart { passive: true }, Cause::Connected, now);
                // Should this connection come to nothing, we still dial.
                self.await_retry(now);
            }
        }
        true
    }

    /// Sends OPEN on a new connection. ConnectRetryTimer and a dial of ours go on beside an inbound connection until its OPEN
    /// is accepted: a connection that says nothing must not keep us from the peer.
    fn open(&mut self, link: Link) {
        if link.direction == Direction::Outbound {
            self.dial = Dial::Parked;
            self.connect_retry = None;
        }
        let unused = |c: &&Connection| c.link.direction == link.direction && c.state == State::OpenSent;
        let old = self.connections.iter().find(unused).map(|c| c.link.id);
        let mut message = BytesMut::new();
        negotiate::local_open(&self.params).encode(&mut message);
        self.connections.reserve_exact(1);
        self.connections.push(Connection::new(link, Arc::clone(&self.params), self.paused));
        self.send(link.id, MessageType::Open, message.freeze());
        // The peer dialed again, so it has given up what it never used.
        if let Some(old) = old {
            self.handle_connection(old, Input::CollisionDump, Trigger::Plain, link.connected);
        }
    }

    /// Gives an event to the FSM of one connection and carries out what the table says.
    fn handle_connection(&mut self, id: ConnId, input: Input, trigger: Trigger, now: Instant) {
        let Some(index) = self.connections.iter().position(|c| c.link.id == id) else { return };
        let connection = &mut self.connections[index];
        let step = fsm::step(connection.state, input);
        match step.action {
            Action::Establish => self.establish(index, now),
            Action::RestartHold | Action::Process => connection.restart_hold(now),
            Action::SendKeepalive => {
                connection.restart_keepalive(&mut self.jitter, now);
                if !std::mem::replace(&mut connection.keepalive_unwritten, true) {
                    self.send(id, MessageType::Keepalive, keepalive());
                }
            }
            Action::Drop { notify, count } => {
                let agreed = connection.agreed.as_deref();
                let sent = match notify {
                    Notify::Nothing => None,
                    Notify::Event => trigger.notification(agreed.is_some_and(|a| a.gr.is_some_and(|gr| gr.notification))),
                    Notify::Fsm(state) => Some(Notification::fsm(state)),
                    Notify::HoldExpired => Some(Notification::hold_timer_expired()),
                    Notify::SendHoldExpired => Some(Notification::send_hold_timer_expired()),
                    Notify::Collision => Some(Notification::cease(CeaseCode::Collision, None)),
                };
                let stuck = notify == Notify::SendHoldExpired;
                self.drop_connection(index, Ending::new(sent, stuck, trigger, count, step.next), now);
            }
            _ => {}
        }
    }

    fn establish(&mut self, index: usize, now: Instant) {
        let connection = &mut self.connections[index];
        connection.state = State::Established;
        connection.established = Some(now);
        connection.restart_hold(now);
        let (id, agreed) = (connection.link.id, connection.agreed.clone());
        self.status.established += 1;
        self.note_state(Cause::KeepaliveReceived, now);
        if let Some(agreed) = agreed {
            self.status.negotiated = Some(Arc::clone(&agreed));
            self.event(Event::Established(agreed, id));
        }
    }

    fn drop_connection(&mut self, index: usize, ending: Ending, now: Instant) {
        let connection = self.connections.remove(index);
        let id = connection.link.id;
        if let Some(notification) = ending.sent {
            let mut message = BytesMut::new();
            notification.encode(&mut message);
            self.send(id, MessageType::Notification, message.freeze());
            self.count_notification(true, &notification);
            self.status.last_sent_error = Some(ErrorRecord { at: now, notification });
        }
        self.outputs.push_back(Output::Close(id, ending.mode));
        if connection.state == State::Established {
            self.end_session(&connection, ending.reason, now);
        }
        let collision = matches!(
            ending.cause,
            Cause::NotificationSent { code: 6, subcode: COLLISION } | Cause::NotificationReceived { code: 6, subcode: COLLISION }
        );
        if self.connections.is_empty() {
            self.count(ending.count);
            self.after_last(&connection, ending.count, ending.next, now);
        } else {
            if !collision {
                self.count(ending.count);
                self.after_one_of_several(&connection, ending.count, now);
            }
            let useful = |c: &Connection| c.link.direction == Direction::Outbound || c.state > State::OpenSent;
            if self.dial == Dial::Parked && !self.connections.iter().any(useful) {
                self.await_retry(now);
            }
        }
        self.note_state(ending.cause, now);
    }

    /// Others go on; but a peer that errs on connections of its own is kept from making ever more of them.
    fn after_one_of_several(&mut self, connection: &Connection, count: Count, now: Instant) {
        if count == Count::Damp && connection.link.direction == Direction::Inbound && connection.state != State::Established {
            self.arm_idle_hold(count, now);
        } else if count == Count::Damp {
            self.backoff.grow();
        }
    }

    /// The last connection is gone: Active and retry, or Idle and back-off.
    fn after_last(&mut self, connection: &Connection, count: Count, next: State, now: Instant) {
        let dialing = self.dial == Dial::Dialing;
        if next == State::Active {
            // A dial under way or a ConnectRetryTimer that runs beside an inbound connection is not put off by its end.
            if self.dial == Dial::Parked {
                self.await_retry(now);
            }
        } else if dialing && connection.link.direction == Direction::Inbound && count != Count::Reset {
            // Our own dial is a separate attempt (RFC 4271 8.2.1); only further inbound connections have to wait.
            self.arm_idle_hold(count, now);
        } else {
            self.go_idle();
            if self.status.admin_up {
                self.arm_idle_hold(count, now);
            }
        }
    }

    pub(super) fn count_notification(&mut self, sent: bool, notification: &Notification) {
        let key = NotificationKey { sent, code: notification.code, subcode: notification.subcode };
        *self.status.notifications.entry(key).or_default() += 1;
    }

    /// Bookkeeping of the end of an established session, and the event that tells the RIB.
    fn end_session(&mut self, connection: &Connection, reason: DownReason, now: Instant) {
        self.status.dropped += 1;
        *self.status.downs.entry(DownClass::of(&reason)).or_default() += 1;
        self.status.down_since = now;
        let Some(agreed) = connection.agreed.as_ref() else { return };
        let hold = if agreed.hold_time.is_zero() { STABLE_WITHOUT_HOLD } else { agreed.hold_time };
        if connection.established.is_some_and(|at| now.saturating_duration_since(at) >= 2 * hold) {
            self.backoff.reset();
            self.retry.reset();
        }
        let retain = agreed.retained(&reason);
        let restart_time = agreed.gr.map_or(Duration::ZERO, |gr| gr.restart_time);
        let stale_time = self.params.graceful_restart.stale_time;
        let llgr_time = agreed.llgr;
        self.event(Event::Down(Down { reason, retain, restart_time, stale_time, llgr_time }));
    }

    /// Records what happened, and reports the state if it has changed.
    fn note_state(&mut self, cause: Cause, now: Instant) {
        let (from, to) = (self.status.state, self.state());
        self.status.note(from, to, cause, now);
        if from == to {
            return;
        }
        self.status.state = to;
        self.status.since = now;
        self.event(Event::StateChanged { from, to, cause });
    }

    fn send(&mut self, id: ConnId, kind: MessageType, message: Bytes) {
        self.status.sent.add(kind);
        self.outputs.push_back(Output::Send(id, message));
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}

const COLLISION: u8 = CeaseCode::Collision as u8;
/// What stands for the hold time where there is none, to tell a stable session.
const STABLE_WITHOUT_HOLD: Duration = Duration::from_secs(90);

#[cfg(test)]
mod tests;
