//! Desired against installed: which requests bring the kernel to what the RIB wants. Pure; the time is an argument.
//!
//! Work is kept as a set of prefixes to look at, so any number of changes to one prefix cost one request. A look compares the
//! resolved desired route with what is installed and yields at most one request per kernel key.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use super::nexthop::NextHops;
use super::{Action, Failure, Key, Route, RouteState, RouteView};
use crate::wire::{Family, FamilySet};

/// One request to the kernel.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Op {
    /// Fails where any route sits on the same key: nobody's route is ever replaced.
    Create(Route),
    /// Only for a key that holds a route of ours, or one that we take over.
    Replace(Route),
    Delete(Route),
    /// Deletes a route that we were to take over and that nobody desired.
    Evict(Route),
}

impl Op {
    pub const fn route(&self) -> &Route {
        match self {
            Self::Create(route) | Self::Replace(route) | Self::Delete(route) | Self::Evict(route) => route,
        }
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    Done,
    /// The kernel refused; the errno.
    Refused(i32),
    /// No answer arrived: the kernel has to be read to know.
    Unknown,
}

/// Requests of one kind, by result.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OpCounts {
    pub done: u64,
    pub failed: u64,
}

/// Plain counters, for metrics.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Desired routes that are in the kernel, by [`Family::index`].
    pub installed: [u64; 2],
    /// Desired routes that wait for the kernel, by family.
    pub pending: [u64; 2],
    /// Desired routes that failed, by family.
    pub failed: [u64; 2],
    /// Routes of ours found at start, neither desired nor swept.
    pub stale: u64,
    pub creates: OpCounts,
    pub replaces: OpCounts,
    pub deletes: OpCounts,
    /// Routes of ours that somebody else deleted, replaced, or that vanished silently.
    pub lost: u64,
    /// Routes that the program that we take over from wrote since we are here: it was to be gone.
    pub rivals: u64,
    /// Reads of the whole kernel state, by cause.
    pub resyncs: super::Resyncs,
    /// How long the last of them took.
    pub last_resync: Duration,
}

/// Desired and installed routes of one kernel table and protocol number.
#[derive(Default)]
pub(crate) struct Plan {
    desired: BTreeMap<IpNet, Wanted>,
    installed: BTreeMap<Key, Installed>,
    /// Prefixes to look at.
    dirty: BTreeSet<IpNet>,
    /// Prefixes to look at later.
    retries: BTreeSet<(Instant, IpNet)>,
    /// Gateways of desired routes that need resolution, with the number of their uses.
    gateways: BTreeMap<IpAddr, usize>,
    /// Prefixes whose state changed since it was last asked for.
    reports: BTreeMap<IpNet, RouteState>,
    keep_reports: bool,
    adopted: bool,
    suspect: bool,
    counters: Counters,
}

struct Wanted {
    route: Route,
    state: RouteState,
    /// Refusals in a row.
    strikes: u8,
    /// Losses to a foreign hand within [`FIGHT_WINDOW`] of each other.
    losses: u8,
    last_loss: Option<Instant>,
    retry: Option<Instant>,
}

struct Installed {
    route: Route,
    stale: bool,
    /// Of another program, found at start ([`super::Params::adopt`]); always stale.
    inherited: bool,
}

/// A route as a reading of the kernel found it.
pub(crate) struct Found {
    pub route: Route,
    /// Of the program that we take over from.
    pub inherited: bool,
}

impl Plan {
    pub fn new(keep_reports: bool) -> Self {
        Self { keep_reports, ..Self::default() }
    }

    /// Takes a change of the RIB: the new route of a prefix, or that it has none.
    pub fn apply(&mut self, prefix: IpNet, route: Option<Route>) {
        let prefix = prefix.trunc();
        match route.map(|r| Route { prefix, ..r }.normalized()) {
            Some(route) => self.want(prefix, route),
            None => self.unwant(prefix),
        }
    }

    fn want(&mut self, prefix: IpNet, route: Route) {
        if self.desired.get(&prefix).is_some_and(|w| w.route == route) {
            return;
        }
        self.drop_wanted(prefix);
        for gateway in gateways(&route) {
            *self.gateways.entry(gateway).or_default() += 1;
        }
        let wanted = Wanted { route, state: RouteState::Pending, strikes: 0, losses: 0, last_loss: None, retry: None };
        self.desired.insert(prefix, wanted);
        self.counters.pending[family(&prefix)] += 1;
        self.dirty.insert(prefix);
    }

