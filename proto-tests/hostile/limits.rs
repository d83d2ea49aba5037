//! Limits: what floods, what is slow, and what the host has no more of costs the peer at fault, and nobody else.

use std::io::Read;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

use crate::driver::{Driver, Split, Verdict};
use crate::notation::Session;
use crate::peer::{BOUND, Came, OPEN, Peer, V4, keepalive, now, open, open_of};
use crate::setup::eventually;
use crate::victim::Victim;

fn session() -> Session {
    Session::chosen(&["e4"])[0]
}

/// Both good sessions work as before.
fn works(driver: &mut Driver<'_>) {
    driver.announce();
    assert!(matches!(driver.send(&keepalive(), Split::OneWrite), Verdict::Kept));
}

#[test]
fn connections_that_say_nothing_are_few_and_strangers_get_none() {
    let mut victim = Victim::start(64, "info");
    let mut driver = Driver::new(&victim, session());
    works(&mut driver);
    let before = victim.descriptors();
    let source = victim.source(&session(), 500);
    let mut silent: Vec<Peer> = (0..300).map(|_| Peer::connect(source, victim.address)).collect();
    // Each new one stands for the one before it, which was never used.
    let last = silent.pop().expect("there are many");
    silent.iter_mut().for_each(|peer| drop(peer.end()));
    eventually("they have no descriptors any more", || (victim.descriptors() <= before + 2).then_some(()));
    for _ in 0..300 {
        let stranger = Peer::try_connect(Ipv4Addr::new(127, 80, 0, 1), victim.address);
        assert!(stranger.map_or(true, |mut peer| matches!(peer.poll(BOUND), Came::Closed)), "a stranger hears nothing");
    }
    works(&mut driver);
    drop(last);
    let bystander = driver.bystander;
    victim.is_unharmed();
    drop(bystander);
}

#[test]
fn a_peer_that_errs_again_and_again_is_not_let_in_each_time() {
    let victim = Victim::start(65, "info");
    let mut driver = Driver::new(&victim, session());
    let source = victim.source(&session(), 500);
    let wrong = open(65099, 90, 2, &V4);
    let mut heard = 0;
    for _ in 0..100 {
        // A connection that is turned away may be over before connect() returns.
        if let Ok(mut peer) = Peer::try_connect(source, victim.address)
            && let Came::Message { kind: OPEN, .. } = peer.poll(BOUND)
        {
            heard += 1;
            peer.send(&wrong);
            assert!(peer.end().is_some_and(|n| (n.code, n.subcode) == (2, 2)));
        }
    }
    assert!((1..20).contains(&heard), "{heard} of 100 connections got an OPEN");
    works(&mut driver);
}

#[test]
fn a_range_takes_as_many_as_it_may() {
    let victim = Victim::start(66, "info");
    let mut driver = Driver::new(&victim, session());
    let from = |host| Ipv4Addr::new(127, 74, 0, host);
    let _taken: Vec<Peer> = (1..=3).map(|host| Peer::established(from(host), victim.address, &open_of(&session()))).collect();
    let turned_away = Peer::try_connect(from(4), victim.address).map_or(true, |mut peer| matches!(peer.poll(BOUND), Came::Closed));
    assert!(turned_away);
    works(&mut driver);
}

/// `count` routes of 198.18.0.0/16 in one UPDATE.
fn routes(count: u8) -> Vec<u8> {
    let nlri: String = (0..count).map(|n| format!("18C612{n:02X}")).collect();
    session().expand(&format!("U[|BASE|{nlri}]"))
}

#[test]
fn too_many_prefixes_end_the_session_or_are_dropped_or_warned_about() {
    let victim = Victim::start(67, "info");
    let mut driver = Driver::new(&victim, session());
    let peer = |host| Peer::established(Ipv4Addr::new(127, 75, host, 1), victim.address, &open_of(&session()));
    let count =
        |routes: &std::collections::BTreeMap<ipnet::IpNet, _>| routes.keys().filter(|p| p.to_string().starts_with("198.18.")).count();

    let mut ended = peer(0);
    ended.send(&routes(10));
    ended.send(&routes(10));
    driver.bystander.wait("the same ten twice are ten", |routes| count(routes) == 10);
    // What is broken does not count.
    ended.send(&session().expand("U[|OE NH|18C61240 18C61241]"));
    ended.send(&routes(11));
    let cease = ended.end().expect("a NOTIFICATION");
    assert_eq!((cease.code, cease.subcode, &cease.data[..]), (6, 1, &[0, 1, 1, 0, 0, 0, 10][..]));
    driver.bystander.wait("all go with the session", |routes| count(routes) == 0);

    let mut dropped = peer(1);
    dropped.send(&routes(200));
    driver.bystander.wait("ten of them", |routes| count(routes) == 10);
    works(&mut driver);
    assert_eq!(count(&driver.bystander.routes), 10);
    drop(dropped);
    driver.bystander.wait("they go with the session", |routes| count(routes) == 0);

    let mut warned = peer(2);
    warned.send(&routes(200));
    driver.bystander.wait("all of them", |routes| count(routes) == 200);
    works(&mut driver);
}

