//! What an operator does to sessions.

use super::Daemon;
use super::walk::problem;
use crate::api::types::{Action, ActionOutcome, ActionRequest, Neighbor, Problem};
use crate::net::PeerSnapshot;
use crate::session::{Negotiated, State, StopReason};

/// Carries out a request on one neighbor.
///
/// # Errors
/// The daemon stops. That the neighbor cannot do it is an outcome.
pub(super) async fn act(daemon: &Daemon, peer: &PeerSnapshot, row: &Neighbor, request: &ActionRequest) -> Result<ActionOutcome, Problem> {
    let text = Some(request.reason.trim().to_owned()).filter(|t| !t.is_empty());
    let done = match request.action {
        Action::SoftIn => refresh(daemon, peer, true, false).await,
        Action::SoftOut => refresh(daemon, peer, false, true).await,
        Action::Refresh => refresh(daemon, peer, true, true).await,
        Action::Reset if !peer.status.admin_up => Ok(Err("it is switched off; `bgpctl neighbor PEER up` starts it")),
        Action::Reset => stop(daemon, peer, StopReason::AdminReset(text)).await.map(|()| Ok("session reset")),
        Action::Disable => stop(daemon, peer, StopReason::AdminDown(text)).await.map(|()| Ok("switched off")),
        Action::Enable => daemon.speaker().start_peer(peer).await.map(|()| Ok("switched on")).map_err(|e| problem(&e)),
    }?;
    let (ok, message) = match done {
        Ok(message) => (true, message),
        Err(message) => (false, message),
    };
    Ok(ActionOutcome { neighbor: row.label(), name: row.name.clone(), ok, message: message.to_owned() })
}

async fn stop(daemon: &Daemon, peer: &PeerSnapshot, reason: StopReason) -> Result<(), Problem> {
    daemon.speaker().stop_peer(peer, reason).await.map_err(|e| problem(&e))
}

/// What happened, or why it cannot.
type Done = Result<&'static str, &'static str>;

async fn refresh(daemon: &Daemon, peer: &PeerSnapshot, inbound: bool, outbound: bool) -> Result<Done, Problem> {
    let established = peer.status.negotiated.as_deref().filter(|_| peer.status.state == State::Established);
    let Some(session) = established else { return Ok(Err("the session is not established")) };
    let can_ask = session.route_refresh;
    if inbound && can_ask {
        for family in families(session) {
            daemon.speaker().refresh_in(peer, family).await.map_err(|e| problem(&e))?;
        }
    }
    if outbound {
        for family in families(session) {
            daemon.speaker().refresh_out(peer, family).await.map_err(|e| problem(&e))?;
        }
    }
    Ok(match (inbound, outbound) {
        (true, _) if !can_ask => Err("the neighbor did not offer route refresh; `bgpctl clear PEER hard` resets the session"),
        (true, true) => Ok("route refresh requested, routes are sent again"),
        (true, false) => Ok("route refresh requested"),
        (false, _) => Ok("routes are sent again"),
    })
}

fn families(session: &Negotiated) -> impl Iterator<Item = crate::wire::Family> + use<> {
    session.families.iter()
}