    fn unwant(&mut self, prefix: IpNet) {
        self.drop_wanted(prefix);
        self.reports.remove(&prefix);
        for (_, installed) in self.installed.range_mut(keys_of(prefix)).filter(|(_, i)| !i.inherited) {
            self.counters.stale -= u64::from(installed.stale);
            installed.stale = false;
            self.dirty.insert(prefix);
        }
    }

    fn drop_wanted(&mut self, prefix: IpNet) {
        let Some(old) = self.desired.remove(&prefix) else { return };
        *self.tally(&prefix, old.state) -= 1;
        if let Some(at) = old.retry {
            self.retries.remove(&(at, prefix));
        }
        for gateway in gateways(&old.route) {
            if let Some(uses) = self.gateways.get_mut(&gateway) {
                *uses -= 1;
                if *uses == 0 {
                    self.gateways.remove(&gateway);
                }
            }
        }
    }

    /// Takes what the kernel holds under our protocol number. Of an incomplete reading only what is there counts, not what is
    /// missing. The first reading adopts: what it finds is stale, and stays until desired, withdrawn or swept. What is inherited stays
    /// until desired or swept, and later readings bring nothing more to inherit.
    pub fn handle_kernel(&mut self, found: impl IntoIterator<Item = Found>, complete: bool) {
        let mut fresh: BTreeMap<Key, Found> = found.into_iter().map(|f| (f.route.key(), f)).collect();
        if complete {
            let gone: Vec<Key> = self.installed.keys().filter(|k| !fresh.contains_key(k)).copied().collect();
            for key in gone {
                self.counters.lost += 1;
                self.forget(key);
            }
        }
        let adopting = !std::mem::replace(&mut self.adopted, true);
        for (key, installed) in &mut self.installed {
            if let Some(Found { route, inherited }) = fresh.remove(key)
                && (&route, inherited) != (&installed.route, installed.inherited)
            {
                (installed.route, installed.inherited) = (route, inherited);
                self.dirty.insert(key.prefix);
            }
        }
        for (key, Found { route, inherited }) in fresh {
            if inherited && !adopting {
                continue;
            }
            self.counters.stale += u64::from(adopting);
            self.installed.insert(key, Installed { route, stale: adopting, inherited });
            if !adopting || self.desired.contains_key(&key.prefix) {
                self.dirty.insert(key.prefix);
            }
        }
        for (prefix, wanted) in &self.desired {
            let present = self.installed.contains_key(&wanted.route.key());
            if wanted.retry.is_none() && (!present || wanted.state != RouteState::Installed) {
                self.dirty.insert(*prefix);
            }
        }
    }

    /// The next reading counts as the first one: what it finds is adopted.
    pub fn forget_kernel(&mut self) {
        self.installed.clear();
        (self.adopted, self.counters.stale) = (false, 0);
    }

    /// A foreign hand deleted our route, or replaced it by one of its own.
    pub fn handle_lost(&mut self, key: Key, now: Instant) {
        if self.installed.contains_key(&key) {
            self.counters.lost += 1;
            self.forget(key);
            self.note_loss(key.prefix, now);
        }
    }

    /// A foreign hand wrote a route under our protocol number.
    pub fn handle_foreign_write(&mut self, route: Route, now: Instant) {
        let key = route.key();
        match self.installed.get_mut(&key) {
            Some(installed) if installed.route == route => return,
            Some(installed) => installed.route = route,
            None => {
                self.installed.insert(key, Installed { route, stale: false, inherited: false });
            }
        }
        self.counters.lost += 1;
        self.dirty.insert(key.prefix);
        self.note_loss(key.prefix, now);
    }

    /// Looks again at every route that uses one of `changed`, at those with a device of their own where the links changed, and
    /// at those that failed for a reason that the kernel's other state explains.
    pub fn handle_table(&mut self, changed: &BTreeSet<IpAddr>, links_changed: bool) {
        let mut again = Vec::new();
        for (prefix, wanted) in &self.desired {
            let uses = |hop: &super::Hop| hop.via.is_some_and(|via| changed.contains(&via)) || links_changed && hop.device.is_some();
            let touched = match &wanted.route.action {
                Action::Unicast(hops) => hops.iter().any(uses),
                _ => false,
            };
            let failed = matches!(wanted.state, RouteState::Failed(failure) if !matches!(failure, Failure::Kernel(_)));
            if touched || failed || changed.contains(&prefix.addr()) {
                self.dirty.insert(*prefix);
            }
            if touched && wanted.retry.is_some() {
                again.push(*prefix);
            }
        }
        again.into_iter().for_each(|prefix| self.clear_retry(prefix));
    }

