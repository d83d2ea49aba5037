//! Properties of the whole room: what is encoded decodes to itself, and no input does harm.

use super::attr::as_path::{AS_TRANS, PathView};
use super::attr::{Aggregator, AsPath, AttrSet, Marks, NextHop, Opaque, Origin, PathAttributes, Segment, SegmentKind, Tags, code, flag};
use super::attr::{header_len, put_header};
use super::message::{self, begin, finish};
use super::update::{mp_reach_header_len, mp_unreach_header_len, put_mp_reach_header, put_mp_unreach_header};
use super::*;
use bytes::{BufMut, Bytes, BytesMut};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use std::net::Ipv6Addr;

fn segment() -> impl Strategy<Value = Segment> {
    let kind = prop_oneof![4 => Just(SegmentKind::Sequence), 1 => Just(SegmentKind::Set)];
    (kind, vec(prop_oneof![1..70_000u32, 1..=u32::MAX], 1..6)).prop_map(|(kind, asns)| Segment { kind, asns })
}

fn next_hop() -> impl Strategy<Value = NextHop> {
    let v6 = |low: u64| Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(low));
    let local = |low: u64| Ipv6Addr::from_bits(0xfe80 << 112 | u128::from(low));
    prop_oneof![
        (0x0100_0000..0x7F00_0000u32).prop_map(|a| NextHop::V4(a.into())),
        any::<u64>().prop_map(move |a| NextHop::V6(v6(a))),
        any::<(u64, u64)>().prop_map(move |(a, b)| NextHop::V6WithLinkLocal(v6(a), local(b))),
    ]
}

fn opaque() -> impl Strategy<Value = Vec<Opaque>> {
    let codes = btree_set(prop_oneof![Just(28u8), 41..=127u8, 129..=255u8], 0..3);
    (codes, vec(any::<u8>(), 0..300)).prop_map(|(codes, value)| {
        let flags = flag::OPTIONAL | flag::TRANSITIVE | flag::PARTIAL;
        codes.into_iter().map(|code| Opaque { flags, code, value: value.clone().into() }).collect()
    })
}

/// Attributes of an iBGP route, in the order that the canonical form has.
fn attributes() -> impl Strategy<Value = PathAttributes> {
    let origin = prop_oneof![Just(Origin::Igp), Just(Origin::Egp), Just(Origin::Incomplete)];
    let head = (origin, vec(segment(), 0..4), next_hop(), option::of(any::<u32>()), any::<u32>(), any::<bool>());
    let aggregator = option::of((1..=u32::MAX, any::<u32>()).prop_map(|(asn, id)| Aggregator { asn: Asn::new(asn).expect("not 0"), id }));
    let lists =
        (btree_set(any::<u32>(), 0..90), vec(any::<u32>(), 0..4), btree_set(any::<[u8; 8]>(), 0..40), btree_set(any::<[u32; 3]>(), 0..30));
    let rest = (option::of(1..=u32::MAX), option::of(any::<u32>()), opaque());
    (head, aggregator, lists, rest).prop_map(|(head, aggregator, lists, rest)| PathAttributes {
        origin: head.0,
        as_path: AsPath(head.1),
        next_hop: head.2,
        med: head.3,
        local_pref: Some(head.4),
        atomic_aggregate: head.5,
        aggregator,
        communities: lists.0.into_iter().collect(),
        originator_id: rest.0.and_then(RouterId::new),
        cluster_list: lists.1.into_iter().map(ClusterId).collect(),
        ext_communities: lists.2.into_iter().collect(),
        large_communities: lists.3.into_iter().collect(),
        otc: rest.1,
        opaque: rest.2,
        tags: Tags::default(),
    })
}

fn nlri(family: Family) -> impl Strategy<Value = Nlri> {
    (any::<u128>(), 0..=family.max_prefix_len(), any::<u32>()).prop_map(move |(bits, len, path_id)| {
        let prefix = match family {
            Family::Ipv4Unicast => IpNet::V4(Ipv4Net::new_assert((bits as u32).into(), len)),
            Family::Ipv6Unicast => IpNet::V6(Ipv6Net::new_assert(bits.into(), len)),
        };
        Nlri { prefix: prefix.trunc(), path_id }
    })
}

fn any_family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::Ipv4Unicast), Just(Family::Ipv6Unicast)]
}

