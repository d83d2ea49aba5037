//! The inputs of a hostile wire (the octets, where they come from, how far) against the table of sessions.
#![expect(clippy::disallowed_methods, reason = "any instant will do as the start of a test's own time")]

use super::*;
use std::time::Duration;

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));
const FAR: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 9, 9, 9));

fn settings(hop: Hop) -> Settings {
    let time = Duration::from_millis(50);
    Settings { timing: Timing { transmit: time, receive: time, multiplier: 3, passive: false }, hop, local: None, device: None }
}

fn wanted() -> BTreeMap<IpAddr, Settings> {
    BTreeMap::from([(PEER, settings(Hop::Single)), (FAR, settings(Hop::Multi { minimum_ttl: 250 }))])
}

struct Table {
    sessions: Sessions,
    now: Instant,
}

impl Table {
    fn new() -> Self {
        let mut table = Self { sessions: Sessions::new(4), now: Instant::now() };
        assert!(table.sessions.set(&wanted(), table.now).is_empty());
        table
    }

    /// With the session of `PEER` Up.
    fn up() -> Self {
        let mut table = Self::new();
        assert_eq!(table.hear(PEER, &[(1, 0x40), (11, 0)]), Ok(()));
        let own = table.own(PEER).to_be_bytes();
        assert_eq!(table.hear_with(PEER, &[(1, 0x80)], own), Ok(()));
        assert_eq!(table.state(), State::Up);
        while table.sessions.poll_news().is_some() {}
        table
    }

    fn own(&self, remote: IpAddr) -> u32 {
        self.sessions.entries[&remote].session.discriminator()
    }

    fn state(&self) -> State {
        self.sessions.entries[&PEER].session.state()
    }

    /// A packet of discriminator 7 with `changes`, to our discriminator `your`.
    fn hear_with(&mut self, from: IpAddr, changes: &[(usize, u8)], your: [u8; 4]) -> Result<(), Discard> {
        self.arrive(from, 255, from == PEER, changes, your)
    }

    fn hear(&mut self, from: IpAddr, changes: &[(usize, u8)]) -> Result<(), Discard> {
        self.hear_with(from, changes, [0; 4])
    }

    fn arrive(&mut self, from: IpAddr, ttl: u8, single_hop: bool, changes: &[(usize, u8)], your: [u8; 4]) -> Result<(), Discard> {
        let mut octets = vec![0x20, 0xc0, 3, 24, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50, 0, 0, 0, 0];
        octets[8..12].copy_from_slice(&your);
        changes.iter().for_each(|(at, value)| octets[*at] = *value);
        self.sessions.handle_datagram(&Arrival { from, ttl, single_hop, payload: &octets }, self.now)
    }
}

#[test]
fn hostile_packets_change_nothing_and_are_counted() {
    let mut table = Table::up();
    let own = table.own(PEER).to_be_bytes();
    let stranger = [0x0a, 0, 0, 0x63].into();
    let down = (1, 0x40);
    let rows: [(&str, Result<(), Discard>, Discard); 9] = [
        ("your discriminator 0 with state Up", table.hear(PEER, &[]), Discard::Malformed(Fault::YourDiscriminator)),
        ("unknown discriminator", table.hear_with(PEER, &[down], [1, 2, 3, 4]), Discard::NoSession),
        ("our discriminator from another address", table.hear_with(stranger, &[down], own), Discard::NoSession),
        ("an address without session", table.hear(stranger, &[down]), Discard::NoSession),
        ("TTL 254 on a single hop", table.arrive(PEER, 254, true, &[down], own), Discard::Ttl),
        ("the port of the other kind", table.arrive(PEER, 255, false, &[down], own), Discard::NoSession),
        ("A bit", table.hear_with(PEER, &[(1, 0x44), (3, 24)], own), Discard::Malformed(Fault::Length)),
        ("Down of a foreign discriminator while bound", table.hear(PEER, &[down, (7, 99)]), Discard::Stranger),
        ("TTL below the minimum of a multihop session", table.arrive(FAR, 249, false, &[down], [0; 4]), Discard::Ttl),
    ];
    for (what, got, expected) in rows {
        assert_eq!(got, Err(expected), "{what}");
    }
    let mut authenticated = vec![0x20, 0x44, 3, 26, 0, 0, 0, 7];
    authenticated.extend(own);
    authenticated.extend([0; 14]);
    let arrival = Arrival { from: PEER, ttl: 255, single_hop: true, payload: &authenticated };
    assert_eq!(table.sessions.handle_datagram(&arrival, table.now), Err(Discard::Authentication));
    assert_eq!((table.state(), table.sessions.has_news()), (State::Up, false));
    assert_eq!(table.sessions.discarded(), [2, 4, 2, 1, 1]);
    assert_eq!(table.arrive(FAR, 250, false, &[down], [0; 4]), Ok(()), "far enough is near enough");
}

