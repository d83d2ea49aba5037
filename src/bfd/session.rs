//! The state machine of one session (RFC 5880 6.8): states, intervals, detection, Poll Sequences. Pure: packets and time come in, packets
//! and changes go out.

#[cfg(test)]
mod tests;

use super::packet::{Diagnostic, Packet, State};
use std::time::{Duration, Instant};

/// What a session offers to its peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    /// DesiredMinTxInterval while Up.
    pub transmit: Duration,
    /// RequiredMinRxInterval.
    pub receive: Duration,
    /// DetectMult, never 0: how many of our packets the peer may miss.
    pub multiplier: u8,
    /// Sends nothing before the peer does.
    pub passive: bool,
}

/// The state changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Change {
    pub from: State,
    pub to: State,
    /// Ours, for the new state.
    pub diagnostic: Diagnostic,
    /// The peer says that it is administratively down, which is no failure of the path (RFC 5882 3.2).
    pub administrative: bool,
}

/// One session.
#[derive(Clone, Debug)]
pub struct Session {
    timing: Timing,
    discriminator: u32,
    state: State,
    diagnostic: Diagnostic,
    remote: Remote,
    /// DesiredMinTxInterval and RequiredMinRxInterval as we say them, and as they count until the peer has confirmed them (6.8.3).
    offered: Intervals,
    in_use: Intervals,
    poll: Poll,
    /// The peer polls us and is owed an answer.
    owes_final: bool,
    last_final: Option<Instant>,
    last_sent: Option<Instant>,
    next_send: Option<Instant>,
    /// The detection time runs out.
    detect_at: Option<Instant>,
    change: Option<Change>,
    random: Random,
}

/// What the peer said last.
#[derive(Clone, Copy, Debug, Default)]
struct Remote {
    discriminator: u32,
    state: State,
    diagnostic: Diagnostic,
    min_rx: Duration,
    desired_tx: Duration,
    multiplier: u8,
    demand: bool,
    independent: bool,
}

impl Remote {
    /// Before anything was heard (6.8.1).
    fn unknown() -> Self {
        Self { min_rx: Duration::from_micros(1), ..Self::default() }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Intervals {
    transmit: Duration,
    receive: Duration,
}

/// A Poll Sequence (6.5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Poll {
    No,
    Running,
    /// What it is about changed meanwhile: the answer may be to the older values, so another one follows.
    Again,
}

impl Session {
    /// A session that is Down. `discriminator` is unique among ours and not 0; `seed` starts the jitter.
    pub fn new(timing: Timing, discriminator: u32, seed: u64, now: Instant) -> Self {
        let offered = Intervals { transmit: timing.transmit.max(SLOW), receive: timing.receive };
        Self {
            timing,
            discriminator,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            remote: Remote::unknown(),
            offered,
            in_use: offered,
            poll: Poll::No,
            owes_final: false,
            last_final: None,
            last_sent: None,
            next_send: (!timing.passive).then_some(now),
            detect_at: None,
            change: None,
            random: Random(seed),
        }
    }

    pub fn state(&self) -> State {
        self.state
    }

    /// Why we are in this state.
    pub fn diagnostic(&self) -> Diagnostic {
        self.diagnostic
    }

    pub fn discriminator(&self) -> u32 {
        self.discriminator
    }

    /// The peer's discriminator; 0 while it is silent.
    pub fn remote_discriminator(&self) -> u32 {
        self.remote.discriminator
    }

    /// State and diagnostic of the peer's last packet.
    pub fn remote(&self) -> (State, Diagnostic) {
        (self.remote.state, self.remote.diagnostic)
    }

    /// C bit of the peer's last packet: its BFD does not depend on its control plane.
    pub fn remote_is_independent(&self) -> bool {
        self.remote.independent
    }

    /// How far apart our packets are, before jitter; zero where the peer wants none.
    pub fn transmit_interval(&self) -> Duration {
        if self.remote.min_rx.is_zero() { Duration::ZERO } else { self.in_use.transmit.max(self.remote.min_rx) }
    }

    /// How far apart the peer's packets may be.
    pub fn receive_interval(&self) -> Duration {
        self.in_use.receive.max(self.remote.desired_tx)
    }