fn ibgp(add_path: bool) -> UpdateContext {
    UpdateContext {
        four_octet_as: true,
        ebgp: false,
        families: FamilySet::ALL,
        add_path_rx: if add_path { FamilySet::ALL } else { FamilySet::NONE },
        extended_next_hop: FamilySet::ALL,
        enforce_first_as: None,
        allow_as_set: true,
        default_local_pref: None,
    }
}

/// An UPDATE as export builds it: MP_REACH_NLRI first, unless NEXT_HOP will do.
fn encode_update(attrs: &AttrSet, family: Family, all: &[Nlri], add_path: bool) -> BytesMut {
    let mut field = BytesMut::new();
    all.iter().for_each(|n| encode_nlri(n, add_path, &mut field));
    assert_eq!(field.len(), all.iter().map(|n| nlri_len(n, add_path)).sum::<usize>());
    let mut block = BytesMut::new();
    let classic = if let (Family::Ipv4Unicast, NextHop::V4(address)) = (family, attrs.next_hop()) { Some(address) } else { None };
    if classic.is_none() {
        put_mp_reach_header(family, &attrs.next_hop(), field.len(), &mut block);
        assert_eq!(block.len(), mp_reach_header_len(&attrs.next_hop(), field.len()));
        block.put_slice(&field);
    }
    for tlv in attrs.tlvs() {
        block.put_slice(tlv.raw);
    }
    if let Some(address) = classic {
        put_header(flag::TRANSITIVE, code::NEXT_HOP, 4, &mut block);
        block.put_slice(&address.octets());
    }
    let mut out = BytesMut::new();
    let start = begin(MessageType::Update, &mut out);
    out.put_u16(0);
    let length_at = out.len();
    out.put_u16(0);
    out.put_slice(&block);
    message::put_u16_at(length_at, block.len() as u16, &mut out);
    if classic.is_some() {
        out.put_slice(&field);
    }
    finish(start, &mut out);
    out
}

fn body(message: &[u8]) -> &[u8] {
    let header = decode_header(message, MAX_EXTENDED).expect("a good header").expect("a whole header");
    assert_eq!(usize::from(header.len), message.len());
    &message[HEADER_LEN..]
}

