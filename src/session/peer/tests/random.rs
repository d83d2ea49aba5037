//! Random operations: no panic, and the invariants of the room after each of them.

use super::*;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn any_bytes(rig: &Rig, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = match dice.roll(12) {
        0..=2 => rig.open(),
        3..=5 => keepalive().to_vec(),
        6 => update(),
        7 => refresh(&[0, 1, dice.roll(4) as u8, 1]),
        8 => notification(dice.roll(9) as u8, dice.roll(12) as u8),
        9 => [rig.open(), keepalive().to_vec(), update()].concat(),
        10 => message(dice.roll(8) as u8, &vec![dice.roll(256) as u8; dice.roll(40) as usize]),
        _ => (0..dice.roll(60)).map(|_| dice.roll(256) as u8).collect(),
    };
    if dice.roll(10) == 0 && !bytes.is_empty() {
        let at = dice.roll(bytes.len() as u64) as usize;
        bytes[at] ^= 1 << dice.roll(8);
    }
    if dice.roll(8) == 0 {
        bytes.truncate(dice.roll(bytes.len() as u64 + 1) as usize);
    }
    bytes
}

fn any_stop(dice: &mut Dice) -> StopReason {
    match dice.roll(9) {
        0 => StopReason::AdminDown(Some("x".to_owned())),
        1 => StopReason::Deconfigured,
        2 => StopReason::ConfigChange,
        3 => StopReason::AdminReset(None),
        4 => StopReason::HardReset(None),
        5 => StopReason::MaxPrefix { family: Family::Ipv4Unicast, limit: 1, restart_after: Some(Duration::from_secs(9)) },
        6 => StopReason::OutOfResources,
        7 => StopReason::BfdDown { independent: false },
        _ => StopReason::GracefulClose,
    }
}

/// What the shell would know.
#[derive(Default)]
struct Shell {
    open: Vec<ConnId>,
    dialing: bool,
    up: bool,
    state: Option<State>,
}

impl Shell {
    fn take(&mut self, output: Output, seed: u64) {
        match output {
            Output::Connect => {
                assert!(!self.dialing, "seed {seed}: one dial at a time");
                self.dialing = true;
            }
            Output::CancelConnect => {
                assert!(self.dialing, "seed {seed}: nothing to cancel");
                self.dialing = false;
            }
            Output::Send(id, bytes) => {
                assert!(self.open.contains(&id), "seed {seed}: send after close");
                assert!(bytes.len() <= 4096 && usize::from(u16::from_be_bytes([bytes[16], bytes[17]])) == bytes.len());
            }
            Output::Close(id, _) => {
                assert!(self.open.contains(&id), "seed {seed}: closed twice");
                self.open.retain(|c| *c != id);
            }
            Output::Event(event) => self.event(event, seed),
        }
    }

    fn event(&mut self, event: Event, seed: u64) {
        match event {
            Event::StateChanged { from, to, .. } => {
                assert_eq!(from, self.state.unwrap_or(State::Idle), "seed {seed}: states are a chain");
                self.state = Some(to);
            }
            Event::Established(..) => {
                assert!(!self.up, "seed {seed}: established twice");
                self.up = true;
            }
            Event::Down(_) => {
                assert!(self.up, "seed {seed}: down without up");
                self.up = false;
            }
            Event::Update(_) | Event::Refresh(_) => assert!(self.up, "seed {seed}: routes outside of a session"),
        }
    }
}

fn operate(rig: &mut Rig, shell: &mut Shell, dice: &mut Dice) {
    let some = |dice: &mut Dice, open: &[ConnId]| match open.len() {
        0 => ConnId(u32::MAX),
        n => open[dice.roll(n as u64) as usize],
    };
    let id = some(dice, &shell.open);
    match dice.roll(20) {
        0..=1 => {
            let new = rig.connect(Direction::Inbound);
            shell.open.push(new);
        }
        2..=3 if shell.dialing => {
            shell.dialing = false;
            let new = rig.connect(Direction::Outbound);
            shell.open.push(new);
        }
        4 if shell.dialing => {
            shell.dialing = false;
            rig.peer.handle_connect_failed(rig.now, "refused".to_owned());
        }
        5 => rig.peer.handle_closed(id, Some("reset".to_owned()), rig.now),
        6 if dice.roll(6) == 0 => {
            let reason = any_stop(dice);
            rig.peer.handle_stop(reason, rig.now);
        }
        7 => rig.peer.handle_start(rig.now),
        8 => rig.peer.pause_hold(rig.now),
        9..=10 => rig.peer.resume_hold(rig.now),
        11 => rig.peer.handle_written(id, rig.now),
        12..=13 => {
            rig.advance(Duration::from_millis(dice.roll(100_000)));
            rig.peer.handle_timeout(rig.now);
        }
        14 => {
            rig.peer.request_refresh(Family::Ipv4Unicast);
        }
        _ => {
            let bytes = any_bytes(rig, dice);
            rig.bytes(id, &bytes);
        }
    }
}

