//! Deadlines to the tick, with a clock that only the test moves.

use super::*;
use crate::session::{HoldTime, TcpError};
use crate::wire::HEADER_LEN;

const TICK: Duration = Duration::from_nanos(1);

fn with_hold(seconds: u16) -> Rig {
    let mut rig = Rig::new(PeerParams { hold_time: HoldTime::new(seconds).unwrap(), ..settings() });
    rig.hold = seconds;
    rig
}

#[test]
fn the_hold_timer_is_exact() {
    for hold in [3, 9, 90] {
        let mut rig = with_hold(hold);
        let id = rig.establish(Direction::Outbound);
        rig.run(Duration::from_secs(u64::from(hold)) - TICK);
        assert_eq!(rig.state(), State::Established, "hold {hold}");
        let outputs = rig.run(TICK);
        assert_eq!(notifications(&outputs), [(id, 4, 0)], "hold {hold}");
    }
}

#[test]
fn only_whole_keepalives_and_updates_restart_the_hold_timer() {
    let restarts = |message: &[u8], dribble: bool| {
        let mut rig = with_hold(9);
        let id = rig.establish(Direction::Outbound);
        let pieces = if dribble { message.len() } else { 1 };
        for piece in message.chunks(message.len().div_ceil(pieces)) {
            rig.run(Duration::from_secs(8) / pieces as u32);
            rig.bytes(id, piece);
        }
        rig.run(Duration::from_secs(8));
        rig.state() == State::Established
    };
    assert!(restarts(&keepalive(), false));
    assert!(restarts(&update(), false));
    assert!(restarts(&update(), true), "complete within the hold time");
    assert!(!restarts(&update()[..40], true), "an incomplete message is no progress");
    assert!(!restarts(&refresh(&[0, 1, 0, 1]), false));
}

#[test]
fn updates_alone_keep_the_session() {
    let mut rig = with_hold(9);
    let id = rig.establish(Direction::Outbound);
    for _ in 0..10 {
        rig.run(Duration::from_secs(8));
        rig.bytes(id, &update());
    }
    assert_eq!((rig.state(), rig.peer.status().received.update), (State::Established, 10));
}

#[test]
fn hold_zero_runs_no_session_timer() {
    let mut rig = with_hold(0);
    rig.establish(Direction::Outbound);
    assert_eq!(rig.peer.poll_timeout(), None);
    assert!(rig.run(Duration::from_secs(100_000)).is_empty());
    assert_eq!(rig.state(), State::Established);
}

#[test]
fn a_connection_without_open_ends_after_the_initial_hold_time() {
    for (direction, seconds) in [(Direction::Outbound, 240), (Direction::Inbound, 60)] {
        let mut rig = Rig::new(PeerParams { passive: direction == Direction::Inbound, ..settings() });
        let id = rig.connect(direction);
        rig.drain();
        assert!(notifications(&rig.run(Duration::from_secs(seconds) - TICK)).is_empty());
        assert_eq!(notifications(&rig.run(TICK)), [(id, 4, 0)], "{direction:?}");
    }
}

#[test]
fn an_open_without_keepalive_ends_after_the_negotiated_hold_time() {
    let mut rig = with_hold(30);
    let id = rig.connect(Direction::Outbound);
    rig.receive_open(id);
    rig.drain();
    assert!(notifications(&rig.run(Duration::from_secs(30) - TICK)).is_empty());
    assert_eq!(notifications(&rig.run(TICK)), [(id, 4, 0)]);
}

#[test]
fn keepalives_leave_within_a_third_of_the_hold_time_and_are_put_off_by_what_is_sent() {
    let mut rig = with_hold(90);
    let id = rig.establish(Direction::Outbound);
    rig.peer.handle_written(id, rig.now);
    let mut gaps = Vec::new();
    for _ in 0..50 {
        let before = rig.now;
        rig.bytes(id, &keepalive());
        rig.fire_next();
        assert_eq!(sends(&rig.drain()), [(id, keepalive())]);
        gaps.push((rig.now - before).as_secs_f64());
        rig.peer.handle_written(id, rig.now);
    }
    assert!(gaps.iter().all(|g| (22.5..=30.0).contains(g)), "{gaps:?}");
    assert!(gaps.iter().any(|g| *g < 24.0) && gaps.iter().any(|g| *g > 28.5), "jitter: {gaps:?}");
    rig.advance(Duration::from_secs(20));
    rig.peer.handle_written(id, rig.now);
    assert!(rig.peer.poll_timeout().unwrap() >= rig.now + Duration::from_millis(22_500));
}

