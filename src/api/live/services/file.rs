//! VIPs of the file: their rows, and the first steps of their traces.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::{Route, Wanted, follow, no_service, sent};
use crate::api::live::Daemon;
use crate::api::live::reasons;
use crate::api::query::ServiceQuery;
use crate::api::types::{Family, Problem, ServiceSource, ServiceStatus, Step, Trace, Verdict};
use crate::policy::Reason;
use crate::rib::PeerId;
use crate::speaker::{RibState, hostname};
use crate::vips::Service;

/// Why a VIP is not handed to BGP.
#[derive(Clone, Copy)]
enum Gate {
    Unchecked,
    Unhealthy,
    NotBound,
}

/// Codes and remedies of VIPs of the file, for the list of all.
pub(in crate::api) const GATES: [(&str, &str); 3] = [
    (Gate::Unchecked.code(), Gate::Unchecked.remedy()),
    (Gate::Unhealthy.code(), Gate::Unhealthy.remedy()),
    (Gate::NotBound.code(), Gate::NotBound.remedy()),
];

impl Gate {
    const fn code(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Unhealthy => "healthCheckFailed",
            Self::NotBound => "notBound",
        }
    }

    const fn remedy(self) -> &'static str {
        match self {
            Self::Unchecked => "wait for the first result of the check",
            Self::Unhealthy => "make the service work on this node; `bgpctl explain svc/NAME` shows what its check found",
            Self::NotBound => "give kubgpd the capability NET_ADMIN, or set `bind: false` where somebody else binds the address",
        }
    }

    /// The first that blocks.
    fn of(service: &Service) -> Option<Self> {
        match service {
            Service { is_announced: true, .. } => None,
            Service { is_healthy: true, .. } => Some(Self::NotBound),
            Service { last: None, .. } => Some(Self::Unchecked),
            _ => Some(Self::Unhealthy),
        }
    }
}

/// The rows that pass the filters.
pub(super) fn wanted(daemon: &Daemon, query: &ServiceQuery) -> Vec<Wanted> {
    let state = daemon.vips().state();
    let family = |service: &Service, family: Family| service.addresses.iter().any(|a| a.is_ipv4() == (family == Family::Ipv4Unicast));
    let passes = |name: &String, service: &Service| {
        query.service.as_ref().is_none_or(|wanted| wanted == name)
            && query.pool.as_ref().is_none_or(|pool| service.pool.as_ref() == Some(pool))
            && query.family.is_none_or(|wanted| family(service, wanted))
    };
    state.iter().filter(|(name, service)| passes(name, service)).map(|(name, service)| row(name, service)).collect()
}

fn row(name: &str, service: &Service) -> Wanted {
    let (routes, gate) = (routes(service), Gate::of(service));
    let row = ServiceStatus {
        namespace: None,
        name: name.to_owned(),
        source: ServiceSource::File,
        addresses: service.addresses.clone(),
        pool: service.pool.clone(),
        external_traffic_policy: None,
        endpoints: None,
        prefixes: routes.iter().map(|route| route.prefix).collect(),
        nodes: gate.is_none().then(hostname).into_iter().collect(),
        peers: Vec::new(),
        reason: gate.map_or_else(String::new, |gate| gate.code().to_owned()),
        remedy: gate.map(|gate| gate.remedy().to_owned()),
        refusal: None,
    };
    Wanted { row, routes }
}

fn routes(service: &Service) -> Vec<Route> {
    service.addresses.iter().map(|address| Route { prefix: IpNet::from(*address), to: Vec::new(), everybody: true }).collect()
}

/// Why no peer got any of the prefixes: the first reason that a session has.
pub(super) fn nobody(state: &mut RibState, routes: &[Route], sessions: &BTreeMap<IpAddr, (PeerId, String)>) -> Reason {
    let pairs = routes.iter().flat_map(|route| sessions.values().map(move |(peer, _)| (route.prefix, *peer)));
    let mut reasons = pairs.map(|(prefix, peer)| sent(state, &prefix, Some(peer))).filter(|reason| *reason != Reason::Advertised);
    reasons.next().unwrap_or(Reason::NoSession)
}

/// As [`super::explain`], for a name without namespace.
pub(super) async fn explain(daemon: &Daemon, name: &str, to: Option<&str>) -> Result<Trace, Problem> {
    let state = daemon.vips().state();
    let service = state.get(name).ok_or_else(|| no_service(name))?;
    let to = match to {
        Some(peer) => Some((peer.to_owned(), daemon.peer(peer).await?.0.remote.ip())),
        None => None,
    };
    let gate = Gate::of(service);
    let mut trace = Trace {
        prefix: None,
        service: Some(name.to_owned()),
        neighbor: None,
        to: to.as_ref().map(|(_, address)| *address),
        steps: steps(service, gate),
        ok: gate.is_none(),
        reason: gate.map_or("announced", Gate::code).to_owned(),
        remedy: gate.map(|gate| gate.remedy().to_owned()),
    };
    if trace.ok {
        follow(daemon, &mut trace, routes(service), to).await?;
    }
    Ok(trace)
}

fn steps(service: &Service, gate: Option<Gate>) -> Vec<Step> {
    let step = |stage: &str, text: String, blocks: Option<Gate>| Step {
        stage: stage.to_owned(),
        verdict: if blocks.is_some() { Verdict::Block } else { Verdict::Pass },
        text,
        reason: blocks.map(|gate| gate.code().to_owned()),
    };
    let addresses = service.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let pool = service.pool.as_ref().map(|pool| format!(", of pool `{pool}`")).unwrap_or_default();
    let found = match (&service.last, service.has_check) {
        (_, false) => "without a check".to_owned(),
        (None, true) => "not checked yet".to_owned(),
        (Some(last), true) => last.message.clone(),
    };
    let mut steps = vec![
        step("service", format!("the file gives it {addresses}{pool}"), None),
        step("check", found, gate.filter(|gate| !matches!(gate, Gate::NotBound))),
    ];
    if service.is_healthy {
        let text = service.bind_error.clone().unwrap_or_else(|| "the addresses are where they have to be".to_owned());
        steps.push(step("bind", text, gate));
    }
    steps
}

/// Code and remedy, for a trace.
pub(super) fn said(reason: Reason) -> (String, Option<&'static str>) {
    (reason.code().to_owned(), reasons::remedy(reason))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vips::Checked;

    #[test]
    fn a_vip_is_held_back_for_one_reason_at_a_time() {
        let checked = Checked { at: std::time::SystemTime::UNIX_EPOCH, ok: false, message: "connection refused".to_owned() };
        let new = Service {
            addresses: Vec::new(),
            pool: None,
            is_healthy: false,
            is_announced: false,
            has_check: true,
            last: None,
            counts: [0, 0],
            bind_error: None,
        };
        let code = |service: &Service| Gate::of(service).map(Gate::code);
        assert_eq!(code(&new), Some("unchecked"));
        assert_eq!(code(&Service { last: Some(checked), ..new.clone() }), Some("healthCheckFailed"));
        assert_eq!(code(&Service { is_healthy: true, ..new.clone() }), Some("notBound"));
        assert_eq!(code(&Service { is_healthy: true, is_announced: true, ..new }), None);
    }
}
