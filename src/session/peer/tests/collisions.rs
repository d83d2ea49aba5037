//! Two and more connections with one peer (RFC 4271 6.8, RFC 6286 2.3, RFC 4724 5).

use super::*;
use crate::session::HoldTime;

/// Both connections are open; the peer's OPEN comes on `first`, then on the other. Who survives, and which code the other got.
fn collide(remote_id: u32, first: Direction) -> (Direction, Vec<(u8, u8)>) {
    let mut rig = Rig::new(settings());
    rig.remote_id = remote_id;
    collide_in(&mut rig, first)
}

fn collide_in(rig: &mut Rig, first: Direction) -> (Direction, Vec<(u8, u8)>) {
    let ours = rig.connect(Direction::Outbound);
    let theirs = rig.connect(Direction::Inbound);
    rig.drain();
    let order = if first == Direction::Outbound { [ours, theirs] } else { [theirs, ours] };
    order.into_iter().for_each(|id| rig.receive_open(id));
    let outputs = rig.drain();
    let codes = notifications(&outputs).into_iter().map(|(_, code, subcode)| (code, subcode)).collect();
    let [left] = &rig.peer.connections[..] else { panic!("one connection is left, not {}", rig.peer.connections.len()) };
    assert_eq!(left.state, State::OpenConfirm);
    assert_eq!(rig.peer.idle_hold, None, "a collision is no fault");
    let (id, direction) = (left.link.id, left.link.direction);
    rig.bytes(id, &keepalive());
    assert_eq!(rig.state(), State::Established);
    (direction, codes)
}

#[test]
fn the_higher_identifier_keeps_its_own_connection() {
    for first in [Direction::Outbound, Direction::Inbound] {
        assert_eq!(collide(LOCAL_ID - 1, first), (Direction::Outbound, vec![(6, 7)]), "{first:?} first");
        assert_eq!(collide(LOCAL_ID + 1, first), (Direction::Inbound, vec![(6, 7)]), "{first:?} first");
    }
    assert_eq!(collide(0xFFFF_FFFF, Direction::Outbound).0, Direction::Inbound, "identifiers compare as unsigned numbers");
}

#[test]
fn equal_identifiers_on_ebgp_leave_it_to_the_higher_as() {
    for first in [Direction::Outbound, Direction::Inbound] {
        assert_eq!(collide(LOCAL_ID, first).0, Direction::Inbound, "65001 is higher than 65000");
    }
}

#[test]
fn within_an_as_the_identifier_decides_and_may_not_be_ours() {
    let internal = || {
        let mut rig = Rig::new(PeerParams { local_as: asn(REMOTE_AS), remote_as: RemoteAs::Internal, ..settings() });
        rig.remote_id = LOCAL_ID + 1;
        rig
    };
    assert_eq!(collide_in(&mut internal(), Direction::Outbound).0, Direction::Inbound);
    let mut same = internal();
    same.remote_id = LOCAL_ID;
    let id = same.connect(Direction::Outbound);
    same.receive_open(id);
    assert_eq!(notifications(&same.drain()), [(id, 2, 3)]);
}

#[test]
fn an_accepted_open_of_the_peer_cancels_our_dial_but_a_connection_alone_does_not() {
    let mut rig = Rig::new(settings());
    rig.drain();
    let id = rig.connect(Direction::Inbound);
    assert!(!rig.drain().iter().any(|o| matches!(o, Output::CancelConnect)));
    rig.receive_open(id);
    assert!(rig.drain().iter().any(|o| matches!(o, Output::CancelConnect)));
    let late = rig.connect(Direction::Outbound);
    assert_eq!(closes(&rig.drain()), [(late, CloseMode::Silent)], "a dial that was cancelled too late");
}

