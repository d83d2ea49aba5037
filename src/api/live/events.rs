//! What happened: the last events of the daemon, and the state changes of each neighbor.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::clock::{Clock, timestamp};
use super::{Daemon, errors, neighbors, status};
use crate::api::query::Selector;
use crate::api::types::{Direction, ErrorInfo, Event, EventKind, History, HistoryEntry, Neighbor, Problem};
use crate::net::{PeerChange, PeerEvent, PeerSnapshot};
use crate::session::{Cause, Change, ErrorRecord, State};
use crate::speaker::{Handle, Running};
use crate::wire::Notification;

/// The last events, and the way to new ones.
#[derive(Clone)]
pub(super) struct Events(Arc<Inner>);

struct Inner {
    ring: Mutex<VecDeque<Event>>,
    news: broadcast::Sender<Event>,
}

impl Events {
    /// Starts the task that follows the speaker; it ends with it.
    pub fn follow(speaker: Handle) -> Self {
        let events = Self(Arc::new(Inner { ring: Mutex::default(), news: broadcast::Sender::new(NEWS) }));
        tokio::spawn(events.clone().run(speaker));
        events
    }

    async fn run(self, speaker: Handle) {
        let mut peers = speaker.events();
        let mut running = speaker.watch_running();
        let mut last = Arc::clone(&running.borrow_and_update());
        // The sender of the peers' events lives as long as this handle; the other one ends with the speaker.
        loop {
            tokio::select! {
                event = peers.recv() => match event {
                    Ok(event) => self.heard(&speaker, &event),
                    Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "session events came faster than they could be kept"),
                    Err(RecvError::Closed) => return,
                },
                changed = running.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let now = Arc::clone(&running.borrow_and_update());
                    self.configured(&last, &now);
                    last = now;
                }
            }
        }
    }

    fn heard(&self, speaker: &Handle, event: &PeerEvent) {
        let (kind, message) = match event.what {
            PeerChange::State { to: State::Established, .. } => (EventKind::SessionUp, "session established".to_owned()),
            PeerChange::State { from: State::Established, cause, .. } => {
                (EventKind::SessionDown, format!("session down: {}", words(cause)))
            }
            PeerChange::State { .. } | PeerChange::Restarted => return,
            PeerChange::PrefixLimit { family, limit } => (EventKind::PrefixLimit, format!("more than {limit} prefixes of {family}")),
        };
        let running = speaker.running();
        let settings = neighbors::settings(&running.plan, event.remote, false);
        let name = settings.and_then(|s| s.name).map(str::to_owned);
        self.push(Event { at: Clock::now().wall, kind, peer: Some(event.remote), name, message });
    }

    fn configured(&self, before: &Running, now: &Running) {
        let event = |kind, at, message| Event { at, kind, peer: None, name: None, message };
        if now.generation != before.generation {
            let message = format!("configuration loaded as generation {}", now.generation);
            self.push(event(EventKind::ConfigReloaded, timestamp(now.loaded_at), message));
        }
        let same = match (&now.last_failure, &before.last_failure) {
            (Some(now), Some(before)) => Arc::ptr_eq(now, before),
            (now, _) => now.is_none(),
        };
        if let Some(failure) = now.last_failure.as_deref().filter(|_| !same) {
            let message = format!("configuration rejected, the former one runs: {}", status::failure(failure));
            self.push(event(EventKind::ConfigRejected, Clock::now().wall, message));
        }
    }

    fn push(&self, event: Event) {
        let mut ring = self.0.ring.lock().unwrap_or_else(PoisonError::into_inner);
        if ring.len() == KEPT {
            ring.pop_front();
        }
        ring.push_back(event.clone());
        // Under the lock, so that nobody who joins misses or repeats one. Without a listener there is nobody to tell.
        let _ = self.0.news.send(event);
    }

    /// The last events, oldest first, and those from now on.
    pub fn subscribe(&self) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let ring = self.0.ring.lock().unwrap_or_else(PoisonError::into_inner);
        (ring.iter().cloned().collect(), self.0.news.subscribe())
    }
}

/// Whether an event is about the neighbor that a text means.
pub(super) fn concerns(event: &Event, neighbor: Option<&str>) -> bool {
    let means = |text: &str| event.name.as_deref() == Some(text) || text.parse::<IpAddr>().is_ok_and(|a| event.peer == Some(a));
    neighbor.is_none_or(means)
}

/// # Errors
/// The daemon stops, or nobody is meant.
pub(super) async fn history(daemon: &Daemon, selector: Selector) -> Result<Vec<History>, Problem> {
    let found = daemon.peers(|row| selector.matches(row)).await?;
    let clock = Clock::now();
    Ok(found.iter().map(|(peer, row)| history_of(peer, row, &clock)).collect())
}

fn history_of(peer: &PeerSnapshot, row: &Neighbor, clock: &Clock) -> History {
    let entries = peer.status.history.iter().map(|change| HistoryEntry {
        at: clock.at(change.at),
        from: neighbors::state(change.from),
        to: neighbors::state(change.to),
        error: error(peer, change, clock),
        reason: words(change.cause),
        tcp_error: tcp_error(change),
    });
    History { address: row.address, name: row.name.clone(), entries: entries.collect() }
}

/// The NOTIFICATION of a change. While it is the last one of its direction, its data are known too: they say what a Hard Reset is about.
fn error(peer: &PeerSnapshot, change: &Change, clock: &Clock) -> Option<ErrorInfo> {
    let (direction, last, code, subcode) = match change.cause {
        Cause::NotificationSent { code, subcode } => (Direction::Sent, &peer.status.last_sent_error, code, subcode),
        Cause::NotificationReceived { code, subcode } => (Direction::Received, &peer.status.last_received_error, code, subcode),
        _ => return None,
    };
    let is_same =
        |record: &&ErrorRecord| record.at == change.at && (record.notification.code, record.notification.subcode) == (code, subcode);
    let bare = || ErrorRecord { at: change.at, notification: Notification { code, subcode, data: bytes::Bytes::new() } };
    let record = last.as_ref().filter(is_same).cloned().unwrap_or_else(bare);
    let error = errors::error(direction, &record, clock);
    let message = error.message.or_else(|| change.text.as_deref().map(str::to_owned));
    Some(ErrorInfo { message, ..error })
}

fn tcp_error(change: &Change) -> Option<String> {
    let is_tcp = matches!(change.cause, Cause::ConnectFailed | Cause::ConnectionLost | Cause::ConnectRetry);
    change.text.as_deref().filter(|_| is_tcp).map(errors::tcp_text)
}

/// The cause with the name of its NOTIFICATION.
fn words(cause: Cause) -> String {
    let named = |code, subcode| errors::title(&Notification { code, subcode, data: bytes::Bytes::new() });
    match cause {
        Cause::NotificationSent { code, subcode } => format!("sent {}", named(code, subcode)),
        Cause::NotificationReceived { code, subcode } => format!("received {}", named(code, subcode)),
        other => other.to_string(),
    }
}

/// Events that are kept.
const KEPT: usize = 1000;
/// Events that a slow watcher may be behind.
const NEWS: usize = 256;