#[test]
fn a_peer_that_stops_reading_is_reset_after_the_send_hold_time() {
    let mut rig = with_hold(9);
    let id = rig.establish(Direction::Outbound);
    rig.peer.handle_written(id, rig.now);
    let end = rig.now + Duration::from_secs(90);
    let mut keepalives = 0;
    while rig.state() == State::Established {
        rig.bytes(id, &keepalive());
        let at = rig.peer.poll_timeout().unwrap();
        rig.now = at;
        rig.peer.handle_timeout(at);
        let outputs = rig.drain();
        keepalives += sends(&outputs).iter().filter(|(_, b)| b[18] == 4).count();
        if rig.state() != State::Established {
            assert_eq!(notifications(&outputs), [(id, 8, 0)]);
            assert_eq!(closes(&outputs), [(id, CloseMode::Reset)]);
        }
    }
    assert_eq!(rig.now, end);
    assert_eq!(keepalives, 1, "keepalives do not pile up behind a full buffer");
}

#[test]
fn hold_timers_stand_still_while_we_do_not_read() {
    let mut rig = with_hold(9);
    let id = rig.establish(Direction::Outbound);
    rig.run(Duration::from_secs(5));
    rig.peer.pause_hold(rig.now);
    rig.run(Duration::from_secs(60));
    let second = rig.connect(Direction::Inbound);
    rig.run(Duration::from_secs(100));
    rig.peer.resume_hold(rig.now);
    assert_eq!(rig.state(), State::Established);
    rig.drain();
    assert!(notifications(&rig.run(Duration::from_secs(4) - TICK)).is_empty());
    assert_eq!(notifications(&rig.run(TICK)), [(id, 4, 0)]);
    assert_eq!(notifications(&rig.run(Duration::from_secs(56))), [(second, 4, 0)]);
}

#[test]
fn connect_retry_doubles_with_jitter_up_to_two_minutes() {
    let mut rig = Rig::new(settings());
    rig.drain();
    let mut gaps = Vec::new();
    for _ in 0..8 {
        let before = rig.now;
        rig.fire_next();
        let outputs = rig.drain();
        assert!(matches!(outputs[..], [Output::CancelConnect, Output::Connect]), "{outputs:?}");
        gaps.push((rig.now - before).as_secs_f64());
        assert_eq!(rig.peer.status().last_tcp_error.as_ref().map(|e| (e.at, e.text.as_str())), Some((rig.now, TcpError::NO_ANSWER)));
    }
    for (gap, full) in gaps.iter().zip([5.0, 10.0, 20.0, 40.0, 80.0, 120.0, 120.0, 120.0]) {
        assert!((0.75 * full..=full).contains(gap), "{gaps:?}");
    }
}

#[test]
fn a_dial_that_fails_waits_for_the_timer_and_for_the_peer() {
    let mut rig = Rig::new(settings());
    rig.drain();
    rig.peer.handle_connect_failed(rig.now, "connection refused".to_owned());
    assert_eq!(rig.state(), State::Active);
    assert_eq!(rig.peer.status().last_tcp_error.as_ref().unwrap().text, "connection refused");
    assert!(rig.peer.poll_timeout().unwrap() >= rig.now + Duration::from_millis(7_500), "the second delay");
    rig.establish(Direction::Inbound);
    assert_eq!(rig.peer.connect_retry, None);
}

#[test]
fn a_header_alone_costs_no_more_than_itself() {
    let mut rig = with_hold(9);
    let id = rig.establish(Direction::Outbound);
    let header = [vec![0xFF; 16], vec![0x10, 0x00, 2]].concat();
    rig.bytes(id, &header);
    assert_eq!(header.len(), HEADER_LEN);
    assert_eq!(notifications(&rig.run(Duration::from_secs(9))), [(id, 4, 0)]);
}