    /// A foreign route came or went at this key.
    pub fn handle_foreign(&mut self, key: Key) {
        if self.desired.get(&key.prefix).is_some_and(|w| matches!(w.state, RouteState::Failed(_))) {
            self.clear_retry(key.prefix);
            self.dirty.insert(key.prefix);
        }
    }

    /// Removes the routes found at start that nobody has desired since; of the inherited ones only those whose prefix is ours by
    /// `owns`.
    pub fn sweep_stale(&mut self, families: FamilySet, owns: impl Fn(&IpNet) -> bool) {
        for (key, installed) in &mut self.installed {
            let spared = installed.inherited && !owns(&key.prefix);
            if installed.stale && !spared && families.contains(Family::of(&key.prefix)) {
                installed.stale = false;
                self.counters.stale -= 1;
                self.dirty.insert(key.prefix);
            }
        }
    }

    /// Nothing is desired any more; every route of ours goes.
    pub fn clear(&mut self) {
        let prefixes: Vec<IpNet> = self.desired.keys().copied().collect();
        prefixes.into_iter().for_each(|prefix| self.unwant(prefix));
        self.sweep_stale(FamilySet::ALL, |_| false);
    }

    /// The next requests, about `limit` of them; every one must be answered with [`Plan::complete`] before the next call.
    pub fn poll(&mut self, now: Instant, limit: usize, table: &NextHops) -> Vec<Op> {
        while let Some((at, prefix)) = self.retries.first().copied()
            && at <= now
        {
            self.retries.remove(&(at, prefix));
            self.clear_retry(prefix);
            self.dirty.insert(prefix);
        }
        let mut ops = Vec::with_capacity(limit.min(self.dirty.len()));
        while ops.len() < limit
            && let Some(prefix) = self.dirty.pop_first()
        {
            self.consider(prefix, table, &mut ops);
        }
        ops
    }

    fn consider(&mut self, prefix: IpNet, table: &NextHops, ops: &mut Vec<Op>) {
        let Some(wanted) = self.desired.get(&prefix) else {
            return self.remove(prefix, None, ops);
        };
        if wanted.retry.is_some() {
            return;
        }
        let target = match table.resolve(&wanted.route) {
            Ok(target) => target,
            Err(failure) => {
                self.set_state(prefix, RouteState::Failed(failure));
                return self.remove(prefix, None, ops);
            }
        };
        let key = target.key();
        match self.installed.get_mut(&key) {
            Some(installed) if installed.route == target && !installed.inherited => {
                self.counters.stale -= u64::from(installed.stale);
                installed.stale = false;
                self.set_state(prefix, RouteState::Installed);
                self.remove(prefix, Some(key.metric), ops);
            }
            Some(_) => ops.push(Op::Replace(target)),
            None => match table.occupant(key) {
                Some(protocol) => {
                    self.set_state(prefix, RouteState::Failed(Failure::Occupied(protocol)));
                    self.remove(prefix, None, ops);
                }
                None => ops.push(Op::Create(target)),
            },
        }
    }

    /// Deletes what is installed for a prefix, but for the metric to keep: after a change of the metric the old route is a
    /// second one to the kernel, and goes only when the new one is in place.
    fn remove(&mut self, prefix: IpNet, keep: Option<u32>, ops: &mut Vec<Op>) {
        let wanted = self.desired.contains_key(&prefix);
        for (key, installed) in self.installed.range(keys_of(prefix)) {
            if Some(key.metric) != keep && (wanted || !installed.stale) {
                let route = installed.route.clone();
                ops.push(if installed.inherited { Op::Evict(route) } else { Op::Delete(route) });
            }
        }
    }

