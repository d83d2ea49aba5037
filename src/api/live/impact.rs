//! What a new configuration would do to routes: other policies of a session, run on the tables as they are.

use ipnet::IpNet;

use super::Daemon;
use super::rows;
use super::walk::problem;
use crate::api::types::{ChangeKind, Problem, RouteDiff, RouteDirection, RouteImpact};
use crate::config::Action;
use crate::net::PeerSnapshot;
use crate::policy::{Chain, Outcome, Reason, RouteView};
use crate::rib::{DestRef, DumpCursor, PeerId, Rib, Verdict};
use crate::session::State;
use crate::speaker::RibState;
use crate::wire::Family;

/// One entry for each direction of an established session whose policy changes and whose session stays. What import would do is judged
/// by the routes as the present policy left them, since that is what is kept.
///
/// # Errors
/// The daemon stops.
pub(super) async fn of(daemon: &Daemon, actions: &[Action]) -> Result<Vec<RouteImpact>, Problem> {
    let mut impacts = Vec::new();
    let (peers, running) = (daemon.speaker().peers().await, daemon.speaker().running());
    let up = peers.iter().filter(|peer| peer.status.state == State::Established);
    for (peer, session) in up.filter_map(|peer| Some((peer, changed(peer, actions)?))) {
        let name = running.plan.peers.values().find(|plan| plan.address == peer.remote.ip()).map(|plan| plan.name.clone());
        let neighbor = name.unwrap_or_else(|| peer.remote.ip().to_string());
        let chains =
            [(RouteDirection::Import, &peer.rules.import, &session.import), (RouteDirection::Export, &peer.rules.export, &session.export)];
        for (direction, old, new) in chains.into_iter().filter(|(_, old, new)| old != new) {
            let impact = RouteImpact { neighbor: neighbor.clone(), direction, added: 0, removed: 0, changed: 0, routes: Vec::new() };
            let judge = Judge { peer: peer.id, old: old.clone(), new: new.clone(), impact };
            impacts.push(judge.walk(daemon).await?);
        }
    }
    impacts.retain(|impact| impact.added + impact.removed + impact.changed > 0);
    Ok(impacts)
}

/// The settings that the session of a peer would get, where it would go on with them.
fn changed<'a>(peer: &PeerSnapshot, actions: &'a [Action]) -> Option<&'a crate::config::plan::SessionPlan> {
    let address = peer.remote.ip();
    actions.iter().find_map(|action| match action {
        Action::ChangePeer { plan, change } if !peer.dynamic && plan.address == address && !change.reset => Some(&plan.session),
        Action::ChangeRange { plan, change } if peer.dynamic && plan.range.contains(&address) && !change.reset => Some(&plan.session),
        _ => None,
    })
}

/// One direction of one session.
struct Judge {
    peer: PeerId,
    old: Chain,
    new: Chain,
    impact: RouteImpact,
}

impl Judge {
    /// In slices, so that the tables go on between them.
    async fn walk(mut self, daemon: &Daemon) -> Result<RouteImpact, Problem> {
        for family in Family::ALL {
            let mut cursor = Some(DumpCursor::default());
            while cursor.is_some() {
                let look = move |state: &mut RibState| {
                    self.slice(state, family, &mut cursor);
                    (self, cursor)
                };
                (self, cursor) = daemon.speaker().inspect(look).await.map_err(|e| problem(&e))?;
            }
        }
        Ok(self.impact)
    }

    fn slice(&mut self, state: &mut RibState, family: Family, cursor: &mut Option<DumpCursor>) {
        let found: Vec<_> = match self.impact.direction {
            RouteDirection::Import => {
                state.rib.dump_peer(self.peer, family, cursor).flat_map(|dest| self.imported(&state.rib, &dest)).collect()
            }
            RouteDirection::Export => {
                let differ: Vec<_> = state.rib.dump(family, cursor).filter_map(|dest| self.exported(&state.rib, &dest)).collect();
                // Only what the session would have without its policy, or has.
                let is_so = |(prefix, kind, _): &(IpNet, ChangeKind, Option<Reason>)| {
                    let said = state.groups.explain(&state.rib, prefix, self.peer);
                    match kind {
                        ChangeKind::Added => matches!(said, Some(Reason::DeniedByPolicy(_) | Reason::NoPolicy)),
                        ChangeKind::Changed | ChangeKind::Removed => matches!(said, Some(Reason::Advertised | Reason::PendingSend)),
                    }
                };
                differ.into_iter().filter(is_so).collect()
            }
        };
        for (prefix, kind, reason) in found {
            match kind {
                ChangeKind::Added => self.impact.added += 1,
                ChangeKind::Changed => self.impact.changed += 1,
                ChangeKind::Removed => self.impact.removed += 1,
            }
            if self.impact.routes.len() < EXAMPLES {
                self.impact.routes.push(RouteDiff { prefix, kind, reason: reason.map(|reason| reason.to_string()) });
            }
        }
    }

    fn imported(&self, rib: &Rib, dest: &DestRef<'_>) -> Vec<(IpNet, ChangeKind, Option<Reason>)> {
        let prefix = dest.prefix();
        let judge = |view: &crate::rib::PathView<'_>| {
            let outcome = self.new.apply(route(rib, &prefix, &view.path)?);
            let rejected = match view.verdict {
                Verdict::Ineligible(reason) if rows::is_filtered(view) => Some(reason),
                _ => None,
            };
            match (rejected, outcome) {
                (Some(Reason::DeniedByPolicy(_) | Reason::NoPolicy), Outcome::Accept(_)) => Some((prefix, ChangeKind::Added, None)),
                (None, Outcome::Reject(reason)) => Some((prefix, ChangeKind::Removed, Some(reason))),
                (None, Outcome::Accept(attrs)) if attrs != *view.path.attrs => Some((prefix, ChangeKind::Changed, None)),
                _ => None,
            }
        };
        dest.explain().iter().filter(|view| view.path.source == self.peer).filter_map(judge).collect()
    }

    fn exported(&self, rib: &Rib, dest: &DestRef<'_>) -> Option<(IpNet, ChangeKind, Option<Reason>)> {
        let (prefix, best) = (dest.prefix(), dest.best()?);
        let view = route(rib, &prefix, &best)?;
        match (self.old.apply(view), self.new.apply(view)) {
            (Outcome::Reject(_), Outcome::Accept(_)) => Some((prefix, ChangeKind::Added, None)),
            (Outcome::Accept(_), Outcome::Reject(reason)) => Some((prefix, ChangeKind::Removed, Some(reason))),
            (Outcome::Accept(old), Outcome::Accept(new)) if old != new => Some((prefix, ChangeKind::Changed, None)),
            _ => None,
        }
    }
}

/// A path as policies see it.
pub(super) fn route<'a>(rib: &Rib, prefix: &'a IpNet, path: &crate::rib::PathRef<'a>) -> Option<RouteView<'a>> {
    let source = rib.peer(path.source)?;
    let neighbor = (path.source != PeerId::LOCAL).then_some(source.addr);
    Some(RouteView { prefix, attrs: path.attrs, neighbor, kind: source.kind })
}

/// Routes that are named; the rest is counted.
const EXAMPLES: usize = 20;