#[test]
fn a_daemon_out_of_descriptors_keeps_its_sessions_and_recovers() {
    let mut victim = Victim::limited(68, "info", "ulimit -n 80;");
    let mut driver = Driver::new(&victim, session());
    works(&mut driver);
    let crowd: Vec<_> = (1..=150).map(|n| Peer::try_connect(victim.source(&session(), 1000 + n), victim.address)).collect();
    eventually("it says so", || victim.log().contains("cannot accept connections").then_some(()));
    works(&mut driver);
    drop(crowd);
    let _after = Peer::established(victim.source(&session(), 2000), victim.address, &open_of(&session()));
    works(&mut driver);
    assert!(victim.log().matches("cannot accept connections").count() < 10, "once in a shortage is enough");
    let bystander = driver.bystander;
    victim.is_unharmed();
    drop(bystander);
}

#[test]
fn a_log_on_a_full_disk_or_that_nobody_reads_stops_no_session() {
    let full = Victim::limited(69, "trace", "exec 2>/dev/full;");
    let mut driver = Driver::new(&full, session());
    works(&mut driver);
    let case = session().expand("U[|C0010100 PP NH LP|n1]");
    driver.judge(&case, "W", Split::OneWrite).expect("treat-as-withdraw");

    let folder = tempfile::tempdir().expect("a directory");
    let pipe = folder.path().join("log");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let mut reader = std::fs::OpenOptions::new().read(true).custom_flags(NONBLOCK).open(&pipe).expect("a pipe");
    let unread = Victim::limited(70, "trace", &format!("exec 2>{};", pipe.display()));
    let mut driver = Driver::new(&unread, session());
    // A line of the log for each: far more than a pipe holds.
    for _ in 0..50 {
        assert!(matches!(driver.send(&case.repeat(100), Split::OneWrite), Verdict::Kept));
    }
    works(&mut driver);
    let mut start = [0; 4096];
    assert!(reader.read(&mut start).is_ok_and(|n| n == start.len()), "the pipe is full");
}

const NONBLOCK: i32 = 0o4000;

/// A table of 12 MB, which no socket buffer holds.
fn table() -> Vec<u8> {
    let update = |n: u16| session().expand(&format!("U[|BASE D0630F3C {n:04X} 5A*3898|20C613{n:04X}]"));
    (0..3000).flat_map(update).collect()
}

#[test]
fn a_peer_that_does_not_read_delays_nobody_and_is_freed_in_time() {
    let victim = Victim::start(71, "info");
    let table = table();
    let mut took = [Duration::ZERO; 2];
    let mut driver = Driver::new(&victim, session());
    for (round, stuck) in [false, true].into_iter().enumerate() {
        driver.change(session());
        // Hold time and send hold time are 3 s in this range; the peer says KEEPALIVE and never reads.
        let slow = stuck.then(|| {
            let slow = Peer::established(Ipv4Addr::new(127, 76, 0, 1), victim.address, &open(65000, 3, 5, &V4));
            slow.only_says_keepalive();
            slow
        });
        let start = now();
        assert!(matches!(driver.send(&table, Split::OneWrite), Verdict::Kept));
        driver.bystander.wait("the whole table", |routes| routes.len() >= 3000);
        took[round] = now() - start;
        if slow.is_some() {
            eventually("it is freed", || victim.log().contains("Send Hold Timer Expired").then_some(()));
            works(&mut driver);
        }
        driver.change(Session::chosen(&["i4"])[0]);
    }
    println!("3,000 routes, 12 MB, reached the bystander in {:?}, and in {:?} beside a peer that does not read", took[0], took[1]);
    assert!(took[1] < 3 * took[0] + Duration::from_secs(2), "{took:?}");
    let rss = victim.rss();
    assert!(rss < 160 * 1024, "{rss} KiB");
}
