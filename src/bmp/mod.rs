//! Monitoring stations: what neighbors announce and what we choose, streamed as BMP (RFC 7854, RFC 9069).
//!
//! Owns one task per configured station: it connects, says which sessions are up, sends the tables, then every change. Routes of a
//! neighbor are those that import policy accepted, as it left them (flag L); the Loc-RIB is a peer of its own.
//!
//! Invariants: a station that is slow or away delays nothing: the tables are read in slices between two turns of the RIB, and whoever
//! falls behind the changes is sent everything anew over a new connection. What was sent is remembered, a pointer a path, so that
//! only differences follow.
//!
//! Must never know: what stations make of it.

mod feed;
mod sessions;
mod station;

use crate::speaker::Handle;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::task::JoinHandle;

/// How it stands with a station.
#[derive(Clone, Debug, Default)]
pub struct Station {
    /// Since when we are connected.
    pub since: Option<Instant>,
    /// Messages and octets since the start.
    pub messages: u64,
    pub octets: u64,
    /// Times that a connection was made.
    pub connections: u64,
    /// Why there is no connection, or why the last one ended.
    pub error: Option<String>,
}

/// The stations as they stand, for whoever asks.
#[derive(Clone, Debug, Default)]
pub struct View(Arc<Mutex<BTreeMap<SocketAddr, Station>>>);

impl View {
    pub fn stations(&self) -> BTreeMap<SocketAddr, Station> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, station: SocketAddr, change: impl FnOnce(&mut Station)) {
        change(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(station).or_default());
    }

    fn forget(&self, station: SocketAddr) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&station);
    }
}

/// Starts the task that follows the configuration; it ends with the speaker.
pub fn start(speaker: Handle) -> View {
    let view = View::default();
    tokio::spawn(follow(speaker, view.clone()));
    view
}

async fn follow(speaker: Handle, view: View) {
    let mut running = speaker.watch_running();
    let mut tasks: BTreeMap<SocketAddr, JoinHandle<()>> = BTreeMap::new();
    loop {
        let wanted = running.borrow_and_update().plan.bmp.clone();
        tasks.retain(|station, task| {
            let stays = wanted.contains(station);
            if !stays {
                task.abort();
                view.forget(*station);
            }
            stays
        });
        for station in wanted {
            tasks.entry(station).or_insert_with(|| {
                view.change(station, |_| {});
                tokio::spawn(station::run(speaker.clone(), station, view.clone()))
            });
        }
        if running.changed().await.is_err() {
            tasks.into_values().for_each(|task| task.abort());
            return;
        }
    }
}