fn check(rig: &Rig, shell: &Shell, seed: u64) {
    let peer = &rig.peer;
    let alive: Vec<_> = peer.connections.iter().map(|c| c.link.id).collect();
    assert!(shell.open.iter().all(|id| alive.contains(id)) && alive.len() == shell.open.len(), "seed {seed}: connections");
    let confirmed = peer.connections.iter().filter(|c| c.state >= State::OpenConfirm).count();
    assert!(confirmed <= 1 && peer.connections.len() <= 3, "seed {seed}: {confirmed} of {} confirmed", peer.connections.len());
    assert_eq!(shell.up, peer.status.state == State::Established, "seed {seed}");
    assert_eq!(shell.state.unwrap_or(State::Idle), peer.status.state, "seed {seed}");
    assert_eq!(shell.dialing, peer.dial == Dial::Dialing, "seed {seed}: the shell dials when the machine thinks so");
    match peer.status.state {
        State::Idle => assert_eq!(peer.idle_hold.is_some(), peer.status.admin_up, "seed {seed}: back-off in Idle"),
        State::Connect => assert!(peer.connect_retry.is_some(), "seed {seed}: connect retry"),
        State::Active => assert!(peer.connect_retry.is_some() || peer.params.passive, "seed {seed}: connect retry"),
        State::OpenSent | State::OpenConfirm | State::Established => {
            let guarded = |c: &Connection| c.hold != crate::session::timers::Timer::Off || rig.hold == 0;
            assert!(peer.connections.iter().all(guarded), "seed {seed}: hold timer");
        }
    }
}

/// As many as are asked for, by `FUZZ_RUNS` where it is set.
fn seeds(usual: u64) -> std::ops::Range<u64> {
    0..std::env::var("FUZZ_RUNS").map_or(usual, |n| n.parse().expect("a number"))
}

#[test]
fn random_operations_keep_the_invariants() {
    for seed in seeds(400) {
        let mut dice = Dice(seed);
        let passive = dice.roll(3) == 0;
        let mut rig = Rig::new(PeerParams { passive, seed, ..settings() });
        if dice.roll(2) == 0 {
            rig = rig.with_gr(true);
        }
        rig.remote_id = [5, 10, 20][dice.roll(3) as usize];
        rig.hold = [0, 3, 90][dice.roll(3) as usize];
        let mut shell = Shell::default();
        for _ in 0..400 {
            for output in rig.drain() {
                shell.take(output, seed);
            }
            check(&rig, &shell, seed);
            operate(&mut rig, &mut shell, &mut dice);
        }
    }
}

/// Whatever happened before, a healthy peer gets its session within the longest back-off.
#[test]
fn a_healthy_peer_comes_up_after_anything() {
    for seed in seeds(100) {
        let mut dice = Dice(seed);
        let mut rig = Rig::new(PeerParams { seed, ..settings() });
        let mut shell = Shell::default();
        for _ in 0..200 {
            rig.drain().into_iter().for_each(|o| shell.take(o, seed));
            operate(&mut rig, &mut shell, &mut dice);
        }
        rig.peer.resume_hold(rig.now);
        rig.drain().into_iter().for_each(|o| shell.take(o, seed));
        for id in shell.open.clone() {
            rig.peer.handle_closed(id, None, rig.now);
        }
        rig.peer.handle_start(rig.now);
        let end = rig.now + Duration::from_secs(250);
        while rig.now < end && !shell.dialing {
            rig.drain().into_iter().for_each(|o| shell.take(o, seed));
            if !shell.dialing {
                rig.fire_next();
            }
        }
        assert!(shell.dialing && rig.now < end, "seed {seed}: it dials");
        rig.establish(Direction::Outbound);
    }
}
