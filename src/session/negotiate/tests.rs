use bytes::BytesMut;

use super::*;
use crate::session::timers::some_instant;
use crate::session::{GrParams, HoldTime, RemoteAs, RoleParams};

fn asn(n: u32) -> Asn {
    Asn::new(n).unwrap()
}

fn id(n: u32) -> RouterId {
    RouterId::new(n).unwrap()
}

fn params() -> PeerParams {
    PeerParams { families: FamilySet::ALL, ..PeerParams::new(asn(65000), RemoteAs::Fixed(asn(65001)), id(1)) }
}

fn link() -> Link {
    let address = "192.0.2.1:179".parse().unwrap();
    Link { id: ConnId(1), direction: Direction::Outbound, local: address, remote: address, connected: some_instant() }
}

fn open(capabilities: Vec<Capability>) -> Open {
    let mut list = vec![Capability::FourOctetAs(65001)];
    list.extend(capabilities);
    Open::new(asn(65001), 90, id(2), list)
}

fn agree(params: &PeerParams, open: &Open) -> Result<Negotiated, (u8, u8)> {
    negotiate(params, open, &link()).map_err(|n| (n.code, n.subcode))
}

fn both_families() -> Vec<Capability> {
    Family::ALL.into_iter().map(|f| Capability::MultiProtocol(f.afi_safi())).collect()
}

#[test]
fn our_own_open_is_acceptable_to_a_mirrored_peer() {
    let ours = PeerParams {
        add_path_rx: FamilySet::ALL,
        extended_next_hop: true,
        llgr_time: Duration::from_secs(3600),
        hostname: "node".to_owned(),
        ..params()
    };
    let theirs = PeerParams { local_as: asn(65001), remote_as: RemoteAs::Fixed(asn(65000)), router_id: id(2), ..ours.clone() };
    let theirs = PeerParams { add_path_rx: FamilySet::NONE, add_path_tx: FamilySet::ALL, ..theirs };
    let mut bytes = BytesMut::new();
    local_open(&theirs).encode(&mut bytes);
    let decoded = Open::decode(&bytes[19..]).unwrap();
    let agreed = agree(&ours, &decoded).unwrap();
    assert_eq!(agreed.families, FamilySet::ALL);
    assert_eq!((agreed.add_path_rx, agreed.add_path_tx), (FamilySet::ALL, FamilySet::NONE));
    assert_eq!(agreed.extended_next_hop, FamilySet::from_iter([Family::Ipv4Unicast]));
    assert_eq!((agreed.max_send, agreed.max_receive), (MAX_EXTENDED, MAX_EXTENDED));
    assert!(agreed.four_octet_as && agreed.route_refresh && agreed.enhanced_refresh && agreed.ebgp && agreed.llgr_aware);
    assert_eq!(agreed.llgr, [Duration::from_secs(3600); 2]);
    let gr = agreed.gr.unwrap();
    assert_eq!((gr.families, gr.forwarding, gr.notification), (FamilySet::ALL, FamilySet::NONE, true));
}

#[test]
fn a_bare_peer_speaks_ipv4_unicast_with_two_octet_as_numbers() {
    let bare = Open::new(asn(65001), 90, id(2), Vec::new());
    let agreed = agree(&params(), &bare).unwrap();
    assert_eq!(agreed.families, FamilySet::from_iter([Family::Ipv4Unicast]));
    assert!(!agreed.four_octet_as && !agreed.route_refresh && agreed.gr.is_none());
    assert_eq!((agreed.max_send, agreed.max_receive), (MAX_MESSAGE, MAX_EXTENDED), "RFC 8654: we advertised, so we accept");
}

#[test]
fn unacceptable_as_numbers() {
    let anything = PeerParams { remote_as: RemoteAs::External, ..params() };
    let trans = Open::new(asn(23456), 90, id(2), Vec::new());
    assert_eq!(agree(&anything, &trans), Err((2, 2)));
    let zero = Open { asn: 0, ..open(Vec::new()) };
    assert_eq!(agree(&anything, &zero), Err((2, 2)));
    let other = Open::new(asn(65002), 90, id(2), vec![Capability::FourOctetAs(65002)]);
    assert_eq!(agree(&params(), &other), Err((2, 2)));
    let internal = PeerParams { remote_as: RemoteAs::Internal, ..params() };
    assert_eq!(agree(&internal, &open(Vec::new())), Err((2, 2)));
    let own = Open::new(asn(65000), 90, id(2), vec![Capability::FourOctetAs(65000)]);
    assert_eq!(agree(&anything, &own), Err((2, 2)));
    assert!(!agree(&internal, &own).unwrap().ebgp);
}

