//! Why a Service is announced from this node, or not: the same gates, told step by step.

use super::Announcer;
use crate::kube::metallb::complaint::as_text;
use crate::kube::metallb::model::{Advertisement, Pool};
use crate::kube::metallb::reason::Reason;
use crate::kube::objects::Key;
use serde::Serialize;
use std::net::IpAddr;
use std::sync::Arc;

/// One step of the way from the Service to BGP.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// `service`, `address`, `pool`, `advertisement`, `node`, `peers`, `endpoints`, `announce`.
    pub stage: &'static str,
    /// Whether the Service passes; `false` in the last step only.
    pub pass: bool,
    /// One sentence.
    pub text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// The whole way, up to the first step that blocks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    #[serde(serialize_with = "as_text")]
    pub service: Key,
    pub steps: Vec<Step>,
    /// [`Reason::Announced`], or what blocks.
    pub reason: Reason,
    pub remedy: &'static str,
}

/// How a Service that is ours stands on this node.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    pub service: &'a Key,
    pub addresses: &'a [IpAddr],
    /// The pool of the first address.
    pub pool: Option<&'a Arc<Pool>>,
    /// externalTrafficPolicy: Local.
    pub local_only: bool,
    /// Usable endpoints here, and everywhere.
    pub endpoints: (usize, usize),
    /// The value of `allow-shared-ip`.
    pub sharing: Option<&'a str>,
    /// The first gate that it does not pass.
    pub blocked: Option<Reason>,
}

/// Goes along with the gates. Sentences are only made where somebody reads them.
#[derive(Debug, Default)]
pub(super) struct Trail {
    steps: Option<Vec<Step>>,
    pub(super) blocked: Option<Reason>,
}

impl Trail {
    fn recording() -> Self {
        Self { steps: Some(Vec::new()), blocked: None }
    }

    pub(super) fn pass(&mut self, stage: &'static str, text: impl FnOnce() -> String) {
        if let Some(steps) = &mut self.steps {
            steps.push(Step { stage, pass: true, text: text(), reason: None });
        }
    }

    pub(super) fn block(&mut self, stage: &'static str, reason: Reason, text: impl FnOnce() -> String) -> Option<Reason> {
        self.blocked = Some(reason);
        if let Some(steps) = &mut self.steps {
            steps.push(Step { stage, pass: false, text: text(), reason: Some(reason) });
        }
        self.blocked
    }
}

impl Announcer {
    /// The Services that are ours, in the order of namespace and name.
    pub fn standings(&self) -> impl Iterator<Item = Standing<'_>> {
        self.views.iter().filter(|(_, view)| view.facts.ours).map(|(service, view)| Standing {
            service,
            addresses: &view.facts.addresses,
            pool: view.facts.addresses.first().and_then(|address| self.index.find(address)),
            local_only: view.facts.local_only,
            endpoints: view.facts.endpoints,
            sharing: view.facts.sharing.as_deref(),
            blocked: view.blocked,
        })
    }

    /// How many Services and prefixes an advertisement stands for at the moment.
    pub fn reach(&self, advertisement: &Arc<Advertisement>) -> (usize, usize) {
        let says = |list: &Vec<Arc<Advertisement>>| list.iter().any(|other| Arc::ptr_eq(other, advertisement));
        let announced = self.views.values().filter(|view| view.blocked.is_none());
        let services = announced.clone().filter(|view| view.prefixes.values().any(says)).count();
        let mut prefixes: Vec<_> =
            announced.flat_map(|view| view.prefixes.iter().filter(|(_, list)| says(list)).map(|(prefix, _)| *prefix)).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        (services, prefixes.len())
    }

    /// The chain Service, address, pool, advertisement, node, peers, endpoints; `None` for a Service that is not known.
    pub fn explain(&self, key: &Key) -> Option<Explanation> {
        let view = self.views.get(key)?;
        let mut trail = Trail::recording();
        self.gates(&view.facts, &mut trail);
        if trail.blocked.is_none() {
            for route in self.routes_of(key) {
                let peers: Vec<&str> = route.peers.keys().map(String::as_str).collect();
                let to = if peers.is_empty() { "no peer of MetalLB's objects".to_owned() } else { peers.join(", ") };
                trail.pass("announce", || format!("{} to {to}", route.prefix));
                if route.conflict {
                    trail.pass("announce", || format!("{}: advertisements differ in localPref, the highest counts", route.prefix));
                }
                for other in &route.attracted {
                    trail.pass("announce", || format!("{} attracts traffic for {other} too, which has no endpoint here", route.prefix));
                }
            }
        }
        let reason = trail.blocked.unwrap_or(Reason::Announced);
        Some(Explanation { service: key.clone(), steps: trail.steps.unwrap_or_default(), reason, remedy: reason.remedy() })
    }
}
