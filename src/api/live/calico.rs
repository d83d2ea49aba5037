//! The running speaker in the words of Calico's users.

use super::Daemon;
use super::clock::timestamp;
use super::status::VERSION;
use crate::api::backend::Backend;
use crate::api::bird::Route;
use crate::api::query::{FibQuery, RibQuery};
use crate::api::types::{Admin, FibState, Hop, Neighbor, Problem, SessionState};
use crate::net::PeerSnapshot;
use crate::operator::SessionKind;
use crate::operator::calico_status::{AgentFact, LearnedFrom, NodeStatus, Patience, PeerFact, Progress, RouteFact, RouteKind, State};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;
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

/// What CalicoNodeStatus has about this node, all of its classes.
pub(super) async fn status(daemon: &Daemon) -> Result<NodeStatus, Problem> {
    let running = daemon.speaker().running();
    let agent = AgentFact {
        version: format!("kubgp {VERSION}"),
        router_id: running.plan.router.id.get().into(),
        booted: timestamp(daemon.speaker().started_at()).to_string(),
        reconfigured: timestamp(running.loaded_at).to_string(),
    };
    let is_ready = daemon.readiness().await?.ready;
    let judgement = if is_ready { Judgement::Ready } else { Judgement::Waiting(Vec::new()) };
    let peers: Vec<PeerFact> = daemon.peers(|row| !row.dynamic).await?.iter().filter_map(fact).collect();
    let routes: Vec<RouteFact> = routes(daemon, RibQuery::default()).await?.into_iter().map(route_fact).collect();
    let classes = ["Agent", "BGP", "Routes"].map(str::to_owned);
    Ok(NodeStatus::new(&classes, &agent, &judgement, &peers, &routes))
}

fn route_fact(route: Route) -> RouteFact {
    let kind = route.entry.peer_name.as_deref().and_then(SessionKind::of_name).unwrap_or(SessionKind::Node);
    RouteFact {
        kind: if route.entry.best { RouteKind::Fib } else { RouteKind::Rib },
        destination: route.entry.prefix,
        gateway: route.entry.next_hop.filter(|_| !route.entry.local),
        interface: route.interface.unwrap_or_default(),
        learned_from: match route.entry.peer {
            Some(peer) => LearnedFrom::session(kind, peer),
            None => LearnedFrom { source_type: "Static", peer_ip: None },
        },
    }
}

/// The routes of the tables that can be used, with where the kernel has them; best ones before others of their prefix.
///
/// # Errors
/// The daemon stops.
pub(super) async fn routes(daemon: &Daemon, query: RibQuery) -> Result<Vec<Route>, Problem> {
    let family = query.family;
    let mut installed: BTreeMap<IpNet, Vec<Hop>> = BTreeMap::new();
    let mut rows = daemon.fib(FibQuery { family, ..FibQuery::default() }).await?;
    while let Some(batch) = rows.recv().await {
        let entries = batch?.items.into_iter().filter(|entry| entry.state == FibState::Installed);
        installed.extend(entries.map(|entry| (entry.prefix, entry.hops)));
    }
    let since: BTreeMap<IpAddr, jiff::Timestamp> =
        daemon.peers(|_| true).await?.into_iter().filter_map(|(_, row)| Some((row.address?, row.state_since))).collect();
    let booted = timestamp(daemon.speaker().started_at());
    let mut routes = Vec::new();
    let mut rows = daemon.rib(query).await?;
    while let Some(batch) = rows.recv().await {
        for entry in batch?.items.into_iter().filter(|entry| entry.valid) {
            let hops = installed.get(&entry.prefix).filter(|_| entry.best || entry.multipath).map(Vec::as_slice).unwrap_or_default();
            let hop = hops.iter().find(|hop| hop.via == entry.next_hop).or(hops.first());
            let interface = hop.and_then(|hop| hop.device.clone());
            let since = entry.peer.and_then(|peer| since.get(&peer)).copied().unwrap_or(booted);
            routes.push(Route { entry, interface, since });
        }
    }
    routes.sort_by_key(|route| (route.entry.prefix, !route.entry.best));
    Ok(routes)
}