#[test]
fn a_failure_is_told_even_when_the_path_is_back_before_anybody_asked() {
    let mut table = Table::up();
    let own = table.own(PEER).to_be_bytes();
    assert_eq!(table.hear_with(PEER, &[(1, 0xc8)], own), Ok(()));
    table.now += Duration::from_secs(1);
    table.sessions.handle_timeout(table.now);
    assert_eq!(table.hear(PEER, &[(1, 0x40)]), Ok(()));
    let (remote, change, failure) = table.sessions.poll_news().unwrap();
    assert_eq!((remote, change.from, change.to), (PEER, State::Up, State::Init));
    assert_eq!(failure, Some(Failure { diagnostic: Diagnostic::DETECTION_TIME_EXPIRED, independent: true }));
    assert_eq!(table.sessions.poll_news(), None);
    let counters = table.sessions.entries[&PEER].counters;
    assert_eq!((counters.ups, counters.downs), (1, 1));
}

#[test]
fn an_administrative_end_is_no_failure() {
    let mut table = Table::up();
    let own = table.own(PEER).to_be_bytes();
    assert_eq!(table.hear_with(PEER, &[(0, 0x27), (1, 0x00)], own), Ok(()));
    let (_, change, failure) = table.sessions.poll_news().unwrap();
    assert_eq!((change.to, change.administrative, failure), (State::Down, true, None));
}

#[test]
fn a_peer_that_is_back_from_a_restart_is_no_stranger_and_its_former_end_no_failure() {
    // Its new life speaks before the old one was missed.
    let mut table = Table::up();
    table.sessions.excuse(PEER);
    assert_eq!(table.hear(PEER, &[(1, 0x40), (7, 99)]), Ok(()));
    let (_, change, failure) = table.sessions.poll_news().unwrap();
    assert_eq!((change.to, failure), (State::Down, None));
    // The old one is missed first.
    let mut table = Table::up();
    table.sessions.excuse(PEER);
    table.now += Duration::from_millis(150);
    table.sessions.handle_timeout(table.now);
    let (_, change, failure) = table.sessions.poll_news().unwrap();
    assert_eq!((change.to, failure), (State::Down, None));
    // It was not its BFD that restarted: what fails later has failed.
    let mut table = Table::up();
    let own = table.own(PEER).to_be_bytes();
    table.sessions.excuse(PEER);
    assert_eq!(table.hear_with(PEER, &[(1, 0xc0)], own), Ok(()));
    assert_eq!(table.hear(PEER, &[(1, 0x40), (7, 99)]), Err(Discard::Stranger));
    table.now += Duration::from_millis(150);
    table.sessions.handle_timeout(table.now);
    assert!(table.sessions.poll_news().is_some_and(|(_, _, failure)| failure.is_some()));
    // With the C bit its forwarding is meant.
    let mut table = Table::up();
    let own = table.own(PEER).to_be_bytes();
    assert_eq!(table.hear_with(PEER, &[(1, 0xc8)], own), Ok(()));
    table.sessions.excuse(PEER);
    assert_eq!(table.hear(PEER, &[(1, 0x40), (7, 99)]), Err(Discard::Stranger));
}

#[test]
fn the_next_life_has_the_same_discriminators_and_another_machine_others() {
    let of = |seed| {
        let mut sessions = Sessions::new(seed);
        sessions.set(&wanted(), Table::new().now);
        [PEER, FAR].map(|peer| sessions.entries[&peer].session.discriminator())
    };
    assert_eq!(of(4), of(4));
    let (here, there) = (of(4), of(5));
    let epitaph = Sessions::new(4).epitaph(PEER, 9);
    assert_eq!((epitaph.my_discriminator, epitaph.your_discriminator, epitaph.state), (here[0], 9, State::AdminDown));
    assert_eq!(Packet::decode(&epitaph.encode()), Ok(epitaph));
    assert!(here[0] != here[1] && here[0] != there[0] && here[1] != there[1]);
}

#[test]
fn other_settings_touch_only_what_they_must() {
    let mut table = Table::up();
    let before = table.own(PEER);
    while table.sessions.poll_transmit().is_some() {}
    let mut next = wanted();
    next.get_mut(&PEER).unwrap().timing.multiplier = 5;
    next.insert(FAR, settings(Hop::Multi { minimum_ttl: 1 }));
    assert!(table.sessions.set(&next, table.now).is_empty());
    assert_eq!((table.own(PEER), table.state()), (before, State::Up));
    assert_eq!(table.arrive(FAR, 2, false, &[(1, 0x40)], [0; 4]), Ok(()));
    // Another of our addresses makes another session, and the peer hears that the old one ended on purpose.
    next.get_mut(&PEER).unwrap().local = Some([10, 0, 0, 1].into());
    let farewells = table.sessions.set(&next, table.now);
    let [(to, old, packet)] = &farewells[..] else { panic!("{farewells:?}") };
    assert_eq!((*to, old.local, packet.state), (PEER, None, State::AdminDown));
    assert_eq!(table.state(), State::Down);
    assert!(table.sessions.needs(true, true) && table.sessions.needs(false, true) && !table.sessions.needs(true, false));
    table.sessions.set(&BTreeMap::new(), table.now);
    assert_eq!((table.sessions.poll_timeout(), table.sessions.by_discriminator.len()), (None, 0));
}
