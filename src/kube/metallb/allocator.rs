//! Gives addresses of the pools to Services: a pure state machine. Inputs are the latest state of Services, Namespaces and pools;
//! outputs are status writes and Events, until [`Allocator::poll`] has no more.
//!
//! Nothing is given before everything is known ([`Allocator::handle_synced`]), and what Services have already is taken back into the
//! book before anybody gets something new. A Service keeps its address as long as it may have it, whatever it wishes instead.

mod book;
mod choose;
mod facts;
mod queue;
#[cfg(test)]
mod tests;

pub use choose::Refusal;
pub use queue::Queue;

use super::class;
use super::event::Event;
use super::model::{Config, Pool};
use super::ranges::Family;
use super::reason::Reason;
use super::selector::Labels;
use crate::kube::objects::{Key, Namespace, Service};
use book::Book;
use choose::{Choice, Search};
use facts::{Facts, FamilyPolicy, Standing};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    Status(StatusWrite),
    Event(Event),
}

/// One update of the status subresource: `loadBalancer.ingress` and the annotation that names the pool.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatusWrite {
    pub service: Key,
    /// Empty: `loadBalancer` becomes `{}`.
    pub addresses: Vec<IpAddr>,
    /// `None`: the annotation goes.
    pub pool: Option<String>,
}

/// What somebody holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Allocation<'a> {
    pub service: &'a Key,
    pub addresses: &'a [IpAddr],
    pub pool: Option<&'a str>,
    pub sharing: Option<&'a str>,
    /// Why a wish is not fulfilled, or why there is no address.
    pub refusal: Option<&'a Refusal>,
}

#[derive(Debug)]
struct Entry {
    facts: Facts,
    held: Vec<IpAddr>,
    pool: Option<String>,
    /// Written since the status was last seen to change.
    written: Option<(Vec<IpAddr>, Option<String>)>,
    /// A write failed, so that nobody knows what the status shows.
    unsure: bool,
    refusal: Option<Refusal>,
    /// With whom it would share changed while it held something: if that excludes others, it is this Service that loses.
    changed_claim: bool,
    /// Addresses of the status that were taken away and told so.
    told_lost: Vec<IpAddr>,
    told_of_old_annotation: bool,
}

impl Entry {
    fn new(facts: Facts) -> Self {
        Self {
            facts,
            held: Vec::new(),
            pool: None,
            written: None,
            unsure: false,
            refusal: None,
            changed_claim: false,
            told_lost: Vec::new(),
            told_of_old_annotation: false,
        }
    }

    /// The first to be examined is the least.
    fn precedence(&self) -> (bool, String) {
        (!self.changed_claim, self.facts.created.clone())
    }
}

/// What becomes of addresses that a Service has.
enum Verdict {
    /// These of them stay.
    Keep(Vec<IpAddr>, Arc<Pool>),
    /// They stay because nobody can say whether they may: their pool is not valid at present.
    Suspended,
    Lose(Reason),
}

/// See the module.
#[derive(Debug, Default)]
pub struct Allocator {
    class: Option<String>,
    entries: BTreeMap<Key, Entry>,
    namespaces: BTreeMap<String, Labels>,
    book: Book,
    broken: BTreeSet<String>,
    /// To be examined.
    dirty: BTreeSet<Key>,
    /// To be examined when an address becomes free.
    waiting: BTreeSet<Key>,
    freed: bool,
    synced: bool,
    /// There has been a pool. Before that nothing is touched: pools that cannot be listed must not cost anybody an address.
    configured: bool,
    outputs: VecDeque<Output>,
    /// Services examined so far.
    examined: u64,
}

impl Allocator {
    /// `class`: the class that we are responsible for; `None`: Services without class.
    pub fn new(class: Option<String>) -> Self {
        Self { class, ..Self::default() }
    }

    /// All inputs were given once: from now on there are outputs.
    pub fn handle_synced(&mut self) {
        self.synced = true;
    }

    pub fn handle_config(&mut self, config: &Config) {
        self.configured |= !config.pools.is_empty() || !config.broken_pools.is_empty();
        self.broken.clone_from(&config.broken_pools);
        self.book.set_pools(config.pools.values());
        self.dirty.extend(self.entries.keys().cloned());
    }

