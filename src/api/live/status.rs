//! The daemon as a whole.

use super::clock::{Clock, seconds, timestamp};
use super::drain;
use super::neighbors::shown_family;
use super::walk::problem;
use super::{Daemon, calico};
use crate::api::types::{Check, Config, ConfigView, FamilyMemory, Memory, NeighborCounts, Problem, Readiness, RibSize, Summary, Version};
use crate::config::file::{Install, KubernetesRole};
use crate::config::{Diagnostics, Plan};
use crate::metrics::Process;
use crate::operator::Report;
use crate::session::State;
use crate::speaker::{RibState, RouteLog};
use crate::wire::Family;

pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Set by packagers at build time.
pub(super) const COMMIT: Option<&str> = option_env!("KUBGP_COMMIT");

pub(super) async fn summary(daemon: &Daemon) -> Result<Summary, Problem> {
    let speaker = daemon.speaker();
    let running = speaker.running();
    let peers = speaker.peers().await;
    let rib = speaker.inspect(|state| sizes(state)).await.map_err(|e| problem(&e))?;
    let mut neighbors = NeighborCounts { total: peers.len() as u64, ..NeighborCounts::default() };
    for peer in &peers {
        match (peer.status.state == State::Established, peer.status.admin_up) {
            (true, _) => neighbors.established += 1,
            (false, true) => neighbors.down += 1,
            (false, false) => neighbors.admin_down += 1,
        }
    }
    let plan = &running.plan;
    let drain = drain::status(running.drain);
    let process = Process::read();
    Ok(Summary {
        router_id: plan.router.id.to_string(),
        asn: plan.router.asn.get(),
        cluster_id: Some(plan.router.cluster_id.to_string()),
        roles: roles(plan),
        version: VERSION.to_owned(),
        uptime_seconds: seconds(speaker.uptime()),
        neighbors,
        rib,
        resident_bytes: process.resident_bytes.unwrap_or_default(),
        cpu_seconds: process.cpu_seconds,
        config_generation: running.generation,
        config_loaded_at: timestamp(running.loaded_at),
        config_error: running.last_failure.as_deref().map(failure),
        confirm_within_seconds: running.confirm_until.map(|until| seconds(until.saturating_duration_since(Clock::now().instant))),
        drain: drain.is_active(),
        drain_state: drain.is_active().then_some(drain),
    })
}

/// The first complaint, and how many more there are.
pub(super) fn failure(diagnostics: &Diagnostics) -> String {
    let first = diagnostics.complaints.first().map(ToString::to_string).unwrap_or_default();
    match diagnostics.complaints.len() {
        0 | 1 => first,
        n => format!("{first} (and {} more)", n - 1),
    }
}

/// What the configuration makes of us.
fn roles(plan: &Plan) -> Vec<String> {
    let mut sessions = plan.peers.values().map(|p| &p.session).chain(plan.dynamic.values().map(|d| &d.session));
    let reflects =
        plan.kubernetes.iter().any(|k| k.roles.contains(&KubernetesRole::Reflector)) || sessions.any(|s| s.route_reflector_client);
    let announces = plan.kubernetes.iter().any(|k| k.roles.contains(&KubernetesRole::Vip)) || !plan.networks.is_empty();
    let roles = [(reflects, "reflector"), (announces, "vip"), (plan.fib.install != Install::None, "node")];
    roles.into_iter().filter(|(is, _)| *is).map(|(_, role)| role.to_owned()).collect()
}

fn sizes(state: &RibState) -> Vec<RibSize> {
    let size = |family| {
        let (prefixes, paths) = state.rib.size(family);
        RibSize { family: shown_family(family), prefixes: prefixes as u64, paths: paths as u64 }
    };
    Family::ALL.into_iter().map(size).collect()
}

pub(super) fn version() -> Version {
    let features = if cfg!(feature = "jemalloc") { vec!["jemalloc".to_owned()] } else { Vec::new() };
    Version { version: VERSION.to_owned(), commit: COMMIT.map(str::to_owned), features }
}

