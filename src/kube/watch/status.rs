use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::kube::store::Store;

/// How well the API server is known at the moment.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Status {
    /// Every watch is in contact.
    pub connected: bool,
    /// Every kind has been listed completely, or is known not to be served. Stays true when contact is lost later.
    pub synced: bool,
    /// Why it is not connected or not in sync.
    pub reason: Option<String>,
}

impl Status {
    pub(super) fn of(store: &Store) -> Self {
        let (trouble, waiting) = (store.trouble(), store.waiting());
        let reason = match trouble.first() {
            Some(first) => Some(format!("{}: {}", first.kind, first.why)),
            None if !waiting.is_empty() => Some(format!("waiting for the first list of {}", waiting.join(", "))),
            None => None,
        };
        Self { connected: trouble.is_empty() && waiting.is_empty(), synced: store.is_synced(), reason }
    }
}

/// Figures, read on scrape.
#[derive(Debug)]
pub struct Counters {
    kinds: BTreeMap<&'static str, KindCounters>,
    changes: AtomicU64,
}

#[derive(Debug, Default)]
pub struct KindCounters {
    restarts: AtomicU64,
    objects: AtomicU64,
}

impl Counters {
    pub(super) fn new(kinds: impl Iterator<Item = &'static str>) -> Self {
        Self { kinds: kinds.map(|kind| (kind, KindCounters::default())).collect(), changes: AtomicU64::new(0) }
    }

    /// In the order of kinds.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, &KindCounters)> {
        self.kinds.iter().map(|(kind, counters)| (*kind, counters))
    }

    /// Changes that the store took in, of all kinds.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    pub(super) fn count_changes(&self, count: u64) {
        self.changes.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn count_restart(&self, kind: &str) {
        if let Some(counters) = self.kinds.get(kind) {
            counters.restarts.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn set_objects(&self, kind: &str, objects: usize) {
        if let Some(counters) = self.kinds.get(kind) {
            counters.objects.store(objects as u64, Ordering::Relaxed);
        }
    }
}

impl KindCounters {
    /// `kubgp_k8s_watch_restarts_total`: watches and lists that failed or were cut.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// `kubgp_k8s_objects`: objects in the store.
    pub fn objects(&self) -> u64 {
        self.objects.load(Ordering::Relaxed)
    }
}
