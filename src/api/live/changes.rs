//! Reloads and what they change, in words.

use std::time::Duration;

use super::Daemon;
use super::clock::seconds;
use super::impact;
use super::walk::problem;
use crate::api::types::{Change, ChangeKind, Problem, ReloadRequest, ReloadResult};
use crate::config::{Action, Plan, diff};
use crate::speaker::{HandleError, Reload, ReloadOutcome};

/// # Errors
/// The file is not good; what runs stays.
pub(super) async fn reload(daemon: &Daemon, request: ReloadRequest) -> Result<ReloadResult, Problem> {
    let confirm = request.confirm_seconds.map(|s| Duration::try_from_secs_f64(s).ok().filter(|d| !d.is_zero()));
    let confirm = match confirm {
        Some(None) => return Err(Problem::usage("`confirmSeconds` must be more than 0")),
        Some(Some(time)) => Some(time.min(LONGEST_CONFIRM)),
        None => None,
    };
    answer(daemon, daemon.speaker().reload(Reload { dry_run: request.dry_run, confirm })).await
}

/// # Errors
/// Nothing waits for a confirmation.
pub(super) async fn confirm(daemon: &Daemon) -> Result<ReloadResult, Problem> {
    answer(daemon, daemon.speaker().confirm()).await
}

/// # Errors
/// Nothing waits for a confirmation.
pub(super) async fn rollback(daemon: &Daemon) -> Result<ReloadResult, Problem> {
    answer(daemon, daemon.speaker().rollback()).await
}

async fn answer(daemon: &Daemon, outcome: impl Future<Output = Result<ReloadOutcome, HandleError>>) -> Result<ReloadResult, Problem> {
    let before = daemon.speaker().running();
    let outcome = outcome.await.map_err(|e| problem(&e))?;
    let routes = if outcome.applied { Vec::new() } else { impact::of(daemon, &outcome.actions).await? };
    Ok(ReloadResult {
        routes,
        applied: outcome.applied,
        generation: outcome.generation,
        changes: outcome.actions.iter().map(|action| change(action, &before.plan)).collect(),
        confirm_within_seconds: outcome.confirm_within.map(seconds),
    })
}

fn change(action: &Action, before: &Plan) -> Change {
    use ChangeKind::{Added, Changed, Removed};
    let row = |kind, subject: String| Change { kind, subject, detail: None, resets_session: false };
    let list = |addresses: &std::collections::BTreeSet<std::net::SocketAddr>| {
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    match action {
        Action::Router(_) => row(Changed, "router".to_owned()),
        Action::Policies { .. } => row(Changed, "policies".to_owned()),
        Action::StopListening(addresses) => row(Removed, format!("listen {}", list(addresses))),
        Action::Listen(addresses) => row(Added, format!("listen {}", list(addresses))),
        Action::RemovePeer(address) => {
            let name = before.peers.get(address).map_or_else(|| address.to_string(), |peer| peer.name.clone());
            Change { resets_session: true, ..row(Removed, format!("neighbor {name}")) }
        }
        Action::AddPeer(plan) => row(Added, format!("neighbor {}", plan.name)),
        Action::ChangePeer { plan, change } => settings(change, format!("neighbor {}", plan.name)),
        Action::RemoveRange(range) => Change { resets_session: true, ..row(Removed, format!("dynamicNeighbors {range}")) },
        Action::AddRange(plan) => row(Added, format!("dynamicNeighbors {}", plan.range)),
        Action::ChangeRange { plan, change } => settings(change, format!("dynamicNeighbors {}", plan.range)),
        Action::Withdraw(prefix) => row(Removed, format!("network {prefix}")),
        Action::Originate(network) => {
            let kind = if before.networks.contains_key(&network.prefix) { Changed } else { Added };
            row(kind, format!("network {}", network.prefix))
        }
        Action::Fib(_) => row(Changed, "fib".to_owned()),
        Action::Kubernetes(_) => row(Changed, "kubernetes".to_owned()),
        Action::Api(_) => row(Changed, "api".to_owned()),
        Action::Metrics(_) => row(Changed, "metrics".to_owned()),
        Action::Log(_) => row(Changed, "log".to_owned()),
        Action::Vips(_) => row(Changed, "vips".to_owned()),
        Action::Bmp(_) => row(Changed, "bmp".to_owned()),
        Action::Bfd(_) => row(Changed, "bfd.profiles".to_owned()),
        Action::Drain(_) => row(Changed, "drain".to_owned()),
    }
}

fn settings(change: &diff::Change, subject: String) -> Change {
    let mut detail = change.what.join(", ");
    for (set, text) in [(change.refresh_in, "asks for its routes again"), (change.refresh_out, "is sent what differs")] {
        if set && !change.reset {
            detail = format!("{detail}; {text}");
        }
    }
    Change { kind: ChangeKind::Changed, subject, detail: Some(detail), resets_session: change.reset }
}

/// A day is long enough to find out.
const LONGEST_CONFIRM: Duration = Duration::from_secs(24 * 3600);
