//! What a policy makes of a table, without putting it in force.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Daemon;
use super::impact::route;
use super::walk::problem;
use crate::api::types::{MatchAction, PolicyTableRequest, PolicyTableResult, PolicyTableRoute, PolicyTableView, Problem, RuleHits};
use crate::policy::{AtEnd, Chain, Outcome, Policy};
use crate::rib::{DestRef, DumpCursor, PathRef, PeerId, Rib};
use crate::speaker::RibState;
use crate::wire::Family;

/// # Errors
/// No such policy or neighbor, or the daemon stops.
pub(super) async fn test(daemon: &Daemon, request: PolicyTableRequest) -> Result<PolicyTableResult, Problem> {
    let running = daemon.speaker().running();
    let policy = running.plan.policies.get(&request.policy).map(|plan| Arc::clone(&plan.policy));
    let policy: Arc<Policy> = policy.ok_or_else(|| Problem::not_found(format!("no policy `{}`", request.policy)))?;
    let peer = match &request.neighbor {
        Some(text) => Some(daemon.peer(text).await?),
        None => None,
    };
    // What a rule does not decide, the session does: as its import would.
    let end = peer.as_ref().map_or(AtEnd::Accept, |(peer, _)| peer.rules.import.at_end());
    let chain = Chain::new(vec![policy], end);
    let limit = usize::try_from(request.limit.unwrap_or(EXAMPLES)).unwrap_or(usize::MAX);
    let result = PolicyTableResult { policy: request.policy, accepted: 0, rejected: 0, changed: 0, rules: Vec::new(), routes: Vec::new() };
    let peer = peer.map(|(peer, _)| peer.id);
    let mut run = Run { chain, view: request.view, peer, limit, hits: BTreeMap::new(), result };
    for family in Family::ALL {
        let mut cursor = Some(DumpCursor::default());
        while cursor.is_some() {
            let look = move |state: &mut RibState| {
                run.slice(state, family, &mut cursor);
                (run, cursor)
            };
            (run, cursor) = daemon.speaker().inspect(look).await.map_err(|e| problem(&e))?;
        }
    }
    let rules = run.hits.into_iter().map(|((rule, action), routes)| RuleHits { rule, action, routes });
    Ok(PolicyTableResult { rules: rules.collect(), ..run.result })
}

/// A test under way.
struct Run {
    chain: Chain,
    view: PolicyTableView,
    peer: Option<PeerId>,
    limit: usize,
    /// Routes by the rule that decided on them.
    hits: BTreeMap<(Option<u16>, MatchAction), u64>,
    result: PolicyTableResult,
}

impl Run {
    fn slice(&mut self, state: &RibState, family: Family, cursor: &mut Option<DumpCursor>) {
        let rib = &state.rib;
        match self.peer {
            Some(peer) => rib.dump_peer(peer, family, cursor).for_each(|dest| self.dest(rib, &dest)),
            None => rib.dump(family, cursor).for_each(|dest| self.dest(rib, &dest)),
        }
    }

    fn dest(&mut self, rib: &Rib, dest: &DestRef<'_>) {
        let wanted = |path: &PathRef<'_>| self.peer.is_none_or(|peer| path.source == peer);
        match self.view {
            PolicyTableView::In => dest.all_paths().filter(wanted).collect::<Vec<_>>().iter().for_each(|path| self.path(rib, dest, path)),
            PolicyTableView::Loc => dest.best().filter(wanted).iter().for_each(|path| self.path(rib, dest, path)),
        }
    }

    fn path(&mut self, rib: &Rib, dest: &DestRef<'_>, path: &PathRef<'_>) {
        let prefix = dest.prefix();
        let Some(view) = route(rib, &prefix, path) else { return };
        let trace = self.chain.trace(view);
        let rule = trace.steps.last().filter(|_| !trace.by_default).map(|step| step.number);
        let (action, is_changed) = match &trace.outcome {
            Outcome::Accept(attrs) => (MatchAction::Accept, attrs != path.attrs),
            Outcome::Reject(_) => (MatchAction::Reject, false),
        };
        match action {
            MatchAction::Accept => self.result.accepted += 1,
            MatchAction::Reject => self.result.rejected += 1,
        }
        self.result.changed += u64::from(is_changed);
        *self.hits.entry((rule, action)).or_default() += 1;
        if self.result.routes.len() < self.limit {
            self.result.routes.push(PolicyTableRoute { prefix, peer: view.neighbor, action, rule, changed: is_changed });
        }
    }
}

/// Routes that are listed unless the request says otherwise.
const EXAMPLES: u32 = 100;
