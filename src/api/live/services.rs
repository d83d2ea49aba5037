//! What became of Services: what the role `vip` decided, or the file says, joined with the sessions and Adj-RIB-Out.

mod assigned;
mod file;

pub(in crate::api) use file::GATES;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::Daemon;
use super::allocation::{self, Addresses};
use super::explain::{Way, told};
use super::reasons;
use super::rows::Names;
use super::walk::problem;
use crate::api::query::ServiceQuery;
use crate::api::types::{Endpoints, Family, Problem, ServicePeer, ServiceSource, ServiceStatus, Step, Trace, TrafficPolicy, Verdict};
use crate::operator::Key;
use crate::operator::Vips;
use crate::operator::metallb::announce::{Announcement, Standing};
use crate::operator::metallb::reason::Reason as Gate;
use crate::policy::Reason;
use crate::rib::PeerId;
use crate::speaker::RibState;

/// A peer by its name in the objects (or the file), and its address.
type Target = (String, IpAddr);

/// A prefix, and who is to have it.
struct Route {
    prefix: IpNet,
    to: Vec<Target>,
    /// Others may have it too, as their policies say.
    everybody: bool,
}

/// A row under way: what was decided, before anybody looked at the sessions.
struct Wanted {
    row: ServiceStatus,
    routes: Vec<Route>,
}

/// # Errors
/// The query names a Service that is not there, or the daemon stops.
pub(super) async fn list(daemon: &Daemon, query: ServiceQuery) -> Result<Vec<ServiceStatus>, Problem> {
    let mut wanted = wanted(daemon, &query).await;
    if let (Some(name), true) = (&query.service, wanted.is_empty()) {
        return Err(no_service(name));
    }
    let peers = Arc::new(peers(daemon).await);
    let mut rows = Vec::with_capacity(wanted.len());
    while !wanted.is_empty() {
        let rest = wanted.split_off(wanted.len().min(SLICE));
        let slice = std::mem::replace(&mut wanted, rest);
        let peers = Arc::clone(&peers);
        let look = move |state: &mut RibState| slice.into_iter().map(|one| one.finish(state, &peers)).collect::<Vec<_>>();
        rows.extend(daemon.speaker().inspect(look).await.map_err(|e| problem(&e))?);
    }
    rows.retain(|row| query.reason.as_ref().is_none_or(|reason| row.reason == *reason));
    Ok(rows)
}

/// Everything that is to be announced, and that passes the filters. Every source of addresses adds its rows here.
async fn wanted(daemon: &Daemon, query: &ServiceQuery) -> Vec<Wanted> {
    let state = daemon.cluster().state();
    let addresses = Addresses::ask(daemon, &state).await;
    let cluster = state.vips.iter().flat_map(|vips| vips.announcer.standings().map(move |standing| (vips, standing)));
    let passes = |standing: &Standing<'_>| {
        let family = |family: Family| standing.addresses.iter().any(|address| address.is_ipv4() == (family == Family::Ipv4Unicast));
        query.service.as_ref().is_none_or(|name| standing.service.to_string() == *name)
            && query.pool.as_ref().is_none_or(|pool| standing.pool.is_some_and(|own| own.name == *pool))
            && query.family.is_none_or(family)
    };
    cluster
        .filter(|(_, standing)| passes(standing))
        .map(|(vips, standing)| Wanted::of(vips, &standing, &addresses))
        .chain(assigned::wanted(&state, query))
        .chain(file::wanted(daemon, query))
        .collect()
}

/// Sessions by address of the peer.
async fn peers(daemon: &Daemon) -> BTreeMap<IpAddr, (PeerId, String)> {
    let names = daemon.names();
    let named = |address: IpAddr| names.get(address).unwrap_or_else(|| address.to_string());
    daemon.speaker().peers().await.iter().map(|p| (p.remote.ip(), (p.id, named(p.remote.ip())))).collect()
}

/// The prefixes of a Service, with the peers of the objects that are to have them.
fn routes(vips: &Vips, service: &Key) -> Vec<Route> {
    let address = |name: &String| vips.config.peers.get(name).map(|peer| (name.clone(), peer.address));
    let route = |route: Announcement| Route {
        prefix: route.prefix,
        to: route.peers.keys().filter_map(address).collect(),
        everybody: route.everybody.is_some(),
    };
    vips.announcer.routes_of(service).into_iter().map(route).collect()
}

impl Route {
    /// Whether a peer that nothing names may have it.
    fn is_for_others(&self, address: &IpAddr) -> bool {
        self.everybody && !self.to.iter().any(|(_, other)| other == address)
    }
}

