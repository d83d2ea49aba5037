//! What is told about the cluster.

use crate::kube::calico::{Report, Severity};
use crate::kube::metallb::allocator::{Allocator, Refusal};
use crate::kube::metallb::announce::Announcer;
use crate::kube::metallb::model::{Config, Pool};
use crate::kube::metallb::ranges::Family;
use crate::kube::objects::Key;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// The state of things, replaced as a whole.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// A cluster is followed.
    pub is_enabled: bool,
    /// Every watch is in contact with the API server.
    pub is_connected: bool,
    /// What the objects say was put in force at least once.
    pub is_in_force: bool,
    /// What is waited for, or wrong.
    pub reason: Option<String>,
    /// What the roles with sessions have to say about objects, sorted; see [`State::remarks`].
    pub(super) reports: Arc<[Report]>,
    /// What the role `allocator` does; `None` without the role.
    pub allocator: Option<Arc<Allocating>>,
    /// What the role `vip` decided, once it did.
    pub vips: Option<Arc<Vips>>,
    #[cfg(feature = "kube")]
    pub(super) counters: Option<Arc<crate::kube::watch::Counters>>,
}

/// What the role `allocator` does.
#[derive(Clone, Debug, Default)]
pub struct Allocating {
    /// This process gives the addresses; otherwise another one does, or none, and the rest is empty.
    pub is_leader: bool,
    /// Why it does not do its work at present, although it leads.
    pub hindrance: Option<String>,
    /// Statuses that wait to be written.
    pub waiting: usize,
    /// What the pools say.
    pub config: Arc<Config>,
    /// In the order in which they are tried.
    pub pools: Vec<PoolUse>,
    /// Every Service of ours, in order.
    pub services: Vec<Allocated>,
    /// Attempts to write a status that failed.
    pub failed_writes: u64,
    /// How often there was no address, by pool (empty where none was asked) and reason code.
    pub refusals: BTreeMap<(String, &'static str), u64>,
    pub(super) reports: Vec<Report>,
    #[cfg(feature = "kube")]
    pub(super) counters: Option<Arc<crate::kube::watch::Counters>>,
}

/// A pool and how much of it is in use.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolUse {
    pub pool: Arc<Pool>,
    /// IPv4 and IPv6; a shared address counts once.
    pub used: [u64; 2],
}

impl PoolUse {
    /// Addresses that it can give, IPv4 and IPv6.
    pub fn total(&self) -> [u128; 2] {
        Family::BOTH.map(|family| self.pool.size(family))
    }
}

/// What a Service has.
#[derive(Clone, Debug, PartialEq)]
pub struct Allocated {
    pub service: Key,
    pub addresses: Vec<IpAddr>,
    pub pool: Option<String>,
    /// Its sharing key.
    pub sharing: Option<String>,
    /// Why a wish is not fulfilled, or why there is no address.
    pub refusal: Option<Refusal>,
}

impl Allocating {
    /// What a Service of ours has.
    pub fn of_service(&self, key: &Key) -> Option<&Allocated> {
        let at = self.services.binary_search_by(|allocated| allocated.service.cmp(key)).ok()?;
        self.services.get(at)
    }

    /// Pools and Services as the allocator has them.
    pub(super) fn of(allocator: &Allocator) -> Self {
        let pools = allocator.usage().into_iter().map(|(pool, used)| PoolUse { pool, used });
        let services = allocator.allocations().map(|a| Allocated {
            service: a.service.clone(),
            addresses: a.addresses.to_vec(),
            pool: a.pool.map(str::to_owned),
            sharing: a.sharing.map(str::to_owned),
            refusal: a.refusal.cloned(),
        });
        Self { pools: pools.collect(), services: services.collect(), ..Self::default() }
    }
}

/// What would become of the Services without address.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Foresights {
    pub services: BTreeMap<Key, Foresight>,
    /// Pools that nothing can be said about, since they depend on the labels of Namespaces.
    pub opaque: Vec<String>,
}

/// What would become of one.
#[derive(Clone, Debug, PartialEq)]
pub enum Foresight {
    /// It would get these, of this pool.
    Gets(Vec<IpAddr>, String),
    Nothing(Refusal),
}