    /// Silence of this length means that the path is down (6.8.4); zero before the peer was heard.
    pub fn detection_time(&self) -> Duration {
        self.receive_interval() * u32::from(self.remote.multiplier)
    }

    /// Other settings for the running session. The peer is told with a Poll Sequence; the session stays up.
    pub fn set_timing(&mut self, timing: Timing, now: Instant) {
        let was_passive = std::mem::replace(&mut self.timing, timing).passive;
        self.offer(now);
        if was_passive && !timing.passive {
            self.send_soon(now);
        }
    }

    /// Whether the packet's sender may be our peer. While a peer is known, one that does not know us and has another discriminator is a
    /// stranger: a peer that restarted is heard once the detection time has run out.
    pub fn knows(&self, packet: &Packet) -> bool {
        let bound = self.remote.discriminator;
        packet.your_discriminator != 0 || bound == 0 || bound == packet.my_discriminator
    }

    /// A packet of this session: valid, and not authenticated (6.8.6 from "Set bfd.RemoteDiscr" on).
    pub fn handle_packet(&mut self, packet: &Packet, now: Instant) {
        self.remote = Remote {
            discriminator: packet.my_discriminator,
            state: packet.state,
            diagnostic: packet.diagnostic,
            min_rx: packet.required_min_rx,
            desired_tx: packet.desired_min_tx,
            multiplier: packet.multiplier,
            demand: packet.demand,
            independent: packet.independent,
        };
        if packet.is_final {
            self.end_poll();
        }
        match (self.state, packet.state) {
            (State::AdminDown, _) | (State::Down, State::AdminDown | State::Up) | (State::Init, State::Down) => {}
            (State::Init | State::Up, State::AdminDown) => self.go(State::Down, Diagnostic::NEIGHBOR_SIGNALED_DOWN, now),
            (State::Down, State::Down) => self.go(State::Init, self.diagnostic, now),
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => self.go(State::Up, Diagnostic::NONE, now),
            (State::Up, State::Down) => self.go(State::Down, Diagnostic::NEIGHBOR_SIGNALED_DOWN, now),
            (State::Up, State::Init | State::Up) => {}
        }
        self.detect_at = Some(now + self.detection_time());
        self.schedule(now);
        // A poll flood gets a bounded number of answers; a peer that polls in earnest repeats itself.
        if packet.poll && self.last_final.is_none_or(|last| now >= last + CLOSEST) {
            self.owes_final = true;
            self.last_final = Some(now);
        }
    }

