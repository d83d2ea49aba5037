//! The paths to neighbors, watched by BFD (RFC 5882): which are to be, and what follows when one fails.
//!
//! A session of BGP comes up by itself; what BFD says counts from then on. A neighbor that never speaks BFD costs nothing, one that ends
//! it on purpose neither (RFC 5882 3.2). BFD begins with the first session of BGP: a neighbor may only then know by which address it
//! speaks, and make its session of BFD anew. For one that waits for BFD first, it begins soon without.

use super::control::{Control, Order};
use super::handle::Shared;
use super::restart;
use super::shard_of;
use crate::bfd::{Event, Failure, Handle, Hop, Settings, State, Timing};
use crate::config::Plan;
use crate::config::plan::{DynamicPlan, SessionPlan, Ttl};
use crate::fib::Address;
use crate::net::Command;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tracing::error;

/// What BFD was told last.
#[derive(Default)]
pub struct Paths {
    told: BTreeMap<IpAddr, Settings>,
    /// Neighbors with a profile that have no session of BGP yet, and since when.
    waiting: BTreeMap<IpAddr, Instant>,
    /// When to look again.
    pub(super) due: Option<Instant>,
}

impl Control {
    /// Tells BFD which paths to watch, where that has changed.
    pub(super) async fn sync_bfd(&mut self) {
        let wanted = self.wanted();
        self.watch_paths(wanted).await;
    }

    /// A session of BGP has come up or gone. Thousands that do so together are looked at once.
    pub(super) fn peer_changed(&mut self, remote: IpAddr) {
        let session = self.plan.peers.get(&remote).map(|peer| &peer.session);
        let session = session.or_else(|| of_range(&self.plan, remote).map(|range| &range.session));
        if session.is_some_and(|session| session.bfd.is_some()) {
            let at = super::now() + TOGETHER;
            self.paths.due = Some(self.paths.due.map_or(at, |due| due.min(at)));
        }
    }

    /// A peer is back from a restart.
    pub(super) async fn peer_restarted(&self, remote: IpAddr) {
        if let Some(handle) = self.shared.bfd.load_full() {
            handle.excuse(remote).await;
        }
    }

    /// Ends all sessions of BFD on purpose.
    pub(super) async fn end_bfd(&mut self) {
        self.watch_paths(BTreeMap::new()).await;
    }

    /// Neighbors with a profile that are not switched off, and those of ranges that are or were there.
    fn all_paths(&self) -> BTreeMap<IpAddr, Settings> {
        let plan = &self.plan;
        let dynamic = self.up.union(&self.former).filter(|address| !plan.peers.contains_key(address));
        let dynamic = dynamic.filter_map(|address| Some((*address, &of_range(plan, *address)?.session)));
        let named = plan.peers.iter().map(|(address, peer)| (*address, &peer.session));
        let all = named.chain(dynamic).filter_map(|(address, s)| Some((address, settings(s, is_on_link(&self.addresses, address))?)));
        all.collect()
    }

    /// Those of [`Self::all_paths`] to be watched now: named neighbors once there was a session, those of ranges while there is one.
    fn wanted(&mut self) -> BTreeMap<IpAddr, Settings> {
        let (mut wanted, now) = (self.all_paths(), super::now());
        wanted.retain(|address, _| self.up.contains(address) || self.plan.peers.contains_key(address));
        let Paths { told, waiting, due } = &mut self.paths;
        waiting.retain(|address, _| wanted.contains_key(address));
        wanted.retain(|address, _| {
            self.up.contains(address) || told.contains_key(address) || *waiting.entry(*address).or_insert(now) + PATIENCE <= now
        });
        waiting.retain(|address, _| !wanted.contains_key(address));
        *due = waiting.values().min().map(|since| *since + PATIENCE);
        wanted
    }

    async fn watch_paths(&mut self, wanted: BTreeMap<IpAddr, Settings>) {
        if wanted == self.paths.told {
            return;
        }
        if let Some(handle) = self.bfd() {
            handle.set(wanted.clone()).await;
            self.paths.told = wanted;
        }
    }