impl Wanted {
    fn of(vips: &Vips, standing: &Standing<'_>, addresses: &Addresses) -> Self {
        let routes = routes(vips, standing.service);
        let policy = if standing.local_only { TrafficPolicy::Local } else { TrafficPolicy::Cluster };
        let (local, total) = standing.endpoints;
        let refusal = addresses.refusal(standing.service);
        // Nobody has an address who was refused one; and who has an address may want another.
        let blocked = standing.blocked.map(|gate| refusal.filter(|_| gate == Gate::NoAddress).map_or(gate, |refusal| refusal.reason));
        let nodes = standing.blocked.is_none().then(|| vips.announcer.node().name.clone());
        let row = ServiceStatus {
            namespace: Some(standing.service.namespace.to_string()),
            name: standing.service.name.to_string(),
            source: ServiceSource::Kubernetes,
            addresses: standing.addresses.to_vec(),
            pool: standing.pool.map(|pool| pool.name.clone()),
            external_traffic_policy: Some(policy),
            endpoints: Some(Endpoints { local: local as u64, total: total as u64 }),
            prefixes: routes.iter().map(|route| route.prefix).collect(),
            nodes: nodes.into_iter().collect(),
            peers: Vec::new(),
            reason: blocked.map_or_else(String::new, |gate| gate.code().to_owned()),
            remedy: blocked.map(|gate| gate.remedy().to_owned()),
            refusal: refusal.map(allocation::shown),
        };
        Self { row, routes }
    }

    /// Asks the tables who got it.
    fn finish(self, state: &mut RibState, sessions: &BTreeMap<IpAddr, (PeerId, String)>) -> ServiceStatus {
        let Self { mut row, routes } = self;
        if !row.reason.is_empty() {
            return row;
        }
        let mut peers: BTreeMap<IpAddr, (String, Reason)> = BTreeMap::new();
        for route in &routes {
            for (name, address) in &route.to {
                let reason = sent(state, &route.prefix, sessions.get(address).map(|(id, _)| *id));
                let entry = peers.entry(*address).or_insert_with(|| (name.clone(), Reason::Advertised));
                if entry.1 == Reason::Advertised {
                    entry.1 = reason;
                }
            }
            for (address, (id, name)) in sessions.iter().filter(|(address, _)| route.is_for_others(address)) {
                if !peers.contains_key(address) && told(state, &route.prefix, *id) == Some(Reason::Advertised) {
                    peers.insert(*address, (name.clone(), Reason::Advertised));
                }
            }
        }
        let missing = peers.values().map(|(_, reason)| *reason).find(|reason| *reason != Reason::Advertised);
        (row.reason, row.remedy) = match (missing, peers.is_empty()) {
            (_, true) if row.source == ServiceSource::File => {
                let (code, remedy) = file::said(file::nobody(state, &routes, sessions));
                (code, remedy.map(str::to_owned))
            }
            (_, true) => (Gate::NoPeer.code().to_owned(), Some(Gate::NoPeer.remedy().to_owned())),
            (None, false) => (Reason::Advertised.code().to_owned(), None),
            (Some(reason), false) => (reason.code().to_owned(), reasons::remedy(reason).map(str::to_owned)),
        };
        let shown = |(address, (name, reason)): (IpAddr, (String, Reason))| ServicePeer {
            name,
            address,
            advertised: reason == Reason::Advertised,
            reason: reason.to_string(),
        };
        row.peers = peers.into_iter().map(shown).collect();
        row
    }
}

/// What a peer got. A prefix that the tables do not have yet is on its way to them.
fn sent(state: &mut RibState, prefix: &IpNet, peer: Option<PeerId>) -> Reason {
    if state.withheld.contains(prefix) {
        return Reason::Draining;
    }
    peer.map_or(Reason::NoSession, |peer| told(state, prefix, peer).unwrap_or(Reason::PendingSend))
}

/// The whole way of a Service: the gates, then each prefix to each peer, or with all steps to the one that `to` names.
///
/// # Errors
/// No such Service or neighbor, or the daemon stops.
pub(super) async fn explain(daemon: &Daemon, service: &str, to: Option<&str>) -> Result<Trace, Problem> {
    if !service.contains('/') {
        return file::explain(daemon, service, to).await;
    }
    let state = daemon.cluster().state();
    let Some(vips) = &state.vips else { return assigned::explain(&state, service) };
    let known = split(service).and_then(|key| vips.announcer.explain(&key)).ok_or_else(|| no_service(service))?;
    let to = match to.map(|name| (name, vips.config.peers.get(name).map(|peer| peer.address))) {
        Some((name, Some(address))) => Some((name.to_owned(), address)),
        Some((name, None)) => Some((name.to_owned(), daemon.peer(name).await?.0.remote.ip())),
        None => None,
    };
    let gate = |step: &crate::operator::metallb::announce::Step| Step {
        stage: step.stage.to_owned(),
        verdict: if step.pass { Verdict::Pass } else { Verdict::Block },
        text: step.text.clone(),
        reason: step.reason.map(|reason| reason.code().to_owned()),
    };
    let mut trace = Trace {
        prefix: None,
        service: Some(service.to_owned()),
        neighbor: None,
        to: to.as_ref().map(|(_, address)| *address),
        steps: known.steps.iter().map(gate).collect(),
        ok: known.reason == Gate::Announced,
        reason: known.reason.code().to_owned(),
        remedy: Some(known.remedy.to_owned()),
    };
    if trace.ok {
        follow(daemon, &mut trace, routes(vips, &known.service), to).await?;
    } else if known.reason == Gate::NoAddress {
        let (steps, blocked) = Addresses::ask(daemon, &state).await.steps(&known.service);
        trace.steps.extend(steps);
        if let Some((reason, remedy)) = blocked {
            (trace.reason, trace.remedy) = (reason, Some(remedy));
        }
    }
    Ok(trace)
}