    /// Does what fell due. What had arrived by `now` is to be handled before.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.detect_at.is_some_and(|at| at <= now) {
            self.detect_at = None;
            // That the peer's forwarding failed, and not only its control plane, is known from its last packet.
            self.remote = Remote { independent: self.remote.independent, ..Remote::unknown() };
            self.poll = Poll::No;
            self.in_use = self.offered;
            if matches!(self.state, State::Init | State::Up) {
                self.go(State::Down, Diagnostic::DETECTION_TIME_EXPIRED, now);
            }
            self.schedule(now);
        }
    }

    /// The next packet to send; `None` when there is nothing until the next `handle_*` call or [`Self::poll_timeout`].
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Packet> {
        if std::mem::take(&mut self.owes_final) {
            return Some(Packet { is_final: true, ..self.packet() });
        }
        self.next_send.filter(|at| *at <= now)?;
        self.last_sent = Some(now);
        self.next_send = None;
        self.schedule(now);
        Some(Packet { poll: self.poll != Poll::No, ..self.packet() })
    }

    /// The last change of the state, once.
    pub fn poll_change(&mut self) -> Option<Change> {
        self.change.take()
    }

    /// When [`Self::handle_timeout`] or [`Self::poll_transmit`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.detect_at, self.next_send].into_iter().flatten().min()
    }

    /// The farewell to a peer that knows us: we end on purpose, which is no failure of the path (RFC 5882 3.2).
    pub fn farewell(&self) -> Option<Packet> {
        let packet = Packet { state: State::AdminDown, diagnostic: Diagnostic::ADMINISTRATIVELY_DOWN, ..self.packet() };
        (self.remote.discriminator != 0).then_some(packet)
    }

    fn packet(&self) -> Packet {
        Packet {
            diagnostic: self.diagnostic,
            state: self.state,
            multiplier: self.timing.multiplier,
            my_discriminator: self.discriminator,
            your_discriminator: self.remote.discriminator,
            desired_min_tx: self.offered.transmit,
            required_min_rx: self.offered.receive,
            ..Packet::default()
        }
    }

    fn go(&mut self, to: State, diagnostic: Diagnostic, now: Instant) {
        let from = std::mem::replace(&mut self.state, to);
        self.diagnostic = diagnostic;
        let administrative = self.remote.state == State::AdminDown && diagnostic == Diagnostic::NEIGHBOR_SIGNALED_DOWN;
        self.change = Some(Change { from, to, diagnostic, administrative });
        self.offer(now);
        // The peer learns of it at once (6.8.7).
        self.send_soon(now);
    }

    /// Says the intervals that this state wants: while not Up at least a second lies between packets (6.8.3).
    fn offer(&mut self, now: Instant) {
        let transmit = if self.state == State::Up { self.timing.transmit } else { self.timing.transmit.max(SLOW) };
        let offered = Intervals { transmit, receive: self.timing.receive };
        if offered == self.offered {
            return;
        }
        self.offered = offered;
        if self.state == State::Up {
            // More packets, and more patience, hurt nobody; the opposite waits until the peer knows.
            self.in_use.transmit = self.in_use.transmit.min(offered.transmit);
            self.in_use.receive = self.in_use.receive.max(offered.receive);
            self.poll = if self.poll == Poll::No { Poll::Running } else { Poll::Again };
            self.send_soon(now);
        } else {
            self.in_use = offered;
            self.poll = Poll::No;
        }
        if self.detect_at.is_some() {
            self.detect_at = self.detect_at.max(Some(now + self.detection_time()));
        }
    }

    fn end_poll(&mut self) {
        match self.poll {
            Poll::No => {}
            Poll::Running => {
                self.poll = Poll::No;
                self.in_use = self.offered;
            }
            Poll::Again => self.poll = Poll::Running,
        }
    }

    /// A packet between the regular ones, but never a flood of them.
    fn send_soon(&mut self, now: Instant) {
        let at = self.last_sent.map_or(now, |last| now.max(last + CLOSEST));
        self.next_send = Some(self.next_send.map_or(at, |next| next.min(at)));
        self.hush();
    }

    /// The regular packet: not later than the interval of now wants.
    fn schedule(&mut self, now: Instant) {
        let interval = self.transmit_interval();
        let from = self.last_sent.unwrap_or(now);
        let mut next = || (from + self.random.jittered(interval, self.timing.multiplier)).max(now);
        self.next_send = match self.next_send {
            Some(at) if at <= from + interval => Some(at),
            _ => Some(next()),
        };
        self.hush();
    }

    /// When nothing is to be sent regularly (6.8.7): a passive session that heard nothing, a peer that wants no packets, or one in
    /// Demand mode.
    fn hush(&mut self) {
        let in_demand = self.remote.demand && self.state == State::Up && self.remote.state == State::Up && self.poll == Poll::No;
        let unheard = self.timing.passive && self.remote.discriminator == 0;
        if in_demand || unheard || self.remote.min_rx.is_zero() {
            self.next_send = None;
        }
    }
}

/// Random numbers for jitter and discriminators (splitmix64); equal seeds give equal numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Another sequence for every state.
    pub fn stirred(mut self) -> Self {
        Self(self.next())
    }

    /// 75 to 100 % of the interval, to 90 % where the peer may miss none (6.8.7).
    fn jittered(&mut self, interval: Duration, multiplier: u8) -> Duration {
        let spread = if multiplier == 1 { 15 } else { 25 };
        let thousandths = 750 + self.next() % (spread * 10 + 1);
        let micros = interval.as_micros() as u64;
        Duration::from_micros(micros / 1000 * thousandths + micros % 1000 * thousandths / 1000)
    }
}

/// What lies between packets at least while a session is not Up (6.8.3).
const SLOW: Duration = Duration::from_secs(1);
/// What lies between two answers to polls, or two packets out of turn, at least.
const CLOSEST: Duration = Duration::from_millis(10);