    /// Takes the answer to a request of [`Plan::poll`].
    pub fn complete(&mut self, op: Op, outcome: Outcome, now: Instant) {
        let counts = match op {
            Op::Create(_) => &mut self.counters.creates,
            Op::Replace(_) => &mut self.counters.replaces,
            Op::Delete(_) | Op::Evict(_) => &mut self.counters.deletes,
        };
        let gone = matches!((&op, outcome), (Op::Delete(_) | Op::Evict(_), Outcome::Refused(ESRCH)));
        if outcome == Outcome::Done || gone {
            counts.done += 1;
        } else {
            counts.failed += 1;
        }
        let prefix = op.route().prefix;
        match (op, outcome) {
            (Op::Delete(route) | Op::Evict(route), Outcome::Done | Outcome::Refused(ESRCH)) => self.forget_quietly(route.key()),
            (Op::Create(route) | Op::Replace(route), Outcome::Done) => self.settle(route),
            (_, Outcome::Unknown) => {
                self.suspect = true;
                self.back_off(prefix, now);
            }
            (Op::Delete(_) | Op::Evict(_), Outcome::Refused(_)) => {
                self.suspect = true;
                self.retries.insert((now + FIRST_BACK_OFF, prefix));
            }
            (Op::Create(_), Outcome::Refused(EEXIST)) => {
                // Either somebody else's route, or ours that we believed lost. Reading the kernel tells.
                self.suspect |= self.desired.get(&prefix).is_some_and(|w| w.strikes == 0);
                self.set_state(prefix, RouteState::Failed(Failure::Occupied(0)));
                self.back_off(prefix, now);
            }
            (_, Outcome::Refused(errno)) => {
                self.set_state(prefix, RouteState::Failed(Failure::Kernel(errno)));
                self.back_off(prefix, now);
            }
        }
    }

    fn settle(&mut self, route: Route) {
        let (key, prefix) = (route.key(), route.prefix);
        if let Some(old) = self.installed.insert(key, Installed { route, stale: false, inherited: false }) {
            self.counters.stale -= u64::from(old.stale);
        }
        if self.installed.range(keys_of(prefix)).nth(1).is_some() {
            self.dirty.insert(prefix);
        }
        if let Some(wanted) = self.desired.get_mut(&prefix) {
            wanted.strikes = 0;
            self.set_state(prefix, RouteState::Installed);
        }
    }

    /// Whether the kernel has to be read because an answer contradicts what we believe; asked once.
    pub fn take_suspicion(&mut self) -> bool {
        std::mem::take(&mut self.suspect)
    }

    /// Route states changed since the last call, up to `limit`.
    pub fn take_reports(&mut self, limit: usize) -> Vec<(IpNet, RouteState)> {
        std::iter::from_fn(|| self.reports.pop_first()).take(limit).collect()
    }

    pub fn has_reports(&self) -> bool {
        !self.reports.is_empty()
    }

    pub fn has_work(&self, now: Instant) -> bool {
        !self.dirty.is_empty() || self.retries.first().is_some_and(|(at, _)| *at <= now)
    }

