//! BFD: packets, and what sessions make of them in any order and at any time.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use kubgp::bfd::{Arrival, Hop, Packet, Sessions, Settings, State, Timing};

use crate::run;

/// Down, Init, Up and AdminDown; with Poll, Final, Demand and C; slow, fast, and without end.
const PACKETS: [[u8; Packet::LEN]; 5] = [
    [0x20, 0x40, 3, 24, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0x0f, 0x42, 0x40, 0, 0, 0xc3, 0x50, 0, 0, 0, 0],
    [0x20, 0xa0, 1, 24, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50, 0, 0, 0, 0],
    [0x20, 0xd8, 3, 24, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1],
    [0x27, 0x02, 255, 24, 0, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0],
    [0x21, 0xc4, 3, 26, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50, 0, 0, 0, 0],
];

#[test]
fn a_packet_that_is_taken_has_one_encoding() {
    let corpus = PACKETS.map(|packet| packet.to_vec());
    run("BFD packet", &corpus, 20_000, |octets| {
        if let Ok(packet) = Packet::decode(octets)
            && !packet.authenticated
        {
            assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
        }
    });
}

/// Before each packet: from whom and how, how far it came, and the milliseconds since the last.
const HEAD: usize = 4;

/// Whatever arrives is counted once, is answered with a bounded number of packets, and leaves every session in a state that time can end.
#[test]
fn any_packets_in_any_order_do_bounded_work() {
    let step = |head: [u8; HEAD], packet: [u8; Packet::LEN]| [&head[..], &packet].concat();
    let [down, init, up, admin, auth] = PACKETS;
    let life = [step([4, 255, 0, 1], down), step([5, 255, 0, 1], init), step([5, 255, 0, 40], up), step([5, 255, 3, 0], up)].concat();
    let far = [step([6, 254, 0, 1], down), step([7, 1, 0, 9], up), step([7, 255, 0, 0], admin), step([3, 0, 0, 0], auth)].concat();
    run("BFD sessions", &[life, far], 3000, sequence);
}

#[expect(clippy::disallowed_methods, reason = "any instant will do as the start of a test's own time")]
fn sequence(octets: &[u8]) {
    let peers: [IpAddr; 3] = ["10.0.0.2", "fd00::3", "10.0.0.9"].map(|a| a.parse().expect("an address"));
    let time = Duration::from_millis(50);
    let settings =
        |hop| Settings { timing: Timing { transmit: time, receive: time, multiplier: 3, passive: false }, hop, local: None, device: None };
    let wanted = BTreeMap::from([(peers[0], settings(Hop::Single)), (peers[1], settings(Hop::Multi { minimum_ttl: 2 }))]);
    let (mut sessions, mut now) = (Sessions::new(5), Instant::now());
    sessions.set(&wanted, now);
    drain(&mut sessions);
    let own: BTreeMap<IpAddr, u32> = sessions.views().iter().map(|view| (view.remote, view.session.discriminator())).collect();
    let mut arrivals = 0;
    for step in octets.chunks(HEAD + Packet::LEN) {
        let [kind, ttl, high, low, packet @ ..] = step else { break };
        let before = now;
        now += Duration::from_millis(u64::from(u16::from_be_bytes([*high, *low])));
        // What fell due meanwhile, at its time.
        let mut turns = 0;
        while let Some(at) = sessions.poll_timeout().filter(|at| *at <= now) {
            sessions.handle_timeout(at.max(before));
            drain(&mut sessions);
            turns += 1;
            assert!(turns <= 4 + 2 * 2 * 7 * now.duration_since(before).as_millis(), "time stands still");
        }
        let from = peers[usize::from(kind >> 1) % peers.len()];
        let mut payload = packet.to_vec();
        // Ours, which nobody would guess.
        if let (1, Some(own), Some(place)) = (kind & 1, own.get(&from), payload.get_mut(8..12)) {
            place.copy_from_slice(&own.to_be_bytes());
        }
        if kind & 0x80 != 0 {
            sessions.excuse(from);
        }
        let _ = sessions.handle_datagram(&Arrival { from, ttl: *ttl, single_hop: kind & 8 == 0, payload: &payload }, now);
        arrivals += 1;
        assert!(drain(&mut sessions) <= 2, "one packet has at most one answer and one word of our own");
    }
    let heard: u64 = sessions.views().iter().map(|view| view.counters.received).sum();
    assert_eq!(heard + sessions.discarded().iter().sum::<u64>(), arrivals);
    // Silence ends every session.
    let longest = Duration::from_micros(u64::from(u32::MAX)) * 255;
    sessions.handle_timeout(now + longest);
    assert!(sessions.views().iter().all(|view| view.session.state() == State::Down));
}

/// Takes the packets that are to be sent; how many.
fn drain(sessions: &mut Sessions) -> usize {
    while sessions.poll_news().is_some() {}
    std::iter::from_fn(|| sessions.poll_transmit().map(drop)).count()
}