    /// `None`: it is gone.
    pub fn handle_namespace(&mut self, name: &str, namespace: Option<&Namespace>) {
        let labels = namespace.map(|namespace| namespace.metadata.labels.clone());
        if self.namespaces.get(name) == labels.as_ref() {
            return;
        }
        match labels {
            Some(labels) => drop(self.namespaces.insert(name.to_owned(), labels)),
            None => drop(self.namespaces.remove(name)),
        }
        let inside = self.entries.range(Key::new(name, "")..).take_while(|(key, _)| &*key.namespace == name);
        self.dirty.extend(inside.map(|(key, _)| key.clone()));
    }

    /// The latest state of a Service; `None`: it is gone.
    pub fn handle_service(&mut self, key: &Key, service: Option<&Service>) {
        let Some(service) = service else {
            if let Some(entry) = self.entries.remove(key) {
                self.freed |= !entry.held.is_empty();
                self.book.release(key);
            }
            self.waiting.remove(key);
            self.dirty.remove(key);
            return;
        };
        let facts = Facts::new(service, self.class.as_deref());
        let Some(entry) = self.entries.get_mut(key) else {
            self.entries.insert(key.clone(), Entry::new(facts));
            self.dirty.insert(key.clone());
            return;
        };
        if entry.facts == facts {
            return;
        }
        if entry.facts.claim != facts.claim && !entry.held.is_empty() {
            // Others may share now, or no longer: the book must know before anybody is examined.
            self.book.hold(key, &facts.claim, &entry.held);
            entry.changed_claim = true;
            self.freed = true;
        }
        if (&entry.facts.observed, &entry.facts.observed_pool) != (&facts.observed, &facts.observed_pool) {
            entry.written = None;
        }
        entry.facts = facts;
        self.dirty.insert(key.clone());
    }

    /// A status write did not succeed and no newer state will come by itself.
    pub fn handle_write_failed(&mut self, key: &Key) {
        if let Some(entry) = self.entries.get_mut(key) {
            (entry.written, entry.unsure) = (None, true);
            self.dirty.insert(key.clone());
        }
    }

    /// Writes that no newer state has followed count as failed: somebody may have undone one before it was seen.
    pub fn handle_silence(&mut self) {
        for (key, entry) in self.entries.iter_mut().filter(|(_, entry)| entry.written.is_some()) {
            (entry.written, entry.unsure) = (None, true);
            self.dirty.insert(key.clone());
        }
    }

    /// The next thing to do, oldest first.
    pub fn poll(&mut self) -> Option<Output> {
        if self.synced && self.configured {
            self.settle();
        }
        self.outputs.pop_front()
    }

