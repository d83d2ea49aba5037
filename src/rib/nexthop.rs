//! Next-hop validity: which next hops are in use, which of them resolve, and at what cost (RFC 4271 5.1.3, 9.1.2.1).

use super::PeerId;
use super::idset::IdSet;
use crate::policy::Reason;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use ipnet::IpNet;
use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::net::IpAddr;

/// How a next hop resolves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resolution {
    /// No route, or one that ends in unreachable, blackhole or prohibit.
    Unreachable,
    Reachable {
        /// Interior cost (RFC 4271 9.1.2.2 e); smaller is preferred.
        cost: u32,
        /// On a link of ours.
        connected: bool,
        /// The route that the resolution went through, where it is known: a BGP route for this prefix, or a longer one that
        /// covers its own next hop, would resolve through itself (RFC 4271 9.1.2.1).
        through: Option<IpNet>,
    },
}

/// What the caller shall do about a next hop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NextHopInterest {
    /// Resolve it, and report every change with [`super::Rib::next_hop_changed`].
    Watch(IpAddr),
    Unwatch(IpAddr),
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct NextHopId(u32);

/// The next hops that attribute sets in use name.
#[derive(Debug)]
pub(super) struct NextHops {
    entries: Vec<Entry>,
    free: Vec<u32>,
    by_address: HashTable<u32>,
    hasher: FixedState,
    /// Our own addresses, sorted.
    own: Vec<IpAddr>,
    tracking: bool,
    /// Entries whose wish (watched or not) may differ from what the caller knows.
    queue: VecDeque<u32>,
    /// Entries whose usability or cost changed since the family last looked.
    changed: [IdSet; 2],
    /// Entries whose list of users doubled.
    crowded: Vec<u32>,
}

#[derive(Debug)]
struct Entry {
    address: IpAddr,
    /// Attribute sets that name it.
    refs: u32,
    resolution: Resolution,
    /// Not a martian and not one of our own addresses.
    valid: bool,
    watched: bool,
    /// The caller has said how it resolves since it was watched.
    answered: bool,
    queued: bool,
    /// Peers that used it in an announcement since it came into use, sorted; some may not use it any more.
    users: Vec<PeerId>,
}

