//! Tests of the whole room, and the values that they are made of.

mod behaviour;
mod memory;
mod model;
mod order;

use super::*;
use crate::policy::PeerKind;
use crate::wire::attr::{AsPath, AttrSet, Origin, PathAttributes, Segment, SegmentKind};
use crate::wire::nlri::Nlri;
use crate::wire::{Asn, Family, FamilySet, RouterId};
use std::net::IpAddr;

const V4: Family = Family::Ipv4Unicast;
const V6: Family = Family::Ipv6Unicast;

fn params() -> Params {
    Params {
        local_as: Asn::new(64512).unwrap(),
        router_id: RouterId::new(0x0a00_00fe).unwrap(),
        rules: Rules::default(),
        multipath: 4,
        multipath_relax: false,
        next_hop_tracking: false,
        seed: 7,
    }
}

/// A peer at 10.0.0.`n` with router id 10.0.0.`n`.
fn peer(n: u8, kind: PeerKind) -> PeerInfo {
    PeerInfo {
        addr: IpAddr::from([10, 0, 0, n]),
        asn: Asn::new(if kind == PeerKind::Ebgp { 65000 + u32::from(n) } else { 64512 }).unwrap(),
        router_id: RouterId::new(0x0a00_0000 + u32::from(n)).unwrap(),
        kind,
        end_of_rib: FamilySet::NONE,
    }
}

fn attributes(path: &[u32]) -> PathAttributes {
    let segments = if path.is_empty() { vec![] } else { vec![Segment { kind: SegmentKind::Sequence, asns: path.to_vec() }] };
    PathAttributes { as_path: AsPath(segments), ..PathAttributes::new(IpAddr::from([192, 0, 2, 1]).into()) }
}

fn set(path: &[u32], edit: impl FnOnce(&mut PathAttributes)) -> AttrSet {
    let mut attributes = attributes(path);
    edit(&mut attributes);
    AttrSet::from(&attributes)
}

fn nlri(prefix: &str) -> [Nlri; 1] {
    [Nlri::from(prefix.parse::<ipnet::IpNet>().unwrap())]
}

/// A table with peers 1..=n, all up.
fn rib(kinds: &[PeerKind]) -> Rib {
    let mut rib = Rib::new(params());
    for (n, kind) in (1u8..).zip(kinds) {
        rib.peer_up(PeerId(u32::from(n)), peer(n, *kind));
    }
    rib
}

fn best(rib: &Rib, prefix: &str) -> Option<PeerId> {
    rib.lookup(&prefix.parse().unwrap())?.best().map(|p| p.source)
}
