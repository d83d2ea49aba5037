//! Cross-checks with two independent codecs, both ways: what we encode means to them what we meant, and what they encode means
//! to us what they were given.

#![allow(clippy::unwrap_used, reason = "a test may stop at what must not happen, and bounds its waiting by the clock")]

use bgpkit_parser::models as bk;
use bytes::{BufMut, Bytes, BytesMut};
use ipnet::IpNet;
use kubgp::wire::attr::as_path::PathView;
use kubgp::wire::attr::{Aggregator, AsPath, NextHop, Opaque, Origin, Segment, SegmentKind, Tags, code, flag, put_header};
use kubgp::wire::message::{begin, finish, put_u16_at};
use kubgp::wire::update::put_mp_reach_header;
use kubgp::wire::*;
use netgauze_bgp_pkt as ng;
use netgauze_parse_utils::WritablePdu;
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput;
use std::net::{Ipv4Addr, Ipv6Addr};

/// One route in three languages.
struct Case {
    name: &'static str,
    family: Family,
    next_hop: NextHop,
    prefixes: &'static [&'static str],
    path_id: Option<u32>,
    four_octet_as: bool,
}

const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
const LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// No prefix of length 0: bgpkit-parser takes its zero octet for a sign of add-path.
const PREFIXES_V4: &[&str] = &["203.0.113.0/24", "10.0.0.0/8", "192.0.2.1/32", "198.51.100.128/25"];
const PREFIXES_V6: &[&str] = &["2001:db8::/32", "2001:db8:1::1/128", "2001:db8:8000::/33"];

const CASES: &[Case] = &[
    Case { name: "v4", family: Family::Ipv4Unicast, next_hop: NextHop::V4(V4), prefixes: PREFIXES_V4, path_id: None, four_octet_as: true },
    Case {
        name: "v4, 2-octet AS",
        family: Family::Ipv4Unicast,
        next_hop: NextHop::V4(V4),
        prefixes: PREFIXES_V4,
        path_id: None,
        four_octet_as: false,
    },
    Case {
        name: "v4, add-path",
        family: Family::Ipv4Unicast,
        next_hop: NextHop::V4(V4),
        prefixes: PREFIXES_V4,
        path_id: Some(7),
        four_octet_as: true,
    },
    Case { name: "v6", family: Family::Ipv6Unicast, next_hop: NextHop::V6(V6), prefixes: PREFIXES_V6, path_id: None, four_octet_as: true },
    Case {
        name: "v6, add-path",
        family: Family::Ipv6Unicast,
        next_hop: NextHop::V6(V6),
        prefixes: PREFIXES_V6,
        path_id: Some(9),
        four_octet_as: true,
    },
    Case {
        name: "v6, link-local",
        family: Family::Ipv6Unicast,
        next_hop: NextHop::V6WithLinkLocal(V6, LOCAL),
        prefixes: PREFIXES_V6,
        path_id: None,
        four_octet_as: true,
    },
    Case {
        name: "v4 over v6",
        family: Family::Ipv4Unicast,
        next_hop: NextHop::V6(V6),
        prefixes: PREFIXES_V4,
        path_id: None,
        four_octet_as: true,
    },
];

impl Case {
    fn asns(&self) -> [u32; 3] {
        if self.four_octet_as { [65001, 4_200_000_000, 65003] } else { [65001, 64999, 65003] }
    }

    fn nlri(&self) -> Vec<Nlri> {
        self.prefixes.iter().map(|p| Nlri { prefix: p.parse().unwrap(), path_id: self.path_id.unwrap_or(0) }).collect()
    }

    fn attributes(&self) -> PathAttributes {
        PathAttributes {
            origin: Origin::Egp,
            as_path: AsPath(vec![Segment { kind: SegmentKind::Sequence, asns: self.asns().to_vec() }]),
            next_hop: self.next_hop,
            med: Some(77),
            local_pref: Some(200),
            atomic_aggregate: true,
            aggregator: Some(Aggregator { asn: Asn::new(65002).unwrap(), id: V4.to_bits() }),
            communities: vec![65001 << 16 | 7, 0xFFFF_FF01],
            originator_id: RouterId::new(0x0A00_0009),
            cluster_list: vec![ClusterId(0x0A00_0001), ClusterId(0x0102_0304)],
            ext_communities: vec![[0, 2, 0xFD, 0xE9, 0, 0, 0, 5]],
            large_communities: vec![[65001, 1, 2], [4_200_000_000, 3, 4]],
            otc: Some(65001),
            opaque: vec![Opaque { flags: flag::OPTIONAL | flag::TRANSITIVE | flag::PARTIAL, code: 99, value: vec![0xAB; 300].into() }],
            tags: Tags::default(),
        }
    }