proptest! {
    #[test]
    fn attributes_survive_the_canonical_form(attributes in attributes()) {
        let set = AttrSet::from(&attributes);
        prop_assert_eq!(&PathAttributes::from(&set), &attributes);
        prop_assert!(set.tlvs().map(|t| t.code).is_sorted_by(|a, b| a < b));
        for tlv in set.tlvs() {
            prop_assert_eq!(tlv.flags & flag::EXTENDED != 0, tlv.value.len() > 255);
            prop_assert_eq!(tlv.raw.len(), header_len(tlv.value.len()) + tlv.value.len());
        }
    }

    #[test]
    fn updates_survive_the_wire(
        attributes in attributes(), family in any_family(), add_path: bool, seed in vec(any::<(u128, u8, u32)>(), 1..40),
    ) {
        // An IPv4 next hop belongs to IPv4 NLRI only.
        let family = if matches!(attributes.next_hop, NextHop::V4(_)) { Family::Ipv4Unicast } else { family };
        let all: Vec<Nlri> = seed.into_iter().map(|(bits, len, path_id)| {
            let len = len % (family.max_prefix_len() + 1);
            let prefix: IpNet = match family {
                Family::Ipv4Unicast => Ipv4Net::new_assert((bits as u32).into(), len).into(),
                Family::Ipv6Unicast => Ipv6Net::new_assert(bits.into(), len).into(),
            };
            Nlri { prefix: prefix.trunc(), path_id: if add_path { path_id } else { 0 } }
        }).collect();
        let attrs = AttrSet::from(&attributes);
        let message = encode_update(&attrs, family, &all, add_path);
        let update = decode_update(body(&message), &ibgp(add_path)).unwrap();
        prop_assert!(update.faults.is_empty() && update.withdrawn.is_empty() && update.end_of_rib.is_none());
        prop_assert_eq!(update.reach.as_slice(), &[Reach { family, attrs, nlri: all }]);
    }

    #[test]
    fn withdrawals_survive_the_wire(all in vec(nlri(Family::Ipv6Unicast), 1..300)) {
        let mut field = BytesMut::new();
        all.iter().for_each(|n| encode_nlri(n, true, &mut field));
        let mut message = BytesMut::new();
        let start = begin(MessageType::Update, &mut message);
        message.put_u16(0);
        message.put_u16((mp_unreach_header_len(field.len()) + field.len()) as u16);
        put_mp_unreach_header(Family::Ipv6Unicast, field.len(), &mut message);
        message.put_slice(&field);
        finish(start, &mut message);
        let update = decode_update(body(&message), &ibgp(true)).unwrap();
        prop_assert_eq!(update.withdrawn.as_slice(), &[(Family::Ipv6Unicast, all)]);
        prop_assert!(update.faults.is_empty());
    }

    #[test]
    fn two_octet_paths_come_back_whole(path in vec(vec(1..200_000u32, 1..300), 1..4)) {
        let path = AsPath(path.into_iter().map(|asns| Segment { kind: SegmentKind::Sequence, asns }).collect());
        let mut wide = Vec::new();
        path.encode(&mut wide);
        let mut narrow = Vec::new();
        let replaced = PathView::new(&wide).narrow(&mut narrow);
        prop_assert_eq!(replaced, path.0.iter().flat_map(|s| &s.asns).any(|a| *a > 65_535));
        let widened = attr::as_path::widen(&narrow);
        let merged = attr::as_path::merge_as4(PathView::new(&widened), PathView::new(&wide)).unwrap();
        prop_assert!(PathView::new(&merged).asns().eq(path.0.iter().flat_map(|s| s.asns.iter().copied())));
    }

    #[test]
    fn prepending_keeps_segments_legal(path in vec(vec(1..200_000u32, 1..256), 0..3), times in 1..600usize) {
        let path = AsPath(path.into_iter().map(|asns| Segment { kind: SegmentKind::Sequence, asns }).collect());
        let mut wide = Vec::new();
        path.encode(&mut wide);
        let mut longer = Vec::new();
        PathView::new(&wide).prepend(7, times, &mut longer);
        prop_assert!(attr::as_path::check(&longer, 4).is_ok());
        let want = std::iter::repeat_n(7, times).chain(path.0.iter().flat_map(|s| s.asns.iter().copied()));
        prop_assert!(PathView::new(&longer).asns().eq(want));
    }

    #[test]
    fn opens_survive_the_wire(
        asn in 1..=u32::MAX, hold in prop_oneof![Just(0u16), 3..=u16::MAX], id in 1..=u32::MAX,
        extra in vec((200..=255u8, vec(any::<u8>(), 0..60)), 0..12),
    ) {
        let v4 = Family::Ipv4Unicast.afi_safi();
        let v6 = Family::Ipv6Unicast.afi_safi();
        let mut capabilities = vec![
            Capability::MultiProtocol(v6),
            Capability::RouteRefresh,
            Capability::ExtendedNextHop(vec![(v4, 2)]),
            Capability::ExtendedMessage,
            Capability::Role(Role::RouteServerClient),
            Capability::FourOctetAs(asn),
            Capability::EnhancedRouteRefresh,
            Capability::GracefulRestart(GracefulRestart {
                restarting: true, notification: true, restart_time: hold & 0xFFF, families: vec![(v4, true), (v6, false)],
            }),
            Capability::AddPath(vec![(v4, AddPathMode::Both), (v6, AddPathMode::Send)]),
            Capability::LongLivedGracefulRestart(vec![LlgrFamily { family: v4, forwarding: true, stale_time: id & 0xFF_FFFF }]),
            Capability::Fqdn { host: "node-1".into(), domain: "example.net".into() },
        ];
        capabilities.extend(extra.into_iter().map(|(code, value)| Capability::Unknown { code, value: value.into() }));
        let open = Open::new(Asn::new(asn).unwrap(), hold, RouterId::new(id).unwrap(), capabilities);
        let mut message = BytesMut::new();
        open.encode(&mut message);
        let mut decoded = Open::decode(body(&message)).unwrap();
        // The form of RFC 9072 only where the plain one cannot do it.
        prop_assert_eq!(decoded.extended, message.len() > HEADER_LEN + 10 + 255);
        decoded.extended = false;
        prop_assert_eq!(decoded, open);
    }

    #[test]
    fn notifications_survive_the_wire(code: u8, subcode: u8, data in vec(any::<u8>(), 0..4075)) {
        let notification = Notification { code, subcode, data: Bytes::from(data) };
        let mut message = BytesMut::new();
        notification.encode(&mut message);
        prop_assert_eq!(Notification::decode(body(&message)).unwrap(), notification.clone());
        prop_assert!(!notification.to_string().chars().any(char::is_control));
    }

    #[test]
    fn random_octets_do_no_harm(octets in vec(any::<u8>(), 0..400), four_octet_as: bool, ebgp: bool, add_path: bool) {
        decode_all(&octets, UpdateContext { four_octet_as, ebgp, ..ibgp(add_path) });
    }

    #[test]
    fn mutated_updates_do_no_harm(
        attributes in attributes(), prefixes in vec(nlri(Family::Ipv4Unicast), 0..20),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), four_octet_as: bool, ebgp: bool, add_path: bool,
    ) {
        let mut message = encode_update(&AttrSet::from(&attributes), Family::Ipv4Unicast, &prefixes, add_path);
        for (at, octet) in changes {
            let at = HEADER_LEN + at.index(message.len() - HEADER_LEN);
            message[at] = octet;
        }
        decode_all(&message[HEADER_LEN..], UpdateContext { four_octet_as, ebgp, ..ibgp(add_path) });
    }
}

