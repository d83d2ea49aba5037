use netlink_packet_core::{Emitable, NetlinkPayload};
use smallvec::smallvec;

use super::*;

fn hop(via: Option<&str>, device: u32, weight: u8, onlink: bool) -> Hop {
    Hop { via: via.map(|a| a.parse().unwrap()), device: Some(Device::Index(device)), onlink, weight }
}

fn payload(op: &Op, params: &Params) -> (RouteMessage, u16) {
    let request = request(op, params);
    match request.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(m) | RouteNetlinkMessage::DelRoute(m)) => (m, request.header.flags),
        other => panic!("{other:?}"),
    }
}

/// The kernel echoes what it is told: a request decodes to the route that it asks for.
#[test]
fn requests_decode_to_the_same_route() {
    let routes = [
        ("10.9.0.0/24", Action::Unicast(smallvec![hop(Some("10.0.1.2"), 2, 1, false)])),
        ("10.9.0.0/24", Action::Unicast(smallvec![hop(Some("172.16.0.1"), 2, 1, true)])),
        ("10.9.0.0/24", Action::Unicast(smallvec![hop(Some("fe80::1"), 2, 1, false)])),
        ("10.9.0.0/24", Action::Unicast(smallvec![hop(None, 2, 1, false)])),
        ("0.0.0.0/0", Action::Unicast(smallvec![hop(Some("10.0.1.2"), 2, 1, false), hop(Some("fe80::2"), 3, 255, true)])),
        ("fd00::/64", Action::Unicast(smallvec![hop(Some("fe80::1"), 2, 3, false), hop(Some("fe80::2"), 3, 4, false)])),
        ("::/0", Action::Blackhole),
        ("10.9.0.0/24", Action::Unreachable),
        ("10.9.0.0/24", Action::Prohibit),
    ];
    for table in [254, 1790] {
        let params = Params { table, ..Params::default() };
        for (prefix, action) in routes.clone() {
            let route = Route { prefix: prefix.parse().unwrap(), action, metric: 77 }.normalized();
            let (message, flags) = payload(&Op::Create(route.clone()), &params);
            assert_eq!(flags & (NLM_F_EXCL | NLM_F_REPLACE), NLM_F_EXCL, "a new route replaces none");
            let mut bytes = vec![0; message.buffer_len()];
            message.emit(&mut bytes);
            let read = decode_route(&bytes).unwrap();
            assert_eq!((read.route.normalized(), read.table, read.protocol), (route.clone(), table, 179));
            assert!(bytes.len() + 16 <= request_size(&Op::Create(route)));
        }
    }
}

#[test]
fn a_delete_names_our_protocol_and_no_hop() {
    let route = Route { prefix: "10.9.0.0/24".parse().unwrap(), action: Action::Unicast(smallvec![hop(None, 2, 1, false)]), metric: 7 };
    let (message, flags) = payload(&Op::Delete(route), &Params { protocol: 200, ..Params::default() });
    assert_eq!(flags, NLM_F_REQUEST | NLM_F_ACK);
    assert_eq!(u8::from(message.header.protocol), 200);
    assert_eq!((message.header.kind, message.header.scope), (RouteType::Unspec, RouteScope::NoWhere));
    assert!(!message.attributes.iter().any(|a| matches!(a, RouteAttribute::Oif(_) | RouteAttribute::Gateway(_))));
}

#[test]
fn cut_or_odd_messages_are_no_route() {
    let route = Route { prefix: "10.9.0.0/24".parse().unwrap(), action: Action::Blackhole, metric: 7 };
    let (message, _) = payload(&Op::Create(route), &Params::default());
    let mut bytes = vec![0; message.buffer_len()];
    message.emit(&mut bytes);
    (0..bytes.len()).for_each(|cut| drop(decode_route(&bytes[..cut])));
    (0..bytes.len()).for_each(|cut| assert_eq!(decode_link(&bytes[..cut]), None));
    (0..bytes.len()).for_each(|cut| assert_eq!(decode_address(&bytes[..cut]), None));
    let mut by_tos = message.clone();
    by_tos.header.tos = 8;
    by_tos.emit(&mut bytes);
    assert_eq!(decode_route(&bytes), None);
    assert_eq!(peek_route(&bytes), Some((Some(254), 179)));
    assert_eq!(peek_route(&bytes[..5]), None);
}

/// Whatever a kernel of tomorrow, or a bug, sends: it is a route, a link, an address, or nothing. `FUZZ_RUNS` makes it longer.
#[test]
fn no_reply_makes_the_decoder_panic() {
    let hops = smallvec![hop(Some("10.0.1.2"), 2, 1, false), hop(Some("fe80::2"), 3, 255, true)];
    let route = Route { prefix: "10.9.0.0/24".parse().unwrap(), action: Action::Unicast(hops), metric: 7 };
    let (message, _) = payload(&Op::Create(route), &Params::default());
    let mut corpus = vec![0; message.buffer_len()];
    message.emit(&mut corpus);
    let runs = std::env::var("FUZZ_RUNS").map_or(5_000, |n| n.parse().expect("a number"));
    let mut state = 1u64;
    let mut chance = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..runs {
        let mut bytes = corpus.clone();
        for _ in 0..=chance(6) {
            let at = chance(bytes.len());
            bytes[at] = chance(256) as u8;
        }
        bytes.truncate(corpus.len() - chance(2) * chance(corpus.len()));
        let read = std::panic::catch_unwind(|| (decode_route(&bytes), decode_link(&bytes), decode_address(&bytes), peek_route(&bytes)));
        assert!(read.is_ok(), "{bytes:02X?}");
    }
}
