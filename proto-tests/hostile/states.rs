//! Messages where the state does not expect them, and OPENs of all kinds.

use std::fmt::Write;
use std::path::Path;

use crate::driver::{Driver, Split, Verdict};
use crate::notation::{Session, lines};
use crate::peer::{BOUND, Came, KEEPALIVE, NOTIFICATION, OPEN, Peer, keepalive, open, open_of};
use crate::victim::Victim;

/// What a session does with OPENs that decode well, where that is not to accept them: another AS than configured, or no family
/// in common.
const REFUSED: [(&str, &str); 4] =
    [("O0-all-known", "R2/2"), ("O4-cap-65-wins", "R2/2"), ("O22-cap-1-unknown", "R2/7"), ("O34-evpn-only", "R2/7")];

#[test]
fn an_open_is_accepted_or_refused_as_the_rfcs_say() {
    let mut victim = Victim::start(54, "info,kubgp=debug");
    let session = Session::chosen(&["e4"])[0];
    let mut driver = Driver::new(&victim, session);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto-tests/vectors/open.hex");
    let text = std::fs::read_to_string(folder).expect("vectors");
    let mut failures = String::new();
    for line in lines(&text) {
        let class = REFUSED.iter().find(|(name, _)| *name == line.name).map_or(line.class, |(_, class)| class);
        let octets = session.expand(line.message);
        for split in [Split::OneWrite, Split::OctetByOctet] {
            let mut peer = Peer::connect(driver.new_address(), driver.victim());
            put(&mut peer, &octets, split);
            let got = answer(&mut peer, &octets);
            if got != class {
                writeln!(failures, "{} {split:?}: expected {class}, got {got}", line.name).expect("a string");
            }
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
    driver.bystander.is_undisturbed();
    let bystander = driver.bystander;
    victim.is_unharmed();
    drop(bystander);
}

fn put(peer: &mut Peer, octets: &[u8], split: Split) {
    match split {
        Split::OneWrite => peer.send(octets),
        Split::OctetByOctet => peer.send_octet_by_octet(octets),
    }
}

/// `K` when the session comes up: then a second OPEN is refused with 5/3 (RFC 6608), in OpenConfirm it would be 5/2.
fn answer(peer: &mut Peer, first: &[u8]) -> String {
    peer.expect(OPEN);
    match peer.poll(BOUND) {
        Came::Message { kind: KEEPALIVE, .. } => {}
        Came::Message { kind: NOTIFICATION, body } => return format!("R{}/{}", body[0], body[1]),
        other => return format!("{other:?}"),
    }
    peer.send(&keepalive());
    peer.send(first);
    match peer.end() {
        Some(n) if (n.code, n.subcode) == (5, 3) => "K".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Streams from the first octet of a connection on; `OPEN` stands for a good one.
const STREAMS: [(&str, &str, &str); 20] = [
    ("F1 KEEPALIVE first", "M[04|]", "R5/1"),
    ("F2 UPDATE first", "U[|BASE|n1]", "R5/1"),
    ("F3 ROUTE-REFRESH first", "M[05|00010001]", "R5/1"),
    ("F4 NOTIFICATION first", "M[03|0400]", "C"),
    ("F5 version NOTIFICATION first", "M[03|02010004]", "C"),
    ("F6 UPDATE in OpenConfirm", "OPEN U[|BASE|n1]", "R5/2"),
    ("F7 ROUTE-REFRESH in OpenConfirm", "OPEN M[05|00010001]", "R5/2"),
    ("F8 a whole life in one segment", "OPEN M[04|] U[|BASE|n1] M[03|0602]", "C"),
    ("F9 ROUTE-REFRESH without the capability", "BARE M[04|] M[05|00010001] M[03|0602]", "C"),
    ("F10 CAPABILITY", "OPEN M[04|] M[06|00]", "R1/3"),
    ("F11 more after an error", "OPEN M[04|] M[06|00] U[|BASE|n1] M[04|]", "R1/3"),
    ("O36 second OPEN in OpenConfirm", "OPEN OPEN", "R5/2"),
    ("O36 malformed second OPEN in OpenConfirm", "OPEN M[01|0400]", "R1/2"),
    ("O36 bad version in OpenConfirm", "OPEN M[01|03 FDE9 005A 0A000002 00]", "R5/2"),
    ("O37 second OPEN in Established", "OPEN M[04|] OPEN", "R5/3"),
    ("O37 bad version in Established", "OPEN M[04|] M[01|03 FDE9 005A 0A000002 00]", "R5/3"),
    ("H15 64 kB of ones", "FF*65536", "R1/2"),
    ("H16 a browser", "474554202F20485454502F312E310D0A*100", "R1/1"),
    ("H16 TLS", "16030100C8010000C40303 00*500", "R1/1"),
    ("G24 a NOTIFICATION and a megabyte", "OPEN M[04|] M[03|0602] FF*1048576", "C"),
];

#[test]
fn a_message_in_the_wrong_state_ends_the_connection_and_nothing_else() {
    let victim = Victim::start(55, "info");
    let session = Session::chosen(&["e4"])[0];
    let mut driver = Driver::new(&victim, session);
    let mut failures = String::new();
    for (name, stream, class) in STREAMS {
        let octets = expand(&session, stream);
        for split in [Split::OneWrite, Split::OctetByOctet] {
            if split == Split::OctetByOctet && octets.len() > 5000 {
                continue;
            }
            let mut peer = Peer::connect(driver.new_address(), driver.victim());
            put(&mut peer, &octets, split);
            let got = peer.end().map_or_else(|| "C".to_owned(), |n| format!("R{}/{}", n.code, n.subcode));
            if got != class {
                writeln!(failures, "{name} {split:?}: expected {class}, got {got}").expect("a string");
            }
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
    driver.bystander.is_undisturbed();
}

/// Words that are messages, one after the other.
fn expand(session: &Session, stream: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = stream;
    while !rest.is_empty() {
        let end = match (rest.starts_with("M[") || rest.starts_with("U["), rest.find(']')) {
            (true, Some(end)) => end + 1,
            _ => rest.find(' ').unwrap_or(rest.len()),
        };
        let (word, behind) = rest.split_at(end);
        octets.extend(match word {
            "OPEN" => open_of(session),
            "BARE" => open(65001, 90, 2, &[65, 4, 0, 0, 0xFD, 0xE9]),
            word => session.expand(word),
        });
        rest = behind.trim_start();
    }
    octets
}

#[test]
fn floods_on_a_session_cost_nobody_else() {
    let mut victim = Victim::start(56, "info");
    let session = Session::chosen(&["e4"])[0];
    let mut driver = Driver::new(&victim, session);
    driver.announce();
    for (message, times) in [("M[04|]", 10_000), ("M[02|00000000]", 100_000), ("M[05|00010001]", 100_000)] {
        let octets = session.expand(message).repeat(times);
        assert!(matches!(driver.send(&octets, Split::OneWrite), Verdict::Kept), "{times} of {message}");
    }
    let bystander = driver.bystander;
    victim.is_unharmed();
    drop(bystander);
}
