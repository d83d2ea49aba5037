//! Supervision: a panic outside of a peer's own code ends the process, and so does a thread that is stuck, because graceful restart
//! makes that survivable and limping does not. systemd hears of start, stop and health where it asks for it.

use crate::net::{Pulse, ShardHandle, fault, is_contained};
use sd_notify::NotifyState;
use std::io;
use std::panic;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use tracing::{error, warn};

/// Ends the process after a panic that nobody contains: what it leaves half-written must not go on. Neighbors keep our routes, and
/// the kernel keeps its own, until we are back.
pub fn end_on_panic() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        print(info);
        if !is_contained() {
            process::abort();
        }
    }));
}

/// Whether a thread has been stuck for so long that it will be given up.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<AtomicBool>);

impl Health {
    pub fn is_stuck(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A thread that is watched.
struct Watched {
    name: String,
    pulse: Pulse,
    seen: u64,
    strikes: u32,
    /// Shards rest when nothing happens, so they are asked for a sign.
    shard: Option<ShardHandle>,
}

impl Watched {
    fn new(name: String, pulse: Pulse, shard: Option<ShardHandle>) -> Self {
        Self { name, seen: pulse.count(), pulse, strikes: 0, shard }
    }

    /// One more look. Counts looks, not time, so that a process that was stopped as a whole is not given up when it goes on.
    fn look(&mut self) -> u32 {
        let count = self.pulse.count();
        let stuck = count == self.seen && !count.is_multiple_of(2);
        self.strikes = if stuck { self.strikes + 1 } else { 0 };
        self.seen = count;
        if let Some(shard) = &self.shard {
            self.pulse.begin();
            self.seen = self.pulse.count();
            shard.wake();
        }
        self.strikes
    }
}

/// Starts the thread that watches the RIB task, by its pulse, and the shards.
///
/// # Errors
/// The operating system refuses a thread.
pub fn start(rib: Pulse, shards: &[ShardHandle]) -> io::Result<Health> {
    let health = Health::default();
    let shown = health.clone();
    let mut watched = vec![Watched::new("rib".to_owned(), rib, None)];
    watched.extend(shards.iter().map(|s| Watched::new(format!("shard-{}", s.index), s.pulse(), Some(s.clone()))));
    let limit = fault::value(fault::WATCHDOG).and_then(|ms| ms.parse().ok()).map_or(LIMIT, Duration::from_millis);
    thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
        loop {
            thread::park_timeout(period(limit));
            let worst = watched.iter_mut().map(Watched::look).max().unwrap_or_default();
            shown.0.store(worst >= WARNING, Ordering::Relaxed);
            match worst {
                0..WARNING => notify(&[NotifyState::Watchdog]),
                WARNING => warn!(threads = %names(&watched), "a thread has been at the same piece of work for long"),
                PATIENCE.. => give_up(&watched),
                _ => {}
            }
        }
    })?;
    Ok(health)
}

fn names(watched: &[Watched]) -> String {
    watched.iter().filter(|w| w.strikes >= WARNING).map(|w| w.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn give_up(watched: &[Watched]) -> ! {
    error!(threads = %names(watched), "a thread is stuck: the process ends, to be started again with graceful restart");
    // The log has a thread of its own.
    thread::park_timeout(Duration::from_millis(100));
    process::abort()
}

/// Between two looks; systemd must hear of us twice in its time (sd_watchdog_enabled(3)).
fn period(limit: Duration) -> Duration {
    let asked = std::env::var("WATCHDOG_USEC").ok().and_then(|us| us.parse().ok()).map(Duration::from_micros);
    asked.map_or(limit, |asked| limit.min(asked * PATIENCE / 3)) / PATIENCE
}

/// Tells the service manager that started us (sd_notify(3)), if it wants to know.
pub fn notify(states: &[NotifyState<'_>]) {
    // Whoever does not listen does not need it.
    let _ = sd_notify::notify(states);
}

/// Tells it that a reload begins. It ends with [`NotifyState::Ready`]; the time says which order to reload this answers (`Type=notify-reload`).
pub fn notify_reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        notify(&[NotifyState::Reloading, now]);
    }
}

/// How long a piece of work may take. A turn of the RIB takes milliseconds; the longest, a change of policy with a full table on
/// a starved processor, some seconds.
const LIMIT: Duration = Duration::from_secs(60);
/// Looks at the same piece of work before a thread is given up, and before that is shown.
const PATIENCE: u32 = 6;
const WARNING: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_piece_of_work_counts_as_stuck() {
        let pulse = Pulse::default();
        let mut watched = Watched::new("rib".to_owned(), pulse.clone(), None);
        assert_eq!([watched.look(), watched.look()], [0, 0], "it rests");
        pulse.begin();
        assert_eq!([watched.look(), watched.look(), watched.look()], [0, 1, 2]);
        pulse.end();
        pulse.begin();
        assert_eq!([watched.look(), watched.look()], [0, 1], "another piece");
        pulse.end();
        assert_eq!(watched.look(), 0);
    }
}