    /// Before BGP begins after a restart: peers that watched the path to our former life are told of its end, which they take for part of
    /// the restart. One that came later would be a failure of the new life.
    pub(super) async fn end_former_paths(&self, discriminators: &BTreeMap<IpAddr, u32>) {
        let known = |(address, settings)| Some((address, (settings, *discriminators.get(&address).filter(|d| **d != 0)?)));
        let former: BTreeMap<_, _> = self.all_paths().into_iter().filter_map(known).collect();
        if !former.is_empty()
            && let Some(handle) = self.bfd()
        {
            handle.end_former(former).await;
            // Daemons in which BFD and BGP are two processes need a moment to tell each other.
            tokio::time::sleep(TO_BE_HEARD).await;
        }
    }

    /// Those of the peers, as far as they are known.
    pub(super) async fn discriminators(&self) -> BTreeMap<IpAddr, u32> {
        let Some(handle) = self.shared.bfd.load_full() else { return BTreeMap::new() };
        handle.report().await.sessions.iter().map(|view| (view.remote, view.session.remote_discriminator())).collect()
    }

    /// The running thread; the first time it is started.
    fn bfd(&self) -> Option<Arc<Handle>> {
        let running = self.shared.bfd.load_full();
        let handle = running.map_or_else(|| start(&self.shared), Ok);
        handle.inspect_err(|e| error!(error = %e, "paths are not watched: BFD gets no thread")).ok()
    }
}

/// The same for all lives in one boot of this machine, and known to nobody else (FNV-1a of its random number).
fn seed() -> u64 {
    let mix = |hash: u64, octet: u8| (hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3);
    restart::boot_id().bytes().fold(0xcbf2_9ce4_8422_2325, mix)
}

/// The first time that a path is to be watched.
fn start(shared: &Arc<Shared>) -> std::io::Result<Arc<Handle>> {
    let (events, inbox) = mpsc::channel(EVENTS);
    let handle = Arc::new(Handle::start(seed(), events)?);
    shared.bfd.store(Some(Arc::clone(&handle)));
    tokio::spawn(follow(Arc::clone(shared), inbox));
    Ok(handle)
}

/// A path that failed ends the session over it. Apart from the control task, which may be busy with a reload.
async fn follow(shared: Arc<Shared>, mut events: mpsc::Receiver<Event>) {
    while let Some(Event { remote, failure, state }) = events.recv().await {
        if state == State::Up {
            // Where the control task is that busy, it will write it down some seconds later.
            let _ = shared.orders.try_send(Order::PathUp);
        }
        let shards = &shared.shards;
        if let (Some(Failure { independent, .. }), Some(shard)) = (failure, shards.get(shard_of(remote, shards.len()))) {
            shard.send(Command::PathFailed { address: remote, independent }).await;
        }
    }
}

fn of_range(plan: &Plan, peer: IpAddr) -> Option<&DynamicPlan> {
    plan.dynamic.values().find(|range| range.range.contains(&peer))
}

/// Whether no router lies between.
fn is_on_link(own: &[Address], peer: IpAddr) -> bool {
    own.iter().filter_map(|address| address.on_link).any(|network| network.contains(&peer))
}

fn settings(session: &SessionPlan, is_on_link: bool) -> Option<Settings> {
    let profile = session.bfd.as_ref().filter(|_| session.admin_up)?.settings;
    // Who asks BGP how far its packets have come asks BFD too (RFC 5082).
    let secured = match session.ttl {
        Ttl::Security(hops) => Some(u8::MAX - hops.saturating_sub(1)),
        Ttl::Send(_) => None,
    };
    // An internal neighbor may be anywhere unless the file says more; both ends see whether it is next to us.
    let hops = if is_on_link && !session.is_ebgp() && session.ttl == Ttl::Send(u8::MAX) { 1 } else { session.hops() };
    Some(Settings {
        timing: Timing { transmit: profile.transmit, receive: profile.receive, multiplier: profile.multiplier, passive: profile.passive },
        hop: Hop::within(hops, profile.minimum_ttl.or(secured)),
        local: session.local_address,
        device: session.bind_device.clone(),
    })
}

/// How long BFD waits for BGP.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long BGP waits after a restart, so that neighbors know of the end of BFD when it begins.
const TO_BE_HEARD: Duration = Duration::from_millis(250);
/// How long a session that has come up waits for others that do.
const TOGETHER: Duration = Duration::from_millis(10);
/// Changes that may wait for a shard that is busy; each session has one at the most.
const EVENTS: usize = 64;
