//! From Loc-RIB to the kernel: which route each changed destination wants, and which next hops have to be resolved.

use crate::fib::rules::{Learned, LearnedHop, LearnedHops, Way};
use crate::fib::{Handle, Policy, Route};
use crate::policy::Reason;
use crate::rib::{Changed, DestRef, DumpCursor, NextHopInterest, PathRef, PathView, PeerId, Rib, Verdict};
use crate::wire::{Family, FamilySet};
use ipnet::IpNet;
use std::sync::Arc;

/// What is installed of what is learned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Install {
    Best,
    /// The best path and those that share traffic with it.
    Ecmp,
}

/// Feeds the kernel task; without one it does nothing, and next hops are not tracked.
pub struct FibFeed {
    kernel: Option<Kernel>,
}

struct Kernel {
    handle: Handle,
    install: Install,
    /// `None` until it is known: nothing is installed and nothing removed.
    policy: Option<Arc<Policy>>,
}

impl FibFeed {
    /// A pure reflector: nothing is installed.
    pub const fn none() -> Self {
        Self { kernel: None }
    }

    pub const fn new(handle: Handle, install: Install) -> Self {
        Self { kernel: Some(Kernel { handle, install, policy: None }) }
    }

    /// Hands over what the changed destinations want now. Never waits: the kernel task merges by prefix.
    pub fn sync(&self, rib: &Rib, changed: &Changed) {
        let Some(kernel) = &self.kernel else { return };
        // A path that cannot be used may be all that there is of a route that has to be there as unreachable.
        let looks_at_paths = kernel.policy.as_ref().is_some_and(|policy| policy.rules.blocks_unresolved);
        let dests = if kernel.install == Install::Ecmp || looks_at_paths { &changed.paths } else { &changed.best };
        kernel.want(rib, dests.iter().filter_map(|id| rib.dest(changed.family, *id)), false);
    }

    /// Takes another policy, and hands over all that follows from it. While `deferred` (route selection waits after a restart) that
    /// a destination has no route yet is no reason to take away what the former life left.
    pub fn set_policy(&mut self, rib: &Rib, policy: Option<Arc<Policy>>, deferred: bool) {
        let Some(kernel) = &mut self.kernel else { return };
        let old = std::mem::replace(&mut kernel.policy, policy);
        let Some(policy) = &kernel.policy else { return };
        kernel.handle.set_gateways(policy.gateways());
        let gone = old.iter().flat_map(|old| old.statics.keys()).filter(|prefix| !policy.statics.contains_key(prefix));
        kernel.handle.apply(gone.map(|prefix| (*prefix, None)));
        kernel.handle.apply(policy.statics.iter().map(|(prefix, route)| (*prefix, Some(route.clone()))));
        for family in Family::ALL {
            let mut cursor = Some(DumpCursor::default());
            while cursor.is_some() {
                kernel.want(rib, rib.dump(family, &mut cursor), deferred);
            }
        }
    }

    /// Passes on which next hops are in use.
    pub fn watch(&self, rib: &mut Rib) {
        let Some(kernel) = &self.kernel else { return };
        while let Some(interest) = rib.poll_next_hop() {
            match interest {
                NextHopInterest::Watch(address) => kernel.handle.watch_next_hop(address),
                NextHopInterest::Unwatch(address) => kernel.handle.unwatch_next_hop(address),
            }
        }
    }

    /// Asks to be told when every next hop in use has been resolved: until then, what is selected is not all that will be.
    pub fn settle(&self) {
        if let Some(kernel) = &self.kernel {
            kernel.handle.settle();
        }
    }

    /// Route selection is complete after a restart: kernel routes that were not selected again go (RFC 4724 4.1).
    pub async fn sweep(&self) {
        if let Some(Kernel { handle, policy: Some(policy), .. }) = &self.kernel {
            // An error says that the task is gone, and with it the daemon.
            let _ = handle.sweep_stale(FamilySet::ALL, Arc::new(policy.rules.clone())).await;
        }
    }
}

impl Kernel {
    fn want<'a>(&self, rib: &Rib, dests: impl Iterator<Item = DestRef<'a>>, only_routes: bool) {
        let Some(policy) = &self.policy else { return };
        // Before routes are selected, that none can be used says nothing either.
        let is_said = |dest: &DestRef<'_>| !only_routes || dest.best().is_some() || policy.statics.contains_key(&dest.prefix());
        let wanted = dests.filter(is_said).map(|dest| (dest.prefix(), self.route(rib, policy, &dest)));
        let wanted: Vec<(IpNet, Option<Route>)> = wanted.filter(|(_, route)| route.is_some() || !only_routes).collect();
        self.handle.apply(wanted);
    }

    /// What the kernel shall hold for a destination: nothing for what we originate ourselves, or have no path for, unless the policy
    /// has a route of its own there.
    fn route(&self, rib: &Rib, policy: &Policy, dest: &DestRef<'_>) -> Option<Route> {
        let prefix = dest.prefix();
        if let Some(route) = policy.statics.get(&prefix) {
            return Some(route.clone());
        }
        let Some(best) = dest.best() else { return Self::unresolved(rib, policy, dest) };
        if best.source == PeerId::LOCAL {
            return None;
        }
        let near = policy.rules.way(&prefix) == Ok(Way::TunnelUnlessConnected);
        let hop = |path: &PathRef<'_>| {
            let address = path.attrs.next_hop().address();
            // The decision process takes no path whose next hop is not resolved.
            LearnedHop { address, is_resolved: true, is_connected: near && rib.is_connected(address) }
        };
        let hops: LearnedHops = match self.install {
            Install::Best => [hop(&best)].into_iter().collect(),
            Install::Ecmp => dest.multipath().iter().map(hop).collect(),
        };
        policy.rules.decide(&Learned { prefix, local_pref: best.attrs.head().local_pref(), hops: &hops }).ok()
    }

    /// Of a destination without a path that can be used: the first to whose next hop nothing leads.
    fn unresolved(rib: &Rib, policy: &Policy, dest: &DestRef<'_>) -> Option<Route> {
        if !policy.rules.blocks_unresolved {
            return None;
        }
        let views = dest.explain();
        let leads_nowhere = |view: &&PathView<'_>| {
            view.verdict == Verdict::Ineligible(Reason::NextHopUnresolved) && rib.is_unreachable(view.path.attrs.next_hop().address())
        };
        let path = views.iter().find(leads_nowhere)?.path;
        let hop = LearnedHop { address: path.attrs.next_hop().address(), is_resolved: false, is_connected: false };
        let learned = Learned { prefix: dest.prefix(), local_pref: path.attrs.head().local_pref(), hops: &[hop] };
        policy.rules.decide(&learned).ok()
    }
}
