//! Which checks are due, and what follows from their results: a value with time as an argument.

use super::health::Health;
use super::state::Checked;
use crate::config::plan::{CheckPlan, VipPlan};
use std::collections::BTreeMap;
use std::time::Instant;

/// All services.
#[derive(Debug, Default)]
pub struct Checks {
    services: BTreeMap<String, Entry>,
    /// Numbers the checks that began.
    begun: u64,
}

/// One service.
#[derive(Debug)]
pub struct Entry {
    pub plan: VipPlan,
    /// `None`: there is no check.
    health: Option<Health>,
    /// When the next check begins.
    due: Instant,
    /// The one under way.
    under_way: Option<u64>,
    pub last: Option<Checked>,
    /// Successes and failures.
    pub counts: [u64; 2],
}

/// A check that is to begin now.
#[derive(Clone, Debug, PartialEq)]
pub struct Try {
    pub service: String,
    pub number: u64,
    pub plan: CheckPlan,
}

impl Checks {
    /// Takes the services as they are configured now. Those that stay keep the opinion about them, also with another check.
    pub fn handle_plan(&mut self, plans: &BTreeMap<String, VipPlan>, now: Instant) {
        self.services.retain(|name, _| plans.contains_key(name));
        for (name, plan) in plans {
            match self.services.get_mut(name) {
                Some(entry) if entry.plan == *plan => {}
                Some(entry) => entry.change(plan, now),
                None => _ = self.services.insert(name.clone(), Entry::new(plan, now)),
            }
        }
    }

    /// The next check that is due, which begins with this: a service has at most one under way.
    pub fn poll_try(&mut self, now: Instant) -> Option<Try> {
        let (name, entry) = self.services.iter_mut().find(|(_, entry)| entry.waits_until().is_some_and(|due| due <= now))?;
        let plan = entry.plan.check.clone()?;
        self.begun += 1;
        entry.under_way = Some(self.begun);
        // At even distances, but never two at once to make up for lost time.
        let next = entry.due + plan.interval;
        entry.due = if next > now { next } else { now + plan.interval };
        Some(Try { service: name.clone(), number: self.begun, plan })
    }

    /// When to ask [`Self::poll_try`] again.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.services.values().filter_map(Entry::waits_until).min()
    }

    /// Takes the result of a check; true if the opinion about its service is another one now. One that nobody waits for any more says
    /// nothing.
    pub fn handle_result(&mut self, service: &str, number: u64, checked: Checked) -> bool {
        let Some(entry) = self.services.get_mut(service).filter(|entry| entry.under_way == Some(number)) else { return false };
        entry.under_way = None;
        entry.counts[usize::from(!checked.ok)] += 1;
        let turns = entry.health.as_mut().is_some_and(|health| health.handle(checked.ok));
        entry.last = Some(checked);
        turns
    }

    pub fn services(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.services.iter()
    }

    /// There is an opinion about every service.
    pub fn are_settled(&self) -> bool {
        self.services.values().filter_map(|entry| entry.health.as_ref()).all(Health::is_settled)
    }
}

impl Entry {
    fn new(plan: &VipPlan, now: Instant) -> Self {
        let health = plan.check.as_ref().map(|check| Health::new(check.rise, check.fall));
        Self { plan: plan.clone(), health, due: now, under_way: None, last: None, counts: [0; 2] }
    }

    fn change(&mut self, plan: &VipPlan, now: Instant) {
        if self.plan.check != plan.check {
            let renewed = |check: &CheckPlan| match self.health {
                Some(health) => health.with(check.rise, check.fall),
                None => Health::new(check.rise, check.fall),
            };
            self.health = plan.check.as_ref().map(renewed);
            (self.due, self.under_way) = (now, None);
        }
        self.plan = plan.clone();
    }

    /// Its check succeeds, or it has none.
    pub fn is_healthy(&self) -> bool {
        self.health.is_none_or(|health| health.is_healthy())
    }

    fn waits_until(&self) -> Option<Instant> {
        (self.health.is_some() && self.under_way.is_none()).then_some(self.due)
    }
}

#[cfg(test)]
mod tests;
