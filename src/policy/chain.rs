//! Compiled policies and the chains that a peer's import and export run.

use super::matcher::{Candidate, Matcher};
use super::params::{Action, Params, Rule, Sets};
use super::{PeerKind, Reason, RouteView};
use crate::wire::attr::AttrSet;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What a chain says about a route.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The attributes as the rules left them; the same allocation when they changed nothing.
    Accept(AttrSet),
    Reject(Reason),
}

/// A named policy, compiled. Equal when its rules are.
#[derive(Debug)]
pub struct Policy {
    params: Params,
    rules: Vec<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    matcher: Matcher,
    sets: Sets,
    action: Action,
}

impl Policy {
    /// Fails when an AS-path expression does not compile.
    pub fn new(params: Params) -> Result<Self, PolicyError> {
        let compile = |(i, rule): (usize, &Rule)| {
            let matcher = Matcher::new(rule.matches.clone()).map_err(|cause| PolicyError { rule: i, cause })?;
            Ok(Compiled { matcher, sets: rule.sets.clone(), action: rule.action })
        };
        let rules = params.rules.iter().enumerate().map(compile).collect::<Result<_, _>>()?;
        Ok(Self { params, rules })
    }

    pub fn name(&self) -> &str {
        &self.params.name
    }

    pub fn params(&self) -> &Params {
        &self.params
    }
}

/// A rule that cannot be compiled; `rule` counts from 0.
#[derive(Clone, Debug)]
pub struct PolicyError {
    pub rule: usize,
    cause: regex::Error,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} has an AS path expression that does not compile", self.rule + 1)
    }
}

impl std::error::Error for PolicyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// What happens to a route that no rule accepts or rejects.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AtEnd {
    Accept,
    Reject(Reason),
    /// Routes of our own are accepted, others rejected with [`Reason::NoPolicy`]: eBGP export without policy (RFC 8212).
    OnlyLocal,
}

/// Policies in order, and what happens at their end. Cheap to clone; equal when the rules are equal, so it can key a group of peers.
#[derive(Clone)]
pub struct Chain(Arc<Inner>);

struct Inner {
    policies: Box<[Arc<Policy>]>,
    end: AtEnd,
    digest: u64,
    depends_on_prefix: bool,
}

impl Chain {
    pub fn new(policies: Vec<Arc<Policy>>, end: AtEnd) -> Self {
        let mut hasher = DefaultHasher::new();
        policies.iter().for_each(|policy| policy.params.hash(&mut hasher));
        end.hash(&mut hasher);
        let depends_on_prefix = policies.iter().flat_map(|p| &p.rules).any(|r| r.matcher.depends_on_prefix());
        Self(Arc::new(Inner { policies: policies.into(), end, digest: hasher.finish(), depends_on_prefix }))
    }

    pub fn accept_all() -> Self {
        Self::new(Vec::new(), AtEnd::Accept)
    }

    pub fn reject_all(reason: Reason) -> Self {
        Self::new(Vec::new(), AtEnd::Reject(reason))
    }

    /// Runs the rules in order. The first that accepts or rejects ends the chain.
    pub fn apply(&self, route: RouteView<'_>) -> Outcome {
        self.run(route, |_| {})
    }

    /// Runs the rules and tells of every one that was visited; the last step is the deciding rule unless `by_default`.
    pub fn trace(&self, route: RouteView<'_>) -> Trace {
        let mut steps = Vec::new();
        let outcome = self.run(route, |visit| steps.push(Step::from(visit)));
        let by_default = steps.last().is_none_or(|step| step.failed.is_some() || step.action == Action::Next);
        Trace { steps, by_default, outcome }
    }

    /// Whether two prefixes of one family with the same attributes and source can have different outcomes.
    pub fn depends_on_prefix(&self) -> bool {
        self.0.depends_on_prefix
    }

    /// The policies in order.
    pub fn policies(&self) -> &[Arc<Policy>] {
        &self.0.policies
    }

    /// What happens to a route that no rule decides.
    pub fn at_end(&self) -> AtEnd {
        self.0.end
    }

    fn run(&self, route: RouteView<'_>, mut visit: impl FnMut(Visit<'_>)) -> Outcome {
        let mut changed;
        let mut candidate = Candidate::new(route);
        let rules = self.0.policies.iter().flat_map(|policy| policy.rules.iter().enumerate().map(move |(i, rule)| (policy, i + 1, rule)));
        for (number, (policy, index, rule)) in (1_usize..).zip(rules) {
            let number = u16::try_from(number).unwrap_or(u16::MAX);
            let failed = rule.matcher.failing(&candidate);
            visit(Visit { policy, rule: index, number, failed, action: rule.action });
            if failed.is_some() {
                continue;
            }
            if rule.action == Action::Reject {
                return Outcome::Reject(Reason::DeniedByPolicy(number));
            }
            if let Some(next) = rule.sets.apply(candidate.route.attrs) {
                drop(candidate);
                changed = next;
                candidate = Candidate::new(route.with(Some(&changed)));
            }
            if rule.action == Action::Accept {
                return Outcome::Accept(candidate.route.attrs.clone());
            }
        }
        match self.0.end {
            AtEnd::Reject(reason) => Outcome::Reject(reason),
            AtEnd::OnlyLocal if route.kind != PeerKind::Local => Outcome::Reject(Reason::NoPolicy),
            AtEnd::Accept | AtEnd::OnlyLocal => Outcome::Accept(candidate.route.attrs.clone()),
        }
    }
}

impl PartialEq for Chain {
    fn eq(&self, other: &Self) -> bool {
        let same = |(a, b): (&Arc<Policy>, &Arc<Policy>)| Arc::ptr_eq(a, b) || a.params == b.params;
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.digest == other.0.digest
                && self.0.end == other.0.end
                && self.0.policies.len() == other.0.policies.len()
                && self.0.policies.iter().zip(&other.0.policies).all(same))
    }
}

impl Eq for Chain {}

impl Hash for Chain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.digest.hash(state);
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.policies.iter().map(|p| p.name()).collect();
        f.debug_struct("Chain").field("policies", &names).field("end", &self.0.end).finish()
    }
}

/// One rule that a trace visited.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    pub policy: String,
    /// Within its policy, from 1.
    pub rule: usize,
    /// Within the chain, from 1: the number in [`Reason::DeniedByPolicy`].
    pub number: u16,
    /// The first condition that did not hold; `None` when the rule matched.
    pub failed: Option<&'static str>,
    pub action: Action,
}

/// [`Step`] before it is kept, so that a route nobody traces costs no allocation.
struct Visit<'a> {
    policy: &'a Policy,
    rule: usize,
    number: u16,
    failed: Option<&'static str>,
    action: Action,
}

impl From<Visit<'_>> for Step {
    fn from(visit: Visit<'_>) -> Self {
        let Visit { policy, rule, number, failed, action } = visit;
        Self { policy: policy.name().to_owned(), rule, number, failed, action }
    }
}

/// The way of one route through a chain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trace {
    pub steps: Vec<Step>,
    /// No rule decided; what the chain does at its end did.
    pub by_default: bool,
    pub outcome: Outcome,
}
