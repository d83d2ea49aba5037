//! In which order statuses are written: one write of a Service at a time, the latest counts, and nobody is given an address before
//! it is gone from the status of whoever lost it. So the statuses are without contradiction at any moment, also when another
//! allocator goes on from there.

#[cfg(test)]
mod tests;

use super::StatusWrite;
use crate::kube::objects::Key;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Writes that wait, are under way, or have failed.
#[derive(Debug, Default)]
pub struct Queue {
    slots: BTreeMap<Key, Slot>,
    /// Who may show an address.
    shown_by: BTreeMap<IpAddr, BTreeSet<Key>>,
    /// Who waits until an address is gone elsewhere.
    blocked: BTreeMap<IpAddr, BTreeSet<Key>>,
    /// To be looked at when the next write can begin.
    ready: BTreeSet<Key>,
    busy: usize,
}

#[derive(Debug)]
struct Slot {
    want: StatusWrite,
    /// Not begun.
    pending: bool,
    /// What is being written.
    busy: Option<StatusWrite>,
    /// Every address that the status may show at present.
    shows: BTreeSet<IpAddr>,
}

impl Queue {
    /// `shown`: the addresses that the status has, as far as is known.
    pub fn push(&mut self, write: StatusWrite, shown: &[IpAddr]) {
        let key = write.service.clone();
        let kept = write.addresses.clone();
        let fresh = Slot { want: write.clone(), pending: true, busy: None, shows: BTreeSet::new() };
        let slot = self.slots.entry(key.clone()).or_insert(fresh);
        (slot.want, slot.pending) = (write, true);
        self.show(&key, shown);
        // Who keeps an address stands in nobody's way.
        kept.iter().for_each(|address| self.wake(address));
        self.ready.insert(key);
    }

    /// The next write that may begin now.
    pub fn begin(&mut self) -> Option<StatusWrite> {
        while let Some(key) = self.ready.pop_first() {
            let Some(slot) = self.slots.get(&key).filter(|slot| slot.pending && slot.busy.is_none()) else { continue };
            match self.obstacle(&key, slot) {
                Some((address, _)) => drop(self.blocked.entry(address).or_default().insert(key)),
                None => {
                    let write = slot.want.clone();
                    return Some(self.start(write, false));
                }
            }
        }
        let key = if self.busy == 0 { self.circle()? } else { return None };
        // Of Services that wait for each other's addresses, one gives up its own first.
        Some(self.start(StatusWrite { service: key, addresses: Vec::new(), pool: None }, true))
    }

    /// The write of a Service is done. One that failed has to be pushed again; until then it counts as done in part.
    pub fn done(&mut self, key: &Key, succeeded: bool) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let Some(written) = slot.busy.take() else { return };
        self.busy -= 1;
        if slot.pending {
            self.ready.insert(key.clone());
        }
        if !succeeded {
            return;
        }
        let now: BTreeSet<IpAddr> = written.addresses.into_iter().collect();
        let is_over = !slot.pending;
        let gone: Vec<IpAddr> = slot.shows.difference(&now).copied().collect();
        gone.iter().for_each(|address| self.hide(key, address));
        if is_over {
            self.remove(key);
        }
    }

    /// The Service does not exist any more.
    pub fn forget(&mut self, key: &Key) {
        self.remove(key);
    }

    /// How many writes wait, are under way or have failed.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn start(&mut self, write: StatusWrite, pending: bool) -> StatusWrite {
        self.busy += 1;
        let addresses = write.addresses.clone();
        if let Some(slot) = self.slots.get_mut(&write.service) {
            (slot.pending, slot.busy) = (pending, Some(write.clone()));
        }
        self.show(&write.service, &addresses);
        write
    }

    /// An address of the write that another Service still shows and is to lose.
    fn obstacle(&self, key: &Key, slot: &Slot) -> Option<(IpAddr, &Key)> {
        let loses = |other: &&Key, address: &IpAddr| {
            *other != key && self.slots.get(*other).is_some_and(|slot| !slot.want.addresses.contains(address))
        };
        let of = |address: &IpAddr| {
            let other = self.shown_by.get(address)?.iter().find(|other| loses(other, address))?;
            Some((*address, other))
        };
        slot.want.addresses.iter().find_map(of)
    }

    /// A Service that waits, over others, for itself.
    fn circle(&self) -> Option<Key> {
        self.blocked.values().flatten().find(|key| self.waits_for_itself(key)).cloned()
    }

    fn waits_for_itself(&self, key: &Key) -> bool {
        let mut seen = BTreeSet::new();
        let mut at = key;
        while seen.insert(at) {
            let next = self.slots.get(at).filter(|slot| slot.pending).and_then(|slot| self.obstacle(at, slot));
            let Some((_, other)) = next else { return false };
            at = other;
        }
        at == key
    }

    fn show(&mut self, key: &Key, addresses: &[IpAddr]) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        for address in addresses {
            if slot.shows.insert(*address) {
                self.shown_by.entry(*address).or_default().insert(key.clone());
            }
        }
    }

    fn hide(&mut self, key: &Key, address: &IpAddr) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.shows.remove(address);
        }
        if let Some(keys) = self.shown_by.get_mut(address) {
            keys.remove(key);
            if keys.is_empty() {
                self.shown_by.remove(address);
            }
        }
        self.wake(address);
    }

    fn wake(&mut self, address: &IpAddr) {
        self.ready.extend(self.blocked.remove(address).unwrap_or_default());
    }

    fn remove(&mut self, key: &Key) {
        let Some(slot) = self.slots.get(key) else { return };
        self.busy -= usize::from(slot.busy.is_some());
        let shows: Vec<IpAddr> = slot.shows.iter().copied().collect();
        shows.iter().for_each(|address| self.hide(key, address));
        self.slots.remove(key);
        self.ready.remove(key);
    }
}
