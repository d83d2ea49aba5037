//! All sessions: which packet belongs to which (RFC 5880 6.8.6, RFC 5881 3, RFC 5883 4), what is due when, and what is to be told. Pure.

#[cfg(test)]
mod tests;

use super::packet::{Diagnostic, Fault, Packet, State};
use super::session::{Change, Random, Session, Timing};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How far away a peer is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Hop {
    /// On the same link (RFC 5881): only TTL 255 is accepted.
    Single,
    /// Beyond routers (RFC 5883).
    Multi {
        /// What arrives with a smaller TTL is dropped.
        minimum_ttl: u8,
    },
}

impl Hop {
    /// A peer at most so many hops away. Without `minimum_ttl` any will do beyond a router: not every speaker sends with 255 there.
    pub fn within(hops: u8, minimum_ttl: Option<u8>) -> Self {
        match hops {
            0 | 1 => Self::Single,
            _ => Self::Multi { minimum_ttl: minimum_ttl.unwrap_or(1) },
        }
    }

    pub fn is_single(self) -> bool {
        self == Self::Single
    }

    fn minimum_ttl(self) -> u8 {
        match self {
            Self::Single => u8::MAX,
            Self::Multi { minimum_ttl } => minimum_ttl,
        }
    }
}

/// A session that shall be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    pub timing: Timing,
    pub hop: Hop,
    /// Our address; `None`: what the route to the peer says.
    pub local: Option<IpAddr>,
    /// What we send leaves here.
    pub device: Option<String>,
}

impl Settings {
    /// Whether packets of the one are packets of the other.
    fn is_same_session(&self, other: &Self) -> bool {
        (self.hop.is_single(), self.local, &self.device) == (other.hop.is_single(), other.local, &other.device)
    }
}

/// A datagram as it came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    pub from: IpAddr,
    pub ttl: u8,
    /// It came to the port of single hop sessions.
    pub single_hop: bool,
    pub payload: &'a [u8],
}

/// Why a datagram was dropped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Discard {
    Malformed(Fault),
    /// No session has that discriminator, or that address.
    NoSession,
    /// It came further than it may (RFC 5881 5, RFC 5082).
    Ttl,
    /// It is authenticated, and no session of ours is.
    Authentication,
    /// Somebody claims to be a peer that we know by another discriminator.
    Stranger,
}

impl Discard {
    pub const LABELS: [&'static str; 5] = ["malformed", "no_session", "ttl", "authentication", "stranger"];

    fn index(self) -> usize {
        match self {
            Self::Malformed(_) => 0,
            Self::NoSession => 1,
            Self::Ttl => 2,
            Self::Authentication => 3,
            Self::Stranger => 4,
        }
    }

    pub fn label(self) -> &'static str {
        Self::LABELS[self.index()]
    }
}

/// The path to a peer failed: the session was Up, and neither side ended it on purpose.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Failure {
    pub diagnostic: Diagnostic,
    /// The peer's BFD does not depend on its control plane (C bit), so that its forwarding has failed (RFC 5882 4.3).
    pub independent: bool,
}

/// Counted since the session was made.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    pub sent: u64,
    pub received: u64,
    pub ups: u64,
    pub downs: u64,
}

/// A session as others see it.
#[derive(Clone, Debug)]
pub struct View {
    pub remote: IpAddr,
    pub settings: Settings,
    pub session: Session,
    pub counters: Counters,
    /// When the state changed last.
    pub since: Instant,
}

struct Entry {
    settings: Settings,
    session: Session,
    counters: Counters,
    since: Instant,
    /// As it is in the queue of deadlines.
    deadline: Option<Instant>,
    /// The peer has restarted, and has not said since that it knows us: that it is silent, or speaks as a stranger, is no failure.
    excused: bool,
}

/// The sessions of this host, one for each address of a peer.
pub struct Sessions {
    entries: BTreeMap<IpAddr, Entry>,
    by_discriminator: BTreeMap<u32, IpAddr>,
    deadlines: BTreeSet<(Instant, IpAddr)>,
    /// Packets to send: to whom, and what.
    out: VecDeque<(IpAddr, Packet)>,
    /// Changes that nobody was told yet, the latest of each session.
    news: BTreeMap<IpAddr, (Change, Option<Failure>)>,
    discarded: [u64; Discard::LABELS.len()],
    seed: u64,
    random: Random,
}

