//! Graceful restart by the clock (RFC 4724 4, RFC 9494 4.2): how long the routes of a lost peer stay, and how long our own route
//! selection waits after a restart of ourselves. Pure: the RIB task asks when to wake and does what falls due.

use crate::rib::PeerId;
use crate::wire::{Family, FamilySet};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Deadlines of stale routes, one for each (peer, family) that has any.
#[derive(Debug, Default)]
pub struct Grace {
    deadlines: BTreeMap<(PeerId, Family), Stale>,
    /// How long routes may stay stale once the peer is back.
    stale_time: BTreeMap<PeerId, Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Stale {
    until: Instant,
    /// How long they stay as long-lived stale routes after that; zero is not at all.
    long_lived: Duration,
    /// They are long-lived stale routes.
    is_long_lived: bool,
}

/// What is due for the stale routes of a peer in one family.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Due {
    /// They go.
    Sweep,
    /// The restart time is over: they become long-lived stale routes (RFC 9494 4.2).
    BeginLongLived,
}

/// How long the routes of a lost peer stay.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Without a new session.
    pub restart: Duration,
    /// After a new session, without End-of-RIB.
    pub stale: Duration,
    /// As long-lived stale routes after `restart`, by [`Family::index`].
    pub long_lived: [Duration; 2],
}

/// The families whose routes a peer kept, by what its new OPEN says.
#[derive(Clone, Copy, Debug)]
pub struct Preserved {
    /// F bits of graceful restart (RFC 4724 4.2).
    pub restart: FamilySet,
    /// F bits of long-lived graceful restart (RFC 9494 4.2).
    pub long_lived: FamilySet,
}

impl Grace {
    /// The session ended; `retain` stays.
    pub fn lost(&mut self, peer: PeerId, retain: FamilySet, times: Retention, now: Instant) {
        self.forget(peer);
        if !retain.is_empty() {
            self.stale_time.insert(peer, times.stale);
        }
        for family in retain.iter() {
            let stale = Stale { until: now + times.restart, long_lived: times.long_lived[family.index()], is_long_lived: false };
            self.deadlines.insert((peer, family), stale);
        }
    }

    /// The session is back; `preserved` are the families whose forwarding state the peer kept. Returns the families whose stale
    /// routes go at once (RFC 4724 4.2); those of the others have until End-of-RIB, or the stale time. Long-lived ones have what is
    /// left of their time (RFC 9494 4.2).
    pub fn back(&mut self, peer: PeerId, preserved: Preserved, now: Instant) -> FamilySet {
        let stale_time = self.stale_time.get(&peer).copied().unwrap_or_default();
        let mut sweep = FamilySet::NONE;
        for family in Family::ALL {
            let Some(stale) = self.deadlines.get_mut(&(peer, family)) else { continue };
            if stale.is_long_lived && preserved.long_lived.contains(family) {
                continue;
            } else if !stale.is_long_lived && preserved.restart.contains(family) {
                *stale = Stale { until: now + stale_time, long_lived: Duration::ZERO, is_long_lived: false };
            } else {
                sweep.insert(family);
                self.deadlines.remove(&(peer, family));
            }
        }
        sweep
    }

    /// The peer sends a family again and has said where it begins (RFC 7313 4): what does not come in time goes.
    pub fn refreshing(&mut self, peer: PeerId, family: Family, now: Instant) {
        let stale = Stale { until: now + REFRESH_TIME, long_lived: Duration::ZERO, is_long_lived: false };
        self.deadlines.insert((peer, family), stale);
    }

    /// Nothing of this family is stale any more.
    pub fn end_of_rib(&mut self, peer: PeerId, family: Family) {
        self.deadlines.remove(&(peer, family));
    }

    pub fn forget(&mut self, peer: PeerId) {
        self.deadlines.retain(|(p, _), _| *p != peer);
        self.stale_time.remove(&peer);
    }

    /// Seconds that stale routes of a peer may still stay.
    pub fn remaining(&self, peer: PeerId, family: Family, now: Instant) -> Option<Duration> {
        self.deadlines.get(&(peer, family)).map(|stale| stale.until.saturating_duration_since(now))
    }

    /// Whether the routes of a peer are kept as long-lived stale ones.
    pub fn is_long_lived(&self, peer: PeerId, family: Family) -> bool {
        self.deadlines.get(&(peer, family)).is_some_and(|stale| stale.is_long_lived)
    }

    pub fn next(&self) -> Option<Instant> {
        self.deadlines.values().map(|stale| stale.until).min()
    }

