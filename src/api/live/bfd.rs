//! Sessions of BFD.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::clock::{Clock, seconds};
use super::{Daemon, neighbors};
use crate::api::types::{BfdKind, BfdSession, BfdState, BfdStatus};
use crate::bfd::{Diagnostic, Hop, State, View};
use crate::config::Plan;

/// All sessions by address.
pub(super) async fn list(daemon: &Daemon) -> Vec<BfdSession> {
    let report = daemon.speaker().bfd().await;
    let running = daemon.speaker().running();
    let clock = Clock::now();
    report.sessions.iter().map(|view| session(view, &running.plan, &clock)).collect()
}

/// For the rows of neighbors.
pub(super) async fn states(daemon: &Daemon) -> BTreeMap<IpAddr, State> {
    daemon.speaker().bfd().await.sessions.iter().map(|view| (view.remote, view.session.state())).collect()
}

/// What a neighbor's row says of its path.
pub(super) fn status(profile: &str, found: Option<State>) -> BfdStatus {
    BfdStatus { profile: profile.to_owned(), state: found.map_or(BfdState::Down, state) }
}

fn session(view: &View, plan: &Plan, clock: &Clock) -> BfdSession {
    let session = &view.session;
    let of_file = neighbors::settings(plan, view.remote, !plan.peers.contains_key(&view.remote));
    let (remote_state, remote_diagnostic) = session.remote();
    let heard = session.remote_discriminator() != 0;
    let text = |diagnostic: Diagnostic| (diagnostic != Diagnostic::NONE).then(|| diagnostic.to_string());
    let (kind, minimum_ttl) = match view.settings.hop {
        Hop::Single => (BfdKind::SingleHop, u8::MAX),
        Hop::Multi { minimum_ttl } => (BfdKind::Multihop, minimum_ttl),
    };
    BfdSession {
        address: view.remote,
        name: of_file.and_then(|s| s.name).map(str::to_owned),
        kind,
        minimum_ttl,
        profile: of_file.and_then(|s| s.session.bfd.as_ref()).map(|bfd| bfd.profile.clone()).unwrap_or_default(),
        state: state(session.state()),
        state_since: clock.at(view.since),
        state_for_seconds: seconds(clock.since(view.since)),
        diagnostic: text(session.diagnostic()),
        remote_state: heard.then(|| state(remote_state)),
        remote_diagnostic: text(remote_diagnostic).filter(|_| heard),
        remote_independent: heard && session.remote_is_independent(),
        local_discriminator: session.discriminator(),
        remote_discriminator: heard.then(|| session.remote_discriminator()),
        transmit_seconds: seconds(session.transmit_interval()),
        receive_seconds: seconds(session.receive_interval()),
        detection_seconds: seconds(session.detection_time()),
        multiplier: view.settings.timing.multiplier,
        packets_sent: view.counters.sent,
        packets_received: view.counters.received,
        up_count: view.counters.ups,
        down_count: view.counters.downs,
    }
}

const fn state(state: State) -> BfdState {
    match state {
        State::AdminDown => BfdState::AdminDown,
        State::Down => BfdState::Down,
        State::Init => BfdState::Init,
        State::Up => BfdState::Up,
    }
}
