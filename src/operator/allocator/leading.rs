//! One term as the leader: what objects say goes into the allocator, what it asks for goes to the API server.

use super::statuses::Statuses;
use super::{PATIENCE, Scope, tell};
use crate::kube::client::Error;
use crate::kube::metallb::allocator::{Allocator, Output, Queue, StatusWrite};
use crate::kube::metallb::check;
use crate::kube::metallb::class::ingress_addresses;
use crate::kube::metallb::event::Event;
use crate::kube::metallb::model::Config;
use crate::kube::metallb::objects::IPAddressPool;
use crate::kube::objects::{ConfigMap, Key, Namespace, Object, Service};
use crate::kube::selection::{LEGACY_CONFIG, Role, Scope as Watched, Selection, Selections};
use crate::kube::store::Store;
use crate::kube::watch::{Options, Watch};
use crate::kube::write::{Events, Rate, Retries, WriteError, Writer};
use crate::operator::news;
use crate::operator::reports::{concerns_pools, of_complaint};
use crate::operator::state::{Allocating, State};
use crate::operator::until;
use crate::operator::vip::shared;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::{debug, error, warn};

/// The state of a term.
pub struct Leading<'a> {
    state: &'a watch::Sender<Arc<State>>,
    leader: watch::Receiver<bool>,
    watch: Watch,
    writer: Writer,
    events: Events,
    statuses: Statuses,
    allocator: Allocator,
    config: Arc<Config>,
    /// What of the store has been given to the allocator.
    seen: Seen,
    queue: Queue,
    writes: JoinSet<(Key, Result<(), WriteError>)>,
    /// Writes that failed, and when they are tried again.
    retries: Retries,
    /// Assignments that are told when they are written.
    assigned: BTreeMap<Key, Event>,
    told: Told,
}

#[derive(Default)]
struct Seen {
    config: Option<u64>,
    namespaces: (u64, BTreeSet<Key>),
    services: (u64, BTreeSet<Key>),
}

/// What is told about this term, and when it was last.
struct Told {
    is_due: bool,
    next: Instant,
    /// What was decided at first is in the statuses, but for those that cannot be written.
    was_settled: bool,
    writes: u64,
    failed_writes: u64,
    /// The last failure.
    failure: String,
    refusals: BTreeMap<(String, &'static str), u64>,
}

impl<'a> Leading<'a> {
    /// Leads until it is dropped.
    pub async fn start(scope: &Scope, state: &'a watch::Sender<Arc<State>>, leader: watch::Receiver<bool>) {
        let mut term = loop {
            match Self::new(scope, state, leader.clone()) {
                Ok(term) => break term,
                Err(e) => error!(reason = %e, "the API server cannot be asked"),
            }
            sleep(RETRY).await;
        };
        term.run().await;
    }

    fn new(scope: &Scope, state: &'a watch::Sender<Arc<State>>, leader: watch::Receiver<bool>) -> Result<Self, Error> {
        let watched = Watched { node_name: None, namespace: scope.namespace.clone(), calico_namespace: scope.namespace.clone() };
        let mut selections = Selections::for_roles(&[Role::Allocator], &watched);
        selections.add(Selection::of::<IPAddressPool>().in_namespace(&scope.namespace));
        selections.add(Statuses::selection(&scope.namespace));
        let client = scope.connection.client()?;
        Ok(Self {
            state,
            leader,
            watch: Watch::start(&client, &selections, Options::default()),
            writer: Writer::new(scope.connection.impatient_client(PATIENCE)?, MANAGER, PATIENCE),
            events: Events::start(client, MANAGER, &scope.identity, RATE),
            statuses: Statuses::new(&scope.connection, &scope.namespace)?,
            allocator: Allocator::new(scope.class.clone()),
            config: Arc::default(),
            seen: Seen::default(),
            queue: Queue::default(),
            writes: JoinSet::new(),
            retries: Retries::new(AGAIN),
            assigned: BTreeMap::new(),
            told: Told {
                is_due: true,
                next: Instant::now(),
                was_settled: false,
                writes: 0,
                failed_writes: 0,
                failure: String::new(),
                refusals: BTreeMap::new(),
            },
        })
    }

