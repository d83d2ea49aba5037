//! Services as a process sees them that gives addresses and announces nothing.

use super::{Wanted, no_service, split};
use crate::api::live::allocation::{self, STAGE};
use crate::api::query::ServiceQuery;
use crate::api::types::{Family, Problem, ServiceSource, ServiceStatus, Step, Trace, Verdict};
use crate::operator::{Allocated, State};

/// What a Service with an address is on this side.
const ASSIGNED: &str = "assigned";
const ELSEWHERE: &str = "`bgpctl explain` on a node says whether it is announced from there";

/// The rows that pass the filters; none where the role `vip` has them.
pub(super) fn wanted(state: &State, query: &ServiceQuery) -> Vec<Wanted> {
    let Some(leading) = allocation::leading(state).filter(|_| state.vips.is_none()) else { return Vec::new() };
    let passes = |service: &&Allocated| {
        let family = |family: Family| service.addresses.iter().any(|address| address.is_ipv4() == (family == Family::Ipv4Unicast));
        query.service.as_ref().is_none_or(|name| service.service.to_string() == *name)
            && query.pool.as_ref().is_none_or(|pool| service.pool.as_ref() == Some(pool))
            && query.family.is_none_or(family)
    };
    leading.services.iter().filter(passes).map(row).collect()
}

fn row(service: &Allocated) -> Wanted {
    let (reason, remedy) = verdict(service);
    let row = ServiceStatus {
        namespace: Some(service.service.namespace.to_string()),
        name: service.service.name.to_string(),
        source: ServiceSource::Kubernetes,
        addresses: service.addresses.clone(),
        pool: service.pool.clone(),
        external_traffic_policy: None,
        endpoints: None,
        prefixes: Vec::new(),
        nodes: Vec::new(),
        peers: Vec::new(),
        reason,
        remedy: Some(remedy.to_owned()),
        refusal: service.refusal.as_ref().map(allocation::shown),
    };
    Wanted { row, routes: Vec::new() }
}

/// Code and remedy.
fn verdict(service: &Allocated) -> (String, &'static str) {
    match &service.refusal {
        Some(refusal) if service.addresses.is_empty() => (refusal.reason.code().to_owned(), refusal.reason.remedy()),
        _ => (ASSIGNED.to_owned(), ELSEWHERE),
    }
}

/// The way of a Service to its address.
///
/// # Errors
/// Another process gives the addresses, or there is no such Service.
pub(super) fn explain(state: &State, name: &str) -> Result<Trace, Problem> {
    let Some(leading) = allocation::leading(state) else {
        let stands_by = "this process stands by: ask the one that gives the addresses (`kubgp_leader` is 1), or a node";
        return Err(if state.allocator.is_some() { no_service(name).with_detail(stands_by) } else { no_service(name) });
    };
    let service = split(name).and_then(|key| leading.of_service(&key)).ok_or_else(|| no_service(name))?;
    let step = |stage: &str, verdict, text, reason| Step { stage: stage.to_owned(), verdict, text, reason };
    let mut steps = vec![step("service", Verdict::Pass, "of type LoadBalancer and of our class".to_owned(), None)];
    if let Some(refusal) = &service.refusal {
        steps.extend(refusal.pools.iter().map(|(pool, reason)| {
            let text = format!("pool `{pool}`: {}", reason.remedy());
            allocation::note(text, Some(*reason))
        }));
        let verdict = if service.addresses.is_empty() { Verdict::Block } else { Verdict::Note };
        steps.push(step(STAGE, verdict, refusal.text.clone(), Some(refusal.reason.code().to_owned())));
    }
    if let Some(pool) = &service.pool {
        let sharing = service.sharing.as_ref().map(|key| format!(", shared with key `{key}`")).unwrap_or_default();
        steps.push(step("address", Verdict::Pass, format!("{} of pool `{pool}`{sharing}", allocation::words(&service.addresses)), None));
    }
    let (reason, remedy) = verdict(service);
    Ok(Trace {
        prefix: None,
        neighbor: None,
        service: Some(name.to_owned()),
        to: None,
        steps,
        ok: !service.addresses.is_empty(),
        reason,
        remedy: Some(remedy.to_owned()),
    })
}
