//! Drains.

use std::time::Duration;

use super::Daemon;
use super::clock::{Clock, seconds};
use super::walk::problem;
use crate::api::types::{Drain, DrainCause, DrainRequest, DrainStage, Problem};
use crate::speaker::{self, Causes, Stage};

/// How it stands.
pub(super) fn status(drain: speaker::Drain) -> Drain {
    let Causes { operator, cordon, stop } = drain.causes;
    let causes = [(operator, DrainCause::Operator), (cordon, DrainCause::Cordon), (stop, DrainCause::Stop)];
    Drain {
        stage: match drain.stage {
            Stage::Serving => DrainStage::Serving,
            Stage::Leaving { .. } => DrainStage::Leaving,
            Stage::Left => DrainStage::Left,
        },
        causes: causes.into_iter().filter(|(holds, _)| *holds).map(|(_, cause)| cause).collect(),
        remaining_seconds: drain.deadline().map(|until| seconds(until.saturating_duration_since(Clock::now().instant))),
    }
}

/// # Errors
/// A time that is none, or the daemon ends.
pub(super) async fn start(daemon: &Daemon, request: DrainRequest) -> Result<Drain, Problem> {
    let wait = match request.wait_seconds.map(Duration::try_from_secs_f64) {
        Some(Err(_)) => return Err(Problem::usage("`waitSeconds` must be 0 or more")),
        Some(Ok(time)) => Some(time.min(LONGEST_WAIT)),
        None => None,
    };
    let mut running = daemon.speaker().watch_running();
    let begun = daemon.speaker().drain(true).await.map_err(|e| problem(&e))?;
    let Some(time) = wait else { return Ok(status(begun)) };
    // Others may take it back, or the daemon may end, meanwhile; then the state says so.
    let over = running.wait_for(|running| running.drain.stage == Stage::Left || !running.drain.causes.any());
    let _ = tokio::time::timeout(time, over).await;
    Ok(status(daemon.speaker().running().drain))
}

/// # Errors
/// The daemon ends.
pub(super) async fn end(daemon: &Daemon) -> Result<Drain, Problem> {
    daemon.speaker().drain(false).await.map(status).map_err(|e| problem(&e))
}

/// A client that waits longer asks again.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
