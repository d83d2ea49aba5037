//! Which peers are up, and the note of it for the next life.

use super::control::Control;
use super::restart;
use crate::net::{PeerChange, PeerEvent};
use crate::session::State;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tracing::warn;

impl Control {
    /// Keeps the list of peers that are up.
    pub(super) async fn follow(&mut self, event: Result<PeerEvent, RecvError>) {
        match event {
            Ok(PeerEvent { remote, what: PeerChange::State { to, .. }, .. }) => {
                let changed = if to == State::Established { self.up.insert(remote) } else { self.up.remove(&remote) };
                if !changed {
                    return;
                }
                self.peer_changed(remote);
            }
            Ok(PeerEvent { remote, what: PeerChange::Restarted, .. }) => return self.peer_restarted(remote).await,
            Ok(_) | Err(RecvError::Closed) => return,
            Err(RecvError::Lagged(_)) => self.count_up().await,
        }
        // A thousand sessions that come up together are written once.
        self.mark_soon();
    }

    pub(super) fn mark_soon(&mut self) {
        self.mark_at.get_or_insert_with(|| super::now() + MARK_DELAY);
    }

    pub(super) async fn count_up(&mut self) {
        let mut up = BTreeSet::new();
        for shard in &self.shared.shards {
            let peers = shard.snapshot().await;
            up.extend(peers.iter().filter(|p| p.status.state == State::Established).map(|p| p.remote.ip()));
        }
        self.up = up;
    }

    /// Writes down who is up.
    pub(super) async fn mark(&mut self) {
        self.mark_at = None;
        if self.begins_later {
            // What the former life wrote is still to be read.
            return;
        }
        if self.context.restart_until.is_none_or(|until| until <= super::now()) {
            self.former.clear();
        }
        // A second crash during a restart must not forget the peers that have not come back yet.
        let paths = self.discriminators().await;
        let peers = self.up.union(&self.former).map(|peer| (*peer, paths.get(peer).copied().unwrap_or_default())).collect();
        let written = self.marker.write(restart::uptime(), &peers);
        if let Err(e) = &written
            && !self.marker_failed
        {
            warn!(error = %e, "the restart state cannot be written: after a restart peers will drop our routes until we are back");
        }
        self.marker_failed = written.is_err();
    }
}

/// How long changes of sessions are collected before the restart state is written.
const MARK_DELAY: Duration = Duration::from_millis(200);