    fn expected(&self) -> Reach {
        Reach { family: self.family, attrs: AttrSet::from(&self.attributes()), nlri: self.nlri() }
    }

    fn classic(&self) -> Option<Ipv4Addr> {
        if let NextHop::V4(address) = self.next_hop { Some(address) } else { None }
    }

    /// The message as we send it.
    fn encode(&self) -> Bytes {
        let mut field = BytesMut::new();
        self.nlri().iter().for_each(|n| encode_nlri(n, self.path_id.is_some(), &mut field));
        let mut out = BytesMut::new();
        let start = begin(MessageType::Update, &mut out);
        out.put_u32(0);
        let block = out.len();
        if self.classic().is_none() {
            put_mp_reach_header(self.family, &self.next_hop, field.len(), &mut out);
            out.put_slice(&field);
        }
        let attrs = AttrSet::from(&self.attributes());
        for tlv in attrs.tlvs() {
            match tlv.code {
                code::AS_PATH if !self.four_octet_as => {
                    let mut narrow = Vec::new();
                    assert!(!PathView::of(&attrs).narrow(&mut narrow));
                    put_header(flag::TRANSITIVE, code::AS_PATH, narrow.len(), &mut out);
                    out.put_slice(&narrow);
                }
                code::AGGREGATOR if !self.four_octet_as => {
                    put_header(flag::OPTIONAL | flag::TRANSITIVE, code::AGGREGATOR, 6, &mut out);
                    out.put_slice(&tlv.value[2..]);
                }
                _ => out.put_slice(tlv.raw),
            }
            if let Some(address) = self.classic().filter(|_| tlv.code == code::AS_PATH) {
                put_header(flag::TRANSITIVE, code::NEXT_HOP, 4, &mut out);
                out.put_slice(&address.octets());
            }
        }
        put_u16_at(block - 2, (out.len() - block) as u16, &mut out);
        if self.classic().is_some() {
            out.put_slice(&field);
        }
        finish(start, &mut out);
        out.freeze()
    }

    /// What we make of a message.
    fn decode(&self, message: &[u8]) -> Reach {
        let header = decode_header(message, MAX_MESSAGE).unwrap().unwrap();
        assert_eq!(usize::from(header.len), message.len(), "{}", self.name);
        let ctx = UpdateContext {
            four_octet_as: self.four_octet_as,
            ebgp: false,
            families: FamilySet::ALL,
            add_path_rx: if self.path_id.is_some() { FamilySet::ALL } else { FamilySet::NONE },
            extended_next_hop: FamilySet::ALL,
            enforce_first_as: None,
            allow_as_set: false,
            default_local_pref: None,
        };
        let mut update = decode_update(&message[HEADER_LEN..], &ctx).unwrap();
        assert!(update.faults.is_empty(), "{}: {:?}", self.name, update.faults);
        assert_eq!((update.reach.len(), update.withdrawn.len()), (1, 0), "{}", self.name);
        update.reach.remove(0)
    }

    fn bgpkit_prefixes(&self) -> Vec<bk::NetworkPrefix> {
        self.nlri().iter().map(|n| bk::NetworkPrefix::new(n.prefix, self.path_id)).collect()
    }

    fn bgpkit(&self) -> Vec<bk::AttributeValue> {
        use bk::AttributeValue as A;
        let next_hop = match self.next_hop {
            NextHop::V4(a) => A::NextHop(a.into()),
            NextHop::V6(a) => self.bgpkit_reach(bk::NextHopAddress::Ipv6(a)),
            NextHop::V6WithLinkLocal(a, b) => self.bgpkit_reach(bk::NextHopAddress::Ipv6LinkLocal(a, b)),
        };
        vec![
            A::Origin(bk::Origin::EGP),
            A::AsPath(bk::AsPath::from_sequence(self.asns())),
            next_hop,
            A::MultiExitDiscriminator(77),
            A::LocalPreference(200),
            A::AtomicAggregate,
            A::Aggregator { asn: self.bgpkit_asn(65002), id: V4 },
            A::Communities(vec![bk::Community::Custom(bk::Asn::new_16bit(65001), 7), bk::Community::NoExport]),
            A::OriginatorId(Ipv4Addr::new(10, 0, 0, 9)),
            A::Clusters(vec![0x0A00_0001, 0x0102_0304]),
            A::ExtendedCommunities(vec![bk::ExtendedCommunity::TransitiveTwoOctetAs(bk::TwoOctetAsExtCommunity {
                subtype: 2,
                global_admin: bk::Asn::new_16bit(65001),
                local_admin: [0, 0, 0, 5],
            })]),
            A::LargeCommunities(vec![bk::LargeCommunity::new(65001, [1, 2]), bk::LargeCommunity::new(4_200_000_000, [3, 4])]),
            A::OnlyToCustomer(bk::Asn::new_32bit(65001)),
            A::Unknown(bk::AttrRaw { code: 99, bytes: vec![0xAB; 300].into() }),
        ]
    }

