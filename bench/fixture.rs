//! The work of one route on its way through the daemon, stage by stage, on a table of any size: what `micro` times and `counts`
//! counts. A table is what a peer with the public routing table sends: one attribute set for six prefixes, paths of one to four AS.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use kubgp::export::{AddPath, Cursor, Group, GroupId, GroupKey, NextHopMode, NextHopRule, Params, Poll, Slices, View};
use kubgp::net::{Item, Origin, import};
use kubgp::policy::{Chain, Import, PeerKind};
use kubgp::rib::{self, Changed, PeerId, PeerInfo, Rib};
use kubgp::wire::update::{Update, UpdateContext, decode_update};
use kubgp::wire::{Asn, ClusterId, Family, FamilySet, RouterId};

pub const FAMILY: Family = Family::Ipv4Unicast;
/// Prefixes that share their attributes.
const SHARED: usize = 6;
const LOCAL_AS: u32 = 64512;
/// Octets that a member takes at once, as the daemon does.
const WRITE: usize = 128 * 1024;

/// Bodies of UPDATE messages for `prefixes` prefixes, as an iBGP client sends them. Tables of another `detour` have longer paths.
pub fn messages(prefixes: usize, detour: usize) -> Vec<Vec<u8>> {
    (0..prefixes).step_by(SHARED).map(|first| message(first, prefixes.min(first + SHARED), detour)).collect()
}

fn message(first: usize, end: usize, detour: usize) -> Vec<u8> {
    let set = first / SHARED;
    let path: Vec<u32> = (0..set % 4 + detour).map(|hop| 3000 + (set * 31 + hop * 7) as u32 % 900).chain([200_000 + set as u32]).collect();
    let communities: Vec<u32> = (0..set % 3).map(|tag| (3000 << 16) + set as u32 % 500 + tag as u32).collect();
    let mut attrs = vec![0x40, 1, 1, 0, 0x40, 2, 2 + 4 * path.len() as u8, 2, path.len() as u8];
    attrs.extend(path.iter().flat_map(|asn| asn.to_be_bytes()));
    attrs.extend([0x40, 3, 4, 10, 1, 0, 1, 0x40, 5, 4, 0, 0, 0, 100]);
    if !communities.is_empty() {
        attrs.extend([0xc0, 8, 4 * communities.len() as u8]);
        attrs.extend(communities.iter().flat_map(|community| community.to_be_bytes()));
    }
    let mut body = vec![0, 0];
    body.extend((attrs.len() as u16).to_be_bytes());
    body.extend(attrs);
    for prefix in first..end {
        body.push(24);
        body.extend_from_slice(&(0x1400_0000 + (prefix << 8) as u32).to_be_bytes()[..3]);
    }
    body
}

/// Stage one: octets to attributes and NLRI.
pub fn decode(bodies: &[Vec<u8>]) -> Vec<Update> {
    let context = UpdateContext {
        four_octet_as: true,
        ebgp: false,
        families: FamilySet::from_iter([FAMILY]),
        add_path_rx: FamilySet::NONE,
        extended_next_hop: FamilySet::NONE,
        enforce_first_as: None,
        allow_as_set: true,
        default_local_pref: None,
    };
    bodies.iter().map(|body| decode_update(black_box(body), &context).expect("the fixture is well-formed")).collect()
}

/// Stage two: import checks and policy.
pub fn accept(updates: Vec<Update>) -> Vec<Item> {
    let rules = Import {
        local_as: asn(LOCAL_AS),
        router_as: asn(LOCAL_AS),
        remote_as: asn(LOCAL_AS),
        router_id: id(0x0a00_0001),
        cluster_id: Some(ClusterId(0x0a00_0001)),
        allow_own_as: 0,
        ebgp: false,
        role: None,
        chain: Chain::accept_all(),
    };
    let origin = Origin { neighbor: address(1), kind: PeerKind::Client };
    let mut items = Vec::with_capacity(updates.len());
    updates.into_iter().for_each(|update| import(update, &rules, origin, &mut items));
    items
}

/// Tables with sessions of these peers, 1 and up.
pub fn rib(peers: u32) -> Rib {
    let mut rib = Rib::new(rib::Params {
        local_as: asn(LOCAL_AS),
        router_id: id(0x0a00_0001),
        rules: rib::Rules::default(),
        multipath: 1,
        multipath_relax: false,
        next_hop_tracking: false,
        // Always the same, so that counts are.
        seed: 1,
    });
    for peer in 1..=peers {
        let info = PeerInfo {
            addr: address(peer),
            asn: asn(LOCAL_AS),
            router_id: id(0x0a01_0000 + peer),
            kind: PeerKind::Client,
            end_of_rib: FamilySet::NONE,
        };
        rib.peer_up(PeerId(peer), info);
    }
    rib
}

/// Stage three: interning and storing.
pub fn store(rib: &mut Rib, peer: u32, items: &[Item]) {
    for item in items {
        if let Item::Announce { family, attrs, filtered, nlri } = item {
            rib.announce(PeerId(peer), *family, nlri, attrs, *filtered);
        }
    }
}

/// An update group of route reflector clients, complete and empty.
pub fn group(rib: &mut Rib) -> Group {
    let next_hop = NextHopRule { mode: NextHopMode::Auto, v4: Some(Ipv4Addr::new(10, 0, 0, 1)), v6: None, v6_link_local: None };
    let key = GroupKey {
        family: FAMILY,
        kind: PeerKind::Client,
        chain: Chain::accept_all(),
        next_hop,
        local_as: asn(LOCAL_AS),
        cluster_id: ClusterId(0x0a00_0001),
        add_path: AddPath::Off,
        four_octet_as: true,
        max_message: 4096,
        extended_next_hop: false,
        llgr_aware: false,
        role: None,
    };
    let mut group = Group::new(GroupId(0), key, Params { shards: 1 });
    while !group.build_step(rib) {}
    group
}

/// Stage four: what changed is encoded and published, in batches as large as the daemon's.
pub fn publish(group: &mut Group, rib: &mut Rib, changed: &Changed) {
    for part in changed.best.chunks(4096) {
        group.sync(rib, &Changed { family: changed.family, best: part.to_vec(), paths: Vec::new() });
    }
}

/// A member that has read nothing.
pub fn member(group: &mut Group, rib: &Rib, peer: u32) -> (Cursor, View) {
    let cursor = group.join(PeerId(peer), 0, rib);
    let view = View::new(group.journal(), 0);
    view.attach(&cursor);
    (cursor, view)
}

/// Stage five, without the system call: a member reads to the end of the journal; how many octets that were.
pub fn read(cursor: &mut Cursor, view: &mut View) -> usize {
    let mut octets = 0;
    loop {
        match cursor.poll(view) {
            Poll::Data => {}
            Poll::Idle => return octets,
            _ => continue,
        }
        let mut slices = Slices::new();
        cursor.slices(view, &mut slices, WRITE);
        let written = slices.iter().map(|slice| black_box(slice).len()).sum();
        drop(slices);
        cursor.advance(view, written);
        octets += written;
    }
}

fn asn(number: u32) -> Asn {
    Asn::new(number).expect("it is not 0")
}

fn id(number: u32) -> RouterId {
    RouterId::new(number).expect("it is not 0")
}

fn address(peer: u32) -> IpAddr {
    Ipv4Addr::from(0x0a01_0000 + peer).into()
}
