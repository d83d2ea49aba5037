//! The machine alone, against itself or against packets made by hand.
#![expect(clippy::disallowed_methods, reason = "any instant will do as the start of a test's own time")]

use super::*;

const FAST: Timing = Timing { transmit: Duration::from_millis(50), receive: Duration::from_millis(50), multiplier: 3, passive: false };

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// Two sessions with a wire of 1 ms between them; the seed is printed when a test fails.
struct Pair {
    ends: [Session; 2],
    wire: Vec<(Instant, usize, Packet)>,
    start: Instant,
    now: Instant,
    /// What each end has sent, and when.
    sent: [Vec<(Duration, Packet)>; 2],
    changes: [Vec<(Duration, Change)>; 2],
    cut: bool,
}

impl Pair {
    fn new(timings: [Timing; 2], seed: u64) -> Self {
        println!("seed {seed}");
        let start = Instant::now();
        let ends = [Session::new(timings[0], 1, seed, start), Session::new(timings[1], 2, seed + 1, start)];
        Self { ends, wire: Vec::new(), start, now: start, sent: Default::default(), changes: Default::default(), cut: false }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.settle();
            let timers = self.ends.iter().filter_map(Session::poll_timeout);
            let Some(next) = timers.chain(self.wire.iter().map(|(at, ..)| *at)).min().filter(|at| *at <= end) else { break };
            self.now = self.now.max(next);
            let due: Vec<_> = self.wire.extract_if(.., |(at, ..)| *at <= next).collect();
            for (_, to, packet) in due {
                self.ends[to].handle_packet(&packet, self.now);
            }
            self.ends.iter_mut().for_each(|e| e.handle_timeout(next));
        }
        self.now = end;
    }

    fn settle(&mut self) {
        for i in 0..2 {
            while let Some(packet) = self.ends[i].poll_transmit(self.now) {
                self.sent[i].push((self.now - self.start, packet));
                if !self.cut {
                    self.wire.push((self.now + ms(1), 1 - i, packet));
                }
            }
            if let Some(change) = self.ends[i].poll_change() {
                self.changes[i].push((self.now - self.start, change));
            }
        }
    }

    fn states(&self) -> [State; 2] {
        [self.ends[0].state(), self.ends[1].state()]
    }
}

/// A packet of a peer with discriminator 2 that knows us.
fn packet(state: State) -> Packet {
    Packet {
        state,
        multiplier: 3,
        my_discriminator: 2,
        your_discriminator: 1,
        desired_min_tx: ms(50),
        required_min_rx: ms(50),
        ..Packet::default()
    }
}

fn up(now: Instant) -> Session {
    let mut session = Session::new(FAST, 1, 7, now);
    session.handle_packet(&Packet { your_discriminator: 0, ..packet(State::Down) }, now);
    session.handle_packet(&packet(State::Init), now);
    session.handle_packet(&Packet { is_final: true, ..packet(State::Up) }, now);
    assert_eq!(session.state(), State::Up);
    session
}

