//! What is told about the cluster.

use crate::kube::calico::Report;
use crate::kube::metallb::announce::Announcer;
use crate::kube::metallb::model::Config;
use std::sync::Arc;
use tokio::sync::watch;

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
    /// What there is to say about objects, sorted.
    pub reports: Arc<[Report]>,
    /// What the role `vip` decided, once it did.
    pub vips: Option<Arc<Vips>>,
    #[cfg(feature = "kube")]
    pub(super) counters: Option<Arc<crate::kube::watch::Counters>>,
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
        if let Some(counters) = &self.counters {
            return counters.kinds().map(|(kind, c)| Figures { kind, objects: c.objects(), restarts: c.restarts() }).collect();
        }
        Vec::new()
    }

    /// Changes of objects that were taken in since the start.
    pub fn changes(&self) -> u64 {
        #[cfg(feature = "kube")]
        if let Some(counters) = &self.counters {
            return counters.changes();
        }
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
pub struct View(watch::Receiver<Arc<State>>);

impl View {
    pub(super) fn new() -> (watch::Sender<Arc<State>>, Self) {
        let (sender, receiver) = watch::channel(Arc::default());
        (sender, Self(receiver))
    }

    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.0.borrow())
    }
}
