//! Live lists: what exists, a bookmark, then changes. A reader that is too slow loses changes and is told so.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::walk::{Walk, problem};
use super::{Daemon, events};
use crate::api::backend::Changes;
use crate::api::query::{EventQuery, NeighborQuery, RibQuery};
use crate::api::types::{Event, Neighbor, Origin, Problem, RibEntry, WatchEvent};

/// The sending side of a watch.
struct Teller<T> {
    changes: mpsc::Sender<WatchEvent<T>>,
    /// Changes were dropped and the reader does not know yet.
    lagged: bool,
}

/// The reader has gone.
struct Gone;

impl<T> Teller<T> {
    fn new() -> (Self, Changes<T>) {
        let (changes, reader) = mpsc::channel(QUEUE);
        (Self { changes, lagged: false }, reader)
    }

    /// Part of the list of what exists: waits for the reader.
    async fn list(&self, event: WatchEvent<T>) -> Result<(), Gone> {
        self.changes.send(event).await.map_err(|_| Gone)
    }

    /// A change: dropped where there is no room.
    fn tell(&mut self, event: WatchEvent<T>) -> Result<(), Gone> {
        if self.lagged {
            match self.changes.try_send(WatchEvent::lagged()) {
                Ok(()) => self.lagged = false,
                Err(TrySendError::Full(_)) => return Ok(()),
                Err(TrySendError::Closed(_)) => return Err(Gone),
            }
        }
        match self.changes.try_send(event) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => {
                self.lagged = true;
                Ok(())
            }
            Err(TrySendError::Closed(_)) => Err(Gone),
        }
    }

    /// Something was missed before it came here.
    fn missed(&mut self) {
        self.lagged = true;
    }
}

pub(super) fn events(daemon: &Daemon, query: EventQuery) -> Changes<Event> {
    let (mut teller, reader) = Teller::new();
    let (known, mut news) = daemon.events().subscribe();
    tokio::spawn(async move {
        let wanted = |event: &Event| events::concerns(event, query.neighbor.as_deref());
        for event in known.into_iter().filter(|e| !query.changes_only && wanted(e)) {
            teller.list(WatchEvent::added(event)).await?;
        }
        teller.list(WatchEvent::bookmark()).await?;
        loop {
            tokio::select! {
                event = news.recv() => match event {
                    Ok(event) if wanted(&event) => teller.tell(WatchEvent::added(event))?,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => teller.missed(),
                    Err(RecvError::Closed) => return Ok::<(), Gone>(()),
                },
                () = teller.changes.closed() => return Err(Gone),
            }
        }
    });
    reader
}

/// # Errors
/// The daemon stops.
pub(super) async fn neighbors(daemon: &Daemon, query: NeighborQuery) -> Result<Changes<Neighbor>, Problem> {
    let (mut teller, reader) = Teller::new();
    let mut sessions = daemon.speaker().events();
    let mut known = rows(daemon, &query).await?;
    let daemon = daemon.clone();
    tokio::spawn(async move {
        for row in known.values().filter(|_| !query.changes_only) {
            teller.list(WatchEvent::added(row.clone())).await?;
        }
        teller.list(WatchEvent::bookmark()).await?;
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = look.tick() => {}
                event = sessions.recv() => if matches!(event, Err(RecvError::Closed)) { return Ok(()) },
                () = teller.changes.closed() => return Err(Gone),
            }
            let Ok(now) = rows(&daemon, &query).await else { return Ok::<(), Gone>(()) };
            for (key, row) in &now {
                match known.get(key) {
                    None => teller.tell(WatchEvent::added(row.clone()))?,
                    Some(old) if differ(old, row) => teller.tell(WatchEvent::modified(row.clone()))?,
                    Some(_) => {}
                }
            }
            for (_, row) in known.into_iter().filter(|(key, _)| !now.contains_key(key)) {
                teller.tell(WatchEvent::deleted(row))?;
            }
            known = now;
            // Many sessions change at once; one look serves them all.
            tokio::time::sleep(GATHER).await;
            while sessions.try_recv().is_ok() {}
        }
    });
    Ok(reader)
}

async fn rows(daemon: &Daemon, query: &NeighborQuery) -> Result<BTreeMap<String, Neighbor>, Problem> {
    let found = daemon.peers(|row| query.matches(row)).await?;
    Ok(found.into_iter().map(|(_, row)| (row.label(), row)).collect())
}

/// Whether something changed that is not a clock or a counter of messages.
fn differ(old: &Neighbor, new: &Neighbor) -> bool {
    let still = |row: &Neighbor| Neighbor {
        up_for_seconds: None,
        down_for_seconds: None,
        timers: crate::api::types::Timers::default(),
        tcp: None,
        messages: crate::api::types::Messages::default(),
        queues: crate::api::types::Queues::default(),
        // Made of a clock that may step.
        state_since: jiff::Timestamp::UNIX_EPOCH,
        last_error: row.last_error.clone().map(|e| crate::api::types::ErrorInfo { at: jiff::Timestamp::UNIX_EPOCH, ..e }),
        last_tcp_error: row.last_tcp_error.clone().map(|e| crate::api::types::TcpErrorInfo { at: jiff::Timestamp::UNIX_EPOCH, ..e }),
        ..row.clone()
    };
    still(old) != still(new)
}