    fn bgpkit_asn(&self, asn: u32) -> bk::Asn {
        if self.four_octet_as { bk::Asn::new_32bit(asn) } else { bk::Asn::new_16bit(asn as u16) }
    }

    fn bgpkit_reach(&self, next_hop: bk::NextHopAddress) -> bk::AttributeValue {
        bk::AttributeValue::MpReachNlri(bk::Nlri {
            afi: if self.family == Family::Ipv4Unicast { bk::Afi::Ipv4 } else { bk::Afi::Ipv6 },
            safi: bk::Safi::Unicast,
            next_hop: Some(next_hop),
            prefixes: self.bgpkit_prefixes(),
            labeled_prefixes: None,
            link_state_nlris: None,
            flowspec_nlris: None,
        })
    }

    fn as_length(&self) -> bk::AsnLength {
        if self.four_octet_as { bk::AsnLength::Bits32 } else { bk::AsnLength::Bits16 }
    }

    fn netgauze(&self) -> ng::update::BgpUpdateMessage {
        use ng::path_attribute::*;
        let kind = AsPathSegmentType::AsSequence;
        let (path, aggregator) = if self.four_octet_as {
            let path = AsPath::as4_path_segments([As4PathSegment::new(kind, self.asns())]);
            (path, Aggregator::As4Aggregator(As4Aggregator::new(65002, V4)))
        } else {
            let path = AsPath::as2_path_segments([As2PathSegment::new(kind, self.asns().map(|a| a as u16))]);
            (path, Aggregator::As2Aggregator(As2Aggregator::new(65002, V4)))
        };
        let community =
            ng::community::ExtendedCommunity::TransitiveTwoOctet(ng::community::TransitiveTwoOctetExtendedCommunity::RouteTarget {
                global_admin: 65001,
                local_admin: 5,
            });
        type V = PathAttributeValue;
        let values = vec![
            V::Origin(Origin::EGP),
            V::AsPath(path),
            self.netgauze_next_hop(),
            V::MultiExitDiscriminator(MultiExitDiscriminator::new(77)),
            V::LocalPreference(LocalPreference::new(200)),
            V::AtomicAggregate(AtomicAggregate),
            V::Aggregator(aggregator),
            V::Communities(Communities::new([65001 << 16 | 7, 0xFFFF_FF01].map(ng::community::Community::new))),
            V::Originator(Originator::new(Ipv4Addr::new(10, 0, 0, 9))),
            V::ClusterList(ClusterList::new([0x0A00_0001, 0x0102_0304].map(|c| ClusterId::new(Ipv4Addr::from_bits(c))))),
            V::ExtendedCommunities(ExtendedCommunities::new([community])),
            V::LargeCommunities(LargeCommunities::new([
                ng::community::LargeCommunity::new(65001, 1, 2),
                ng::community::LargeCommunity::new(4_200_000_000, 3, 4),
            ])),
            V::OnlyToCustomer(OnlyToCustomer::new(65001)),
            V::UnknownAttribute(UnknownAttribute::new(99, vec![0xAB; 300])),
        ];
        let attributes = values.into_iter().map(|value| {
            let unknown = matches!(value, V::UnknownAttribute(_));
            let (optional, transitive) = (value.can_be_optional().unwrap_or(true), value.can_be_transitive().unwrap_or(true));
            let partial = value.can_be_partial().unwrap_or(unknown);
            PathAttribute::from(optional, transitive, partial, unknown, value).unwrap()
        });
        let field = if self.classic().is_some() { self.netgauze_v4() } else { Vec::new() };
        ng::update::BgpUpdateMessage::new(Vec::new(), attributes.collect::<Vec<_>>(), field)
    }

