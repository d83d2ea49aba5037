//! One task per watch feeds the store through one bounded channel; whoever owns the [`Watch`] owns the store.
//!
//! Lists come as part of the watch where the API server can do that, else from its cache. A watch that ends goes on where it stopped;
//! one whose position is too old lists again; a kind that is not served is asked for again now and then. While the API server is
//! away or refuses, what is known stays (see [`store`](super::store)), and [`Status`] says why.

mod discovery;
mod fault;
mod source;
mod status;

pub use self::status::{Counters, KindCounters, Status};

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use self::discovery::Discovery;
use self::source::Source;
use super::selection::Selections;
use super::store::{Change, SourceId, Store};

/// Periods of the watches. The defaults suit a real API server; tests use shorter ones.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// At least so long between two signals of a change, and at least half as long again as what was done at the last one took, so
    /// that the owner is busy for two thirds of the time at most. The first after a quiet time comes at once.
    pub debounce: Duration,
    /// How long the API server may take to begin an answer.
    pub patience: Duration,
    /// A watch that brings nothing for so long, not even a bookmark (the API server sends one a minute), is dead.
    pub idle: Duration,
    /// The API server ends a watch after so long. Whole seconds.
    pub lifetime: Duration,
    /// First and longest pause after a failure.
    pub backoff: (Duration, Duration),
    /// How often kinds that are not served are asked for.
    pub probe: Duration,
    /// An empty list that follows an error is believed when another, so much later, is empty too.
    pub confirm: Duration,
    /// Objects per page where not even the API server's cache can answer.
    pub page: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            debounce: Duration::from_millis(10),
            patience: Duration::from_secs(30),
            idle: Duration::from_secs(150),
            lifetime: Duration::from_secs(290),
            backoff: (Duration::from_millis(400), Duration::from_secs(30)),
            probe: Duration::from_secs(30),
            confirm: Duration::from_secs(30),
            page: 500,
        }
    }
}

/// The watches and the store that they feed. Dropping it ends them.
pub struct Watch {
    store: Store,
    changes: mpsc::Receiver<(SourceId, Change)>,
    tasks: JoinSet<()>,
    status: watch::Sender<Status>,
    counters: Arc<Counters>,
    client: Client,
    options: Options,
    /// Something changed since the last signal.
    dirty: bool,
    /// When the last signal was given, until its receiver is back.
    signalled_at: Option<Instant>,
    quiet_until: Option<Instant>,
}

impl Watch {
    /// Starts the watches; needs a tokio runtime. The API server may appear later.
    pub fn start(client: &Client, selections: &Selections, options: Options) -> Self {
        let (sender, changes) = mpsc::channel(QUEUE);
        let discovery = Arc::new(Discovery::new(client.clone(), options.patience, selections.hidden_groups().clone()));
        let counters = Arc::new(Counters::new(selections.iter().map(|s| s.kind.kind.name)));
        let mut store = Store::new();
        let mut tasks = JoinSet::new();
        for selection in selections.iter() {
            let id = store.add_source(selection.kind);
            let source = Source::new(client.clone(), Arc::clone(&discovery), selection.clone(), options, Arc::clone(&counters));
            tasks.spawn(source.run(source::Port { id, changes: sender.clone() }));
        }
        let status = watch::Sender::new(Status::of(&store));
        Self {
            store,
            changes,
            tasks,
            status,
            counters,
            client: client.clone(),
            options,
            dirty: false,
            signalled_at: None,
            quiet_until: None,
        }
    }

    /// Begins anew with other selections: everything is listed again, nothing is known before.
    pub fn replace(&mut self, selections: &Selections) {
        *self = Self::start(&self.client.clone(), selections, self.options);
    }

    /// Waits until objects, presence or trouble differ from what the last call left. May be dropped and called again.
    ///
    /// # Panics
    /// When a watch task has panicked: its kind would silently grow old.
    pub async fn changed(&mut self) {
        if let Some(at) = self.signalled_at.take() {
            self.quiet_until = Some(at + self.options.debounce.max(at.elapsed() * 3 / 2));
        }
        loop {
            let due = self.quiet_until.unwrap_or_else(Instant::now);
            if self.dirty && due <= Instant::now() {
                (self.dirty, self.signalled_at) = (false, Some(Instant::now()));
                return;
            }
            tokio::select! {
                change = self.changes.recv(), if !self.tasks.is_empty() => {
                    if let Some((source, change)) = change {
                        self.take_in(source, change);
                    }
                }
                () = sleep_until(due), if self.dirty => {}
                Some(ended) = self.tasks.join_next() => ended.expect("a watch task does not panic"),
                else => std::future::pending().await,
            }
        }
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The latest [`Status`], for tasks that report readiness.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// Takes in one change and what else is there already, up to the length of the queue.
    fn take_in(&mut self, source: SourceId, change: Change) {
        self.dirty |= self.store.handle(source, change);
        let mut taken = 1;
        for _ in 0..QUEUE {
            let Ok((source, change)) = self.changes.try_recv() else { break };
            self.dirty |= self.store.handle(source, change);
            taken += 1;
        }
        self.counters.count_changes(taken);
        for (kind, objects) in self.store.sizes() {
            self.counters.set_objects(kind, objects);
        }
        let status = Status::of(&self.store);
        self.status.send_if_modified(|old| {
            let differs = *old != status;
            *old = status;
            differs
        });
    }
}

/// Changes that may wait for the owner of the store; when it is full the watches wait, and the API server with them.
const QUEUE: usize = 1024;
