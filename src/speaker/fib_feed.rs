//! From Loc-RIB to the kernel: which route each changed destination wants, and which next hops have to be resolved.

use crate::fib::{Action, Handle, Hop, Route};
use crate::rib::{Changed, DestRef, DumpCursor, NextHopInterest, PeerId, Rib};
use crate::wire::{Family, FamilySet};
use ipnet::IpNet;

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
    metric: u32,
}

impl FibFeed {
    /// A pure reflector: nothing is installed.
    pub const fn none() -> Self {
        Self { kernel: None }
    }

    pub const fn new(handle: Handle, install: Install, metric: u32) -> Self {
        Self { kernel: Some(Kernel { handle, install, metric }) }
    }

    /// Hands over what the changed destinations want now. Never waits: the kernel task merges by prefix.
    pub fn sync(&self, rib: &Rib, changed: &Changed) {
        let Some(kernel) = &self.kernel else { return };
        let dests = match kernel.install {
            Install::Best => &changed.best,
            Install::Ecmp => &changed.paths,
        };
        kernel.want(dests.iter().filter_map(|id| rib.dest(changed.family, *id)));
    }

    /// Hands over all destinations, to a kernel task that knows none.
    pub fn sync_all(&self, rib: &Rib) {
        let Some(kernel) = &self.kernel else { return };
        for family in Family::ALL {
            let mut cursor = Some(DumpCursor::default());
            while cursor.is_some() {
                kernel.want(rib.dump(family, &mut cursor));
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

    /// Route selection is complete after a restart: kernel routes that were not selected again go (RFC 4724 4.1).
    pub async fn sweep(&self) {
        if let Some(kernel) = &self.kernel {
            // An error says that the task is gone, and with it the daemon.
            let _ = kernel.handle.sweep_stale(FamilySet::ALL).await;
        }
    }
}

impl Kernel {
    fn want<'a>(&self, dests: impl Iterator<Item = DestRef<'a>>) {
        let wanted: Vec<(IpNet, Option<Route>)> = dests.map(|dest| (dest.prefix(), route(&dest, self.install, self.metric))).collect();
        self.handle.apply(wanted);
    }
}

/// What the kernel shall hold for a destination: nothing for what we originate ourselves, or have no path for.
fn route(dest: &DestRef<'_>, install: Install, metric: u32) -> Option<Route> {
    let best = dest.best().filter(|b| b.source != PeerId::LOCAL)?;
    let via = |path: &crate::rib::PathRef<'_>| Hop::via(path.attrs.next_hop().address());
    let hops = match install {
        Install::Best => [via(&best)].into_iter().collect(),
        Install::Ecmp => dest.multipath().iter().map(via).collect(),
    };
    Some(Route { prefix: dest.prefix(), action: Action::Unicast(hops), metric }.normalized())
}
