//! Every state meets every event that can come from outside: what is sent, and where it ends.

use super::*;

#[derive(Clone, Copy, Debug)]
enum Stimulus {
    Start,
    AdminDown,
    AutomaticStop,
    RetryTimer,
    HoldTimer,
    SendHoldTimer,
    Inbound,
    Closed,
    Open,
    BadOpen,
    BadHeader,
    VersionNotification,
    Cease,
    Keepalive,
    Update,
    BadUpdate,
    Refresh,
}

/// A peer in the state, with its connection if it has one. Inbound connections are not used, so a dial is never under way.
fn rig_in(state: State) -> (Rig, ConnId) {
    let mut rig = Rig::new(PeerParams { admin_up: state != State::Idle, ..settings() });
    let mut id = ConnId(99);
    if state == State::Active {
        rig.peer.handle_connect_failed(rig.now, "connection refused".to_owned());
    }
    if state >= State::OpenSent {
        id = rig.connect(Direction::Outbound);
    }
    if state >= State::OpenConfirm {
        rig.receive_open(id);
    }
    if state == State::Established {
        rig.bytes(id, &keepalive());
    }
    assert_eq!(rig.state(), state);
    rig.drain();
    (rig, id)
}

fn apply(rig: &mut Rig, id: ConnId, stimulus: Stimulus) {
    let bad_open = message(1, &[3, 0xFD, 0xE9, 0, 90, 10, 0, 0, 2, 0]);
    let bad_header = [vec![0xFF; 16], vec![0, 18, 4]].concat();
    match stimulus {
        Stimulus::Start => rig.peer.handle_start(rig.now),
        Stimulus::AdminDown => rig.peer.handle_stop(StopReason::AdminDown(None), rig.now),
        Stimulus::AutomaticStop => rig.peer.handle_stop(StopReason::OutOfResources, rig.now),
        Stimulus::RetryTimer => {
            if let Some(at) = rig.peer.connect_retry {
                rig.peer.handle_timeout(at);
            }
        }
        Stimulus::HoldTimer => {
            if let Some(c) = rig.peer.connections.first_mut() {
                c.hold = crate::session::timers::Timer::At(rig.now);
            }
            rig.peer.handle_timeout(rig.now);
        }
        Stimulus::SendHoldTimer => {
            if let Some(c) = rig.peer.connections.first_mut().filter(|c| c.state > State::OpenSent) {
                c.send_hold = crate::session::timers::Timer::At(rig.now);
            }
            rig.peer.handle_timeout(rig.now);
        }
        Stimulus::Inbound => {
            rig.connect(Direction::Inbound);
        }
        Stimulus::Closed => {
            rig.peer.handle_connect_failed(rig.now, "connection refused".to_owned());
            rig.peer.handle_closed(id, None, rig.now);
        }
        Stimulus::Open => rig.receive_open(id),
        Stimulus::BadOpen => rig.bytes(id, &bad_open),
        Stimulus::BadHeader => rig.bytes(id, &bad_header),
        Stimulus::VersionNotification => rig.bytes(id, &notification(2, 1)),
        Stimulus::Cease => rig.bytes(id, &notification(6, 4)),
        Stimulus::Keepalive => rig.bytes(id, &keepalive()),
        Stimulus::Update => rig.bytes(id, &update()),
        Stimulus::BadUpdate => rig.bytes(id, &message(2, &[0xFF, 0xFF, 0, 0])),
        Stimulus::Refresh => rig.bytes(id, &refresh(&[0, 1, 0, 1])),
    }
}