pub(super) async fn memory(daemon: &Daemon) -> Result<Memory, Problem> {
    let resident_bytes = Process::read().resident_bytes.unwrap_or_default();
    let look = move |state: &mut RibState| {
        let total = state.rib.memory();
        let family = |family| {
            let (prefixes, paths) = state.rib.size(family);
            let bytes = state.rib.table_bytes(family) as u64;
            FamilyMemory { family: shown_family(family), prefixes: prefixes as u64, paths: paths as u64, bytes }
        };
        let families = Family::ALL.into_iter().map(family).collect();
        let mut memory = Memory {
            resident_bytes,
            allocated_bytes: None,
            attribute_sets: total.attribute_sets as u64,
            attribute_bytes: (total.attribute_bytes + total.attribute_index_bytes) as u64,
            families,
            update_groups: 0,
            journal_bytes: 0,
            slots: 0,
            history_bytes: state.route_log.bytes() as u64,
            history_max_bytes: RouteLog::MAX_BYTES as u64,
        };
        for (_, _, stats) in state.groups.stats() {
            memory.update_groups += 1;
            memory.journal_bytes += stats.bytes;
            memory.slots += stats.routes + stats.tombstones;
        }
        memory
    };
    daemon.speaker().inspect(look).await.map_err(|e| problem(&e))
}

pub(super) fn config(daemon: &Daemon, view: ConfigView) -> Result<Config, Problem> {
    let running = daemon.speaker().running();
    let path = daemon.speaker().config_path();
    let text = match view {
        ConfigView::Effective => running.plan.to_yaml() + &remarks(daemon),
        ConfigView::Running => running.text.to_string(),
        ConfigView::Candidate => std::fs::read_to_string(path).map_err(|e| Problem::failed(format!("{}: {e}", path.display())))?,
    };
    let source = path.display().to_string();
    Ok(Config { view, source, text, generation: running.generation, loaded_at: timestamp(running.loaded_at) })
}

/// What there is to say about objects of the cluster, as comments.
fn remarks(daemon: &Daemon) -> String {
    let line = |report: &Report| format!("# {}\n", report.to_string().replace('\n', " "));
    daemon.cluster().state().remarks().into_iter().map(line).collect()
}

/// Ready once the tables answer, what a cluster says is in force, route selection is not held back any more by a restart of ours,
/// the allocator that leads can do its work, and on nodes of Calico's the routes are there.
pub(super) async fn readiness(daemon: &Daemon) -> Result<Readiness, Problem> {
    if daemon.speaker().is_stuck() {
        // It would not answer.
        let message = Some("a thread is stuck, the process is about to end".to_owned());
        return Ok(Readiness { ready: false, checks: vec![Check { name: "threads".to_owned(), ok: false, message }] });
    }
    let running = daemon.speaker().running();
    let deferred = daemon.speaker().inspect(|state| state.deferral.is_active()).await;
    let check = |name: &str, ok: bool, message: String| Check { name: name.to_owned(), ok, message: Some(message) };
    let (synced, message) = match deferred {
        Ok(false) => (true, "routes are selected".to_owned()),
        Ok(true) => (false, "waits for the neighbors after a restart".to_owned()),
        Err(e) => (false, e.to_string()),
    };
    let generation = running.generation;
    let mut checks = vec![check("config", true, format!("generation {generation}")), check("firstSync", synced, message)];
    let cluster = daemon.cluster().state();
    if cluster.is_enabled {
        // An API server that goes away later takes nothing from what is in force.
        checks.push(check("kubernetes", cluster.is_in_force, cluster.message()));
    }
    if let Some(allocating) = &cluster.allocator {
        let message = match (&allocating.hindrance, allocating.is_leader) {
            (Some(hindrance), _) => hindrance.clone(),
            (None, true) => format!("gives the addresses; {} statuses are to be written", allocating.waiting),
            (None, false) => "stands by".to_owned(),
        };
        checks.push(check("allocator", allocating.hindrance.is_none(), message));
    }
    let roles = running.plan.kubernetes.iter().flat_map(|plan| &plan.roles);
    if { roles }.any(|role| matches!(role, KubernetesRole::Reflector | KubernetesRole::Node)) {
        let (ok, message) = match calico::readiness(daemon, cluster.is_in_force, synced).await? {
            calico::Judgement::Ready => (true, "the routes of all reachable neighbors are there".to_owned()),
            calico::Judgement::Waiting(missing) => (false, missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
        };
        checks.push(check("routes", ok, message));
    }
    Ok(Readiness { ready: checks.iter().all(|check| check.ok), checks })
}
