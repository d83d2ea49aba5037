//! What `/metrics` shows, taken in one look at the shards and one at the tables.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::Daemon;
use super::clock::Clock;
use super::neighbors::{self, Facts, FamilyFacts};
use super::status::{COMMIT, VERSION};
use super::walk::problem;
use crate::api::types::Problem;
use crate::bfd;
use crate::config::Plan;
use crate::config::file::{Compat as CompatWord, PeerLabel as LabelWord};
use crate::fib;
use crate::metrics::{
    self, Bfd, Build, Cluster, ClusterKind, Compat, Config, DownReason, Fib, FibFamily, FibOperation, HistogramData, Ipam, IpamPool,
    Messages, Notifications, Peer, PeerFamily, PeerLabel, PeerType, Process, RibFamily, Services, Snapshot, State, UpdateErrors,
    UpdateGroup, Vip,
};
use crate::net::PeerSnapshot;
use crate::operator::metallb::status as vip_metrics;
use crate::operator::{self, Severity, Vips};
use crate::policy::PeerKind;
use crate::rib::PeerId;
use crate::session::{Counters, DownClass, NotificationKey, State as SessionState};
use crate::speaker::{RibState, Stage, Times};
use crate::vips::Service;
use crate::wire::Family;

/// # Errors
/// The daemon stops.
pub(super) async fn text(daemon: &Daemon) -> Result<String, Problem> {
    let speaker = daemon.speaker();
    let peers = speaker.peers().await;
    let ids: Vec<PeerId> = peers.iter().map(|p| p.id).collect();
    let (facts, mut snapshot) =
        speaker.inspect(move |state| (neighbors::facts(state, &ids), tables(state))).await.map_err(|e| problem(&e))?;
    let running = speaker.running();
    let clock = Clock::now();
    snapshot.build = Build { version: VERSION.to_owned(), commit: COMMIT.unwrap_or_default().to_owned() };
    snapshot.start_time_seconds = unix(speaker.started_at());
    snapshot.config = Config {
        last_reload_successful: running.last_failure.is_none(),
        last_reload_timestamp_seconds: unix(running.loaded_at),
        stale: running.last_failure.is_some(),
    };
    snapshot.drain_state = match running.drain.stage {
        Stage::Serving => 0,
        Stage::Leaving { .. } => 1,
        Stage::Left => 2,
    };
    let paths = speaker.bfd().await;
    snapshot.peers = peers.iter().map(|p| peer(p, &running.plan, &facts, &clock)).collect();
    watched(&mut snapshot, &paths);
    snapshot.fib = speaker.fib().map(|kernel| kernel_routes(&kernel.counters()));
    let followed = daemon.cluster().state();
    snapshot.cluster = cluster(&followed, running.last_failure.is_some());
    snapshot.services = followed.vips.as_deref().map(services);
    snapshot.vips = daemon.vips().state().iter().map(|(name, service)| vip(name, service)).collect();
    snapshot.process = Process::read();
    snapshot.compat = match running.plan.metrics.compat {
        CompatWord::Metallb => Compat::Metallb,
        CompatWord::Frrk8s => Compat::FrrK8s,
        CompatWord::None => Compat::None,
    };
    snapshot.peer_label = match running.plan.metrics.peer_label {
        LabelWord::Ip => PeerLabel::Ip,
        LabelWord::IpPort => PeerLabel::IpPort,
    };
    metrics::render(snapshot).map_err(|e| Problem::failed(e.to_string()))
}

/// What BFD counts, with the peers.
fn watched(snapshot: &mut Snapshot, paths: &bfd::Report) {
    let counts: BTreeMap<String, Bfd> = paths.sessions.iter().map(|view| (view.remote.to_string(), path(view))).collect();
    snapshot.peers.iter_mut().for_each(|peer| peer.bfd = counts.get(&peer.address).copied());
    if !counts.is_empty() {
        snapshot.bfd_discarded = bfd::Discard::LABELS.into_iter().zip(paths.discarded).collect();
    }
}

fn path(view: &bfd::View) -> Bfd {
    let bfd::Counters { sent, received, ups, downs } = view.counters;
    Bfd { up: view.session.state() == bfd::State::Up, ups, downs, sent, received }
}