    /// What has to be done now.
    pub fn expired(&mut self, now: Instant) -> Vec<(PeerId, Family, Due)> {
        let keys: Vec<_> = self.deadlines.iter().filter(|(_, stale)| stale.until <= now).map(|(key, _)| *key).collect();
        let due = keys.into_iter().filter_map(|key| {
            let stale = self.deadlines.get_mut(&key)?;
            if stale.long_lived.is_zero() {
                self.deadlines.remove(&key);
                return Some((key.0, key.1, Due::Sweep));
            }
            *stale = Stale { until: stale.until + stale.long_lived, long_lived: Duration::ZERO, is_long_lived: true };
            Some((key.0, key.1, Due::BeginLongLived))
        });
        due.collect()
    }
}

/// Our own restart (RFC 4724 4.1): route selection of a family waits for End-of-RIB of every peer that is expected to send it, but
/// never for one that is down, and never longer than the deferral time.
#[derive(Debug)]
pub struct Deferral {
    /// Peers that may still come up; those that cannot be reached leave it.
    expected: BTreeSet<IpAddr>,
    /// Established peers that owe End-of-RIB, and until when it is waited for where that is before the deadline.
    owing: BTreeMap<(PeerId, Family), Option<Instant>>,
    deadline: Option<Instant>,
}

impl Deferral {
    /// No restart is under way.
    pub fn none() -> Self {
        Self { expected: BTreeSet::new(), owing: BTreeMap::new(), deadline: None }
    }

    pub fn new(expected: impl IntoIterator<Item = IpAddr>, time: Duration, now: Instant) -> Self {
        Self { expected: expected.into_iter().collect(), owing: BTreeMap::new(), deadline: Some(now + time) }
    }

    pub fn is_active(&self) -> bool {
        self.deadline.is_some()
    }

    /// When [`Self::finished`] may say something else for the passing of time alone.
    pub fn deadline(&self) -> Option<Instant> {
        self.owing.values().flatten().copied().chain(self.deadline).min()
    }

    /// An expected peer is up; `owes` are the families in which it will send End-of-RIB. A peer that restarts itself may be waiting
    /// for us, so it is not waited for long (RFC 4724 4.1); but some daemons say that they restart for minutes after each start
    /// and send all they have at once.
    pub fn up(&mut self, (peer, address): (PeerId, IpAddr), owes: FamilySet, restarting: bool, now: Instant) {
        self.expected.remove(&address);
        let until = restarting.then(|| now + RESTARTING);
        if self.is_active() {
            self.owing.extend(owes.iter().map(|f| ((peer, f), until)));
        }
    }

    pub fn end_of_rib(&mut self, peer: PeerId, family: Family) {
        self.owing.remove(&(peer, family));
    }

    /// The peer cannot be reached: nobody waits for it.
    pub fn unreachable(&mut self, address: IpAddr) {
        self.expected.remove(&address);
    }

    /// The session is down again: what it owes will not come.
    pub fn down(&mut self, peer: PeerId) {
        self.owing.retain(|(p, _), _| *p != peer);
    }

    /// Whether the wait is over now; it then stays over. `resolved`: the next hops of all routes are known.
    pub fn finished(&mut self, resolved: bool, now: Instant) -> bool {
        let Some(deadline) = self.deadline else { return false };
        self.owing.retain(|_, until| until.is_none_or(|until| now < until));
        let over = now >= deadline || (resolved && self.expected.is_empty() && self.owing.is_empty());
        if over {
            *self = Self::none();
        }
        over
    }
}

/// How long a peer may take to send a family again (RFC 7313 4 asks for an upper bound).
const REFRESH_TIME: Duration = Duration::from_secs(360);
/// How long End-of-RIB of a peer that restarts itself is waited for.
const RESTARTING: Duration = Duration::from_secs(5);

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do as the start of a test's own time")]
mod tests {
    use super::*;

    const PEER: PeerId = PeerId(7);
    const RESTART: Duration = Duration::from_secs(120);
    const STALE: Duration = Duration::from_secs(360);
    const LONG: Duration = Duration::from_secs(3600);
    const TIMES: Retention = Retention { restart: RESTART, stale: STALE, long_lived: [Duration::ZERO; 2] };

    fn v4() -> FamilySet {
        FamilySet::from_iter([Family::Ipv4Unicast])
    }

    #[test]
    fn routes_of_a_lost_peer_stay_for_the_restart_time() {
        let (start, mut grace) = (Instant::now(), Grace::default());
        grace.lost(PEER, v4(), TIMES, start);
        assert_eq!(grace.next(), Some(start + RESTART));
        assert!(grace.expired(start + RESTART - Duration::from_millis(1)).is_empty());
        assert_eq!(grace.expired(start + RESTART), [(PEER, Family::Ipv4Unicast, Due::Sweep)]);
        assert_eq!(grace.next(), None);
    }

