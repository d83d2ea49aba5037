//! The running speaker in the words of Calico's users.

use super::Daemon;
use crate::api::types::{Admin, Neighbor, Problem, SessionState};
use crate::net::PeerSnapshot;
use crate::operator::SessionKind;
use crate::operator::calico_status::{Patience, PeerFact, Progress, State};
use std::sync::atomic::Ordering;

pub(super) use crate::operator::calico_status::Readiness as Judgement;

/// Whether routes are there. `is_synced`: what the objects say is in force; `is_selected`: routes are selected and installed.
pub(super) async fn readiness(daemon: &Daemon, is_synced: bool, is_selected: bool) -> Result<Judgement, Problem> {
    let peers: Vec<PeerFact> = daemon.peers(|row| !row.dynamic).await?.iter().filter_map(fact).collect();
    let progress = Progress {
        since_start: daemon.speaker().uptime(),
        is_synced,
        is_kernel_settled: is_selected,
        was_ready: daemon.0.was_ready.load(Ordering::Relaxed),
    };
    let judgement = Judgement::judge(progress, Patience::default(), &peers);
    if judgement == Judgement::Ready {
        daemon.0.was_ready.store(true, Ordering::Relaxed);
    }
    Ok(judgement)
}

fn fact((peer, row): &(PeerSnapshot, Neighbor)) -> Option<PeerFact> {
    let name = row.name.clone().unwrap_or_default();
    let ends_tables = peer.status.negotiated.as_ref().is_some_and(|negotiated| negotiated.gr.is_some());
    Some(PeerFact {
        kind: SessionKind::of_name(&name).unwrap_or(SessionKind::Node),
        name,
        address: row.address?,
        state: match row.state {
            _ if row.admin == Admin::Down => State::Close,
            SessionState::Idle => State::Idle,
            SessionState::Connect => State::Connect,
            SessionState::Active => State::Active,
            SessionState::OpenSent => State::OpenSent,
            SessionState::OpenConfirm => State::OpenConfirm,
            SessionState::Established => State::Established,
        },
        since: row.state_since.to_string(),
        has_sent_all: !ends_tables || row.families.iter().filter(|family| family.negotiated).all(|family| family.eor_received),
        is_away: row.last_tcp_error.is_some(),
        is_held_down: row.admin == Admin::Down,
    })
}
