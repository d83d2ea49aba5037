//! The machine from outside: bytes, deadlines and connections in, outputs out.

mod backoff;
mod cells;
mod collisions;
mod pipe;
mod random;
mod timing;

use super::*;
use crate::session::timers::some_instant;
use crate::session::{GrParams, Negotiated, RemoteAs};
use crate::wire::{Asn, GracefulRestart, HEADER_LEN, RouterId};

const LOCAL_AS: u32 = 65000;
const REMOTE_AS: u32 = 65001;
const LOCAL_ID: u32 = 10;

fn asn(n: u32) -> Asn {
    Asn::new(n).unwrap()
}

fn id(n: u32) -> RouterId {
    RouterId::new(n).unwrap()
}

fn settings() -> PeerParams {
    PeerParams::new(asn(LOCAL_AS), RemoteAs::Fixed(asn(REMOTE_AS)), id(LOCAL_ID))
}

/// A peer under test with its clock; the other side is played by hand.
struct Rig {
    peer: Peer,
    now: Instant,
    next_id: u32,
    remote_id: u32,
    hold: u16,
    capabilities: Vec<Capability>,
}

impl Rig {
    fn new(params: PeerParams) -> Self {
        let now = some_instant();
        let capabilities =
            vec![Capability::FourOctetAs(REMOTE_AS), Capability::MultiProtocol(Family::Ipv4Unicast.afi_safi()), Capability::RouteRefresh];
        Self { peer: Peer::new(params, now), now, next_id: 0, remote_id: 20, hold: 90, capabilities }
    }

    /// The peer's graceful restart capability, with the N bit as given.
    fn with_gr(mut self, notification: bool) -> Self {
        let families = vec![(Family::Ipv4Unicast.afi_safi(), true)];
        let gr = GracefulRestart { restarting: false, notification, restart_time: 60, families };
        self.capabilities.push(Capability::GracefulRestart(gr));
        self
    }

    fn connect(&mut self, direction: Direction) -> ConnId {
        self.next_id += 1;
        let (id, address) = (ConnId(self.next_id), "192.0.2.1:179".parse().unwrap());
        self.peer.handle_connected(id, direction, address, address, self.now);
        id
    }

    fn bytes(&mut self, id: ConnId, bytes: &[u8]) {
        self.peer.handle_bytes(id, bytes, self.now);
    }

    fn open(&self) -> Vec<u8> {
        let mut out = BytesMut::new();
        let open = crate::wire::Open::new(asn(REMOTE_AS), self.hold, id(self.remote_id), self.capabilities.clone());
        open.encode(&mut out);
        out.to_vec()
    }

    fn receive_open(&mut self, id: ConnId) {
        let open = self.open();
        self.bytes(id, &open);
    }

    /// A connection of ours up to Established, outputs thrown away.
    fn establish(&mut self, direction: Direction) -> ConnId {
        let id = self.connect(direction);
        self.receive_open(id);
        self.bytes(id, &keepalive());
        assert_eq!(self.state(), State::Established);
        self.drain();
        self.peer.handle_written(id, self.now);
        id
    }

    fn state(&self) -> State {
        self.peer.status().state
    }

    fn drain(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.peer.poll()).collect()
    }

    fn advance(&mut self, time: Duration) {
        self.now += time;
    }

    /// Goes to the next deadline and fires it.
    fn fire_next(&mut self) {
        self.now = self.peer.poll_timeout().expect("a timer is armed").max(self.now);
        self.peer.handle_timeout(self.now);
    }

    /// Lets time pass, firing whatever is due on the way, with all that is put out written at once.
    fn run(&mut self, time: Duration) -> Vec<Output> {
        let end = self.now + time;
        let mut all = Vec::new();
        while let Some(at) = self.peer.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.peer.handle_timeout(self.now);
            let outputs = self.drain();
            for (id, _) in sends(&outputs) {
                self.peer.handle_written(id, self.now);
            }
            all.extend(outputs);
        }
        self.now = end;
        all
    }
}

fn sends(outputs: &[Output]) -> Vec<(ConnId, Bytes)> {
    outputs.iter().filter_map(|o| if let Output::Send(id, b) = o { Some((*id, b.clone())) } else { None }).collect()
}

/// NOTIFICATIONs put out, as code and subcode, with the connection.
fn notifications(outputs: &[Output]) -> Vec<(ConnId, u8, u8)> {
    sends(outputs).into_iter().filter(|(_, b)| b[18] == 3).map(|(id, b)| (id, b[19], b[20])).collect()
}

