//! What is on the screen: the last look, rates since the one before, and what the keys chose.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::api::types::{Neighbor, Summary};

/// One look at the daemon.
pub(super) struct Sample {
    /// Since the program began.
    pub at: Duration,
    pub summary: Summary,
    pub neighbors: Vec<Neighbor>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Key {
    Quit,
    Up(usize),
    Down(usize),
    /// The next order of the rows.
    Sort,
    /// Only neighbors that are down, or all again.
    OnlyDown,
    Redraw,
}

/// What the rows are sorted by.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Sort {
    /// Those that are down, then the busiest.
    #[default]
    Trouble,
    Address,
    Busy,
    Received,
}

impl Sort {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trouble => "down first",
            Self::Address => "address",
            Self::Busy => "updates",
            Self::Received => "received",
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Trouble => Self::Address,
            Self::Address => Self::Busy,
            Self::Busy => Self::Received,
            Self::Received => Self::Trouble,
        }
    }
}

/// UPDATE messages per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rate {
    pub received: f64,
    pub sent: f64,
}

pub(super) struct Model {
    pub sample: Sample,
    pub color: bool,
    /// By neighbor.
    rates: BTreeMap<String, Rate>,
    pub total: Rate,
    /// Prefixes per second, in the order of the summary.
    pub growth: Vec<f64>,
    /// Of one core; unknown before the second look.
    pub cpu: Option<f64>,
    /// UPDATEs per second of both ways, oldest first.
    pub past: VecDeque<u64>,
    pub sort: Sort,
    pub only_down: bool,
    /// The neighbor that the cursor is on; it stays with it when rows move.
    selected: Option<String>,
    /// Why the last look failed.
    pub error: Option<String>,
}

impl Model {
    pub fn new(sample: Sample, color: bool) -> Self {
        let growth = vec![0.0; sample.summary.rib.len()];
        Self {
            sample,
            color,
            rates: BTreeMap::new(),
            total: Rate::default(),
            growth,
            cpu: None,
            past: VecDeque::new(),
            sort: Sort::default(),
            only_down: false,
            selected: None,
            error: None,
        }
    }

    /// A newer look.
    pub fn take(&mut self, sample: Sample) {
        let before = std::mem::replace(&mut self.sample, sample);
        let now = &self.sample;
        self.error = None;
        let seconds = now.at.saturating_sub(before.at).as_secs_f64();
        // A daemon that was restarted counts from 0 again.
        let restarted = now.summary.uptime_seconds < before.summary.uptime_seconds;
        if seconds <= 0.0 || restarted {
            self.rates.clear();
            self.total = Rate::default();
            return;
        }
        let old: BTreeMap<String, &Neighbor> = before.neighbors.iter().map(|row| (row.label(), row)).collect();
        let per_second = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let rate = |row: &Neighbor| {
            let before = old.get(&row.label())?;
            let received = per_second(row.messages.received.update, before.messages.received.update);
            Some((row.label(), Rate { received, sent: per_second(row.messages.sent.update, before.messages.sent.update) }))
        };
        self.rates = now.neighbors.iter().filter_map(rate).collect();
        let sum = |pick: fn(&Rate) -> f64| self.rates.values().map(pick).sum();
        self.total = Rate { received: sum(|rate| rate.received), sent: sum(|rate| rate.sent) };
        let sizes = now.summary.rib.iter().zip(&before.summary.rib);
        self.growth = sizes.map(|(now, before)| (now.prefixes as f64 - before.prefixes as f64) / seconds).collect();
        let cpu = now.summary.cpu_seconds.zip(before.summary.cpu_seconds);
        self.cpu = cpu.map(|(now, before)| (now - before).max(0.0) / seconds);
        if self.past.len() == PAST {
            self.past.pop_front();
        }
        self.past.push_back((self.total.received + self.total.sent).round() as u64);
    }

    /// The daemon did not answer: what is shown stays, and is said to be old.
    pub fn missed(&mut self, why: String) {
        self.error = Some(why);
    }

    pub fn press(&mut self, key: Key) {
        match key {
            Key::Up(by) => self.step(|at, _| at.saturating_sub(by)),
            Key::Down(by) => self.step(|at, last| at.saturating_add(by).min(last)),
            Key::Sort => self.sort = self.sort.next(),
            Key::OnlyDown => self.only_down = !self.only_down,
            Key::Quit | Key::Redraw => {}
        }
    }

    fn step(&mut self, to: impl Fn(usize, usize) -> usize) {
        let rows = self.rows();
        let at = self.position(&rows);
        let target = to(at, rows.len().saturating_sub(1));
        self.selected = rows.get(target).map(|row| row.label());
    }

    pub fn rate(&self, row: &Neighbor) -> Rate {
        self.rates.get(&row.label()).copied().unwrap_or_default()
    }

    /// What is listed, in its order.
    pub fn rows(&self) -> Vec<&Neighbor> {
        let mut rows: Vec<&Neighbor> = self.sample.neighbors.iter().filter(|row| !self.only_down || !row.is_established()).collect();
        let busy = |row: &&Neighbor| {
            let rate = self.rate(row);
            std::cmp::Reverse((rate.received + rate.sent).round() as u64)
        };
        match self.sort {
            Sort::Trouble => rows.sort_by_key(|row| (row.is_established(), busy(row))),
            Sort::Address => rows.sort_by_key(|row| row.address),
            Sort::Busy => rows.sort_by_key(busy),
            Sort::Received => rows.sort_by_key(|row| std::cmp::Reverse(row.total(|family| family.received))),
        }
        rows
    }

    /// Where the cursor is.
    pub fn position(&self, rows: &[&Neighbor]) -> usize {
        let found = self.selected.as_ref().and_then(|selected| rows.iter().position(|row| row.label() == *selected));
        found.unwrap_or_default()
    }
}

/// Looks that the line of the past has room for.
const PAST: usize = 120;