    /// What every Service of ours holds, or why it holds nothing.
    pub fn allocations(&self) -> impl Iterator<Item = Allocation<'_>> {
        self.entries.iter().filter(|(_, entry)| entry.facts.standing == Standing::Ours).map(|(service, entry)| Allocation {
            service,
            addresses: &entry.held,
            pool: entry.pool.as_deref(),
            sharing: entry.facts.claim.sharing.as_deref(),
            refusal: entry.refusal.as_ref(),
        })
    }

    /// Why a Service has no address, or not the one that it wants.
    pub fn refusal(&self, key: &Key) -> Option<&Refusal> {
        self.entries.get(key)?.refusal.as_ref()
    }

    /// Every pool with how many of its addresses are in use, IPv4 and IPv6; a shared address counts once.
    pub fn usage(&self) -> Vec<(Arc<Pool>, [u64; 2])> {
        let mut used: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
        for (address, _) in self.book.holders() {
            if let Some(pool) = self.book.pool_of(address) {
                let [v4, v6] = used.entry(&pool.name).or_default();
                *(if Family::of(address) == Family::V4 { v4 } else { v6 }) += 1;
            }
        }
        let count = |pool: &Arc<Pool>| (pool.clone(), used.get(pool.name.as_str()).copied().unwrap_or_default());
        self.book.pools().iter().map(count).collect()
    }

    /// Services examined and addresses looked at so far: what allocation costs, whatever the machine.
    pub fn work(&self) -> u64 {
        self.examined + self.book.looked()
    }

    fn settle(&mut self) {
        loop {
            let mut keys = std::mem::take(&mut self.dirty);
            if std::mem::take(&mut self.freed) {
                keys.extend(self.waiting.iter().cloned());
            }
            if keys.is_empty() {
                return;
            }
            let mut order: Vec<Key> = keys.into_iter().filter(|key| self.entries.contains_key(key)).collect();
            order.sort_by_cached_key(|key| (self.entries.get(key).map(Entry::precedence), key.clone()));
            order.iter().for_each(|key| self.reclaim(key));
            order.iter().for_each(|key| self.examine(key));
        }
    }

    fn entry(&mut self, key: &Key) -> &mut Entry {
        self.entries.get_mut(key).expect("only Services that are there are examined")
    }

    /// Takes the addresses of the status into the book, where they may stay.
    fn reclaim(&mut self, key: &Key) {
        let Entry { facts, held, .. } = self.entry(key);
        if facts.standing != Standing::Ours || !held.is_empty() || facts.observed.is_empty() {
            return;
        }
        let (observed, pool) = (facts.observed.clone(), facts.observed_pool.clone());
        match self.judge(key, &observed) {
            Verdict::Keep(kept, pool) => self.assign(key, Choice { pool: pool.name.clone(), addresses: kept }),
            Verdict::Suspended => {
                let entry = self.entry(key);
                (entry.held, entry.pool) = (observed.clone(), pool);
                let claim = entry.facts.claim.clone();
                self.book.hold(key, &claim, &observed);
            }
            Verdict::Lose(_) => {}
        }
    }

    fn judge(&self, key: &Key, addresses: &[IpAddr]) -> Verdict {
        let Some(Entry { facts, pool: from, .. }) = self.entries.get(key) else { return Verdict::Lose(Reason::NotOurs) };
        let families: BTreeSet<Family> = addresses.iter().map(Family::of).collect();
        let kept: Vec<IpAddr> = addresses.iter().filter(|address| facts.families.contains(&Family::of(address))).copied().collect();
        let Some(first) = kept.first().filter(|_| families.len() == addresses.len()) else {
            return Verdict::Lose(Reason::FamilyMismatch);
        };
        if let Some(reason) = kept.iter().find_map(|address| self.book.may_hold(address, key, &facts.claim).err()) {
            return Verdict::Lose(reason);
        }
        let pool = self.book.pool_of(first).filter(|pool| kept.iter().all(|address| pool.contains(address)));
        let Some(pool) = pool else {
            let named = from.as_ref().or(facts.observed_pool.as_ref());
            let is_broken = named.is_some_and(|name| self.broken.contains(name));
            return if is_broken { Verdict::Suspended } else { Verdict::Lose(Reason::AddressNotInPool) };
        };
        if pool.admits(&key.namespace, self.labels_of(key), &facts.labels).is_err() {
            return Verdict::Lose(Reason::PoolNotAllowed);
        }
        if kept.iter().any(|address| pool.avoids(address)) {
            return Verdict::Lose(Reason::AddressAvoided);
        }
        Verdict::Keep(kept, pool.clone())
    }

    fn labels_of(&self, key: &Key) -> &Labels {
        static NONE: Labels = Labels::new();
        self.namespaces.get(&*key.namespace).unwrap_or(&NONE)
    }

    fn examine(&mut self, key: &Key) {
        self.examined += 1;
        self.waiting.remove(key);
        self.tell_of_old_annotation(key);
        self.entry(key).changed_claim = false;
        let Entry { facts, held, .. } = self.entry(key);
        match facts.standing {
            Standing::Ours => self.examine_ours(key),
            Standing::OtherClass => {
                self.forget(key);
                return;
            }
            Standing::NotLoadBalancer if held.is_empty() && facts.observed_pool.is_none() => return,
            Standing::NotLoadBalancer => self.forget(key),
        }
        self.write(key);
    }

    fn examine_ours(&mut self, key: &Key) {
        let facts = &self.entry(key).facts;
        if facts.families.is_empty() {
            self.clear(key, Refusal::new(Reason::NoClusterIps, "the Service has no clusterIPs"));
            return;
        }
        if facts.policy == FamilyPolicy::Require && facts.families.len() < 2 {
            self.fail(key, "not enough clusterips", Refusal::new(Reason::NotEnoughClusterIps, "RequireDualStack needs two clusterIPs"));
            self.forget(key);
            return;
        }
        if self.book.pools().is_empty() && self.broken.is_empty() {
            self.clear(key, Refusal::new(Reason::NoPools, "there are no pools"));
            return;
        }
        let held = self.entry(key).held.clone();
        if !held.is_empty() {
            match self.judge(key, &held) {
                Verdict::Keep(kept, pool) => {
                    self.keep(key, kept, &pool);
                    self.improve(key, &pool);
                    return;
                }
                Verdict::Suspended => {
                    self.fail(key, "AllocationFailed", Refusal::new(Reason::PoolInvalid, "the pool of the address is not valid; it stays"));
                    return;
                }
                Verdict::Lose(reason) => self.lose(key, reason),
            }
        } else if !self.entry(key).facts.observed.is_empty() {
            let observed = self.entry(key).facts.observed.clone();
            if let Verdict::Lose(reason) = self.judge(key, &observed) {
                self.lose(key, reason);
            }
        }
        match self.search(key).choose() {
            Ok(choice) => self.give(key, choice),
            Err(refusal) => {
                self.fail(key, "AllocationFailed", refusal);
                self.waiting.insert(key.clone());
            }
        }
    }

    fn keep(&mut self, key: &Key, kept: Vec<IpAddr>, pool: &Arc<Pool>) {
        if self.entry(key).held.len() > kept.len() {
            self.freed = true;
            self.assign(key, Choice { pool: pool.name.clone(), addresses: kept });
        } else {
            self.entry(key).pool = Some(pool.name.clone());
        }
    }

    /// The Service has an address that may stay; does it want another, or one more?
    fn improve(&mut self, key: &Key, pool: &Arc<Pool>) {
        let Entry { facts, held, .. } = self.entry(key);
        let wish = match &facts.wish {
            Err(why) => {
                let refusal = Refusal::new(Reason::WishInvalid, why.clone());
                self.fail(key, "LoadBalancerFailed", refusal);
                return;
            }
            Ok(wish) => wish.clone(),
        };
        let has: BTreeSet<IpAddr> = held.iter().copied().collect();
        let elsewhere = facts.pool_wish.as_ref().is_some_and(|wanted| *wanted != pool.name);
        let others = wish.as_ref().is_some_and(|wish| wish.iter().copied().collect::<BTreeSet<_>>() != has);
        let missing: Vec<Family> =
            facts.families.iter().copied().filter(|family| has.iter().all(|address| Family::of(address) != *family)).collect();
        if elsewhere || others {
            self.switch(key, "AllocationFailed");
        } else if let Some(family) = missing.first().filter(|_| wish.is_none()) {
            self.add(key, pool, *family);
        } else {
            self.entry(key).refusal = None;
        }
    }

    /// Exchanges what the Service has for what it wants, or keeps it.
    fn switch(&mut self, key: &Key, event: &'static str) {
        match self.search(key).choose() {
            Ok(choice) => {
                self.freed = true;
                self.give(key, choice);
            }
            Err(refusal) => {
                self.fail(key, event, Refusal { text: format!("{}; it keeps what it has", refusal.text), ..refusal });
                self.waiting.insert(key.clone());
            }
        }
    }

    fn add(&mut self, key: &Key, pool: &Arc<Pool>, family: Family) {
        match self.search(key).add(pool, family) {
            Ok(address) => {
                let mut addresses = self.entry(key).held.clone();
                addresses.push(address);
                addresses.sort();
                self.give(key, Choice { pool: pool.name.clone(), addresses });
            }
            Err(refusal) if self.entry(key).facts.policy == FamilyPolicy::Prefer => {
                self.fail(key, "AdditionalAssignFailed", refusal);
                self.waiting.insert(key.clone());
            }
            Err(_) => self.switch(key, "AllocationFailed"),
        }
    }

    fn search<'a>(&'a mut self, key: &'a Key) -> Search<'a> {
        static NONE: Labels = Labels::new();
        let facts = &self.entries.get(key).expect("only Services that are there are examined").facts;
        let namespace_labels = self.namespaces.get(&*key.namespace).unwrap_or(&NONE);
        Search { book: &mut self.book, broken: &self.broken, key, facts, namespace_labels }
    }

    fn assign(&mut self, key: &Key, choice: Choice) {
        let entry = self.entry(key);
        entry.held.clone_from(&choice.addresses);
        entry.told_lost.clear();
        entry.pool = Some(choice.pool);
        let claim = entry.facts.claim.clone();
        self.book.hold(key, &claim, &choice.addresses);
    }

    fn give(&mut self, key: &Key, choice: Choice) {
        let list: Vec<String> = choice.addresses.iter().map(|address| format!("\"{address}\"")).collect();
        let message = format!("Assigned IP [{}] from pool \"{}\"", list.join(" "), choice.pool);
        self.outputs.push_back(Output::Event(Event::normal(key, "IPAllocated", message)));
        self.assign(key, choice);
        self.entry(key).refusal = None;
    }

    fn forget(&mut self, key: &Key) {
        let entry = self.entry(key);
        let had = !std::mem::take(&mut entry.held).is_empty();
        entry.pool = None;
        self.freed |= had;
        self.book.release(key);
    }

    /// Takes the addresses away without a warning about the want of new ones.
    fn clear(&mut self, key: &Key, refusal: Refusal) {
        let entry = self.entry(key);
        if entry.refusal.as_ref() != Some(&refusal) && !(entry.held.is_empty() && entry.facts.observed.is_empty()) {
            self.lose(key, refusal.reason);
        }
        self.forget(key);
        self.entry(key).refusal = Some(refusal);
    }

    /// Tells it once: the status may still show the addresses when the next examination comes.
    fn lose(&mut self, key: &Key, reason: Reason) {
        let entry = self.entry(key);
        let lost = if entry.held.is_empty() { entry.facts.observed.clone() } else { entry.held.clone() };
        let is_told = entry.told_lost == lost;
        // Several addresses of one family are none that we, or Kubernetes, would give.
        let is_ambiguous = lost.iter().map(Family::of).collect::<BTreeSet<_>>().len() < lost.len();
        entry.told_lost = lost;
        self.forget(key);
        if is_told {
            return;
        }
        let message = format!("the assigned address cannot stay: {reason}; {}", reason.remedy());
        let event = match is_ambiguous {
            true => Event::warning(key, "nolbIPsIPFamily", message),
            false => Event::normal(key, "ClearAssignment", message),
        };
        self.outputs.push_back(Output::Event(event.because(reason)));
    }

    /// Remembers why, and tells it once.
    fn fail(&mut self, key: &Key, event: &'static str, refusal: Refusal) {
        let entry = self.entry(key);
        if entry.refusal.as_ref() == Some(&refusal) {
            return;
        }
        let message = format!("Failed to allocate IP for \"{key}\": {refusal}");
        let cause = refusal.reason;
        entry.refusal = Some(refusal);
        let told = match event {
            "AdditionalAssignFailed" => Event::normal(key, event, message),
            _ => Event::warning(key, event, message),
        };
        self.outputs.push_back(Output::Event(told.because(cause)));
    }

    fn tell_of_old_annotation(&mut self, key: &Key) {
        let entry = self.entry(key);
        if entry.facts.has_old_annotation && !entry.told_of_old_annotation && entry.facts.standing == Standing::Ours {
            entry.told_of_old_annotation = true;
            let message = format!("annotations metallb.universe.tf/* are deprecated; use {}", class::annotation_name("*"));
            self.outputs.push_back(Output::Event(Event::warning(key, "deprecatedAnnotation", message)));
        }
    }

    /// Asks for a status write where the status is not what it should be.
    fn write(&mut self, key: &Key) {
        let entry = self.entry(key);
        let desired = (entry.held.clone(), entry.pool.clone());
        let observed = || entry.facts.observed == desired.0 && entry.facts.observed_pool == desired.1;
        let is_so = match &entry.written {
            Some(written) => *written == desired,
            None => !entry.unsure && observed(),
        };
        if is_so {
            return;
        }
        (entry.written, entry.unsure) = (Some(desired.clone()), false);
        let (addresses, pool) = desired;
        self.outputs.push_back(Output::Status(StatusWrite { service: key.clone(), addresses, pool }));
    }
}