/// What the role `vip` decided last. Tables and explanations are worked out when somebody asks, so that a change costs a clone.
#[derive(Debug)]
pub struct Vips {
    pub config: Arc<Config>,
    pub announcer: Announcer,
}

/// Figures of one kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Figures {
    pub kind: &'static str,
    /// How many are known.
    pub objects: u64,
    /// Watches and lists that failed or were cut.
    pub restarts: u64,
}

impl State {
    /// Figures by kind, as they are now.
    pub fn figures(&self) -> Vec<Figures> {
        #[cfg(feature = "kube")]
        {
            let of_allocator = self.allocator.as_ref().and_then(|allocator| allocator.counters.as_ref());
            let mut kinds: BTreeMap<&'static str, Figures> = BTreeMap::new();
            for (kind, c) in self.counters.iter().chain(of_allocator).flat_map(|counters| counters.kinds()) {
                let sum = kinds.entry(kind).or_insert(Figures { kind, objects: 0, restarts: 0 });
                (sum.objects, sum.restarts) = (sum.objects.max(c.objects()), sum.restarts + c.restarts());
            }
            kinds.into_values().collect()
        }
        #[cfg(not(feature = "kube"))]
        Vec::new()
    }

    /// What there is to say about objects, by all roles, sorted.
    pub fn remarks(&self) -> Vec<&Report> {
        let of_allocator = self.allocator.iter().flat_map(|allocator| &allocator.reports);
        let all: BTreeSet<&Report> = self.reports.iter().chain(of_allocator).collect();
        all.into_iter().collect()
    }

    /// How many objects of each kind there is an error, and how many a warning about; kinds without any are absent.
    pub fn faulty(&self) -> BTreeMap<(&str, Severity), u64> {
        let objects: BTreeSet<(Severity, &str)> = self.remarks().into_iter().map(|r| (r.severity, r.object.as_str())).collect();
        let mut counts = BTreeMap::new();
        for (severity, object) in objects {
            let kind = object.split(' ').next().unwrap_or(object);
            *counts.entry((kind, severity)).or_default() += 1;
        }
        counts
    }

    /// Changes of objects that were taken in since the start.
    pub fn changes(&self) -> u64 {
        #[cfg(feature = "kube")]
        {
            let of_allocator = self.allocator.as_ref().and_then(|allocator| allocator.counters.as_ref());
            self.counters.iter().chain(of_allocator).map(|counters| counters.changes()).sum()
        }
        #[cfg(not(feature = "kube"))]
        0
    }

    /// For people: one line on how it stands.
    pub fn message(&self) -> String {
        match (&self.reason, self.is_in_force) {
            (None, true) => "what the objects say is in force".to_owned(),
            (None, false) => "waiting for the API server".to_owned(),
            (Some(reason), true) => format!("what was in force stays: {reason}"),
            (Some(reason), false) => reason.clone(),
        }
    }
}

/// The way to the latest [`State`]; cheap to clone.
#[derive(Clone, Debug)]
pub struct View {
    state: watch::Receiver<Arc<State>>,
    questions: mpsc::Sender<Question>,
}

/// Where the answer goes.
pub(super) type Question = oneshot::Sender<Foresights>;

impl View {
    pub(super) fn new() -> (watch::Sender<Arc<State>>, mpsc::Receiver<Question>, Self) {
        let (sender, state) = watch::channel(Arc::default());
        let (questions, asked) = mpsc::channel(QUESTIONS);
        (sender, asked, Self { state, questions })
    }

    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.borrow())
    }

    /// What an allocator would decide about the Services without address, as far as the objects that this node knows tell. Empty
    /// where nothing is known.
    pub async fn foresights(&self) -> Foresights {
        let (question, answer) = oneshot::channel();
        if self.questions.try_send(question).is_err() {
            return Foresights::default();
        }
        // Whoever waits for the API server answers nothing.
        tokio::time::timeout(ANSWER, answer).await.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// Returns when nothing will follow the cluster any more: the speaker has stopped, and the API server was told.
    pub async fn ended(&self) {
        let mut state = self.state.clone();
        while state.changed().await.is_ok() {}
    }
}

/// So many may ask at a time; others get no answer.
const QUESTIONS: usize = 8;
const ANSWER: Duration = Duration::from_secs(2);
