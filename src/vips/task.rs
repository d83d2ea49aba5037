//! The task: follows the running configuration, runs the checks, and has addresses bound and announced.

use super::checks::{Checks, Entry, Try};
use super::loopback::Loopback;
use super::probe;
use super::state::{Checked, Service, State};
use crate::config::Plan;
use crate::speaker::Handle;
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{info, warn};

/// Runs as long as the speaker does.
pub async fn run(speaker: Handle, state: watch::Sender<Arc<State>>) {
    let mut running = speaker.watch_running();
    let mut room = Room {
        speaker,
        state,
        checks: Checks::default(),
        loopback: Loopback::default(),
        tries: JoinSet::new(),
        announced: BTreeSet::new(),
    };
    let keep = loop {
        let plan = Arc::clone(&running.borrow_and_update().plan);
        room.checks.handle_plan(&plan.vips.services, now());
        room.begin();
        room.follow(&plan).await;
        room.tell();
        let wake = room.wake();
        tokio::select! {
            changed = running.changed() => if changed.is_err() { break plan.keeps_routes_on_stop() },
            Some(result) = room.tries.join_next() => room.take(result),
            () = until(wake) => {}
        }
    };
    room.loopback.end(keep).await;
}

struct Room {
    speaker: Handle,
    state: watch::Sender<Arc<State>>,
    checks: Checks,
    loopback: Loopback,
    /// The checks under way, at most one for each service.
    tries: JoinSet<(Try, Checked)>,
    /// What the speaker was told last.
    announced: BTreeSet<IpNet>,
}

impl Room {
    /// Begins the checks that are due.
    fn begin(&mut self) {
        while let Some(one) = self.checks.poll_try(now()) {
            self.tries.spawn(attempt(one));
        }
    }

    fn take(&mut self, result: Result<(Try, Checked), tokio::task::JoinError>) {
        // None is aborted, and a panic ends the process.
        let Ok((Try { service, number, .. }, checked)) = result else { return };
        let (ok, message) = (checked.ok, checked.message.clone());
        if self.checks.handle_result(&service, number, checked) {
            match ok {
                true => info!(service, check = message, "healthy: its addresses are announced"),
                false => warn!(service, check = message, "not healthy: its addresses are not announced"),
            }
        }
    }

    /// Has the addresses of healthy services bound and announced, and no others.
    async fn follow(&mut self, plan: &Plan) {
        let healthy = || self.checks.services().filter(|(_, entry)| entry.is_healthy()).map(|(_, entry)| entry);
        let wanted: BTreeSet<IpNet> = healthy().flat_map(prefixes).collect();
        let bind: BTreeSet<IpAddr> = healthy().filter(|entry| entry.plan.bind).flat_map(|entry| entry.plan.addresses()).collect();
        // What is not wanted any more is withdrawn before its address goes.
        self.announce(self.announced.intersection(&wanted).copied().collect()).await;
        let needed = plan.vips.services.values().any(|service| service.bind);
        self.loopback.choose(self.speaker.fib(), plan.fib.protocol, needed).await;
        self.loopback.bind(&bind).await;
        let ready = self.checks.services().filter(|(_, entry)| self.is_ready(entry)).flat_map(|(_, entry)| prefixes(entry)).collect();
        self.announce(ready).await;
        // Before the router is known there are no services; before the first results it is not known which addresses are needed.
        if plan.router.is_known() && self.checks.are_settled() {
            self.loopback.sweep().await;
        }
    }

    fn is_ready(&self, entry: &Entry) -> bool {
        entry.is_healthy() && (!entry.plan.bind || entry.plan.addresses().all(|address| self.loopback.has(&address)))
    }

    async fn announce(&mut self, prefixes: BTreeSet<IpNet>) {
        // An error says that the speaker stops, and withdraws everything.
        if prefixes != self.announced && self.speaker.announce_vips(prefixes.clone()).await.is_ok() {
            self.announced = prefixes;
        }
    }

    fn tell(&self) {
        let shown = |entry: &Entry| Service {
            addresses: entry.plan.addresses().collect(),
            pool: entry.plan.pool.clone(),
            is_healthy: entry.is_healthy(),
            is_announced: self.is_ready(entry),
            has_check: entry.plan.check.is_some(),
            last: entry.last.clone(),
            counts: entry.counts,
            bind_error: entry.plan.addresses().find_map(|address| self.loopback.error(&address).map(|why| format!("{address}: {why}"))),
        };
        let state: State = self.checks.services().map(|(name, entry)| (name.clone(), shown(entry))).collect();
        self.state.send_if_modified(|told| {
            let is_new = **told != state;
            if is_new {
                *told = Arc::new(state);
            }
            is_new
        });
    }

    /// When there is something to do without anybody asking.
    fn wake(&self) -> Option<Instant> {
        let retry = self.loopback.has_errors().then(|| now() + RETRY);
        self.checks.poll_timeout().into_iter().chain(retry).min()
    }
}

fn prefixes(entry: &Entry) -> impl Iterator<Item = IpNet> + '_ {
    entry.plan.networks.iter().map(|network| network.prefix)
}

/// One check, in bounded time.
async fn attempt(one: Try) -> (Try, Checked) {
    let timeout = one.plan.timeout;
    let result = tokio::time::timeout(timeout, probe::run(&one.plan.probe)).await;
    let result = result.unwrap_or_else(|_| Err(format!("no answer within {timeout:?}")));
    let (ok, message) = match result {
        Ok(message) => (true, message),
        Err(message) => (false, message),
    };
    (one, Checked { at: wall_clock(), ok, message })
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// The clock of this room, in one place.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

#[expect(clippy::disallowed_methods, reason = "for people who read when something happened")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// How often an address is tried again that cannot be bound.
const RETRY: Duration = Duration::from_secs(5);