#[test]
fn the_same_identifier_is_illegal_within_an_as_only() {
    let internal = PeerParams { remote_as: RemoteAs::Internal, ..params() };
    assert_eq!(agree(&internal, &Open::new(asn(65000), 90, id(1), vec![Capability::FourOctetAs(65000)])), Err((2, 3)));
    assert!(agree(&params(), &Open { id: id(1), ..open(Vec::new()) }).is_ok());
}

#[test]
fn hold_time_is_the_smaller_one_and_zero_switches_off() {
    let with = |ours: u16, theirs: u16| {
        let params = PeerParams { hold_time: HoldTime::new(ours).unwrap(), ..params() };
        agree(&params, &Open { hold_time: theirs, ..open(Vec::new()) })
            .map(|a| (a.hold_time.as_secs(), a.keepalive.as_secs(), a.send_hold.as_secs()))
    };
    assert_eq!(with(90, 65535), Ok((90, 30, 180)));
    assert_eq!(with(90, 9), Ok((9, 3, 90)));
    assert_eq!(with(90, 3), Ok((3, 1, 90)));
    assert_eq!(with(90, 0), Ok((0, 0, 0)));
    assert_eq!(with(0, 90), Ok((0, 0, 0)));
    assert_eq!(with(90, 1), Err((2, 6)));
    assert_eq!(with(90, 2), Err((2, 6)));
    let picky = PeerParams { min_hold_time: Duration::from_secs(20), ..params() };
    assert_eq!(agree(&picky, &Open { hold_time: 19, ..open(Vec::new()) }), Err((2, 6)));
    assert!(agree(&picky, &Open { hold_time: 20, ..open(Vec::new()) }).is_ok());
    assert!(agree(&picky, &Open { hold_time: 0, ..open(Vec::new()) }).is_ok());
    let set = PeerParams { keepalive: Some(Duration::from_secs(10)), send_hold: Some(Duration::from_secs(5)), ..params() };
    let agreed = agree(&set, &open(Vec::new())).unwrap();
    assert_eq!((agreed.keepalive.as_secs(), agreed.send_hold.as_secs()), (10, 90), "send hold is never below the hold time");
}

#[test]
fn no_common_or_a_missing_required_family_is_refused_with_its_capability() {
    let evpn = Capability::MultiProtocol(AfiSafi { afi: 25, safi: 70 });
    let refused = negotiate(&params(), &open(vec![evpn.clone()]), &link()).unwrap_err();
    assert_eq!((refused.code, refused.subcode), (2, 7));
    assert_eq!(refused.data[..], [1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1]);
    let v6 = FamilySet::from_iter([Family::Ipv6Unicast]);
    let strict = PeerParams { required_families: v6, ..params() };
    let v4_only = open(vec![both_families().remove(0), evpn]);
    let refused = negotiate(&strict, &v4_only, &link()).unwrap_err();
    assert_eq!((refused.code, refused.subcode, &refused.data[..]), (2, 7, &[1, 4, 0, 2, 0, 1][..]));
    assert_eq!(agree(&params(), &v4_only).unwrap().families, FamilySet::from_iter([Family::Ipv4Unicast]));
}

#[test]
fn add_path_needs_a_sender_and_a_receiver() {
    let offer = |mode| {
        let mut list = both_families();
        list.push(Capability::AddPath(vec![(Family::Ipv4Unicast.afi_safi(), mode)]));
        let params = PeerParams { add_path_rx: FamilySet::ALL, add_path_tx: FamilySet::ALL, ..params() };
        let agreed = agree(&params, &open(list)).unwrap();
        (agreed.add_path_rx, agreed.add_path_tx)
    };
    let v4 = FamilySet::from_iter([Family::Ipv4Unicast]);
    assert_eq!(offer(AddPathMode::Send), (v4, FamilySet::NONE));
    assert_eq!(offer(AddPathMode::Receive), (FamilySet::NONE, v4));
    assert_eq!(offer(AddPathMode::Both), (v4, v4));
}

#[test]
fn roles_must_fit() {
    let with = |ours, strict, theirs: &[Role]| {
        let params = PeerParams { role: Some(RoleParams { role: ours, strict }), ..params() };
        agree(&params, &open(theirs.iter().map(|r| Capability::Role(*r)).collect())).map(|a| a.remote_role)
    };
    let all = [Role::Provider, Role::RouteServer, Role::RouteServerClient, Role::Customer, Role::Peer];
    for (ours, fits) in all.into_iter().zip([Role::Customer, Role::RouteServerClient, Role::RouteServer, Role::Provider, Role::Peer]) {
        for theirs in all {
            let expected = if theirs == fits { Ok(Some(theirs)) } else { Err((2, 11)) };
            assert_eq!(with(ours, false, &[theirs]), expected, "{ours:?} and {theirs:?}");
        }
    }
    assert_eq!(with(Role::Customer, false, &[]), Ok(None));
    assert_eq!(with(Role::Customer, true, &[]), Err((2, 11)));
    assert_eq!(with(Role::Customer, false, &[Role::Provider, Role::Provider]), Ok(Some(Role::Provider)));
    assert_eq!(with(Role::Customer, false, &[Role::Provider, Role::Peer]), Err((2, 11)));
}

