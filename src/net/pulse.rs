//! Signs of life of a thread, for those who watch over it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts beginnings and ends of pieces of work: odd while one is under way, so that somebody who sees the same odd number for too
/// long knows that the thread is stuck. Needs no clock.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// A piece of work begins.
    pub fn begin(&self) {
        if !self.is_at_work() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// It is done.
    pub fn end(&self) {
        if self.is_at_work() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn is_at_work(&self) -> bool {
        !self.count().is_multiple_of(2)
    }
}