    fn netgauze_next_hop(&self) -> ng::path_attribute::PathAttributeValue {
        use ng::path_attribute::{MpReach, NextHop as Plain, PathAttributeValue};
        let (address, local) = match self.next_hop {
            NextHop::V4(a) => return PathAttributeValue::NextHop(Plain::new(a)),
            NextHop::V6(a) => (a, None),
            NextHop::V6WithLinkLocal(a, local) => (a, Some(local)),
        };
        PathAttributeValue::MpReach(match self.family {
            Family::Ipv4Unicast => {
                MpReach::Ipv4Unicast { next_hop: address.into(), next_hop_local: local, nlri: self.netgauze_v4().into() }
            }
            Family::Ipv6Unicast => {
                let nlri = self.nlri().into_iter().map(|n| match n.prefix {
                    IpNet::V6(net) => ng::nlri::Ipv6UnicastAddress::new(None, ng::nlri::Ipv6Unicast::from_net(net).unwrap()),
                    IpNet::V4(_) => unreachable!("the case is of IPv6"),
                });
                MpReach::Ipv6Unicast { next_hop_global: address, next_hop_local: local, nlri: nlri.collect() }
            }
        })
    }

    fn netgauze_v4(&self) -> Vec<ng::nlri::Ipv4UnicastAddress> {
        let nlri = self.nlri().into_iter().map(|n| match n.prefix {
            IpNet::V4(net) => ng::nlri::Ipv4UnicastAddress::new(None, ng::nlri::Ipv4Unicast::from_net(net).unwrap()),
            IpNet::V6(_) => unreachable!("the case is of IPv4"),
        });
        nlri.collect()
    }
}

#[test]
fn bgpkit_reads_our_updates() {
    for case in CASES {
        let parsed = bgpkit_parser::parser::bgp::parse_bgp_message(&mut case.encode(), case.path_id.is_some(), &case.as_length()).unwrap();
        let bk::BgpMessage::Update(update) = parsed else { panic!("{}: not an UPDATE", case.name) };
        let want = case.bgpkit();
        for value in &want {
            let got = update.attributes.iter().find(|a| a.attr_code() == value.attr_code());
            assert_eq!(got, Some(value), "{}", case.name);
        }
        assert_eq!(update.attributes.iter().count(), want.len(), "{}", case.name);
        assert!(!update.attributes.has_validation_warnings(), "{}: {:?}", case.name, update.attributes.validation_warnings());
        let field = if case.classic().is_some() { case.bgpkit_prefixes() } else { Vec::new() };
        assert_eq!(update.announced_prefixes, field, "{}", case.name);
    }
}

#[test]
fn we_read_updates_of_bgpkit() {
    for case in CASES {
        let attributes: Vec<bk::Attribute> = case.bgpkit().into_iter().map(flagged).collect();
        let update = bk::BgpUpdateMessage {
            withdrawn_prefixes: Vec::new(),
            attributes: attributes.into(),
            announced_prefixes: if case.classic().is_some() { case.bgpkit_prefixes() } else { Vec::new() },
        };
        let message = bk::BgpMessage::Update(update).encode(case.as_length()).unwrap();
        assert_eq!(case.decode(&message), case.expected(), "{}", case.name);
    }
}

/// The flags are the caller's business there, extended length included.
fn flagged(value: bk::AttributeValue) -> bk::Attribute {
    let mut attribute = bk::Attribute::from(value);
    if matches!(attribute.value, bk::AttributeValue::Unknown(_)) {
        attribute.flag |= bk::AttrFlags::OPTIONAL | bk::AttrFlags::TRANSITIVE | bk::AttrFlags::PARTIAL | bk::AttrFlags::EXTENDED;
    }
    attribute
}

/// That codec takes path ids only by a type of a crate that it does not export, so add-path is left to the other one.
fn netgauze_cases() -> impl Iterator<Item = &'static Case> {
    CASES.iter().filter(|c| c.path_id.is_none())
}

#[test]
fn netgauze_reads_our_updates() {
    for case in netgauze_cases() {
        let mut ctx = ng::wire::deserializer::BgpParsingContext::default();
        ctx.set_asn4(case.four_octet_as);
        let message = case.encode();
        let parsed = ng::BgpMessage::parse(&mut SliceReader::new(&message), &mut ctx).unwrap();
        let ng::BgpMessage::Update(update) = parsed else { panic!("{}: not an UPDATE", case.name) };
        let want = case.netgauze();
        assert_eq!(update.nlri(), want.nlri(), "{}", case.name);
        assert_eq!(update.path_attributes().len(), want.path_attributes().len(), "{}", case.name);
        for attribute in want.path_attributes() {
            assert!(update.path_attributes().contains(attribute), "{}: {attribute:?} not in {update:?}", case.name);
        }
    }
}

