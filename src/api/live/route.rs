//! One prefix: every path with the step that decided on it, and who was told.

use std::net::IpAddr;

use ipnet::IpNet;

use super::Daemon;
use super::rows::{self, Names};
use super::walk::problem;
use crate::api::types::{PathDetail, Problem, RouteDetail, SentTo};
use crate::policy::Reason;
use crate::rib::{DestRef, PathView, PeerId, Step, Verdict};
use crate::speaker::RibState;
use crate::wire::attr::AttrSet;

/// # Errors
/// No such prefix, or the daemon stops.
pub(super) async fn route(daemon: &Daemon, prefix: IpNet) -> Result<RouteDetail, Problem> {
    let names = daemon.names();
    let found = daemon.speaker().inspect(move |state| detail(state, &names, &prefix)).await.map_err(|e| problem(&e))?;
    let mut detail = found.ok_or_else(|| Problem::not_found(format!("{prefix} is not in the table")))?;
    detail.fib = super::kernel::of_prefix(daemon, detail.prefix).await?;
    Ok(detail)
}

/// The destination that a question means: the prefix itself, or for an address the most specific one that holds it.
pub(super) fn destination<'a>(state: &'a RibState, prefix: &IpNet) -> Option<DestRef<'a>> {
    let host = prefix.prefix_len() == prefix.max_prefix_len();
    if host { state.rib.longest_match(prefix) } else { state.rib.lookup(prefix) }
}

fn detail(state: &mut RibState, names: &Names, prefix: &IpNet) -> Option<RouteDetail> {
    let dest = destination(state, prefix)?;
    let prefix = dest.prefix();
    let mut views = dest.explain();
    views.sort_by_key(|view| rank(view.verdict));
    let best = views.first().filter(|v| matches!(v.verdict, Verdict::Best(_))).map(|v| (v.path.attrs, v.cost));
    let advertised = state.groups.advertises(dest.family(), dest.id());
    let paths = views.iter().map(|view| {
        let mut entry = rows::path(state, names, prefix, view);
        entry.advertised = entry.best && advertised;
        PathDetail { entry, decision: decision(view, best), next_hop_cost: view.cost }
    });
    let paths = paths.collect();
    Some(RouteDetail { prefix, paths, fib: None, sent_to: sent_to(state, names, &prefix) })
}

/// Every peer with a session, and what it was told.
fn sent_to(state: &mut RibState, names: &Names, prefix: &IpNet) -> Vec<SentTo> {
    let mut peers: Vec<(IpAddr, PeerId)> = state.live.iter().map(|(id, live)| (live.negotiated.remote_addr.ip(), *id)).collect();
    peers.sort_unstable();
    let told = |(peer, id): (IpAddr, PeerId)| {
        let reason = state.groups.explain(&state.rib, prefix, id)?;
        let advertised = matches!(reason, Reason::Advertised);
        Some(SentTo { peer, name: names.get(peer), advertised, reason: reason.to_string() })
    };
    peers.into_iter().filter_map(told).collect()
}

/// The best path, those beside it, the losers by how far they came, and those that did not take part.
fn rank(verdict: Verdict) -> (u8, std::cmp::Reverse<Option<Step>>) {
    let (class, step) = match verdict {
        Verdict::Best(_) => (0, None),
        Verdict::Multipath(step) => (1, Some(step)),
        Verdict::NotBest(step) => (2, Some(step)),
        Verdict::Undecided => (3, None),
        Verdict::Ineligible(_) => (4, None),
    };
    (class, std::cmp::Reverse(step))
}

/// How the decision went for a path, with the values that told it from the best one.
pub(super) fn decision(view: &PathView<'_>, best: Option<(&AttrSet, Option<u32>)>) -> String {
    let lost = |step: Step| match best.and_then(|(set, cost)| values(step, (set, cost), (view.path.attrs, view.cost))) {
        Some((won, lost, sign)) => format!("the best path has {step} ({won} {sign} {lost})"),
        None => format!("the best path has {step}"),
    };
    match view.verdict {
        Verdict::Best(step) => format!("best: {step}"),
        Verdict::Multipath(step) => format!("used beside the best path: {}", lost(step)),
        Verdict::NotBest(step) => format!("not best: {}", lost(step)),
        Verdict::Undecided => "no decision yet".to_owned(),
        Verdict::Ineligible(reason) => ineligible(reason, view),
    }
}

fn ineligible(reason: Reason, view: &PathView<'_>) -> String {
    let next_hop = view.path.attrs.next_hop().address();
    match reason {
        Reason::NextHopUnresolved => format!("next hop {next_hop} does not resolve"),
        Reason::NextHopInvalid => format!("next hop {next_hop} is no usable address"),
        other => super::reasons::sentence(other),
    }
}

/// The winner's and the loser's value at a step that compares numbers.
fn values(step: Step, won: (&AttrSet, Option<u32>), lost: (&AttrSet, Option<u32>)) -> Option<(u32, u32, char)> {
    let pair = |value: fn(&AttrSet) -> u32| (value(won.0), value(lost.0));
    let ((won, lost), sign) = match step {
        Step::LocalPref => (pair(|set| set.head().local_pref().unwrap_or(DEFAULT_LOCAL_PREF)), '>'),
        Step::AsPathLength => (pair(|set| set.head().path_len.into()), '<'),
        Step::Med => (pair(|set| set.med().unwrap_or(0)), '<'),
        Step::ClusterListLength => (pair(|set| set.head().cluster_len.into()), '<'),
        Step::IgpCost => ((won.1?, lost.1?), '<'),
        _ => return None,
    };
    Some((won, lost, sign))
}

/// What the decision process takes for a missing LOCAL_PREF.
const DEFAULT_LOCAL_PREF: u32 = 100;