    async fn run(&mut self) {
        let mut status = self.watch.status();
        let mut silence = tokio::time::interval(SILENCE);
        loop {
            // The watch lives as long as this.
            self.told.is_due |= status.has_changed().unwrap_or_default();
            if status.borrow_and_update().synced {
                self.read();
                self.decide();
                self.begin_writes();
            }
            self.tell_what_is();
            let (next_told, next_retry) = (self.told.is_due.then_some(self.told.next), self.retries.next());
            tokio::select! {
                () = self.watch.changed() => {}
                _ = status.changed() => {}
                Some(done) = self.writes.join_next() => {
                    let (key, result) = done.expect("a write does not panic");
                    self.written(&key, result);
                }
                () = self.statuses.progress() => self.told.is_due = true,
                () = until(next_retry) => self.retry(),
                () = until(next_told) => {}
                _ = silence.tick() => if self.queue.is_empty() { self.allocator.handle_silence() },
            }
        }
    }

    /// Gives the allocator what is new.
    fn read(&mut self) {
        let store = self.watch.store();
        let latest = store.generation_of::<IPAddressPool>().max(store.generation_of::<ConfigMap>());
        if self.seen.config != Some(latest) {
            let config_map = store.list::<ConfigMap>().find(|map| map.metadata.name == LEGACY_CONFIG).cloned().map(Arc::new);
            let objects = check::Objects { pools: shared(store), config_map, ..check::Objects::default() };
            let before = std::mem::take(&mut self.config);
            self.config = Arc::new(Config::build(&objects, &before));
            self.allocator.handle_config(&self.config);
            let told: Vec<_> = before.complaints.iter().map(of_complaint).collect();
            for report in self.config.complaints.iter().filter(|c| concerns_pools(c)).map(of_complaint).filter(|r| !told.contains(r)) {
                if let Some(about) = news::about_report(store, &report) {
                    self.events.publish(about, news::of_report(&report));
                }
            }
            (self.seen.config, self.told.is_due) = (Some(latest), true);
        }
        let allocator = &mut self.allocator;
        let namespace = |key: &Key, namespace: Option<&Namespace>| allocator.handle_namespace(&key.name, namespace);
        follow(store, &mut self.seen.namespaces, namespace);
        let (allocator, queue) = (&mut self.allocator, &mut self.queue);
        // Also one that goes, about which nothing is to be written.
        self.told.is_due |= self.seen.services.0 != store.changes_of::<Service>();
        follow(store, &mut self.seen.services, |key, service: Option<&Service>| {
            allocator.handle_service(key, service);
            if service.is_none() {
                queue.forget(key);
            }
        });
        self.allocator.handle_synced();
    }

    /// Takes what the allocator asks for.
    fn decide(&mut self) {
        while let Some(output) = self.allocator.poll() {
            self.told.is_due = true;
            match output {
                Output::Event(event) if event.reason == ASSIGNED => drop(self.assigned.insert(event.object.key.clone(), event)),
                Output::Event(event) => self.publish(&event),
                Output::Status(write) => {
                    let shown = self.watch.store().get::<Service>(&write.service).map(ingress_addresses).unwrap_or_default();
                    if write.addresses.is_empty() {
                        self.assigned.remove(&write.service);
                    }
                    self.queue.push(write, &shown);
                }
            }
        }
    }

    fn begin_writes(&mut self) {
        while self.writes.len() < AT_ONCE && *self.leader.borrow() {
            let Some(write) = self.queue.begin() else { return };
            let Some(basis) = self.watch.store().get::<Service>(&write.service).cloned() else {
                self.queue.forget(&write.service);
                continue;
            };
            let (writer, leader) = (self.writer.clone(), self.leader.clone());
            self.writes.spawn(async move {
                let result = write_as_leader(&writer, &leader, &basis, &write).await;
                (write.service, result)
            });
        }
    }

    fn written(&mut self, key: &Key, result: Result<(), WriteError>) {
        self.queue.done(key, result.is_ok());
        self.told.is_due |= !self.told.was_settled;
        match result {
            Ok(()) => {
                self.told.writes += 1;
                self.retries.forget(key);
                if let Some(event) = self.assigned.remove(key) {
                    self.publish(&event);
                }
            }
            Err(WriteError::NotFound) => self.queue.forget(key),
            Err(e) => {
                self.told.failed_writes += 1;
                (self.told.failure, self.told.is_due) = (e.to_string(), true);
                let after = self.retries.add(key.clone());
                match e {
                    WriteError::Conflict(_) => debug!(service = %key, reason = %e, ?after, "the status was not written"),
                    _ => warn!(service = %key, reason = %e, ?after, "the status was not written"),
                }
            }
        }
    }