    #[test]
    fn a_peer_that_comes_back_without_forwarding_state_is_swept_at_once() {
        let (start, mut grace) = (Instant::now(), Grace::default());
        grace.lost(PEER, FamilySet::ALL, TIMES, start);
        let swept = grace.back(PEER, Preserved { restart: v4(), long_lived: FamilySet::NONE }, start);
        assert_eq!(swept.iter().collect::<Vec<_>>(), [Family::Ipv6Unicast]);
        assert_eq!(grace.next(), Some(start + STALE), "the other family has until the stale time");
        grace.end_of_rib(PEER, Family::Ipv4Unicast);
        assert_eq!(grace.next(), None);
    }

    #[test]
    fn after_the_restart_time_come_long_lived_stale_routes() {
        let (start, mut grace) = (Instant::now(), Grace::default());
        grace.lost(PEER, v4(), Retention { long_lived: [LONG; 2], ..TIMES }, start);
        assert!(!grace.is_long_lived(PEER, Family::Ipv4Unicast));
        assert_eq!(grace.expired(start + RESTART), [(PEER, Family::Ipv4Unicast, Due::BeginLongLived)]);
        assert!(grace.is_long_lived(PEER, Family::Ipv4Unicast));
        let kept = Preserved { restart: FamilySet::NONE, long_lived: v4() };
        assert!(grace.back(PEER, kept, start + RESTART).is_empty(), "the F bit of that capability counts");
        assert_eq!(grace.next(), Some(start + RESTART + LONG), "and the time goes on");
        assert_eq!(grace.expired(start + RESTART + LONG), [(PEER, Family::Ipv4Unicast, Due::Sweep)]);
        assert_eq!(grace.next(), None);
    }

    #[test]
    fn long_lived_routes_go_when_the_peer_is_back_without_them() {
        let (start, mut grace) = (Instant::now(), Grace::default());
        grace.lost(PEER, v4(), Retention { long_lived: [LONG; 2], ..TIMES }, start);
        grace.expired(start + RESTART);
        let swept = grace.back(PEER, Preserved { restart: v4(), long_lived: FamilySet::NONE }, start + RESTART);
        assert_eq!(swept.iter().collect::<Vec<_>>(), [Family::Ipv4Unicast]);
        assert_eq!(grace.next(), None);
    }

    #[test]
    fn a_refresh_that_does_not_end_is_ended() {
        let (start, mut grace) = (Instant::now(), Grace::default());
        grace.refreshing(PEER, Family::Ipv6Unicast, start);
        assert_eq!(grace.next(), Some(start + REFRESH_TIME));
        assert_eq!(grace.expired(start + REFRESH_TIME), [(PEER, Family::Ipv6Unicast, Due::Sweep)]);
    }

    #[test]
    fn our_selection_waits_for_end_of_rib_but_not_for_peers_that_are_down() {
        let start = Instant::now();
        let address = |n: u8| IpAddr::from([192, 0, 2, n]);
        let mut deferral = Deferral::new([1, 2, 3].map(address), Duration::from_secs(30), start);
        deferral.up((PeerId(1), address(1)), v4(), false, start);
        deferral.unreachable(address(2));
        assert!(!deferral.finished(true, start), "one that may still come is waited for");
        deferral.up((PeerId(3), address(3)), FamilySet::NONE, false, start);
        assert!(!deferral.finished(true, start));
        deferral.end_of_rib(PeerId(1), Family::Ipv4Unicast);
        assert!(!deferral.finished(false, start), "their next hops are not resolved yet");
        assert!(deferral.finished(true, start));
        assert!(!deferral.finished(true, start), "it ends once");
        assert!(!deferral.is_active());
    }

    #[test]
    fn our_selection_never_waits_longer_than_the_deferral_time() {
        let start = Instant::now();
        let mut deferral = Deferral::new([IpAddr::from([192, 0, 2, 1])], Duration::from_secs(30), start);
        assert!(!deferral.finished(true, start + Duration::from_secs(29)));
        assert!(deferral.finished(true, start + Duration::from_secs(30)));
    }

    #[test]
    fn a_peer_that_restarts_itself_is_waited_for_a_short_time() {
        let (start, address) = (Instant::now(), IpAddr::from([192, 0, 2, 1]));
        let mut deferral = Deferral::new([address], Duration::from_secs(30), start);
        deferral.up((PEER, address), v4(), true, start);
        assert_eq!(deferral.deadline(), Some(start + RESTARTING));
        assert!(!deferral.finished(true, start));
        assert!(deferral.finished(true, start + RESTARTING), "it may be waiting for us");
    }
}