fn cluster(state: &operator::State, is_refused: bool) -> Option<Cluster> {
    let kind = |f: operator::Figures| ClusterKind { kind: f.kind, objects: f.objects, watch_restarts: f.restarts };
    let word = |severity| if severity == Severity::Error { "error" } else { "warning" };
    let faulty = state.faulty().into_iter().map(|((kind, severity), count)| (kind.to_owned(), word(severity), count));
    state.is_enabled.then(|| Cluster {
        connected: state.is_connected,
        config_loaded: state.is_in_force,
        config_stale: is_refused
            || state.vips.as_ref().is_some_and(|vips| vips.config.is_stale())
            || state.allocator.as_ref().is_some_and(|allocating| allocating.config.is_stale()),
        updates: state.changes(),
        kinds: state.figures().into_iter().map(kind).collect(),
        faulty: faulty.collect(),
        allocator: state.allocator.as_deref().map(ipam),
    })
}

fn ipam(allocating: &operator::Allocating) -> Ipam {
    let mut served: BTreeMap<&str, u64> = BTreeMap::new();
    for pool in allocating.services.iter().filter_map(|service| service.pool.as_deref()) {
        *served.entry(pool).or_default() += 1;
    }
    let pool = |of: &operator::PoolUse| IpamPool {
        name: of.pool.name.clone(),
        total: of.total(),
        used: of.used,
        services: served.get(of.pool.name.as_str()).copied().unwrap_or_default(),
    };
    Ipam {
        leads: allocating.is_leader,
        pools: allocating.pools.iter().map(pool).collect(),
        failures: allocating.refusals.iter().map(|((pool, reason), count)| (pool.clone(), *reason, *count)).collect(),
        write_failures: allocating.failed_writes,
    }
}

fn services(vips: &Vips) -> Services {
    let of_objects = vip_metrics::Metrics::collect(Some(&vips.config), None, Some(&vips.announcer));
    let mut services = Services {
        node: vips.announcer.node().name.clone(),
        announced: of_objects.announced.iter().map(|a| (a.service.to_string(), a.ip.to_string())).collect(),
        ..Services::default()
    };
    let mut blocked: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (_, _, reason) in vips.announcer.services() {
        match reason {
            None => services.advertised += 1,
            Some(reason) => *blocked.entry(reason.code()).or_default() += 1,
        }
    }
    services.blocked = blocked.into_iter().collect();
    services
}

fn vip(name: &str, service: &Service) -> Vip {
    let checks = service.has_check.then_some(service.counts);
    Vip { name: name.to_owned(), is_healthy: service.is_healthy, is_announced: service.is_announced, checks }
}

