//! What more than one file of tests needs, and the tests that go through all files of this room.

mod groups;
mod invariant;
mod packing;
mod threads;

use super::key::{AddPath, GroupKey, NextHopMode, NextHopRule};
use crate::policy::{Chain, PeerKind};
use crate::wire::attr::{AttrSet, NextHop, PathAttributes};
use crate::wire::update::{Update, UpdateContext, decode_update};
use crate::wire::{Asn, ClusterId, Family, FamilySet};
use std::net::{Ipv4Addr, Ipv6Addr};

const CLUSTER: u32 = 0xC000_0201;
const LOCAL_AS: u32 = 64512;

fn asn(number: u32) -> Asn {
    Asn::new(number).unwrap()
}

/// A group of iBGP clients that takes everything.
fn key() -> GroupKey {
    let next_hop = NextHopRule {
        mode: NextHopMode::Auto,
        v4: Some(Ipv4Addr::new(192, 0, 2, 1)),
        v6: Some(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        v6_link_local: None,
    };
    GroupKey {
        family: Family::Ipv4Unicast,
        kind: PeerKind::Client,
        chain: Chain::accept_all(),
        next_hop,
        local_as: asn(LOCAL_AS),
        cluster_id: ClusterId(CLUSTER),
        add_path: AddPath::Off,
        four_octet_as: true,
        max_message: 4096,
        extended_next_hop: false,
        llgr_aware: false,
        role: None,
    }
}

fn attributes() -> PathAttributes {
    PathAttributes { local_pref: Some(100), ..PathAttributes::new(NextHop::V4(Ipv4Addr::new(198, 51, 100, 7))) }
}

fn attrs(edit: impl FnOnce(&mut PathAttributes)) -> AttrSet {
    let mut attributes = attributes();
    edit(&mut attributes);
    AttrSet::from(&attributes)
}

fn context(key: &GroupKey) -> UpdateContext {
    let families = FamilySet::from_iter([key.family]);
    UpdateContext {
        four_octet_as: key.four_octet_as,
        ebgp: key.kind == PeerKind::Ebgp,
        families,
        add_path_rx: if key.add_path == AddPath::Off { FamilySet::NONE } else { families },
        extended_next_hop: families,
        enforce_first_as: None,
        allow_as_set: true,
        default_local_pref: None,
    }
}

/// Takes the whole messages out of `bytes` and decodes them; each must be an UPDATE within the limit and without fault.
fn take_updates(bytes: &mut Vec<u8>, key: &GroupKey) -> Vec<Update> {
    let mut updates = Vec::new();
    while bytes.len() >= 19 {
        let len = usize::from(u16::from_be_bytes([bytes[16], bytes[17]]));
        assert!(len <= key.max_message, "a message of {len} octets");
        assert!(bytes[..16] == [0xFF; 16] && bytes[18] == 2, "not an UPDATE");
        if bytes.len() < len {
            break;
        }
        let message: Vec<u8> = bytes.drain(..len).collect();
        let update = decode_update(&message[19..], &context(key)).unwrap();
        assert!(update.faults.is_empty(), "{:?}", update.faults);
        assert!(update.withdrawn.is_empty() || update.reach.is_empty(), "withdraws and updates in one message");
        updates.push(update);
    }
    updates
}
