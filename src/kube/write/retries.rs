use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::kube::backoff::Backoff;
use crate::kube::objects::Key;

/// When what failed is tried again, by object.
#[derive(Debug)]
pub struct Retries {
    bounds: (Duration, Duration),
    pauses: BTreeMap<Key, Pause>,
}

#[derive(Debug)]
struct Pause {
    backoff: Backoff,
    /// `None` while it is tried.
    until: Option<Instant>,
}

impl Retries {
    /// First and longest pause.
    pub fn new(bounds: (Duration, Duration)) -> Self {
        Self { bounds, pauses: BTreeMap::new() }
    }

    /// It failed, perhaps not for the first time. Returns after how long it is due again.
    pub fn add(&mut self, key: Key) -> Duration {
        let pause = self.pauses.entry(key).or_insert_with(|| Pause { backoff: Backoff::new(self.bounds), until: None });
        let after = pause.backoff.next();
        pause.until = Some(Instant::now() + after);
        after
    }

    /// It succeeded, or is no matter any more.
    pub fn forget(&mut self, key: &Key) {
        self.pauses.remove(key);
    }

    /// How many failed and have not succeeded since.
    pub fn count(&self) -> usize {
        self.pauses.len()
    }

    /// Whether it failed and is not due again.
    pub fn is_waiting(&self, key: &Key) -> bool {
        self.pauses.get(key).is_some_and(|pause| pause.until.is_some())
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Instant> {
        self.pauses.values().filter_map(|pause| pause.until).min()
    }

    /// One that is due now; it is told once.
    pub fn due(&mut self) -> Option<Key> {
        let now = Instant::now();
        let (key, pause) = self.pauses.iter_mut().find(|(_, pause)| pause.until.is_some_and(|until| until <= now))?;
        pause.until = None;
        Some(key.clone())
    }
}