impl NextHops {
    pub(super) fn new(seed: u64, tracking: bool) -> Self {
        let hasher = FixedState::with_seed(seed);
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            by_address: HashTable::new(),
            hasher,
            own: Vec::new(),
            tracking,
            queue: VecDeque::new(),
            changed: [IdSet::default(), IdSet::default()],
            crowded: Vec::new(),
        }
    }

    /// The id of `address`, held once more.
    pub(super) fn intern(&mut self, address: IpAddr) -> NextHopId {
        let hash = self.hasher.hash_one(address);
        let found = self.by_address.find(hash, |&i| self.entries[i as usize].address == address).copied();
        let index = found.unwrap_or_else(|| self.insert(hash, address));
        self.entries[index as usize].refs += 1;
        self.enqueue(index);
        NextHopId(index)
    }

    /// One attribute set less that names it.
    pub(super) fn release(&mut self, id: NextHopId) {
        let entry = &mut self.entries[id.0 as usize];
        entry.refs -= 1;
        if entry.refs > 0 {
            return;
        }
        if entry.watched || entry.queued {
            // The caller must hear of it first, or has work queued for it; the entry is freed there.
            self.enqueue(id.0);
        } else {
            self.free_entry(id.0);
        }
    }

    pub(super) fn add_user(&mut self, id: NextHopId, peer: PeerId) {
        let users = &mut self.entries[id.0 as usize].users;
        if let Err(at) = users.binary_search(&peer) {
            if users.len() >= CROWD && users.len() == users.capacity() {
                self.crowded.push(id.0);
            }
            users.insert(at, peer);
        }
    }

    /// Removes users that are gone (`known` denies them) where many have gathered: peers come and go, the next hop may stay.
    pub(super) fn forget_users(&mut self, known: impl Fn(&PeerId) -> bool) {
        for index in std::mem::take(&mut self.crowded) {
            let users = &mut self.entries[index as usize].users;
            users.retain(&known);
            users.shrink_to(users.len() * 2);
        }
    }

    /// Interior cost of a usable next hop, or why a route for `prefix` cannot use it.
    pub(super) fn check(&self, id: NextHopId, prefix: impl FnOnce() -> IpNet) -> Result<u32, Reason> {
        let entry = &self.entries[id.0 as usize];
        if !entry.valid {
            return Err(Reason::NextHopInvalid);
        }
        match entry.resolution {
            Resolution::Unreachable => Err(Reason::NextHopUnresolved),
            Resolution::Reachable { cost, connected: false, through: Some(through) } => {
                let prefix = prefix();
                let recursive = prefix.prefix_len() >= through.prefix_len() && prefix.contains(&entry.address);
                if recursive { Err(Reason::NextHopUnresolved) } else { Ok(cost) }
            }
            Resolution::Reachable { cost, .. } => Ok(cost),
        }
    }

    /// Records a resolution; unknown addresses and repetitions change nothing.
    pub(super) fn set_resolution(&mut self, address: IpAddr, resolution: Resolution) {
        let hash = self.hasher.hash_one(address);
        let Some(&index) = self.by_address.find(hash, |&i| self.entries[i as usize].address == address) else { return };
        let entry = &mut self.entries[index as usize];
        // The first answer is news even where it says what was assumed: nothing leads there, and it is not only that nobody knows yet.
        let is_first = entry.watched && !entry.answered;
        entry.answered |= entry.watched;
        if is_first || entry.watched && entry.resolution != resolution {
            entry.resolution = resolution;
            self.mark_changed(index);
        }
    }

    /// Whether it was told that nothing leads to the address.
    pub(super) fn is_unreachable(&self, address: IpAddr) -> bool {
        let hash = self.hasher.hash_one(address);
        let found = self.by_address.find(hash, |&i| self.entries[i as usize].address == address).map(|&i| &self.entries[i as usize]);
        found.is_some_and(|entry| entry.valid && entry.answered && entry.resolution == Resolution::Unreachable)
    }

    /// Whether the address is on a network that this host is on, as far as it was told.
    pub(super) fn is_connected(&self, address: IpAddr) -> bool {
        let hash = self.hasher.hash_one(address);
        let found = self.by_address.find(hash, |&i| self.entries[i as usize].address == address);
        found.is_some_and(|&i| matches!(self.entries[i as usize].resolution, Resolution::Reachable { connected: true, .. }))
    }

    /// Replaces the set of our own addresses.
    pub(super) fn set_own(&mut self, own: &[IpAddr]) {
        self.own = own.to_vec();
        self.own.sort_unstable();
        for index in 0..self.entries.len() {
            let entry = &self.entries[index];
            let valid = self.is_valid(entry.address);
            if entry.refs > 0 && entry.valid != valid {
                self.entries[index].valid = valid;
                self.mark_changed(index as u32);
                self.enqueue(index as u32);
            }
        }
    }

    /// The next change of interest that the caller does not know yet.
    pub(super) fn poll(&mut self) -> Option<NextHopInterest> {
        while let Some(index) = self.queue.pop_front() {
            let entry = &mut self.entries[index as usize];
            entry.queued = false;
            let (address, watched) = (entry.address, entry.watched);
            let wanted = entry.refs > 0 && entry.valid && is_tracked(address);
            entry.watched = wanted;
            if watched && !wanted {
                (entry.resolution, entry.answered) = (Resolution::Unreachable, false);
            }
            if entry.refs == 0 {
                self.free_entry(index);
            }
            match (watched, wanted) {
                (false, true) => return Some(NextHopInterest::Watch(address)),
                (true, false) => return Some(NextHopInterest::Unwatch(address)),
                _ => {}
            }
        }
        None
    }

    /// The next hops that changed since the last call for this family, and the peers that may use them, ascending.
    pub(super) fn take_changed(&mut self, family: usize) -> Option<(IdSet, Vec<PeerId>)> {
        let changed = std::mem::take(&mut self.changed[family]);
        if changed.is_empty() {
            return None;
        }
        let mut users: Vec<PeerId> = changed.iter().flat_map(|i| self.entries[i as usize].users.iter().copied()).collect();
        users.sort_unstable();
        users.dedup();
        Some((changed, users))
    }

    /// Whether a next hop in use is yet to be resolved for the first time.
    pub(super) fn awaits_resolution(&self) -> bool {
        let waits = |e: &Entry| e.refs > 0 && e.valid && !e.answered && is_tracked(e.address);
        self.tracking && self.entries.iter().any(waits)
    }

    /// Next hops in use.
    pub(super) fn len(&self) -> usize {
        self.by_address.len()
    }

    /// Bytes allocated.
    pub(super) fn memory(&self) -> usize {
        let users: usize = self.entries.iter().map(|e| e.users.capacity() * size_of::<PeerId>()).sum();
        self.entries.capacity() * size_of::<Entry>() + self.by_address.allocation_size() + users
    }

    fn insert(&mut self, hash: u64, address: IpAddr) -> u32 {
        let resolution = if self.tracking && is_tracked(address) { Resolution::Unreachable } else { TAKEN_FOR_GRANTED };
        let valid = self.is_valid(address);
        let entry = Entry { address, refs: 0, resolution, valid, watched: false, answered: false, queued: false, users: Vec::new() };
        let index = match self.free.pop() {
            Some(index) => {
                self.entries[index as usize] = entry;
                index
            }
            None => {
                self.entries.push(entry);
                u32::try_from(self.entries.len() - 1).expect("fewer than 2^32 next hops fit into memory")
            }
        };
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.by_address.insert_unique(hash, index, |&i| hasher.hash_one(entries[i as usize].address));
        index
    }

    fn free_entry(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        entry.users = Vec::new();
        let hash = self.hasher.hash_one(entry.address);
        if let Ok(found) = self.by_address.find_entry(hash, |&i| i == index) {
            found.remove();
        }
        for changed in &mut self.changed {
            changed.remove(index);
        }
        self.free.push(index);
    }

    fn enqueue(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        let wanted = entry.refs > 0 && entry.valid && is_tracked(entry.address);
        if self.tracking && !entry.queued && entry.watched != wanted {
            entry.queued = true;
            self.queue.push_back(index);
        }
    }

    fn mark_changed(&mut self, index: u32) {
        for changed in &mut self.changed {
            changed.insert(index);
        }
    }

    fn is_valid(&self, address: IpAddr) -> bool {
        !is_martian(address) && self.own.binary_search(&address).is_err()
    }
}

impl NextHopId {
    pub(super) const fn index(self) -> u32 {
        self.0
    }
}

/// Users of a next hop up to which nobody asks whether they are all still there.
const CROWD: usize = 64;

/// Resolution of what is not tracked.
const TAKEN_FOR_GRANTED: Resolution = Resolution::Reachable { cost: 0, connected: false, through: None };

/// Addresses that no route can use as next hop (RFC 4271 6.3, RFC 1122 3.2.1.3).
fn is_martian(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => matches!(a.octets()[0], 0 | 127 | 224..),
        IpAddr::V6(a) => a.is_unspecified() || a.is_loopback() || a.is_multicast(),
    }
}

/// A link-local address is on the link of the session that it came over: there is nothing to look up.
fn is_tracked(address: IpAddr) -> bool {
    !matches!(address, IpAddr::V6(a) if a.is_unicast_link_local())
}