#[test]
fn we_read_updates_of_netgauze() {
    for case in netgauze_cases() {
        let mut message = Vec::new();
        ng::BgpMessage::Update(case.netgauze()).write(&mut message).unwrap();
        assert_eq!(case.decode(&message), case.expected(), "{}", case.name);
    }
}

fn open() -> Open {
    let (v4, v6) = (Family::Ipv4Unicast.afi_safi(), Family::Ipv6Unicast.afi_safi());
    let restart = GracefulRestart { restarting: true, notification: false, restart_time: 120, families: vec![(v4, true), (v6, false)] };
    let capabilities = vec![
        Capability::MultiProtocol(v4),
        Capability::MultiProtocol(v6),
        Capability::RouteRefresh,
        Capability::ExtendedNextHop(vec![(v4, 2)]),
        Capability::ExtendedMessage,
        Capability::Role(Role::Customer),
        Capability::GracefulRestart(restart),
        Capability::FourOctetAs(4_200_000_000),
        Capability::AddPath(vec![(v4, AddPathMode::Both), (v6, AddPathMode::Receive)]),
        Capability::EnhancedRouteRefresh,
    ];
    Open::new(Asn::new(4_200_000_000).unwrap(), 90, RouterId::new(0x0A00_0001).unwrap(), capabilities)
}

fn encoded(encode: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    encode(&mut out);
    out.freeze()
}

#[test]
fn both_codecs_carry_our_open_unchanged() {
    let ours = encoded(|out| open().encode(out));
    let parsed = bgpkit_parser::parser::bgp::parse_bgp_message(&mut ours.clone(), false, &bk::AsnLength::Bits32).unwrap();
    let bk::BgpMessage::Open(inside) = &parsed else { panic!("not an OPEN") };
    assert_eq!((inside.asn.to_u32(), inside.hold_time, inside.bgp_identifier), (23456, 90, Ipv4Addr::new(10, 0, 0, 1)));
    let theirs = parsed.encode(bk::AsnLength::Bits32).unwrap();
    assert_eq!(Open::decode(&theirs[HEADER_LEN..]), Ok(open()));

    let mut ctx = ng::wire::deserializer::BgpParsingContext::default();
    let parsed = ng::BgpMessage::parse(&mut SliceReader::new(&ours), &mut ctx).unwrap();
    let ng::BgpMessage::Open(inside) = &parsed else { panic!("not an OPEN") };
    assert_eq!((inside.my_asn4(), inside.hold_time(), inside.bgp_id()), (4_200_000_000, 90, Ipv4Addr::new(10, 0, 0, 1)));
    let mut theirs = Vec::new();
    parsed.write(&mut theirs).unwrap();
    assert_eq!(Open::decode(&theirs[HEADER_LEN..]), Ok(open()));
}

#[test]
fn both_codecs_carry_our_other_messages_unchanged() {
    let refresh = |kind| RouteRefresh { family: Family::Ipv6Unicast.afi_safi(), kind };
    let messages = [
        keepalive(),
        end_of_rib(Family::Ipv4Unicast),
        end_of_rib(Family::Ipv6Unicast),
        encoded(|out| Notification::cease(CeaseCode::AdminShutdown, Some("bye")).encode(out)),
        encoded(|out| Notification::hold_timer_expired().encode(out)),
        encoded(|out| Notification::bad_length(18).encode(out)),
        encoded(|out| refresh(RefreshKind::Request).encode(out)),
        encoded(|out| refresh(RefreshKind::Begin).encode(out)),
        encoded(|out| refresh(RefreshKind::End).encode(out)),
    ];
    for ours in messages {
        let parsed = bgpkit_parser::parser::bgp::parse_bgp_message(&mut ours.clone(), false, &bk::AsnLength::Bits32).unwrap();
        assert_eq!(parsed.encode(bk::AsnLength::Bits32).unwrap(), ours, "{parsed:?}");
        let mut ctx = ng::wire::deserializer::BgpParsingContext::default();
        let parsed = ng::BgpMessage::parse(&mut SliceReader::new(&ours), &mut ctx).unwrap();
        let mut theirs = Vec::new();
        parsed.write(&mut theirs).unwrap();
        assert_eq!(theirs, ours, "{parsed:?}");
    }
}