    fn retry(&mut self) {
        while let Some(key) = self.retries.due() {
            self.allocator.handle_write_failed(&key);
        }
    }

    fn publish(&mut self, event: &Event) {
        if event.reason == "AllocationFailed" {
            let refusal = self.allocator.refusal(&event.object.key);
            for (pool, reason) in refusal.into_iter().flat_map(|refusal| refusal.by_pool()) {
                *self.told.refusals.entry((pool.to_owned(), reason.code())).or_default() += 1;
            }
        }
        if let Some(service) = self.watch.store().get::<Service>(&event.object.key) {
            self.events.publish(news::about(service), news::of_event(event, "Allocate"));
        }
    }

    /// Why the work is not done.
    fn hindrance(&mut self) -> Option<String> {
        let status = self.watch.status().borrow().clone();
        if !status.synced || !status.connected {
            return Some(status.reason.unwrap_or_else(|| "waits for the API server".to_owned()));
        }
        let (waiting, failing) = (self.queue.len(), self.retries.count());
        self.told.was_settled |= waiting <= failing;
        if !self.told.was_settled {
            return Some(format!("{waiting} statuses are to be written"));
        }
        let is_stuck = failing > 0 && self.told.writes == 0;
        is_stuck.then(|| format!("no status of {failing} could be written: {}", self.told.failure))
    }

    /// At most once a second: with many Services it costs.
    fn tell_what_is(&mut self) {
        if !self.told.is_due || Instant::now() < self.told.next {
            return;
        }
        (self.told.is_due, self.told.next) = (false, Instant::now() + TELL);
        let hindrance = self.hindrance();
        let complaints = self.config.complaints.iter().filter(|complaint| concerns_pools(complaint));
        let allocating = Allocating {
            is_leader: true,
            hindrance,
            waiting: self.queue.len(),
            config: Arc::clone(&self.config),
            failed_writes: self.told.failed_writes,
            refusals: self.told.refusals.clone(),
            reports: complaints.map(of_complaint).collect(),
            counters: Some(self.watch.counters()),
            ..Allocating::of(&self.allocator)
        };
        tell(self.state, allocating);
        if self.watch.status().borrow().synced && *self.leader.borrow() {
            self.statuses.write(&self.allocator, &self.config, self.watch.store());
        }
    }
}

async fn write_as_leader(writer: &Writer, leader: &watch::Receiver<bool>, basis: &Service, write: &StatusWrite) -> Result<(), WriteError> {
    if !*leader.borrow() {
        return Err(WriteError::Refused("not the leader any more".to_owned()));
    }
    writer.assign(basis, write).await
}

/// Tells what became of the objects of a kind since the last time; of all of them where that is not known.
fn follow<T: Object>(store: &Store, (since, present): &mut (u64, BTreeSet<Key>), mut tell: impl FnMut(&Key, Option<&T>)) {
    let latest = store.changes_of::<T>();
    if latest == *since {
        return;
    }
    let changed: BTreeSet<Key> = match store.changed_since::<T>(*since) {
        Some(keys) => keys.into_iter().cloned().collect(),
        None => store.list::<T>().map(Object::key).chain(present.iter().cloned()).collect(),
    };
    for key in changed {
        let object = store.get::<T>(&key);
        if object.is_some() {
            present.insert(key.clone())
        } else {
            present.remove(&key)
        };
        tell(&key, object);
    }
    *since = latest;
}

/// The Event that is told when the address is in the status.
const ASSIGNED: &str = "IPAllocated";
/// Owner of the fields that we write, and reporter of Events.
const MANAGER: &str = "kubgp-allocator";
const RATE: Rate = Rate { burst: 200, per_second: 5 };
/// Writes under way together.
const AT_ONCE: usize = 16;
/// First and longest pause before a failed write is tried again; each attempt tries several times by itself.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
const TELL: Duration = Duration::from_secs(1);
/// After so long without word of a write it is done again.
const SILENCE: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_secs(5);
