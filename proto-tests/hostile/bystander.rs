//! The honest session beside the hostile one: it must not notice anything, and it shows what the daemon made of the routes.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;
use kubgp::wire::attr::AttrSet;
use kubgp::wire::{FamilySet, UpdateContext, decode_update};

use crate::peer::{BOUND, Came, KEEPALIVE, Peer, UPDATE, V4, V6, now, open};

/// A client of the reflector under test, with the routes that it was told.
pub struct Bystander {
    peer: Peer,
    pub routes: BTreeMap<IpNet, AttrSet>,
}

impl Bystander {
    pub fn new(source: Ipv4Addr, to: SocketAddr) -> Self {
        let next_hops = [5, 6, 0, 1, 0, 1, 0, 2];
        let capabilities = [&V4[..], &V6, &[65, 4, 0, 0, 0xFD, 0xE8], &next_hops].concat();
        Self { peer: Peer::established(source, to, &open(65000, 0, 3, &capabilities)), routes: BTreeMap::new() }
    }

    /// Takes what has come, or comes within `wait`.
    pub fn look(&mut self, wait: Duration) {
        match self.peer.poll(wait) {
            Came::Message { kind: UPDATE, body } => {
                let update = decode_update(&body, &CONTEXT).expect("the daemon sends good UPDATEs");
                assert!(update.faults.is_empty(), "the daemon sends malformed attributes: {update:?}");
                for (_, nlri) in &update.withdrawn {
                    nlri.iter().for_each(|n| drop(self.routes.remove(&n.prefix)));
                }
                for reach in &update.reach {
                    reach.nlri.iter().for_each(|n| drop(self.routes.insert(n.prefix, reach.attrs.clone())));
                }
            }
            Came::Message { kind: KEEPALIVE, .. } | Came::Nothing => {}
            other => panic!("the bystander is disturbed: {other:?}"),
        }
    }

    /// Waits until its routes are as wanted.
    pub fn wait(&mut self, what: &str, mut good: impl FnMut(&BTreeMap<IpNet, AttrSet>) -> bool) {
        let end = now() + BOUND;
        while !good(&self.routes) {
            assert!(now() < end, "not in time: {what}");
            self.look(BOUND);
        }
    }

    /// The session is still the one that was made at the start.
    pub fn is_undisturbed(&mut self) {
        self.look(Duration::ZERO);
    }
}

const CONTEXT: UpdateContext = UpdateContext {
    four_octet_as: true,
    ebgp: false,
    families: FamilySet::ALL,
    add_path_rx: FamilySet::NONE,
    extended_next_hop: FamilySet::ALL,
    enforce_first_as: None,
    allow_as_set: false,
    default_local_pref: None,
};
