//! All neighbors in short, for the page: what changed since the reader's version. Readers share one look at the sessions a second, and
//! without a reader nobody looks.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, TimestampRound, Unit};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::api::query::NeighborQuery;
use crate::api::server::Shared;
use crate::api::types::{Admin, Document, FamilyStatus, Health, Neighbor, NeighborType, Problem, SessionState, Summary};

/// One neighbor in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    /// Address, or the interface of an unnumbered neighbor that has not been heard yet.
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(rename = "type")]
    kind: NeighborType,
    #[serde(skip_serializing_if = "Option::is_none")]
    asn: Option<u32>,
    admin: Admin,
    state: SessionState,
    health: Health,
    /// Up since, or down since, in whole seconds.
    pub since: Timestamp,
    received: u64,
    accepted: u64,
    filtered: u64,
    best: u64,
    advertised: u64,
    stale: u64,
    established: u64,
    flaps: u64,
    /// Why it is not up, or not as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Row {
    pub fn new(neighbor: &Neighbor, now: Timestamp) -> Self {
        let total = |counter: fn(&FamilyStatus) -> u64| neighbor.total(counter);
        let ago = neighbor.up_for_seconds.or(neighbor.down_for_seconds).unwrap_or_default();
        let ago = SignedDuration::try_from_secs_f64(ago).unwrap_or_default();
        let since = now.checked_sub(ago).unwrap_or(now);
        Self {
            id: neighbor.label(),
            name: neighbor.name.clone(),
            group: neighbor.group.clone(),
            description: neighbor.description.clone(),
            kind: neighbor.kind,
            asn: neighbor.remote_asn,
            admin: neighbor.admin,
            state: neighbor.state,
            health: neighbor.health(),
            since: since.round(TimestampRound::new().smallest(Unit::Second)).unwrap_or(since),
            received: total(|f| f.received),
            accepted: total(|f| f.accepted),
            filtered: total(|f| f.filtered),
            best: total(|f| f.best),
            advertised: total(|f| f.advertised),
            stale: total(|f| f.stale),
            established: neighbor.established_count,
            flaps: neighbor.dropped_count,
            error: neighbor.why_down().or_else(|| Some(neighbor.concerns().join(", ")).filter(|text| !text.is_empty())),
        }
    }

    /// The moment is made of two clocks and moves a little from look to look: that alone is no change.
    fn settle(&mut self, before: &Self) {
        if self.since.duration_since(before.since).abs() <= JITTER {
            self.since = before.since;
        }
    }
}

/// What a reader gets.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    /// To be sent back as `since`.
    version: String,
    /// These are all rows, and what the reader has is void.
    full: bool,
    /// Our time, by which the reader says how long something lasts.
    at: Timestamp,
    summary: &'a Summary,
    rows: Vec<&'a Row>,
    /// Rows that are no more.
    gone: Vec<&'a str>,
}

/// Rows with the version at which each changed last.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    version: u64,
    rows: BTreeMap<String, (u64, Row)>,
    /// The last rows that went, oldest first.
    gone: VecDeque<(u64, String)>,
    /// Of what went at this version or before, some is forgotten.
    forgotten: u64,
}

impl Ledger {
    /// What is so now.
    pub fn update(&mut self, rows: impl IntoIterator<Item = Row>) {
        let next = self.version + 1;
        let mut before = std::mem::take(&mut self.rows);
        let mut changed = false;
        for mut row in rows {
            let version = match before.remove(&row.id) {
                Some((version, old)) => {
                    row.settle(&old);
                    if row == old { version } else { next }
                }
                None => next,
            };
            changed |= version == next;
            self.rows.insert(row.id.clone(), (version, row));
        }
        for id in before.into_keys().filter(|id| !self.rows.contains_key(id)) {
            changed = true;
            self.gone.push_back((next, id));
        }
        while self.gone.len() > GONE {
            self.forgotten = self.gone.pop_front().map_or(self.forgotten, |(version, _)| version);
        }
        if changed {
            self.version = next;
        }
    }

    /// Rows that changed after a version, and those that went; `None` where that is not known any more.
    pub fn since(&self, version: u64) -> Option<(Vec<&Row>, Vec<&str>)> {
        if version > self.version || version < self.forgotten {
            return None;
        }
        let rows = self.rows.values().filter(|(at, _)| *at > version).map(|(_, row)| row).collect();
        let went = |(at, id): &&(u64, String)| *at > version && !self.rows.contains_key(id);
        Some((rows, self.gone.iter().filter(went).map(|(_, id)| id.as_str()).collect()))
    }
}

/// The ledger and when it was filled.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    ledger: Ledger,
    looked: Option<(Instant, Document<Summary>)>,
    /// Tells our versions from those of another life of the daemon.
    life: String,
}

impl Board {
    /// The page for a reader of version `since`, as JSON.
    ///
    /// # Errors
    /// Those of the backend.
    pub async fn page(&self, backend: &Shared, since: Option<&str>) -> Result<Vec<u8>, Problem> {
        let mut state = self.0.lock().await;
        let now = Timestamp::now();
        let state = &mut *state;
        if state.looked.as_ref().is_none_or(|(looked, _)| looked.elapsed() >= LOOK) {
            let neighbors = backend.neighbors(NeighborQuery::default()).await?;
            state.ledger.update(neighbors.iter().map(|neighbor| Row::new(neighbor, now)));
            let summary = backend.summary().await?;
            if state.life.is_empty() {
                state.life = format!("{:x}", now.as_nanosecond());
            }
            state.looked = Some((Instant::now(), summary.into()));
        }
        let Some((_, summary)) = &state.looked else { return Err(Problem::unavailable("nothing was looked at yet")) };
        let known = since.and_then(|text| text.split_once('.')).filter(|(life, _)| *life == state.life);
        let known = known.and_then(|(_, version)| state.ledger.since(version.parse().ok()?));
        let full = known.is_none();
        let (rows, gone) = known.unwrap_or_else(|| (state.ledger.rows.values().map(|(_, row)| row).collect(), Vec::new()));
        let version = format!("{}.{}", state.life, state.ledger.version);
        let page = Page { version, full, at: now, summary: &summary.body, rows, gone };
        serde_json::to_vec(&page).map_err(|e| Problem::failed(e.to_string()))
    }
}

/// How old what readers get may be.
const LOOK: Duration = Duration::from_secs(1);
/// Two looks at one moment differ by less.
const JITTER: SignedDuration = SignedDuration::from_secs(1);
/// Rows that went and are remembered; a reader that is further behind gets everything.
const GONE: usize = 1024;
