//! What a group advertises, interned: attributes after policy, what is done to them on the way out, and whom they are not for.
//! Equal routes have one id, so a bucket of NLRI that share messages is a run of equal ids.

use crate::rib::{Arena, PeerId};
use crate::wire::RouterId;
use crate::wire::attr::AttrSet;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct RouteId(pub u32);

/// Two keys with equal routes are advertised in the same messages.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Route {
    /// After export policy; `None` in a tombstone.
    pub attrs: Option<AttrSet>,
    /// Peers that do not get the route: where it came from, and who injected it (RFC 4456 8). [`NOBODY`] where there is none.
    pub but: [PeerId; 2],
    /// Set on reflection (RFC 4456 8): the identifier for ORIGINATOR_ID where the route has none.
    pub reflected_from: Option<RouterId>,
    pub own_next_hop: bool,
    pub keep_med: bool,
}

/// Ourselves: never a member of a group.
pub(super) const NOBODY: PeerId = PeerId(0);

impl Route {
    /// What is left of the route when it is withdrawn: whom it was not for.
    fn shadow(&self) -> Self {
        Self { attrs: None, but: self.but, reflected_from: None, own_next_hop: false, keep_med: false }
    }

    /// The place of `peer` among those that do not get the route.
    pub fn exclusion(&self, peer: PeerId) -> Option<usize> {
        self.but.iter().position(|p| *p == peer && peer != NOBODY)
    }
}

/// The routes of one group, counted by use.
#[derive(Debug)]
pub(super) struct Routes {
    ids: HashTable<u32>,
    entries: Arena<Entry>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Entry {
    route: Route,
    uses: u32,
}

/// Seeded with a constant: the order of ids must not depend on chance.
const HASHER: FixedState = FixedState::with_seed(0x6b75_6267_7072_6f75);

impl Routes {
    pub fn new() -> Self {
        Self { ids: HashTable::new(), entries: Arena::new(), free: Vec::new() }
    }

    /// The id of `route`, counted as one use.
    pub fn intern(&mut self, route: Route) -> RouteId {
        let hash = HASHER.hash_one(&route);
        if let Some(&id) = self.ids.find(hash, |id| self.entries[*id].route == route) {
            self.entries[id].uses += 1;
            return RouteId(id);
        }
        let entry = Entry { route, uses: 1 };
        let id = match self.free.pop() {
            Some(id) => {
                self.entries[id] = entry;
                id
            }
            None => self.entries.push(entry),
        };
        let entries = &self.entries;
        self.ids.insert_unique(hash, id, |id| HASHER.hash_one(&entries[*id].route));
        RouteId(id)
    }

    /// The id of the shadow of a route, counted as one use.
    pub fn intern_shadow(&mut self, id: RouteId) -> RouteId {
        let shadow = self.get(id).shadow();
        self.intern(shadow)
    }

    pub fn retain(&mut self, id: RouteId) {
        self.entries[id.0].uses += 1;
    }

    pub fn release(&mut self, id: RouteId) {
        let entry = &mut self.entries[id.0];
        entry.uses -= 1;
        if entry.uses > 0 {
            return;
        }
        let hash = HASHER.hash_one(&entry.route);
        // The attributes go now, the place is used again.
        entry.route.attrs = None;
        if let Ok(found) = self.ids.find_entry(hash, |other| *other == id.0) {
            found.remove();
        }
        self.free.push(id.0);
    }

    pub fn get(&self, id: RouteId) -> &Route {
        &self.entries[id.0].route
    }

    /// Octets, without the attributes, which the tables share.
    pub fn memory(&self) -> usize {
        self.entries.memory() + self.ids.allocation_size()
    }

    /// How many different routes there are.
    pub fn len(&self) -> usize {
        self.ids.len()
    }
}