#[test]
fn a_new_connection_beside_an_established_session_is_refused() {
    let mut rig = Rig::new(settings());
    rig.establish(Direction::Outbound);
    rig.advance(Duration::from_secs(1));
    let new = rig.connect(Direction::Inbound);
    rig.receive_open(new);
    let outputs = rig.drain();
    assert_eq!(notifications(&outputs), [(new, 6, 7)]);
    assert!(downs(&outputs).is_empty());
    assert_eq!(rig.state(), State::Established);
}

#[test]
fn a_restarted_peer_with_graceful_restart_replaces_its_session() {
    let mut rig = Rig::new(settings()).with_gr(false);
    let old = rig.establish(Direction::Outbound);
    rig.advance(Duration::from_secs(1));
    let new = rig.connect(Direction::Inbound);
    assert_eq!(rig.state(), State::Established, "nothing happens before its OPEN");
    rig.receive_open(new);
    let outputs = rig.drain();
    assert!(notifications(&outputs).is_empty());
    assert_eq!(closes(&outputs), [(old, CloseMode::Silent)]);
    let down = &downs(&outputs)[0];
    assert!(matches!(down.reason, DownReason::Replaced));
    assert_eq!((down.retain, down.restart_time.as_secs()), (FamilySet::from_iter([Family::Ipv4Unicast]), 60));
    rig.bytes(new, &keepalive());
    assert_eq!((rig.state(), rig.peer.status().established), (State::Established, 2));
}

#[test]
fn a_bad_open_does_not_replace_a_session() {
    let mut rig = Rig::new(settings()).with_gr(true);
    rig.establish(Direction::Outbound);
    rig.hold = 1;
    rig.advance(Duration::from_secs(1));
    let new = rig.connect(Direction::Inbound);
    let mut open = rig.open();
    (open[22], open[23]) = (0, 1);
    rig.bytes(new, &open);
    let outputs = rig.drain();
    assert_eq!(notifications(&outputs), [(new, 2, 6)]);
    assert!(downs(&outputs).is_empty());
    assert_eq!(rig.state(), State::Established);
}

#[test]
fn a_third_connection_frees_the_one_that_was_never_used() {
    let mut rig = Rig::new(settings()).with_gr(true);
    rig.establish(Direction::Outbound);
    rig.advance(Duration::from_secs(1));
    let second = rig.connect(Direction::Inbound);
    rig.drain();
    let third = rig.connect(Direction::Inbound);
    assert_eq!(closes(&rig.drain()), [(second, CloseMode::AfterNotification)]);
    assert_eq!(rig.peer.connections.len(), 2);
    rig.receive_open(third);
    rig.bytes(third, &keepalive());
    assert_eq!((rig.state(), rig.peer.connections.len()), (State::Established, 1));
}

#[test]
fn a_second_inbound_connection_replaces_a_silent_first_without_backoff() {
    let mut rig = Rig::new(PeerParams { passive: true, ..settings() });
    rig.connect(Direction::Inbound);
    rig.establish(Direction::Inbound);
}

#[test]
fn silent_connections_beside_a_session_are_freed_and_do_not_touch_it() {
    let mut rig = Rig::new(PeerParams { hold_time: HoldTime::new(0).unwrap(), ..settings() });
    rig.establish(Direction::Outbound);
    for _ in 0..500 {
        rig.connect(Direction::Inbound);
        assert!(rig.peer.connections.len() <= 2);
    }
    rig.run(Duration::from_secs(61));
    assert_eq!((rig.peer.connections.len(), rig.state()), (1, State::Established));
}

#[test]
fn a_collision_notification_of_the_peer_beside_a_session_has_no_consequence() {
    let mut rig = Rig::new(settings());
    let ours = rig.connect(Direction::Outbound);
    let theirs = rig.connect(Direction::Inbound);
    rig.receive_open(ours);
    rig.bytes(theirs, &notification(6, 7));
    rig.bytes(ours, &keepalive());
    assert_eq!((rig.state(), rig.peer.idle_hold), (State::Established, None));
}