fn closes(outputs: &[Output]) -> Vec<(ConnId, CloseMode)> {
    outputs.iter().filter_map(|o| if let Output::Close(id, mode) = o { Some((*id, *mode)) } else { None }).collect()
}

fn downs(outputs: &[Output]) -> Vec<Down> {
    outputs.iter().filter_map(|o| if let Output::Event(Event::Down(d)) = o { Some(d.clone()) } else { None }).collect()
}

fn updates(outputs: &[Output]) -> usize {
    outputs.iter().filter(|o| matches!(o, Output::Event(Event::Update(_)))).count()
}

fn connects(outputs: &[Output]) -> usize {
    outputs.iter().filter(|o| matches!(o, Output::Connect)).count()
}

fn notification(code: u8, subcode: u8) -> Vec<u8> {
    let mut out = BytesMut::new();
    Notification { code, subcode, data: Bytes::new() }.encode(&mut out);
    out.to_vec()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0xFF; 16];
    out.extend(((HEADER_LEN + body.len()) as u16).to_be_bytes());
    out.push(kind);
    out.extend(body);
    out
}

/// UPDATE with 203.0.113.0/24 over AS 65001.
fn update() -> Vec<u8> {
    let attributes = [&[0x40, 1, 1, 0][..], &[0x40, 2, 6, 2, 1, 0, 0, 0xFD, 0xE9], &[0x40, 3, 4, 10, 0, 0, 2]].concat();
    let body = [&[0, 0, 0, attributes.len() as u8][..], &attributes, &[24, 203, 0, 113]].concat();
    message(2, &body)
}

fn refresh(body: &[u8]) -> Vec<u8> {
    message(5, body)
}

#[test]
fn a_session_comes_up_and_tells_what_was_agreed() {
    let mut rig = Rig::new(settings());
    assert!(matches!(rig.drain()[..], [Output::Connect, Output::Event(Event::StateChanged { .. })]));
    assert_eq!(rig.state(), State::Connect);
    let id = rig.connect(Direction::Outbound);
    assert_eq!(rig.state(), State::OpenSent);
    assert_eq!(sends(&rig.drain())[0].1[18], 1);
    rig.receive_open(id);
    assert_eq!(rig.state(), State::OpenConfirm);
    assert_eq!(sends(&rig.drain()), [(id, keepalive())]);
    rig.bytes(id, &keepalive());
    let outputs = rig.drain();
    let [Output::Event(Event::StateChanged { to: State::Established, .. }), Output::Event(Event::Established(agreed, up))] = &outputs[..]
    else {
        panic!("{outputs:?}")
    };
    assert_eq!((*up, agreed.remote_as, agreed.remote_id.get(), agreed.hold_time.as_secs()), (id, asn(REMOTE_AS), 20, 90));
    let status = rig.peer.status();
    assert_eq!((status.established, status.dropped, status.sent.total(), status.received.total()), (1, 0, 2, 2));
    assert_eq!(status.remote_capabilities, rig.capabilities);
    let path: Vec<_> = status.history.iter().map(|c| c.to).collect();
    assert_eq!(path, [State::Connect, State::OpenSent, State::OpenConfirm, State::Established]);
}