impl Sessions {
    /// Equal seeds give equal discriminators for equal peers.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            entries: BTreeMap::new(),
            by_discriminator: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            out: VecDeque::new(),
            news: BTreeMap::new(),
            discarded: [0; Discard::LABELS.len()],
            random: Random(seed),
        }
    }

    /// Takes another set of sessions: new ones start, others end with a farewell, and those that stay learn their new timing without
    /// a change of state. Returns the farewells; they go out under the former settings.
    pub fn set(&mut self, wanted: &BTreeMap<IpAddr, Settings>, now: Instant) -> Vec<(IpAddr, Settings, Packet)> {
        let stays = |remote: &IpAddr, entry: &Entry| wanted.get(remote).is_some_and(|new| new.is_same_session(&entry.settings));
        let gone: Vec<IpAddr> = self.entries.iter().filter(|(remote, entry)| !stays(remote, entry)).map(|(remote, _)| *remote).collect();
        let farewells = gone.into_iter().filter_map(|remote| self.remove(remote)).collect();
        for (remote, settings) in wanted {
            match self.entries.get_mut(remote) {
                Some(entry) => {
                    entry.settings = settings.clone();
                    entry.session.set_timing(settings.timing, now);
                }
                None => self.add(*remote, settings.clone(), now),
            }
            self.settle(*remote, now);
        }
        farewells
    }

    /// The peer is back from a restart, and its BFD with it unless that is independent (C bit): the end of the former life is no failure
    /// of the path, and the new one is no stranger (RFC 5882 4.3.2).
    pub fn excuse(&mut self, remote: IpAddr) {
        if let Some(entry) = self.entries.get_mut(&remote) {
            entry.excused = !entry.session.remote_is_independent();
        }
    }

    /// A datagram for one of the sessions.
    ///
    /// # Errors
    /// Why it is dropped; that is counted.
    pub fn handle_datagram(&mut self, arrival: &Arrival<'_>, now: Instant) -> Result<(), Discard> {
        let accepted = self.accept(arrival);
        match accepted {
            Ok((remote, packet)) => {
                if let Some(entry) = self.entries.get_mut(&remote) {
                    entry.counters.received += 1;
                    entry.excused &= packet.your_discriminator == 0;
                    entry.session.handle_packet(&packet, now);
                }
                self.settle(remote, now);
                Ok(())
            }
            Err(discard) => {
                self.discarded[discard.index()] += 1;
                Err(discard)
            }
        }
    }

    /// Does what fell due. All that had arrived by `now` is to be handled before.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, remote)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            self.deadlines.remove(&(at, remote));
            if let Some(entry) = self.entries.get_mut(&remote) {
                entry.deadline = None;
                entry.session.handle_timeout(now);
            }
            self.settle(remote, now);
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// The next packet to send, to whom and under which settings.
    pub fn poll_transmit(&mut self) -> Option<(IpAddr, &Settings, Packet)> {
        let (remote, packet) = self.out.pop_front()?;
        let entry = self.entries.get(&remote)?;
        Some((remote, &entry.settings, packet))
    }

    /// The next change that nobody was told yet. Changes that follow each other more quickly are told as one; a failure among them is
    /// not lost.
    pub fn poll_news(&mut self) -> Option<(IpAddr, Change, Option<Failure>)> {
        self.news.pop_first().map(|(remote, (change, failure))| (remote, change, failure))
    }

    pub fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// Whether a socket for this kind and family is needed.
    pub fn needs(&self, single_hop: bool, is_v4: bool) -> bool {
        self.entries.iter().any(|(remote, entry)| remote.is_ipv4() == is_v4 && entry.settings.hop.is_single() == single_hop)
    }

    /// All sessions by address.
    pub fn views(&self) -> Vec<View> {
        let view = |(remote, e): (&IpAddr, &Entry)| View {
            remote: *remote,
            settings: e.settings.clone(),
            session: e.session.clone(),
            counters: e.counters,
            since: e.since,
        };
        self.entries.iter().map(view).collect()
    }

    /// Datagrams dropped, in the order of [`Discard::LABELS`].
    pub fn discarded(&self) -> [u64; Discard::LABELS.len()] {
        self.discarded
    }

    fn accept(&self, arrival: &Arrival<'_>) -> Result<(IpAddr, Packet), Discard> {
        let packet = Packet::decode(arrival.payload).map_err(Discard::Malformed)?;
        let remote = match packet.your_discriminator {
            0 => arrival.from,
            // Nobody else may speak for the peer.
            known => *self.by_discriminator.get(&known).filter(|remote| **remote == arrival.from).ok_or(Discard::NoSession)?,
        };
        let entry = self.entries.get(&remote).filter(|e| e.settings.hop.is_single() == arrival.single_hop).ok_or(Discard::NoSession)?;
        if arrival.ttl < entry.settings.hop.minimum_ttl() {
            return Err(Discard::Ttl);
        }
        if packet.authenticated {
            return Err(Discard::Authentication);
        }
        if !entry.excused && !entry.session.knows(&packet) {
            return Err(Discard::Stranger);
        }
        Ok((remote, packet))
    }

    /// What tells a peer that the session of our former life has ended on purpose. Without it the peer would miss that life later, and
    /// take it for a failure while it has a session of BGP with us again.
    pub fn epitaph(&self, remote: IpAddr, your_discriminator: u32) -> Packet {
        Packet {
            diagnostic: Diagnostic::ADMINISTRATIVELY_DOWN,
            state: State::AdminDown,
            multiplier: 1,
            my_discriminator: self.discriminator(remote),
            your_discriminator,
            desired_min_tx: Duration::from_secs(1),
            required_min_rx: Duration::from_secs(1),
            ..Packet::default()
        }
    }

    /// One that nobody can guess, that no other session has, and that the next life has again.
    fn discriminator(&self, remote: IpAddr) -> u32 {
        let octets = match remote {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        };
        let mut choice = octets.iter().fold(Random(self.seed), |random, octet| Random(random.0 ^ u64::from(*octet)).stirred());
        loop {
            let candidate = (choice.next() >> 32) as u32;
            if candidate != 0 && !self.by_discriminator.contains_key(&candidate) {
                return candidate;
            }
        }
    }

    fn add(&mut self, remote: IpAddr, settings: Settings, now: Instant) {
        let discriminator = self.discriminator(remote);
        let session = Session::new(settings.timing, discriminator, self.random.next(), now);
        self.by_discriminator.insert(discriminator, remote);
        let entry = Entry { settings, session, counters: Counters::default(), since: now, deadline: None, excused: false };
        self.entries.insert(remote, entry);
    }

    fn remove(&mut self, remote: IpAddr) -> Option<(IpAddr, Settings, Packet)> {
        let entry = self.entries.remove(&remote)?;
        self.by_discriminator.remove(&entry.session.discriminator());
        if let Some(deadline) = entry.deadline {
            self.deadlines.remove(&(deadline, remote));
        }
        self.out.retain(|(to, _)| *to != remote);
        self.news.remove(&remote);
        Some((remote, entry.settings, entry.session.farewell()?))
    }

    /// After every input to a session: what it sends, what it tells, when it is due.
    fn settle(&mut self, remote: IpAddr, now: Instant) {
        let Some(entry) = self.entries.get_mut(&remote) else { return };
        let change = entry.session.poll_change();
        if let Some(change) = change {
            entry.since = now;
            entry.counters.ups += u64::from(change.to == State::Up);
            entry.counters.downs += u64::from(change.from == State::Up);
            let failed = change.from == State::Up && !change.administrative && !entry.excused;
            let failure = failed.then(|| Failure { diagnostic: change.diagnostic, independent: entry.session.remote_is_independent() });
            let told = self.news.entry(remote).or_insert((change, None));
            *told = (Change { from: told.0.from, ..change }, failure.or(told.1));
        }
        while let Some(packet) = entry.session.poll_transmit(now) {
            entry.counters.sent += 1;
            self.out.push_back((remote, packet));
        }
        let deadline = entry.session.poll_timeout();
        if deadline != entry.deadline {
            entry.deadline.map(|at| self.deadlines.remove(&(at, remote)));
            deadline.map(|at| self.deadlines.insert((at, remote)));
            entry.deadline = deadline;
        }
    }
}