/// Every decoder takes the octets without a panic; what comes out of an UPDATE is bounded by what went in and encodes again.
fn decode_all(octets: &[u8], ctx: UpdateContext) {
    let _ = decode_header(octets, MAX_MESSAGE);
    let _ = Open::decode(octets);
    let _ = Notification::decode(octets).map(|n| (n.to_string(), n.shutdown_text()));
    let _ = RouteRefresh::decode(octets, ctx.ebgp);
    let Ok(update) = decode_update(octets, &ctx) else { return };
    let withdrawn = update.withdrawn.iter().map(|(_, n)| n.capacity());
    let prefixes: usize = withdrawn.chain(update.reach.iter().map(|r| r.nlri.capacity())).sum();
    assert!(prefixes <= 4 * octets.len() + 16, "{prefixes} prefixes held for {} octets", octets.len());
    assert!(update.faults.len() <= octets.len() + 4);
    for reach in &update.reach {
        assert!(reach.attrs.bytes().len() <= 2 * octets.len() + 16);
        assert_eq!(AttrSet::from(&PathAttributes::from(&reach.attrs)), reach.attrs, "decoded attributes are canonical");
    }
}

#[test]
fn every_type_flag_and_length_leaves_the_session_up() {
    let ctx = UpdateContext { enforce_first_as: Asn::new(65001), ..ibgp(false) };
    let base = [0x40, 1, 1, 0, 0x40, 2, 6, 2, 1, 0, 0, 0xFD, 0xE9, 0x40, 3, 4, 10, 0, 0, 2];
    for (four_octet_as, ebgp) in [(true, true), (false, true), (true, false)] {
        let ctx = UpdateContext { four_octet_as, ebgp, ..ctx };
        for code in (0..=255u8).filter(|c| !matches!(*c, code::MP_REACH | code::MP_UNREACH)) {
            for flags in [0x00, 0x40, 0x80, 0xC0, 0xE0, 0xF0] {
                for len in [0, 1, 3, 4, 5, 255] {
                    let mut block = base.to_vec();
                    block.extend([flags, code]);
                    if flags & flag::EXTENDED != 0 {
                        block.push(0);
                    }
                    block.push(len);
                    block.extend(std::iter::repeat_n(0xA5, usize::from(len)));
                    let message = [&[0, 0], &(block.len() as u16).to_be_bytes()[..], &block, &[24, 203, 0, 113]].concat();
                    let update = decode_update(&message, &ctx).unwrap_or_else(|n| panic!("{flags:x} {code} {len}: {n}"));
                    assert_eq!(update.reach.len() + update.withdrawn.len(), 1, "{flags:x} {code} {len}");
                }
            }
        }
    }
}

