//! Why a Service is announced from this node, or not: the same gates, told step by step.

use super::Announcer;
use crate::kube::metallb::complaint::as_text;
use crate::kube::metallb::reason::Reason;
use crate::kube::objects::Key;
use serde::Serialize;

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