/// Namespace and name.
fn split(service: &str) -> Option<Key> {
    service.split_once('/').map(|(namespace, name)| Key::new(namespace, name))
}

/// Adds what happens to the prefixes after they are handed to BGP.
async fn follow(daemon: &Daemon, trace: &mut Trace, routes: Vec<Route>, to: Option<Target>) -> Result<(), Problem> {
    let (sessions, names) = (peers(daemon).await, daemon.names());
    let is_of_file = trace.service.as_ref().is_some_and(|name| !name.contains('/'));
    let look = move |state: &mut RibState| {
        let mut way = Onward { state, sessions: &sessions, steps: Vec::new(), blocked: None, reached: false };
        for route in &routes {
            match &to {
                Some(to) => way.follow_to(route, to, &names),
                None => way.follow_all(route),
            }
        }
        let Onward { state, steps, blocked, reached, .. } = way;
        let nobody = || match is_of_file {
            true => file::said(file::nobody(state, &routes, &sessions)),
            false => (Gate::NoPeer.code().to_owned(), Some(Gate::NoPeer.remedy())),
        };
        (steps, blocked.or_else(|| (!reached).then(nobody)))
    };
    let (steps, blocked) = daemon.speaker().inspect(look).await.map_err(|e| problem(&e))?;
    trace.steps.extend(steps);
    trace.ok = blocked.is_none();
    let (reason, remedy) = blocked.unwrap_or_else(|| (Reason::Advertised.code().to_owned(), None));
    (trace.reason, trace.remedy) = (reason, remedy.map(str::to_owned));
    Ok(())
}

/// The second half of a trace: from the prefixes to the peers.
struct Onward<'a> {
    state: &'a mut RibState,
    sessions: &'a BTreeMap<IpAddr, (PeerId, String)>,
    steps: Vec<Step>,
    /// The first that blocks, and its remedy.
    blocked: Option<(String, Option<&'static str>)>,
    /// Somebody is to have something.
    reached: bool,
}

impl Onward<'_> {
    /// All steps to one peer.
    fn follow_to(&mut self, route: &Route, (name, address): &Target, names: &Names) {
        self.reached = true;
        if !route.everybody && !route.to.iter().any(|(_, other)| other == address) {
            let text = format!("no advertisement sends {} to {name}", route.prefix);
            let code = Gate::NoPeer.code().to_owned();
            self.steps.push(Step { stage: "announce".to_owned(), verdict: Verdict::Block, text, reason: Some(code.clone()) });
            self.blocked.get_or_insert((code, Some(Gate::NoPeer.remedy())));
            return;
        }
        let Some((peer, _)) = self.sessions.get(address) else { return self.sent(&route.prefix, name, Reason::NoSession) };
        let way = Way::walk(self.state, names, &route.prefix, Some((*peer, *address)));
        self.steps.extend(way.steps);
        self.blocked = self.blocked.take().or(way.blocked);
    }

    /// One step for each peer.
    fn follow_all(&mut self, route: &Route) {
        for (name, address) in &route.to {
            let reason = sent(self.state, &route.prefix, self.sessions.get(address).map(|(id, _)| *id));
            self.sent(&route.prefix, name, reason);
        }
        let sessions = self.sessions;
        for (_, (id, name)) in sessions.iter().filter(|(address, _)| route.is_for_others(address)) {
            if told(self.state, &route.prefix, *id) == Some(Reason::Advertised) {
                self.sent(&route.prefix, name, Reason::Advertised);
            }
        }
    }

    fn sent(&mut self, prefix: &IpNet, name: &str, reason: Reason) {
        self.reached = true;
        let is_sent = reason == Reason::Advertised;
        let (verdict, said) = if is_sent { (Verdict::Pass, "sent".to_owned()) } else { (Verdict::Block, reasons::sentence(reason)) };
        let text = format!("{prefix} to {name}: {said}");
        self.steps.push(Step { stage: "send".to_owned(), verdict, text, reason: (!is_sent).then(|| reason.to_string()) });
        if !is_sent {
            self.blocked.get_or_insert((reason.to_string(), reasons::remedy(reason)));
        }
    }
}

fn no_service(name: &str) -> Problem {
    Problem::not_found(format!("no Service `{name}` whose addresses we announce"))
        .with_detail("`bgpctl show services -o name` lists them; the role `vip` follows Services of type LoadBalancer of its class, and the file has vips.services")
}

/// Services that are looked up between two turns of the RIB.
const SLICE: usize = 128;
