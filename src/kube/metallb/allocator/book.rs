//! Who holds which address, and what is the first address that somebody may have. Every question takes logarithmic time.

use super::facts::Claim;
use crate::kube::metallb::model::{Pool, PoolIndex};
use crate::kube::metallb::ranges::{AddressSet, Block, Family};
use crate::kube::metallb::reason::Reason;
use crate::kube::objects::Key;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

#[derive(Debug, Default)]
pub struct Book {
    /// In the order in which they are tried.
    pools: Vec<Arc<Pool>>,
    index: PoolIndex,
    /// What is held, and what was met and must never be given.
    used: AddressSet,
    holders: BTreeMap<IpAddr, BTreeSet<Key>>,
    claims: BTreeMap<Key, (Claim, Vec<IpAddr>)>,
    /// By sharing key and backend.
    groups: BTreeMap<(String, String), Group>,
    /// Addresses, and holders of addresses, looked at so far.
    looked: Cell<u64>,
}

/// The addresses that are held under one sharing key.
#[derive(Debug, Default)]
struct Group {
    /// How many hold each under this key.
    addresses: BTreeMap<IpAddr, usize>,
    /// For a set of ports and the start of a block: below this address, every address of the group in the block has a port in
    /// common. `None`: every one has.
    hints: BTreeMap<(Ports, IpAddr), Option<IpAddr>>,
}

/// Protocol and port, sorted.
type Ports = Vec<(String, u16)>;

impl Group {
    /// Something about this address changed.
    fn look_again(&mut self, address: IpAddr) {
        for ((_, start), hint) in &mut self.hints {
            if *start <= address && hint.is_none_or(|hint| hint > address) {
                *hint = Some(address);
            }
        }
    }
}

impl Book {
    pub fn set_pools<'a>(&mut self, pools: impl Iterator<Item = &'a Arc<Pool>>) {
        self.pools = pools.cloned().collect();
        self.pools.sort_by_cached_key(|pool| (pool.rank(), pool.name.clone()));
        self.index = PoolIndex::new(&self.pools);
        self.used = AddressSet::default();
        self.holders.keys().for_each(|address| self.used.insert(*address));
        self.groups.values_mut().for_each(|group| group.hints.clear());
    }

    /// In the order in which they are tried.
    pub fn pools(&self) -> &[Arc<Pool>] {
        &self.pools
    }

    pub fn pool(&self, name: &str) -> Option<&Arc<Pool>> {
        self.pools.iter().find(|pool| pool.name == name)
    }

    pub fn pool_of(&self, address: &IpAddr) -> Option<&Arc<Pool>> {
        self.index.find(address)
    }

    /// Every held address and who holds it.
    pub fn holders(&self) -> impl Iterator<Item = (&IpAddr, &BTreeSet<Key>)> {
        self.holders.iter()
    }

    /// Who holds an address.
    pub fn holders_of(&self, address: &IpAddr) -> impl Iterator<Item = &Key> {
        self.holders.get(address).into_iter().flatten()
    }

    /// Replaces what `key` holds. The caller has made sure that it may.
    pub fn hold(&mut self, key: &Key, claim: &Claim, addresses: &[IpAddr]) {
        self.release(key);
        for address in addresses {
            self.used.insert(*address);
            self.holders.entry(*address).or_default().insert(key.clone());
            if let Some(sharing) = &claim.sharing {
                let group = self.groups.entry((sharing.clone(), claim.backend.clone())).or_default();
                *group.addresses.entry(*address).or_default() += 1;
                group.look_again(*address);
            }
        }
        if !addresses.is_empty() {
            self.claims.insert(key.clone(), (claim.clone(), addresses.to_vec()));
        }
    }

    pub fn release(&mut self, key: &Key) {
        let Some((claim, addresses)) = self.claims.remove(key) else { return };
        for address in addresses {
            if let Some(keys) = self.holders.get_mut(&address) {
                keys.remove(key);
                if keys.is_empty() {
                    self.holders.remove(&address);
                    self.used.remove(address);
                }
            }
            self.leave_group(&claim, address);
        }
    }

    fn leave_group(&mut self, claim: &Claim, address: IpAddr) {
        let Some(sharing) = &claim.sharing else { return };
        let name = (sharing.clone(), claim.backend.clone());
        let Some(group) = self.groups.get_mut(&name) else { return };
        if let Some(count) = group.addresses.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                group.addresses.remove(&address);
            }
        }
        group.look_again(address);
        if group.addresses.is_empty() {
            self.groups.remove(&name);
        }
    }

    /// Addresses, and holders of addresses, looked at so far.
    pub fn looked(&self) -> u64 {
        self.looked.get()
    }

    fn look(&self) {
        self.looked.set(self.looked.get() + 1);
    }

    /// Whether `key` may hold the address besides those who do.
    pub fn may_hold(&self, address: &IpAddr, key: &Key, claim: &Claim) -> Result<(), Reason> {
        self.look();
        let others = self.holders_of(address).filter(|other| *other != key).inspect(|_| self.look());
        for (other, _) in others.filter_map(|other| self.claims.get(other)) {
            if !claim.is_compatible(other) {
                let both_share = claim.sharing.is_some() && other.sharing.is_some();
                return Err(if both_share { Reason::SharingKeyMismatch } else { Reason::AddressInUse });
            }
        }
        Ok(())
    }

    /// The first address of a pool that is free or may be shared: blocks in declared order, lowest address first.
    pub fn first(&mut self, pool: &Pool, family: Family, key: &Key, claim: &Claim) -> Option<IpAddr> {
        pool.blocks.iter().filter(|block| block.family() == family).find_map(|block| {
            let shared = self.first_shareable(block, pool, key, claim);
            let free = self.first_free(block, pool);
            shared.into_iter().chain(free).min()
        })
    }

    /// What the pool avoids counts as used from then on, so that it is met once.
    fn first_free(&mut self, block: &Block, pool: &Pool) -> Option<IpAddr> {
        loop {
            self.look();
            let free = self.used.first_absent(block, block.first)?;
            if !pool.avoids(&free) {
                return Some(free);
            }
            self.used.insert(free);
        }
    }

    fn first_shareable(&mut self, block: &Block, pool: &Pool, key: &Key, claim: &Claim) -> Option<IpAddr> {
        let name = (claim.sharing.clone()?, claim.backend.clone());
        // Taken out while the others are looked at.
        let mut group = self.groups.remove(&name)?;
        let hint = (claim.ports.clone(), block.first);
        let start = group.hints.get(&hint).copied().unwrap_or(Some(block.first));
        let from = start.filter(|start| *start <= block.last);
        let mut candidates = from.into_iter().flat_map(|from| group.addresses.range(from..=block.last)).map(|(address, _)| *address);
        let found = candidates.find(|address| !pool.avoids(address) && self.may_hold(address, key, claim).is_ok());
        drop(candidates);
        group.hints.insert(hint, found);
        self.groups.insert(name, group);
        found
    }
}
