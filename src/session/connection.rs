//! One TCP connection with the session on it: state, stream, timers.

use std::sync::Arc;
use std::time::Instant;

use super::collision::Contender;
use super::framing::Framer;
use super::negotiate::Link;
use super::timers::{INITIAL_HOLD, INITIAL_HOLD_INBOUND, Jitter, Timer};
use super::{Direction, Negotiated, PeerParams, State};

/// A connection from its OPEN on: OpenSent, OpenConfirm or Established.
#[derive(Debug)]
pub(super) struct Connection {
    pub link: Link,
    pub state: State,
    /// The settings from which our OPEN was made.
    pub offered: Arc<PeerParams>,
    pub framer: Framer,
    pub hold: Timer,
    pub keepalive: Timer,
    pub send_hold: Timer,
    /// A KEEPALIVE was put out and nothing was written since: another one would only wait behind it.
    pub keepalive_unwritten: bool,
    pub established: Option<Instant>,
    /// Set from OpenConfirm on.
    pub agreed: Option<Arc<Negotiated>>,
}

impl Connection {
    /// A connection on which our OPEN has just been put out.
    pub fn new(link: Link, offered: Arc<PeerParams>, paused: bool) -> Self {
        let initial = match link.direction {
            Direction::Outbound => INITIAL_HOLD,
            Direction::Inbound => INITIAL_HOLD_INBOUND,
        };
        let mut hold = if paused { Timer::Paused(initial) } else { Timer::Off };
        hold.restart(link.connected, initial);
        Self {
            link,
            state: State::OpenSent,
            offered,
            framer: Framer::default(),
            hold,
            keepalive: Timer::Off,
            send_hold: Timer::Off,
            keepalive_unwritten: false,
            established: None,
            agreed: None,
        }
    }

    /// Enters OpenConfirm with the timers as negotiated; hold time zero runs none of them.
    pub fn confirm(&mut self, agreed: Arc<Negotiated>, jitter: &mut Jitter, now: Instant) {
        self.state = State::OpenConfirm;
        if agreed.hold_time.is_zero() {
            self.hold = Timer::Off;
        } else {
            self.hold.restart(now, agreed.hold_time);
            self.send_hold.restart(now, agreed.send_hold);
            self.keepalive.restart(now, jitter.apply(agreed.keepalive));
        }
        self.keepalive_unwritten = true;
        self.agreed = Some(agreed);
    }

    pub fn restart_hold(&mut self, now: Instant) {
        if let Some(agreed) = self.agreed.as_ref().filter(|a| !a.hold_time.is_zero()) {
            self.hold.restart(now, agreed.hold_time);
        }
    }

    pub fn restart_keepalive(&mut self, jitter: &mut Jitter, now: Instant) {
        if let Some(agreed) = self.agreed.as_ref().filter(|a| !a.hold_time.is_zero()) {
            self.keepalive.restart(now, jitter.apply(agreed.keepalive));
        }
    }

    /// The kernel took a whole message (RFC 9687 3).
    pub fn written(&mut self, jitter: &mut Jitter, now: Instant) {
        self.keepalive_unwritten = false;
        if let Some(agreed) = self.agreed.as_ref().filter(|a| !a.hold_time.is_zero()) {
            self.send_hold.restart(now, agreed.send_hold);
        }
        self.restart_keepalive(jitter, now);
    }

    pub fn deadline(&self) -> Option<Instant> {
        [self.hold, self.keepalive, self.send_hold].into_iter().filter_map(Timer::deadline).min()
    }

    pub fn contender(&self) -> Contender {
        let gr = self.agreed.as_ref().and_then(|a| a.gr);
        Contender {
            direction: self.link.direction,
            state: self.state,
            connected: self.link.connected,
            established: self.established,
            graceful_restart: gr.is_some_and(|gr| !gr.families.is_empty()),
        }
    }
}
