//! Policies, who uses them, and what one of them makes of a route.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::Daemon;
use super::networks::sorted;
use super::rows;
use crate::api::types::{MatchAction, NeighborType, Origin, PolicyInfo, PolicyTestRequest, PolicyTestResult, Problem};
use crate::policy::params::Action;
use crate::policy::{AtEnd, Chain, Outcome, PeerKind, RouteView, Step};
use crate::wire::attr::{AsPath, AttrSet, NextHop, Origin as WireOrigin, PathAttributes, Segment, SegmentKind};

pub(super) fn list(daemon: &Daemon) -> Vec<PolicyInfo> {
    let plan = &daemon.speaker().running().plan;
    let peers = plan.peers.values().map(|p| (p.name.clone(), &p.session));
    let ranges = plan.dynamic.values().map(|d| (format!("{} ({})", d.range, d.group), &d.session));
    let users: Vec<_> = peers.chain(ranges).collect();
    let uses = |chain: &Chain, name: &str| chain.policies().iter().any(|p| p.name() == name);
    let row = |(name, policy): (&String, &crate::config::plan::PolicyPlan)| PolicyInfo {
        name: name.clone(),
        rules: policy.lines(),
        import_of: users.iter().filter(|(_, s)| uses(&s.import, name)).map(|(user, _)| user.clone()).collect(),
        export_of: users.iter().filter(|(_, s)| uses(&s.export, name)).map(|(user, _)| user.clone()).collect(),
    };
    plan.policies.iter().map(row).collect()
}

/// # Errors
/// No such policy or neighbor.
pub(super) async fn test(daemon: &Daemon, request: PolicyTestRequest) -> Result<PolicyTestResult, Problem> {
    let running = daemon.speaker().running();
    let policy = running.plan.policies.get(&request.policy);
    let policy = policy.ok_or_else(|| Problem::not_found(format!("no policy `{}`", request.policy)))?;
    let from = match &request.from {
        Some(text) => Some(daemon.peer(text).await?),
        None => None,
    };
    let (kind, end) = match &from {
        None => (PeerKind::Local, AtEnd::Accept),
        Some((peer, row)) => (kind(row.kind), peer.rules.import.at_end()),
    };
    let attrs = AttrSet::from(&attributes(&request));
    let neighbor = from.as_ref().map(|(peer, _)| peer.remote.ip());
    let chain = Chain::new(vec![Arc::clone(&policy.policy)], end);
    let trace = chain.trace(RouteView { prefix: &request.prefix, attrs: &attrs, neighbor, kind });
    let rule = trace.steps.last().filter(|_| !trace.by_default).map(|step| step.number);
    let mut result = PolicyTestResult {
        policy: request.policy.clone(),
        action: MatchAction::Accept,
        rule,
        reason: None,
        trace: trace.steps.iter().map(line).collect(),
        result: None,
    };
    match trace.outcome {
        Outcome::Accept(attrs) => {
            let mut row = rows::attributes(request.prefix, &attrs);
            row.peer = neighbor;
            row.local = neighbor.is_none();
            row.internal = kind.is_internal();
            result.result = Some(row);
        }
        Outcome::Reject(reason) => {
            result.action = MatchAction::Reject;
            result.reason = Some(reason.code().to_owned());
        }
    }
    Ok(result)
}

const fn kind(kind: NeighborType) -> PeerKind {
    match kind {
        NeighborType::Ebgp => PeerKind::Ebgp,
        NeighborType::Ibgp => PeerKind::NonClient,
        NeighborType::RrClient => PeerKind::Client,
    }
}

fn line(step: &Step) -> String {
    let what = match (step.failed, step.action) {
        (Some(condition), _) => format!("does not match: {condition}"),
        (None, Action::Accept) => "matches: accept".to_owned(),
        (None, Action::Reject) => "matches: reject".to_owned(),
        (None, Action::Next) => "matches: sets, then the next rule".to_owned(),
    };
    format!("rule {} {what}", step.rule)
}

fn attributes(request: &PolicyTestRequest) -> PathAttributes {
    let next_hop = match (request.next_hop, request.prefix) {
        (Some(address), _) => address.into(),
        (None, IpNet::V4(_)) => NextHop::V4(Ipv4Addr::UNSPECIFIED),
        (None, IpNet::V6(_)) => NextHop::V6(Ipv6Addr::UNSPECIFIED),
    };
    let segment = Segment { kind: SegmentKind::Sequence, asns: request.as_path.clone() };
    PathAttributes {
        origin: match request.origin {
            None | Some(Origin::Igp) => WireOrigin::Igp,
            Some(Origin::Egp) => WireOrigin::Egp,
            Some(Origin::Incomplete) => WireOrigin::Incomplete,
        },
        as_path: AsPath(if request.as_path.is_empty() { Vec::new() } else { vec![segment] }),
        med: request.med,
        local_pref: request.local_pref,
        communities: sorted(request.communities.iter().map(|c| c.0)),
        large_communities: sorted(request.large_communities.iter().map(|c| [c.0, c.1, c.2])),
        ..PathAttributes::new(next_hop)
    }
}
