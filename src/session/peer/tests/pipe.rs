//! Two peers, wired back to back through pipes in memory.

use super::*;
use crate::wire::{MAX_EXTENDED, end_of_rib};

/// Two peers and the connections between them. A dial of one side always reaches the other; each end has its own ConnId.
struct Pair {
    peers: [Peer; 2],
    now: Instant,
    /// Octets on their way to a side's connection, in order.
    wire: VecDeque<(usize, ConnId, Vec<u8>)>,
    next_id: u32,
    events: [Vec<Event>; 2],
    /// How many octets are handed over at once.
    chunk: usize,
}

impl Pair {
    fn new(first: PeerParams, second: PeerParams, chunk: usize) -> Self {
        let now = some_instant();
        let peers = [Peer::new(first, now), Peer::new(second, now)];
        Self { peers, now, wire: VecDeque::new(), next_id: 0, events: Default::default(), chunk }
    }

    /// Runs both sides until nothing moves.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            let mut dials = Vec::new();
            for side in 0..2 {
                while let Some(output) = self.peers[side].poll() {
                    moved = true;
                    self.take(side, output, &mut dials);
                }
            }
            for side in dials {
                self.join(side);
            }
            if let Some((side, id, bytes)) = self.wire.pop_front() {
                moved = true;
                for piece in bytes.chunks(self.chunk) {
                    self.peers[side].handle_bytes(id, piece, self.now);
                }
            }
            if !moved {
                return;
            }
        }
    }

    fn take(&mut self, side: usize, output: Output, dials: &mut Vec<usize>) {
        match output {
            Output::Connect => dials.push(side),
            Output::CancelConnect => dials.retain(|s| *s != side),
            Output::Send(id, bytes) => {
                self.wire.push_back((1 - side, id, bytes.to_vec()));
                self.peers[side].handle_written(id, self.now);
            }
            Output::Close(..) => {}
            Output::Event(event) => self.events[side].push(event),
        }
    }

    /// The same ConnId names both ends.
    fn join(&mut self, side: usize) {
        self.next_id += 1;
        let (id, address) = (ConnId(self.next_id), "192.0.2.1:179".parse().unwrap());
        self.peers[side].handle_connected(id, Direction::Outbound, address, address, self.now);
        self.peers[1 - side].handle_connected(id, Direction::Inbound, address, address, self.now);
    }

    fn established(&self) -> [Option<ConnId>; 2] {
        [0, 1].map(|side| self.peers[side].established().map(|(id, _)| id))
    }
}

fn pair(chunk: usize, passive: bool) -> Pair {
    let first = PeerParams { passive, families: FamilySet::ALL, seed: 1, ..settings() };
    let second = PeerParams {
        local_as: asn(REMOTE_AS),
        remote_as: RemoteAs::Fixed(asn(LOCAL_AS)),
        router_id: id(20),
        passive: false,
        seed: 2,
        ..first.clone()
    };
    Pair::new(first, second, chunk)
}

#[test]
fn two_peers_reach_established_and_exchange_an_update() {
    for passive in [true, false] {
        let mut pair = pair(MAX_EXTENDED, passive);
        pair.settle();
        let [Some(one), Some(other)] = pair.established() else { panic!("passive: {passive}: both are established") };
        assert_eq!(one, other, "on the same connection, also when both dialed");
        pair.peers[0].handle_bytes(one, &update(), pair.now);
        pair.peers[1].handle_bytes(one, &end_of_rib(Family::Ipv6Unicast), pair.now);
        pair.settle();
        let Some(Event::Update(got)) = pair.events[0].last() else { panic!("{:?}", pair.events[0]) };
        assert_eq!(got.reach[0].nlri[0].prefix, "203.0.113.0/24".parse().unwrap());
        let Some(Event::Update(end)) = pair.events[1].last() else { panic!("{:?}", pair.events[1]) };
        assert_eq!(end.end_of_rib, Some(Family::Ipv6Unicast));
    }
}

#[test]
fn one_octet_at_a_time_is_the_same_as_one_write() {
    let events = |chunk| {
        let mut pair = pair(chunk, true);
        pair.settle();
        let [Some(id), _] = pair.established() else { panic!("chunk {chunk}: established") };
        let stream = [update(), keepalive().to_vec(), update(), notification(6, 2)].concat();
        stream.chunks(chunk).for_each(|piece| pair.peers[0].handle_bytes(id, piece, pair.now));
        pair.settle();
        let shown: Vec<_> = pair.events[0]
            .iter()
            .map(|e| match e {
                Event::StateChanged { from, to, cause } => format!("{from} to {to}: {cause}"),
                Event::Update(update) => format!("{update:?}"),
                Event::Down(down) => format!("{:?}", down.reason),
                Event::Established(agreed, _) => format!("{:?}", agreed.families),
                Event::Refresh(refresh) => format!("{refresh:?}"),
            })
            .collect();
        shown
    };
    let whole = events(MAX_EXTENDED);
    assert!(whole.len() > 6);
    for chunk in [1, 2, 7, 19, 20, 64] {
        assert_eq!(events(chunk), whole, "chunks of {chunk}");
    }
}

#[test]
fn a_session_of_two_peers_lasts() {
    let mut pair = pair(MAX_EXTENDED, false);
    pair.settle();
    let end = pair.now + Duration::from_secs(3600);
    while let Some(at) = pair.peers.iter().filter_map(Peer::poll_timeout).min().filter(|at| *at < end) {
        pair.now = at.max(pair.now);
        let now = pair.now;
        pair.peers.iter_mut().for_each(|p| p.handle_timeout(now));
        pair.settle();
    }
    assert!(pair.peers.iter().all(|p| p.status().state == State::Established && p.status().dropped == 0));
    assert!(pair.peers.iter().all(|p| (120..=170).contains(&p.status().received.keepalive)));
}

#[test]
fn ten_thousand_keepalives_in_one_write() {
    let mut rig = Rig::new(settings());
    let id = rig.establish(Direction::Outbound);
    rig.bytes(id, &keepalive().repeat(10_000));
    assert_eq!((rig.state(), rig.drain().len(), rig.peer.status().received.keepalive), (State::Established, 0, 10_001));
}