#[rustfmt::skip]
const CELLS: &[(Stimulus, [&str; 6])] = &[
    //                               Idle         Connect      Active       OpenSent           OpenConfirm        Established
    (Stimulus::Start,               ["Connect",   "Connect",   "Active",    "OpenSent",        "OpenConfirm",     "Established"]),
    (Stimulus::AdminDown,           ["Idle",      "Idle",      "Idle",      "6/2 Idle",        "6/2 Idle",        "6/2 Idle"]),
    (Stimulus::AutomaticStop,       ["Idle",      "Idle",      "Idle",      "6/8 Idle",        "6/8 Idle",        "6/8 Idle"]),
    (Stimulus::RetryTimer,          ["Idle",      "Connect",   "Connect",   "OpenSent",        "OpenConfirm",     "Established"]),
    (Stimulus::HoldTimer,           ["Idle",      "Connect",   "Active",    "4/0 Idle",        "4/0 Idle",        "4/0 Idle"]),
    (Stimulus::SendHoldTimer,       ["Idle",      "Connect",   "Active",    "OpenSent",        "8/0 Idle",        "8/0 Idle"]),
    (Stimulus::Inbound,             ["Idle",      "OPEN OpenSent", "OPEN OpenSent", "OPEN OpenSent", "OPEN OpenConfirm", "OPEN Established"]),
    (Stimulus::Closed,              ["Idle",      "Active",    "Active",    "Active",          "Idle",            "Idle"]),
    (Stimulus::Open,                ["Idle",      "Connect",   "Active",    "KEEPALIVE OpenConfirm", "5/2 Idle",  "5/3 Idle"]),
    (Stimulus::BadOpen,             ["Idle",      "Connect",   "Active",    "2/1 Idle",        "5/2 Idle",        "5/3 Idle"]),
    (Stimulus::BadHeader,           ["Idle",      "Connect",   "Active",    "1/2 Idle",        "1/2 Idle",        "1/2 Idle"]),
    (Stimulus::VersionNotification, ["Idle",      "Connect",   "Active",    "Idle",            "Idle",            "Idle"]),
    (Stimulus::Cease,               ["Idle",      "Connect",   "Active",    "Idle",            "Idle",            "Idle"]),
    (Stimulus::Keepalive,           ["Idle",      "Connect",   "Active",    "5/1 Idle",        "Established",     "Established"]),
    (Stimulus::Update,              ["Idle",      "Connect",   "Active",    "5/1 Idle",        "5/2 Idle",        "Established"]),
    (Stimulus::BadUpdate,           ["Idle",      "Connect",   "Active",    "5/1 Idle",        "5/2 Idle",        "3/1 Idle"]),
    (Stimulus::Refresh,             ["Idle",      "Connect",   "Active",    "5/1 Idle",        "5/2 Idle",        "Established"]),
];

#[test]
fn every_state_meets_every_event() {
    let states = [State::Idle, State::Connect, State::Active, State::OpenSent, State::OpenConfirm, State::Established];
    for (stimulus, cells) in CELLS {
        for (state, expected) in states.into_iter().zip(cells) {
            let (mut rig, id) = rig_in(state);
            apply(&mut rig, id, *stimulus);
            let words = sends(&rig.drain()).into_iter().map(|(_, b)| match b[18] {
                1 => "OPEN ".to_owned(),
                3 => format!("{}/{} ", b[19], b[20]),
                4 => "KEEPALIVE ".to_owned(),
                other => format!("type {other} "),
            });
            let seen = format!("{}{}", words.collect::<String>(), rig.state());
            assert_eq!(&seen, expected, "{state} meets {stimulus:?}");
        }
    }
}

#[test]
fn leaving_a_session_clears_or_raises_the_retry_counter() {
    for (stimulus, expected) in [(Stimulus::AdminDown, 0), (Stimulus::VersionNotification, 5), (Stimulus::Cease, 6), (Stimulus::Closed, 6)]
    {
        let (mut rig, id) = rig_in(State::OpenConfirm);
        rig.peer.status.connect_retry_counter = 5;
        apply(&mut rig, id, stimulus);
        assert_eq!(rig.peer.status().connect_retry_counter, expected, "{stimulus:?}");
    }
}