/// What tells the paths of a prefix apart.
type PathKey = (Option<IpAddr>, Option<u32>);

/// What a reader was told: of each prefix its paths, and of each path what stands for its row.
type Told = BTreeMap<IpNet, BTreeMap<PathKey, u64>>;

/// # Errors
/// The daemon stops.
pub(super) async fn rib(daemon: &Daemon, query: RibQuery, mut walk: Walk) -> Result<Changes<RibEntry>, Problem> {
    let (mut teller, reader) = Teller::new();
    // First the changes, then the list: what happens between is told twice rather than not at all.
    let mut changes = daemon.speaker().inspect(|state| state.changes.subscribe()).await.map_err(|e| problem(&e))?;
    let daemon = daemon.clone();
    tokio::spawn(async move {
        let mut told = Told::new();
        while !walk.is_over() {
            let looked = daemon.speaker().inspect(move |state| {
                let rows = walk.rows(state);
                (walk, rows)
            });
            let Ok((back, rows)) = looked.await else { return Ok(()) };
            walk = back;
            for row in rows {
                told.entry(row.prefix).or_default().insert(key(&row), digest(&row));
                if !query.changes_only {
                    teller.list(WatchEvent::added(row)).await?;
                }
            }
        }
        teller.list(WatchEvent::bookmark()).await?;
        let walk = Arc::new(walk);
        loop {
            let prefixes = tokio::select! {
                changed = changes.recv() => match changed {
                    Ok(prefixes) => prefixes,
                    Err(RecvError::Lagged(_)) => {
                        teller.missed();
                        continue;
                    }
                    Err(RecvError::Closed) => return Ok(()),
                },
                () = teller.changes.closed() => return Err(Gone),
            };
            for some in prefixes.chunks(SLICE) {
                let (walk, some) = (Arc::clone(&walk), some.to_vec());
                let looked =
                    daemon.speaker().inspect(move |state| some.into_iter().map(|p| (p, walk.rows_of(state, &p))).collect::<Vec<_>>());
                let Ok(found) = looked.await else { return Ok::<(), Gone>(()) };
                for (prefix, rows) in found {
                    compare(prefix, rows, &mut told, &mut teller)?;
                }
            }
        }
    });
    Ok(reader)
}

/// Tells how the rows of a prefix differ from what was told.
fn compare(prefix: IpNet, rows: Vec<RibEntry>, told: &mut Told, teller: &mut Teller<RibEntry>) -> Result<(), Gone> {
    let mut before = told.remove(&prefix).unwrap_or_default();
    let mut now = BTreeMap::new();
    for row in rows {
        let (key, digest) = (key(&row), digest(&row));
        now.insert(key, digest);
        match before.remove(&key) {
            None => teller.tell(WatchEvent::added(row))?,
            Some(old) if old != digest => teller.tell(WatchEvent::modified(row))?,
            Some(_) => {}
        }
    }
    for (key, _) in before {
        teller.tell(WatchEvent::deleted(gone(prefix, key)))?;
    }
    if !now.is_empty() {
        told.insert(prefix, now);
    }
    Ok(())
}

fn key(row: &RibEntry) -> PathKey {
    (row.peer, row.path_id)
}

/// Stands for a row, so that a watch of a big table need not keep the rows.
fn digest(row: &RibEntry) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    format!("{row:?}").hash(&mut hasher);
    hasher.finish()
}

/// A path that is no more: what tells it from others.
fn gone(prefix: IpNet, (peer, path_id): PathKey) -> RibEntry {
    RibEntry {
        prefix,
        best: false,
        multipath: false,
        peer,
        peer_name: None,
        local: peer.is_none(),
        internal: false,
        next_hop: None,
        as_path: Vec::new(),
        as_path_text: None,
        origin: Origin::Igp,
        local_pref: None,
        med: None,
        communities: Vec::new(),
        well_known_communities: Vec::new(),
        large_communities: Vec::new(),
        extended_communities: Vec::new(),
        originator_id: None,
        cluster_list: Vec::new(),
        path_id,
        stale: false,
        filtered: false,
        valid: false,
        advertised: false,
        reason: None,
        age_seconds: None,
    }
}

/// Changes that wait for a slow reader.
const QUEUE: usize = 1024;
/// Prefixes that one look at the tables is about.
const SLICE: usize = 1024;
/// How often counters are compared.
const LOOK: Duration = Duration::from_secs(1);
/// How long changes of sessions are gathered.
const GATHER: Duration = Duration::from_millis(100);