#[test]
fn updates_and_the_end_come_out_in_order_from_one_write() {
    let mut rig = Rig::new(settings());
    let id = rig.connect(Direction::Outbound);
    rig.drain();
    let stream = [rig.open(), keepalive().to_vec(), update(), notification(6, 4)].concat();
    rig.bytes(id, &stream);
    let words: Vec<_> = rig
        .drain()
        .iter()
        .map(|o| match o {
            Output::Event(Event::StateChanged { to, .. }) => to.to_string(),
            Output::Event(Event::Established(..)) => "up".to_owned(),
            Output::Event(Event::Update(_)) => "update".to_owned(),
            Output::Event(Event::Down(_)) => "down".to_owned(),
            Output::Send(..) => "send".to_owned(),
            Output::Close(..) => "close".to_owned(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(words, ["send", "OpenConfirm", "Established", "up", "update", "close", "down", "Idle"]);
}

#[test]
fn a_valid_message_counts_before_the_garbage_behind_it() {
    let mut rig = Rig::new(settings());
    let id = rig.establish(Direction::Outbound);
    rig.bytes(id, &[update(), b"GET / HTTP/1.1\r\n\r\n".to_vec()].concat());
    let outputs = rig.drain();
    assert_eq!((updates(&outputs), notifications(&outputs)), (1, vec![(id, 1, 1)]));
    assert_eq!(closes(&outputs), [(id, CloseMode::AfterNotification)]);
    rig.bytes(id, &update());
    assert!(rig.drain().is_empty(), "what comes after our NOTIFICATION is not read");
}

#[test]
fn refresh_of_what_is_not_negotiated_is_ignored() {
    let mut rig = Rig::new(settings());
    rig.capabilities.push(Capability::EnhancedRouteRefresh);
    let id = rig.establish(Direction::Outbound);
    for body in [[0, 1, 3, 1], [0, 2, 0, 1], [0, 0, 0, 1]] {
        rig.bytes(id, &refresh(&body));
        assert!(rig.drain().is_empty(), "{body:?}");
    }
    rig.bytes(id, &refresh(&[0, 1, 0, 1]));
    assert!(matches!(rig.drain()[..], [Output::Event(Event::Refresh(_))]));
    rig.bytes(id, &refresh(&[0, 1, 1, 1]));
    assert!(matches!(rig.drain()[..], [Output::Event(Event::Refresh(RouteRefresh { kind: RefreshKind::Begin, .. }))]));
    rig.bytes(id, &refresh(&[0, 1, 1, 1, 0]));
    let outputs = rig.drain();
    assert_eq!(notifications(&outputs), [(id, 7, 1)]);
    assert_eq!(sends(&outputs)[0].1[21..], refresh(&[0, 1, 1, 1, 0]));
}

#[test]
fn we_ask_for_a_refresh_only_where_the_peer_knows_it() {
    let mut rig = Rig::new(settings());
    assert!(!rig.peer.request_refresh(Family::Ipv4Unicast), "no session");
    let id = rig.establish(Direction::Outbound);
    assert!(rig.peer.request_refresh(Family::Ipv4Unicast));
    assert_eq!(sends(&rig.drain()), [(id, Bytes::from(refresh(&[0, 1, 0, 1])))]);
    assert!(!rig.peer.request_refresh(Family::Ipv6Unicast), "not negotiated");
    assert_eq!(rig.peer.status().sent.route_refresh, 1);
}

#[test]
fn stop_reasons_on_the_wire_and_what_follows() {
    let max = |restart_after| StopReason::MaxPrefix { family: Family::Ipv4Unicast, limit: 100, restart_after };
    // Reason, subcode, Hard Reset when both sides know it, comes back by itself.
    let cases = [
        (StopReason::AdminDown(Some("bye".to_owned())), Some(2), true, false),
        (StopReason::Deconfigured, Some(3), true, false),
        (StopReason::ConfigChange, Some(6), false, true),
        (StopReason::AdminReset(None), Some(4), false, true),
        (StopReason::HardReset(None), Some(4), true, true),
        (max(None), Some(1), true, false),
        (max(Some(Duration::from_secs(30))), Some(1), true, true),
        (StopReason::OutOfResources, Some(8), false, true),
        (StopReason::BfdDown { independent: true }, Some(10), true, true),
        (StopReason::BfdDown { independent: false }, Some(10), false, true),
        (StopReason::GracefulClose, None, false, false),
    ];
    for (reason, subcode, hard, back) in cases {
        for n_bit in [true, false] {
            let mut rig = Rig::new(settings()).with_gr(n_bit);
            let id = rig.establish(Direction::Outbound);
            rig.peer.handle_stop(reason.clone(), rig.now);
            let outputs = rig.drain();
            let wrapped = hard && n_bit;
            let expected: Vec<_> = subcode.map(|s| (id, 6, if wrapped { 9 } else { s })).into_iter().collect();
            assert_eq!(notifications(&outputs), expected, "{reason:?}");
            if wrapped {
                assert_eq!(sends(&outputs)[0].1[21..23], [6, subcode.unwrap()], "{reason:?}");
            }
            let keeps = |reason: &_| {
                matches!(reason, StopReason::ConfigChange | StopReason::AdminReset(_) | StopReason::BfdDown { independent: false })
            };
            let kept = n_bit && keeps(&reason);
            assert_eq!(!downs(&outputs)[0].retain.is_empty(), kept, "{reason:?}");
            assert_eq!(rig.state(), State::Idle);
            assert_eq!(connects(&rig.run(Duration::from_secs(31))) > 0, back, "{reason:?}");
            assert_eq!(rig.peer.status().admin_up, back, "{reason:?}");
        }
    }
}

#[test]
fn shutdown_text_goes_out_and_comes_in() {
    let mut rig = Rig::new(settings());
    let id = rig.establish(Direction::Outbound);
    let mut out = BytesMut::new();
    Notification::cease(CeaseCode::AdminShutdown, Some("maintenance")).encode(&mut out);
    rig.bytes(id, &out);
    let received = rig.peer.status().last_received_error.clone().unwrap();
    assert_eq!(received.notification.shutdown_text().as_deref(), Some("maintenance"));
    assert!(notifications(&rig.drain()).is_empty(), "a NOTIFICATION is never answered");
    rig.run(Duration::from_secs(2));
    rig.establish(Direction::Outbound);
    rig.peer.handle_stop(StopReason::AdminDown(Some("upgrade".to_owned())), rig.now);
    let sent = rig.peer.status().last_sent_error.clone().unwrap();
    assert_eq!(sent.notification.shutdown_text().as_deref(), Some("upgrade"));
}

#[test]
fn a_broken_notification_just_ends_the_connection() {
    let mut rig = Rig::new(settings()).with_gr(true);
    let id = rig.establish(Direction::Outbound);
    rig.bytes(id, &message(3, &[6]));
    let outputs = rig.drain();
    assert!(notifications(&outputs).is_empty());
    assert_eq!(closes(&outputs), [(id, CloseMode::Silent)]);
}

#[test]
fn a_peer_that_is_administratively_down_refuses_and_does_not_dial() {
    let mut rig = Rig::new(PeerParams { admin_up: false, ..settings() });
    assert_eq!((rig.drain().len(), rig.peer.poll_timeout()), (0, None));
    let id = rig.connect(Direction::Inbound);
    assert_eq!(closes(&rig.drain()), [(id, CloseMode::Reset)]);
    rig.peer.handle_start(rig.now);
    assert_eq!(connects(&rig.drain()), 1);
    assert_eq!(rig.peer.status().refused, 1);
}

#[test]
fn a_passive_peer_waits_without_a_timer() {
    let mut rig = Rig::new(PeerParams { passive: true, ..settings() });
    assert_eq!((rig.state(), connects(&rig.drain()), rig.peer.poll_timeout()), (State::Active, 0, None));
    let id = rig.establish(Direction::Inbound);
    rig.peer.handle_closed(id, None, rig.now);
    assert_eq!(connects(&rig.run(Duration::from_secs(600))), 0);
    assert_eq!(rig.state(), State::Active);
}

#[test]
fn the_message_limit_follows_our_own_advertisement() {
    for extended_messages in [true, false] {
        let mut rig = Rig::new(PeerParams { extended_messages, ..settings() });
        let id = rig.establish(Direction::Outbound);
        let mut long = vec![0xFF; 16];
        long.extend([0x10, 0x01, 2]);
        rig.bytes(id, &long);
        let expected = if extended_messages { Vec::new() } else { vec![(id, 1, 2)] };
        assert_eq!(notifications(&rig.drain()), expected);
    }
}

#[test]
fn restart_bits_end_with_the_window() {
    let gr = GrParams { restarting: true, forwarding: FamilySet::ALL, ..GrParams::default() };
    let mut rig = Rig::new(PeerParams { graceful_restart: gr, ..settings() });
    let restarting = |peer: &Peer| peer.local_capabilities().iter().any(|c| matches!(c, Capability::GracefulRestart(gr) if gr.restarting));
    assert!(restarting(&rig.peer));
    rig.peer.end_restart();
    assert!(!restarting(&rig.peer));
}

#[test]
fn new_settings_do_not_touch_a_handshake_under_way() {
    let mut rig = Rig::new(settings());
    let id = rig.connect(Direction::Outbound);
    rig.peer.set_params(PeerParams { hold_time: crate::session::HoldTime::new(30).unwrap(), ..settings() });
    rig.receive_open(id);
    let agreed: &Negotiated = rig.peer.status().negotiated.as_ref().unwrap();
    assert_eq!(agreed.hold_time.as_secs(), 90);
}

#[test]
fn an_idle_peer_is_small() {
    let mut rig = Rig::new(settings());
    rig.establish(Direction::Outbound);
    let connection = rig.peer.connections.capacity() * size_of::<Connection>();
    let outputs = rig.peer.outputs.capacity() * size_of::<Output>();
    let total = size_of::<Peer>() + connection + outputs + size_of::<Negotiated>() + size_of::<PeerParams>();
    assert!(total < 1600, "{total} octets, of which {} for the peer and {connection} for its connection", size_of::<Peer>());
}