#[test]
fn a_missing_local_pref_can_have_a_default() {
    let message = [&[0, 0, 0, 14][..], &[0x40, 1, 1, 0, 0x40, 2, 0, 0x40, 3, 4, 10, 0, 0, 2], &[0]].concat();
    let update = decode_update(&message, &ibgp(false)).unwrap();
    assert_eq!((update.reach.len(), update.withdrawn.len()), (0, 1));
    let update = decode_update(&message, &UpdateContext { default_local_pref: Some(100), ..ibgp(false) }).unwrap();
    let attrs = &update.reach[0].attrs;
    assert_eq!(attrs.head().local_pref(), Some(100));
    assert_eq!(attrs.value(code::LOCAL_PREF), Some(&[0, 0, 0, 100][..]));
}

#[test]
fn the_head_says_what_the_decision_needs() {
    let path = |segments: &[(SegmentKind, &[u32])]| {
        AsPath(segments.iter().map(|(kind, asns)| Segment { kind: *kind, asns: asns.to_vec() }).collect())
    };
    let attributes = |as_path| PathAttributes {
        origin: Origin::Egp,
        as_path,
        next_hop: NextHop::V4([10, 0, 0, 1].into()),
        med: Some(5),
        local_pref: None,
        atomic_aggregate: false,
        aggregator: None,
        communities: vec![0xFFFF_FF01, 0xFFFF_0000, 0xFFFF_FF01, 3],
        originator_id: RouterId::new(9),
        cluster_list: vec![ClusterId(2), ClusterId(1)],
        ext_communities: Vec::new(),
        large_communities: vec![[3, 0, 0], [1, 2, 3], [3, 0, 0]],
        otc: None,
        opaque: Vec::new(),
        tags: Tags(4),
    };
    let (sequence, set, confed) = (SegmentKind::Sequence, SegmentKind::Set, SegmentKind::ConfedSequence);
    let attrs = AttrSet::from(&attributes(path(&[(confed, &[1, 2]), (sequence, &[65001, 65002]), (set, &[7, 8, 9])])));
    let head = *attrs.head();
    assert_eq!((head.path_len, head.cluster_len, head.neighbor_as), (3, 2, Asn::new(65001)));
    assert_eq!((head.origin, attrs.med(), head.originator_id, head.tags), (Origin::Egp, Some(5), RouterId::new(9), Tags(4)));
    assert!(head.marks.contains(Marks::NO_EXPORT) && head.marks.contains(Marks::GRACEFUL_SHUTDOWN));
    assert!(!head.marks.contains(Marks::NO_ADVERTISE));
    assert!(attrs.communities().eq([3, 0xFFFF_0000, 0xFFFF_FF01]));
    assert!(attrs.large_communities().eq([[1, 2, 3], [3, 0, 0]]));
    assert!(attrs.cluster_list().eq([2, 1]), "the order of CLUSTER_LIST has a meaning");
    let view = PathView::of(&attrs);
    assert_eq!(view.to_string(), "(1 2) 65001 65002 {7 8 9}");
    assert_eq!((view.contains(8), view.contains(10), view.count(65001), view.origin_as()), (true, false, 1, None));
    let leading_set = AttrSet::from(&attributes(path(&[(set, &[1]), (sequence, &[2])])));
    assert_eq!(leading_set.head().neighbor_as, None);
    assert_eq!(PathView::of(&leading_set).origin_as(), Some(2));
    assert_ne!(attrs, leading_set);
    assert_eq!(AttrSet::from(&attributes(path(&[]))).head().neighbor_as, None);
}

#[test]
fn long_paths_split_into_segments() {
    let mut out = Vec::new();
    AsPath(vec![Segment { kind: SegmentKind::Sequence, asns: vec![9; 255] }]).encode(&mut out);
    let mut longer = Vec::new();
    PathView::new(&out).prepend(7, 1, &mut longer);
    let segments: Vec<usize> = PathView::new(&longer).segments().map(|s| s.asns().count()).collect();
    assert_eq!(segments, [1, 255]);
    let mut short = Vec::new();
    PathView::new(&[2, 1, 0, 0, 0, 9]).prepend(7, 2, &mut short);
    assert_eq!(short, [2, 3, 0, 0, 0, 7, 0, 0, 0, 7, 0, 0, 0, 9]);
    let mut narrow = Vec::new();
    assert!(PathView::new(&[2, 2, 0, 0, 0, 9, 0, 1, 0, 0]).narrow(&mut narrow));
    assert_eq!(narrow, [&[2, 2, 0, 9][..], &AS_TRANS.to_be_bytes()].concat());
}