fn unix(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn tables(state: &mut RibState) -> Snapshot {
    let rib = |family: Family| {
        let (prefixes, paths) = state.rib.size(family);
        let memory_bytes = state.rib.table_bytes(family) as u64;
        RibFamily { family: name(family), prefixes: prefixes as u64, paths: paths as u64, memory_bytes }
    };
    let groups = state.groups.stats().map(|(id, key, stats)| UpdateGroup {
        id: id.0,
        family: name(key.family),
        kind: kind(key.kind),
        members: stats.members as u64,
        routes: stats.routes,
        messages_encoded: stats.messages_encoded,
        bytes_encoded: stats.bytes_encoded,
        memory_bytes: stats.memory,
        journal_bytes: stats.bytes,
        journal_dead_bytes: stats.dead_bytes,
    });
    Snapshot {
        rib: Family::ALL.into_iter().map(rib).collect(),
        attribute_sets: state.rib.memory().attribute_sets as u64,
        groups: groups.collect(),
        convergence: Some(histogram(&state.turns.convergence)),
        rib_batch: Some(histogram(&state.turns.busy)),
        ..Snapshot::default()
    }
}

fn histogram(times: &Times) -> HistogramData {
    let buckets = Times::BOUNDS.iter().map(Duration::as_secs_f64).zip(times.within).collect();
    HistogramData { buckets, sum: times.sum.as_secs_f64(), count: times.count }
}

fn peer(peer: &PeerSnapshot, plan: &Plan, facts: &Facts, clock: &Clock) -> Peer {
    let status = &peer.status;
    let address = peer.remote.ip();
    let up = status.state == SessionState::Established;
    let settings = neighbors::settings(plan, address, peer.dynamic);
    let session = status.negotiated.as_deref();
    let kind = session.map_or_else(|| configured_kind(peer), |n| kind(peer.rules.kind(n)));
    let remote_asn = neighbors::remote_asn(peer).map(crate::wire::Asn::get);
    let facts = facts.get(&peer.id).copied().unwrap_or_default();
    Peer {
        address: address.to_string(),
        port: peer.remote.port(),
        name: settings.and_then(|s| s.name).unwrap_or_default().to_owned(),
        remote_asn,
        kind,
        state: state(status.state),
        admin_up: status.admin_up,
        uptime_seconds: if up { clock.since(status.since).as_secs_f64() } else { 0.0 },
        last_change_timestamp_seconds: clock.at(status.since).as_millisecond() as f64 / 1000.0,
        established_count: status.established,
        dropped_count: status.dropped,
        down: status.downs.iter().map(|(class, count)| (down_reason(*class), *count)).collect(),
        sent: messages(&status.sent),
        received: messages(&status.received),
        bytes_sent: peer.bytes_sent,
        bytes_received: peer.bytes_received,
        notifications: status.notifications.iter().map(|(key, count)| notifications(*key, *count)).collect(),
        update_errors: update_errors(peer),
        out_queue_messages: peer.queued_messages as u64,
        out_queue_bytes: peer.queued_bytes as u64,
        send_blocked_seconds: peer.blocked_for.as_secs_f64(),
        families: peer.params.families.iter().map(|f| family(peer, f, &facts[f.index()])).collect(),
        bfd: None,
    }
}

const fn down_reason(class: DownClass) -> DownReason {
    match class {
        DownClass::HoldTimer => DownReason::HoldTimer,
        DownClass::NotificationSent => DownReason::NotificationSent,
        DownClass::NotificationReceived => DownReason::NotificationReceived,
        DownClass::Tcp => DownReason::Tcp,
        DownClass::Bfd => DownReason::Bfd,
        DownClass::Admin => DownReason::Admin,
        DownClass::Limit => DownReason::Limit,
        DownClass::Collision => DownReason::Collision,
        DownClass::Config => DownReason::Config,
    }
}

const fn notifications(key: NotificationKey, count: u64) -> Notifications {
    Notifications { sent: key.sent, code: key.code, subcode: key.subcode, count }
}

/// An UPDATE that ended the session was answered with an UPDATE Message Error (RFC 4271 6.3).
fn update_errors(peer: &PeerSnapshot) -> UpdateErrors {
    let resets = peer.status.notifications.iter().filter(|(key, _)| key.sent && key.code == 3).map(|(_, count)| count).sum();
    UpdateErrors { treat_as_withdraw: peer.faults.withdrawn, attribute_discard: peer.faults.discarded, session_reset: resets }
}

fn family(peer: &PeerSnapshot, family: Family, facts: &FamilyFacts) -> PeerFamily {
    let counters = &facts.counters;
    PeerFamily {
        family: name(family),
        received: counters.received.into(),
        accepted: counters.accepted.into(),
        filtered: counters.filtered.into(),
        best: counters.best.into(),
        advertised: facts.advertised,
        stale: counters.stale.into(),
        pending: 0,
        limit: peer.rules.max_prefixes.map(|max| max.limit.into()),
        limit_hit: facts.limit_hit,
    }
}

fn messages(counters: &Counters) -> Messages {
    Messages {
        open: counters.open,
        update: counters.update,
        notification: counters.notification,
        keepalive: counters.keepalive,
        route_refresh: counters.route_refresh,
    }
}

fn configured_kind(peer: &PeerSnapshot) -> PeerType {
    match (peer.params.remote_as.accepts(peer.params.local_as, peer.params.local_as), peer.rules.client) {
        (false, _) => PeerType::Ebgp,
        (true, true) => PeerType::RrClient,
        (true, false) => PeerType::Ibgp,
    }
}

const fn kind(kind: PeerKind) -> PeerType {
    match kind {
        PeerKind::Ebgp => PeerType::Ebgp,
        PeerKind::Client => PeerType::RrClient,
        PeerKind::NonClient | PeerKind::Local => PeerType::Ibgp,
    }
}

const fn state(state: SessionState) -> State {
    match state {
        SessionState::Idle => State::Idle,
        SessionState::Connect => State::Connect,
        SessionState::Active => State::Active,
        SessionState::OpenSent => State::OpenSent,
        SessionState::OpenConfirm => State::OpenConfirm,
        SessionState::Established => State::Established,
    }
}

const fn name(family: Family) -> &'static str {
    neighbors::shown_family(family).name()
}

fn kernel_routes(counters: &fib::Counters) -> Fib {
    let family = |family: Family| {
        let at = family.index();
        FibFamily { family: name(family), routes: counters.installed[at], pending: counters.pending[at] + counters.failed[at] }
    };
    let operations = [("add", counters.creates), ("replace", counters.replaces), ("delete", counters.deletes)];
    let both = |(op, counts): (&'static str, fib::OpCounts)| {
        [FibOperation { op, ok: true, count: counts.done }, FibOperation { op, ok: false, count: counts.failed }]
    };
    Fib {
        families: Family::ALL.into_iter().map(family).collect(),
        operations: operations.into_iter().flat_map(both).collect(),
        resyncs: fib::Cause::ALL.into_iter().map(|cause| (cause.label(), counters.resyncs.get(cause))).collect(),
        rivals: counters.rivals,
        sync_seconds: None,
    }
}