    /// The earliest retry.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.retries.first().map(|(at, _)| *at)
    }

    /// Gateways that need resolution, with the number of routes that use them.
    pub const fn gateways(&self) -> &BTreeMap<IpAddr, usize> {
        &self.gateways
    }

    pub fn is_desired(&self, prefix: &IpNet) -> bool {
        self.desired.contains_key(prefix)
    }

    pub fn is_installed(&self, key: &Key) -> bool {
        self.installed.contains_key(key)
    }

    pub fn installed_len(&self) -> usize {
        self.installed.len()
    }

    /// How many routes of the program that we take over from were found at start and are still its own.
    pub fn inherited_len(&self) -> usize {
        self.installed.values().filter(|i| i.inherited).count()
    }

    /// Our own routes in the kernel.
    pub fn own_routes(&self) -> impl Iterator<Item = &Route> {
        self.installed.values().filter(|i| !i.inherited).map(|i| &i.route)
    }

    pub const fn counters_mut(&mut self) -> &mut Counters {
        &mut self.counters
    }

    /// Desired routes with their state.
    pub fn view_desired(&self) -> Vec<RouteView> {
        self.desired.keys().map(|prefix| self.view(*prefix)).collect()
    }

    /// Every prefix that is desired or installed.
    pub fn view_all(&self) -> Vec<RouteView> {
        let prefixes: BTreeSet<IpNet> = self.desired.keys().copied().chain(self.installed.keys().map(|k| k.prefix)).collect();
        prefixes.into_iter().map(|prefix| self.view(prefix)).collect()
    }

    /// One prefix, whether desired, installed, or neither.
    pub fn view(&self, prefix: IpNet) -> RouteView {
        let wanted = self.desired.get(&prefix);
        let same_metric = wanted.and_then(|w| self.installed.get(&w.route.key()));
        let kernel = same_metric.or_else(|| self.installed.range(keys_of(prefix)).next().map(|(_, i)| i));
        RouteView {
            prefix,
            desired: wanted.map(|w| w.route.clone()),
            kernel: kernel.map(|i| i.route.clone()),
            state: wanted.map(|w| w.state),
            stale: kernel.is_some_and(|i| i.stale),
        }
    }

    fn note_loss(&mut self, prefix: IpNet, now: Instant) {
        let Some(wanted) = self.desired.get_mut(&prefix) else { return };
        let again = wanted.last_loss.is_some_and(|at| now.saturating_duration_since(at) < FIGHT_WINDOW);
        wanted.losses = if again { wanted.losses.saturating_add(1) } else { 1 };
        wanted.last_loss = Some(now);
        let excess = wanted.losses.saturating_sub(PATIENCE);
        if excess > 0 {
            // Somebody takes the route away each time: slow down rather than fight.
            let delay = LOSS_BACK_OFF * (1 << u32::from((excess - 1).min(10)));
            self.retry_at(prefix, now + delay.min(MAX_BACK_OFF));
        }
    }

    fn forget(&mut self, key: Key) {
        self.forget_quietly(key);
        self.dirty.insert(key.prefix);
        if self.desired.contains_key(&key.prefix) {
            self.set_state(key.prefix, RouteState::Pending);
        }
    }

    fn forget_quietly(&mut self, key: Key) {
        if let Some(old) = self.installed.remove(&key) {
            self.counters.stale -= u64::from(old.stale);
        }
    }

    fn back_off(&mut self, prefix: IpNet, now: Instant) {
        let Some(wanted) = self.desired.get_mut(&prefix) else {
            self.retries.insert((now + FIRST_BACK_OFF, prefix));
            return;
        };
        wanted.strikes = wanted.strikes.saturating_add(1);
        let delay = FIRST_BACK_OFF * (1 << u32::from((wanted.strikes - 1).min(10)));
        self.retry_at(prefix, now + delay.min(MAX_BACK_OFF));
    }

    fn retry_at(&mut self, prefix: IpNet, at: Instant) {
        self.clear_retry(prefix);
        if let Some(wanted) = self.desired.get_mut(&prefix) {
            wanted.retry = Some(at);
            self.retries.insert((at, prefix));
        }
    }

    fn clear_retry(&mut self, prefix: IpNet) {
        match self.desired.get_mut(&prefix) {
            Some(wanted) => {
                if let Some(at) = wanted.retry.take() {
                    self.retries.remove(&(at, prefix));
                }
            }
            None => self.retries.retain(|(_, p)| *p != prefix),
        }
    }

    fn set_state(&mut self, prefix: IpNet, state: RouteState) {
        let Some(wanted) = self.desired.get_mut(&prefix) else { return };
        let old = std::mem::replace(&mut wanted.state, state);
        if old != state {
            *self.tally(&prefix, old) -= 1;
            *self.tally(&prefix, state) += 1;
            if self.keep_reports {
                self.reports.insert(prefix, state);
            }
        }
    }

    fn tally(&mut self, prefix: &IpNet, state: RouteState) -> &mut u64 {
        let by_family = match state {
            RouteState::Pending => &mut self.counters.pending,
            RouteState::Installed => &mut self.counters.installed,
            RouteState::Failed(_) => &mut self.counters.failed,
        };
        &mut by_family[family(prefix)]
    }
}

/// The gateways of a route that resolution has to find.
fn gateways(route: &Route) -> impl Iterator<Item = IpAddr> {
    let hops = match &route.action {
        Action::Unicast(hops) => hops.as_slice(),
        _ => &[],
    };
    hops.iter().filter(|h| h.device.is_none()).filter_map(|h| h.via)
}

fn keys_of(prefix: IpNet) -> std::ops::RangeInclusive<Key> {
    Key { prefix, metric: 0 }..=Key { prefix, metric: u32::MAX }
}

const fn family(prefix: &IpNet) -> usize {
    Family::of(prefix).index()
}

const EEXIST: i32 = 17;
const ESRCH: i32 = 3;
const FIRST_BACK_OFF: Duration = Duration::from_millis(100);
const MAX_BACK_OFF: Duration = Duration::from_secs(30);
/// Long enough that a flush, which reads and deletes in rounds until nothing is left, finds nothing in its next round.
const LOSS_BACK_OFF: Duration = Duration::from_millis(50);
/// Losses further apart than this are not a fight.
const FIGHT_WINDOW: Duration = Duration::from_secs(60);
/// Losses in a row that are repaired at once.
const PATIENCE: u8 = 2;

#[cfg(test)]
mod tests;