#[test]
fn notifications_carry_the_data_of_the_table() {
    let data = |n: &Notification| (n.code, n.subcode, n.data.to_vec());
    assert_eq!(data(&Notification::bad_length(18)), (1, 2, vec![0, 18]));
    assert_eq!(data(&Notification::bad_type(6)), (1, 3, vec![6]));
    assert_eq!(data(&Notification::unsupported_version()), (2, 1, vec![0, 4]));
    let required = [Capability::FourOctetAs(65001)];
    assert_eq!(data(&Notification::unsupported_capability(&required)), (2, 7, vec![65, 4, 0, 0, 0xFD, 0xE9]));
    let v6 = Family::Ipv6Unicast.afi_safi();
    assert_eq!(data(&Notification::max_prefixes(v6, 100)), (6, 1, vec![0, 2, 1, 0, 0, 0, 100]));
    assert_eq!(data(&Notification::fsm(FsmState::OpenConfirm)), (5, 2, vec![]));
    assert_eq!(data(&Notification::cease(CeaseCode::Collision, Some("no text here"))), (6, 7, vec![]));
    let shutdown = Notification::cease(CeaseCode::AdminShutdown, Some("ünder"));
    assert_eq!(shutdown.shutdown_text().as_deref(), Some("ünder"));
    assert_eq!(shutdown.hard_reset().shutdown_text().as_deref(), Some("ünder"));
    assert_eq!(shutdown.hard_reset().to_string(), "Cease/Hard Reset (Cease/Administrative Shutdown \"ünder\")");
    let long = Notification::cease(CeaseCode::AdminReset, Some(&"ü".repeat(200)));
    assert_eq!(long.data.len(), 255, "one octet of length and 127 whole characters");
    assert_eq!(Notification::optional_attribute(&[7; 5000]).data.len(), MAX_MESSAGE - HEADER_LEN - 2);
    let mut message = BytesMut::new();
    Notification { code: 6, subcode: 2, data: vec![0; 5000].into() }.encode(&mut message);
    assert_eq!(message.len(), MAX_MESSAGE);
}

#[test]
fn fixed_messages_are_octet_exact() {
    let marker = [0xFF; 16];
    assert_eq!(keepalive(), [&marker[..], &[0, 19, 4]].concat());
    assert_eq!(end_of_rib(Family::Ipv4Unicast), [&marker[..], &[0, 23, 2, 0, 0, 0, 0]].concat());
    assert_eq!(end_of_rib(Family::Ipv6Unicast), [&marker[..], &[0, 29, 2, 0, 0, 0, 6, 0x80, 15, 3, 0, 2, 1]].concat());
    let mut out = BytesMut::new();
    RouteRefresh { family: Family::Ipv6Unicast.afi_safi(), kind: RefreshKind::End }.encode(&mut out);
    assert_eq!(out, [&marker[..], &[0, 23, 5, 0, 2, 2, 1]].concat());
}

#[test]
fn a_header_is_judged_as_early_as_it_can_be() {
    let message = keepalive();
    for len in 0..HEADER_LEN {
        assert_eq!(decode_header(&message[..len], MAX_MESSAGE), Ok(None), "{len} octets");
    }
    assert_eq!(decode_header(&message, MAX_MESSAGE), Ok(Some(Header { kind: MessageType::Keepalive, len: 19 })));
    for at in 0..16 {
        let mut broken = message[..=at].to_vec();
        broken[at] = 0;
        assert_eq!(decode_header(&broken, MAX_MESSAGE), Err(Notification::not_synchronized()), "octet {at}");
    }
}

#[test]
fn shared_types_stay_small() {
    assert_eq!(size_of::<Nlri>(), 24);
    assert_eq!(size_of::<AttrSet>(), size_of::<usize>());
    assert!(size_of::<attr::AttrHead>() <= 28);
}

#[test]
fn prepending_nothing_changes_nothing() {
    for path in [&[][..], &[2, 1, 0, 0, 0, 9], &[1, 1, 0, 0, 0, 9, 2, 1, 0, 0, 0, 8]] {
        let mut out = Vec::new();
        PathView::new(path).prepend(7, 0, &mut out);
        assert_eq!(out, path);
    }
}