#[test]
fn restart_bits_show_only_while_the_window_is_open() {
    let shown = |gr: GrParams| {
        let list = capabilities(&PeerParams { graceful_restart: gr, ..params() });
        list.into_iter().find_map(|c| if let Capability::GracefulRestart(gr) = c { Some(gr) } else { None })
    };
    let flags = |gr: GracefulRestart| (gr.restarting, gr.restart_time, gr.families.iter().map(|(_, f)| *f).collect::<Vec<_>>());
    let back = GrParams { restarting: true, forwarding: FamilySet::from_iter([Family::Ipv6Unicast]), ..GrParams::default() };
    assert_eq!(shown(back).map(flags), Some((true, 120, vec![false, true])));
    assert_eq!(shown(GrParams { restarting: false, ..back }).map(flags), Some((false, 120, vec![false, false])));
    assert_eq!(shown(GrParams { mode: GrMode::Helper, ..back }).map(flags), Some((true, 0, vec![])));
    assert_eq!(shown(GrParams { mode: GrMode::Off, ..back }), None);
}

#[test]
fn what_graceful_restart_keeps() {
    let gr = |notification| {
        let families = vec![(Family::Ipv4Unicast.afi_safi(), true)];
        let mut list = both_families();
        list.push(Capability::GracefulRestart(GracefulRestart { restarting: false, notification, restart_time: 60, families }));
        list
    };
    let v4 = FamilySet::from_iter([Family::Ipv4Unicast]);
    let lost = DownReason::ConnectionLost(None);
    let reset = Notification::cease(CeaseCode::AdminReset, None);
    let kept = |list: Vec<Capability>, reason: &DownReason| agree(&params(), &open(list)).unwrap().retained(reason);
    for notification in [true, false] {
        let by_n_bit = if notification { v4 } else { FamilySet::NONE };
        assert_eq!(kept(gr(notification), &lost), v4);
        assert_eq!(kept(gr(notification), &DownReason::Replaced), v4);
        assert_eq!(kept(gr(notification), &DownReason::NotificationSent(Notification::hold_timer_expired())), by_n_bit);
        assert_eq!(kept(gr(notification), &DownReason::NotificationReceived(reset.clone())), by_n_bit);
        assert_eq!(kept(gr(notification), &DownReason::NotificationReceived(reset.hard_reset())), FamilySet::NONE);
        assert_eq!(kept(gr(notification), &DownReason::NotificationSent(reset.hard_reset())), FamilySet::NONE);
        assert_eq!(kept(gr(notification), &DownReason::GracefulClose), FamilySet::NONE);
    }
    assert_eq!(kept(both_families(), &lost), FamilySet::NONE, "no capability, nothing kept");
    let off = PeerParams { graceful_restart: GrParams { mode: GrMode::Off, ..GrParams::default() }, ..params() };
    assert_eq!(agree(&off, &open(gr(true))).unwrap().retained(&lost), FamilySet::NONE);
    assert_eq!(agree(&params(), &open(gr(true))).unwrap().stale_kept(), v4);
}

#[test]
fn a_helper_asks_nobody_to_keep_its_routes_long() {
    let named = |mode| {
        let graceful_restart = GrParams { mode, ..GrParams::default() };
        let params = PeerParams { llgr_time: Duration::from_secs(600), graceful_restart, ..params() };
        let of = |capability| if let Capability::LongLivedGracefulRestart(list) = capability { Some(list.len()) } else { None };
        capabilities(&params).into_iter().find_map(of)
    };
    assert_eq!([GrMode::Full, GrMode::Helper, GrMode::Off].map(named), [Some(2), Some(0), None]);
}

#[test]
fn long_lived_stale_time_is_bounded_by_ours_and_needs_graceful_restart() {
    let llgr = Capability::LongLivedGracefulRestart(vec![LlgrFamily {
        family: Family::Ipv6Unicast.afi_safi(),
        forwarding: true,
        stale_time: 7200,
    }]);
    let gr = Capability::GracefulRestart(GracefulRestart::default());
    let params = PeerParams { llgr_time: Duration::from_secs(600), ..params() };
    let agreed = agree(&params, &open([both_families(), vec![llgr.clone(), gr]].concat())).unwrap();
    assert_eq!(agreed.llgr, [Duration::ZERO, Duration::from_secs(600)]);
    let without = agree(&params, &open([both_families(), vec![llgr]].concat())).unwrap();
    assert_eq!((without.llgr, without.llgr_aware), ([Duration::ZERO; 2], false));
}
