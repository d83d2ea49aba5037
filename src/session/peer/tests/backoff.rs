//! How a peer that errs again and again is slowed down, and one that is healthy is not.

use super::*;

/// A peer that dials us, completes the handshake and then errs, every 300 microseconds.
#[test]
fn a_peer_that_errs_after_every_handshake_does_not_loop() {
    let mut rig = Rig::new(PeerParams { passive: true, ..settings() });
    let end = rig.now + Duration::from_secs(10);
    while rig.now < end {
        let id = rig.connect(Direction::Inbound);
        rig.receive_open(id);
        rig.bytes(id, &keepalive());
        rig.bytes(id, &message(2, &[0xFF, 0xFF, 0, 0]));
        rig.drain();
        rig.run(Duration::from_micros(300));
    }
    let status = rig.peer.status();
    assert!((2..=5).contains(&status.established), "{} cycles", status.established);
    assert!(status.refused > 10_000);
}

#[test]
fn a_wrong_as_is_answered_a_few_times_only() {
    let mut rig = Rig::new(PeerParams { remote_as: RemoteAs::Internal, passive: true, ..settings() });
    let mut answered = 0;
    for _ in 0..1000 {
        let id = rig.connect(Direction::Inbound);
        rig.receive_open(id);
        answered += notifications(&rig.drain()).len();
        rig.run(Duration::from_millis(10));
    }
    assert!((2..=5).contains(&answered), "{answered}");
}

#[test]
fn idle_hold_doubles_up_to_two_minutes() {
    let mut rig = Rig::new(settings());
    for full in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 120.0, 120.0] {
        let id = rig.establish(Direction::Outbound);
        rig.bytes(id, &notification(6, 4));
        rig.drain();
        assert_eq!(rig.state(), State::Idle);
        let before = rig.now;
        rig.fire_next();
        let gap = (rig.now - before).as_secs_f64();
        assert!((0.75 * full..=full).contains(&gap), "{gap} of {full}");
        assert_eq!(connects(&rig.drain()), 1);
    }
}

#[test]
fn only_a_session_that_lasted_clears_the_backoff() {
    let lasted = |seconds: u64| {
        let mut rig = Rig::new(settings());
        for _ in 0..4 {
            let id = rig.establish(Direction::Outbound);
            rig.bytes(id, &notification(6, 4));
            rig.fire_next();
            rig.drain();
        }
        let id = rig.establish(Direction::Outbound);
        for _ in 0..seconds / 10 {
            rig.run(Duration::from_secs(10));
            rig.bytes(id, &keepalive());
        }
        rig.bytes(id, &notification(6, 4));
        rig.peer.poll_timeout().unwrap() - rig.now
    };
    assert!(lasted(170) >= Duration::from_secs(12), "16 s, less the jitter");
    assert!(lasted(180) <= Duration::from_secs(1), "twice the hold time");
}

#[test]
fn inbound_is_refused_in_backoff_except_after_the_first_failure() {
    let mut rig = Rig::new(settings());
    let first = rig.establish(Direction::Outbound);
    rig.peer.handle_closed(first, None, rig.now);
    assert_eq!(rig.state(), State::Idle);
    let second = rig.establish(Direction::Inbound);
    rig.peer.handle_closed(second, None, rig.now);
    rig.drain();
    let third = rig.connect(Direction::Inbound);
    assert_eq!(closes(&rig.drain()), [(third, CloseMode::Reset)]);
    rig.run(Duration::from_secs(2));
    rig.establish(Direction::Inbound);
}

#[test]
fn an_inbound_connection_that_comes_to_nothing_in_backoff_leaves_us_dialing() {
    let mut rig = Rig::new(settings());
    let first = rig.establish(Direction::Outbound);
    rig.peer.handle_closed(first, None, rig.now);
    let second = rig.connect(Direction::Inbound);
    rig.peer.handle_closed(second, None, rig.now);
    rig.drain();
    assert_eq!(rig.state(), State::Active);
    assert_eq!(connects(&rig.run(Duration::from_secs(5))), 1);
}

#[test]
fn inbound_connections_that_err_do_not_end_our_own_dial() {
    let mut rig = Rig::new(settings());
    rig.drain();
    for _ in 0..20 {
        let id = rig.connect(Direction::Inbound);
        rig.bytes(id, b"GET / HTTP/1.1\r\n");
        rig.advance(Duration::from_millis(10));
    }
    let outputs = rig.drain();
    assert!(!outputs.iter().any(|o| matches!(o, Output::CancelConnect)));
    assert!(notifications(&outputs).len() <= 2);
    rig.establish(Direction::Outbound);
}

#[test]
fn inbound_connections_that_say_nothing_do_not_put_off_our_dial() {
    let mut rig = Rig::new(settings());
    rig.peer.handle_connect_failed(rig.now, "refused".to_owned());
    rig.drain();
    let mut dialed = 0;
    for _ in 0..20 {
        let id = rig.connect(Direction::Inbound);
        dialed += connects(&rig.run(Duration::from_secs(1)));
        rig.peer.handle_closed(id, None, rig.now);
    }
    assert!(dialed >= 1);
}

#[test]
fn a_start_by_hand_ends_the_backoff() {
    let mut rig = Rig::new(settings());
    for _ in 0..5 {
        let id = rig.establish(Direction::Outbound);
        rig.bytes(id, &notification(6, 4));
        rig.fire_next();
    }
    let id = rig.establish(Direction::Outbound);
    rig.bytes(id, &notification(6, 4));
    rig.drain();
    rig.peer.handle_start(rig.now);
    assert_eq!((connects(&rig.drain()), rig.state()), (1, State::Connect));
    assert_eq!(rig.peer.status().connect_retry_counter, 0);
}