#[test]
fn two_sessions_come_up_at_once_and_go_on_at_their_interval() {
    let mut pair = Pair::new([FAST, FAST], 11);
    pair.run(ms(40));
    assert_eq!(pair.states(), [State::Up, State::Up]);
    pair.run(ms(5000));
    assert_eq!(pair.states(), [State::Up, State::Up]);
    assert!(pair.changes.iter().all(|c| c.last().is_some_and(|(at, _)| *at <= ms(40))), "{:?}", pair.changes);
    // Regular packets come after 75 to 100 % of the interval; finals come between.
    let regular: Vec<_> = pair.sent[0].iter().filter(|(at, p)| *at > ms(200) && !p.is_final).map(|(at, _)| *at).collect();
    let gaps: Vec<_> = regular.windows(2).map(|w| w[1] - w[0]).collect();
    assert!(gaps.iter().all(|gap| (ms(37)..=ms(50)).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().min() < Some(&ms(41)) && gaps.iter().max() > Some(&ms(47)), "jitter");
    assert!(pair.sent[0].iter().all(|(_, p)| !p.independent && !p.demand && p.required_min_echo_rx.is_zero()));
}

#[test]
fn jitter_leaves_a_tenth_where_no_packet_may_be_missed() {
    let mut random = Random(3);
    let gaps: Vec<_> = (0..1000).map(|_| random.jittered(ms(100), 1)).collect();
    assert!(gaps.iter().all(|gap| (ms(75)..=ms(90)).contains(gap)));
    assert!(gaps.iter().max() > Some(&ms(89)));
}

#[test]
fn silence_of_the_detection_time_is_down() {
    let mut pair = Pair::new([FAST, Timing { multiplier: 5, ..FAST }], 12);
    pair.run(ms(1000));
    pair.cut = true;
    let cut_at = pair.now - pair.start;
    pair.run(ms(400));
    let (at, change) = *pair.changes[1].last().unwrap();
    assert_eq!((change.to, change.diagnostic), (State::Down, Diagnostic::DETECTION_TIME_EXPIRED));
    assert!(!change.administrative && at - cut_at <= ms(152), "3 × 50 ms after the last packet: {:?}", at - cut_at);
    let (at, _) = *pair.changes[0].last().unwrap();
    assert!((ms(200)..=ms(252)).contains(&(at - cut_at)), "the peer's multiplier counts: {:?}", at - cut_at);
    assert_eq!(pair.ends[0].remote_discriminator(), 0, "who was silent for so long is unknown again (6.8.1)");
    // While not Up, packets are at least 0.75 s apart but for the one that tells of the change.
    pair.sent[0].clear();
    pair.run(ms(10_000));
    assert!((10..=14).contains(&pair.sent[0].len()), "{}", pair.sent[0].len());
    assert!(pair.sent[0].iter().all(|(_, p)| p.desired_min_tx == SLOW && p.your_discriminator == 0));
    pair.cut = false;
    pair.run(ms(1100));
    assert_eq!(pair.states(), [State::Up, State::Up]);
}

/// RFC 5880 6.8.6, the whole table of states.
#[test]
fn every_state_answers_every_state() {
    use State::{AdminDown, Down, Init, Up};
    let rows = [(Down, [Down, Init, Up, Down]), (Init, [Down, Init, Up, Up]), (Up, [Down, Down, Up, Up])];
    for (from, to) in rows {
        for (received, expected) in [AdminDown, Down, Init, Up].into_iter().zip(to) {
            let now = Instant::now();
            let mut session = Session::new(FAST, 1, 5, now);
            if from != Down {
                session.handle_packet(&packet(Down), now);
            }
            if from == Up {
                session.handle_packet(&packet(Init), now);
            }
            assert_eq!(session.state(), from);
            let _ = session.poll_change();
            session.handle_packet(&packet(received), now);
            assert_eq!(session.state(), expected, "{from} receives {received}");
            let change = session.poll_change();
            assert_eq!(change.is_some(), from != expected);
            assert_eq!(change.is_some_and(|c| c.administrative), received == AdminDown && from != Down);
        }
    }
}

#[test]
fn a_poll_is_answered_at_once_and_a_flood_of_polls_is_not() {
    let start = Instant::now();
    let mut session = up(start);
    let mut finals = 0;
    for i in 0..100_000 {
        let now = start + ms(100) + Duration::from_micros(10 * i);
        session.handle_packet(&Packet { poll: true, ..packet(State::Up) }, now);
        while let Some(packet) = session.poll_transmit(now) {
            assert!(!(packet.poll && packet.is_final), "never both (6.5)");
            finals += u32::from(packet.is_final);
        }
    }
    assert!((90..=101).contains(&finals), "one in 10 ms over a second: {finals}");
    let later = start + ms(2000);
    session.handle_packet(&Packet { poll: true, ..packet(State::Up) }, later);
    assert!(session.poll_transmit(later).unwrap().is_final);
}

#[test]
fn other_timing_is_agreed_by_a_poll_sequence_without_a_flap() {
    let mut pair = Pair::new([FAST, FAST], 13);
    pair.run(ms(1000));
    pair.changes = Default::default();
    let slow = Timing { transmit: ms(300), receive: ms(400), multiplier: 4, passive: false };
    pair.ends[0].set_timing(slow, pair.now);
    assert_eq!(pair.ends[0].transmit_interval(), ms(50), "slower only when the peer knows");
    assert_eq!(pair.ends[0].receive_interval(), ms(400), "patience at once");
    pair.run(ms(20));
    assert!(pair.sent[0].iter().rev().take(3).any(|(_, p)| p.poll && p.desired_min_tx == ms(300)));
    assert!(pair.sent[1].iter().rev().take(3).any(|(_, p)| p.is_final));
    assert_eq!((pair.ends[0].transmit_interval(), pair.ends[1].detection_time()), (ms(300), ms(1200)));
    pair.run(ms(3000));
    pair.ends[0].set_timing(FAST, pair.now);
    assert_eq!(pair.ends[0].receive_interval(), ms(400), "less patience only when the peer knows");
    pair.run(ms(500));
    assert_eq!((pair.ends[0].receive_interval(), pair.ends[1].detection_time()), (ms(50), ms(150)));
    assert!(pair.changes.iter().all(Vec::is_empty), "{:?}", pair.changes);
    // A change during a Poll Sequence begins another one.
    pair.ends[0].set_timing(slow, pair.now);
    pair.ends[0].set_timing(Timing { transmit: ms(200), ..slow }, pair.now);
    pair.ends[0].handle_packet(&Packet { is_final: true, ..packet(State::Up) }, pair.now);
    assert_eq!(pair.ends[0].transmit_interval(), ms(50), "the answer may be to the first of them");
    pair.run(ms(500));
    assert_eq!(pair.ends[0].transmit_interval(), ms(200));
}

#[test]
fn a_passive_session_waits_and_two_of_them_wait_for_ever() {
    let passive = Timing { passive: true, ..FAST };
    let mut pair = Pair::new([passive, FAST], 14);
    pair.run(ms(50));
    assert_eq!(pair.states(), [State::Up, State::Up]);
    let mut pair = Pair::new([passive, passive], 15);
    pair.run(ms(5000));
    assert!(pair.sent.iter().all(Vec::is_empty));
    assert_eq!(pair.ends[0].poll_timeout(), None);
}

#[test]
fn the_peer_decides_how_much_it_gets() {
    let start = Instant::now();
    let mut session = up(start);
    let sends = |session: &mut Session, from: Instant| {
        (0..3000u64).filter(|i| std::iter::from_fn(|| session.poll_transmit(from + ms(*i))).filter(|p| !p.is_final).count() > 0).count()
    };
    let heard = |session: &mut Session, packet: Packet, at| session.handle_packet(&packet, at);
    heard(&mut session, Packet { required_min_rx: Duration::from_micros(1), ..packet(State::Up) }, start);
    assert!((55..=85).contains(&sends(&mut session, start)), "not more than we want to send");
    let at = start + ms(3000);
    heard(&mut session, Packet { required_min_rx: Duration::ZERO, ..packet(State::Up) }, at);
    assert_eq!(sends(&mut session, at), 0, "none");
    let at = start + ms(6000);
    let slowest = Duration::from_micros(u32::MAX.into());
    heard(&mut session, Packet { required_min_rx: slowest, desired_min_tx: slowest, multiplier: 255, ..packet(State::Up) }, at);
    assert!(sends(&mut session, at) <= 1, "once in 54 minutes");
    assert_eq!(session.detection_time(), slowest * 255);
    let at = start + ms(9000);
    heard(&mut session, Packet { demand: true, ..packet(State::Up) }, at);
    assert_eq!(sends(&mut session, at), 0, "Demand mode of the peer (6.6)");
    assert_eq!(session.state(), State::Up);
    let at = start + ms(12_000);
    heard(&mut session, packet(State::Up), at);
    assert!(sends(&mut session, at) > 50, "as before");
}

#[test]
fn who_does_not_know_us_is_no_stranger_only_while_nobody_is_known() {
    let now = Instant::now();
    let mut session = Session::new(FAST, 1, 9, now);
    let other = Packet { my_discriminator: 99, your_discriminator: 0, ..packet(State::Down) };
    assert!(session.knows(&other));
    session.handle_packet(&packet(State::Down), now);
    assert!(!session.knows(&other));
    assert!(session.knows(&Packet { your_discriminator: 0, ..packet(State::Down) }));
    session.handle_timeout(now + ms(3000));
    assert!(session.knows(&other), "the detection time has run out");
}

#[test]
fn the_farewell_is_administrative() {
    let now = Instant::now();
    assert_eq!(Session::new(FAST, 1, 9, now).farewell(), None, "nobody is there");
    let (session, mut peer) = (up(now), up(now));
    let farewell = session.farewell().unwrap();
    assert_eq!((farewell.state, farewell.diagnostic), (State::AdminDown, Diagnostic::ADMINISTRATIVELY_DOWN));
    let _ = peer.poll_change();
    peer.handle_packet(&farewell, now);
    let change = peer.poll_change().unwrap();
    assert!(change.administrative && change.to == State::Down);
}
