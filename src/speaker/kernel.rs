//! Starts the kernel route task for a configuration and passes its findings to the RIB.

use super::fib_feed::{FibFeed, Install};
use super::rib_task::RibCommand;
use crate::config::file::Install as InstallWord;
use crate::config::plan::FibPlan;
use crate::fib::{self, Event, NextHopState};
use crate::rib::Resolution;
use std::io;
use tokio::sync::mpsc;
use tracing::info;

/// The running kernel side.
pub struct Kernel {
    pub handle: fib::Handle,
    pub feed: FibFeed,
}

/// `None` where nothing is to be installed: a pure reflector touches no kernel and needs no privilege.
///
/// # Errors
/// Netlink sockets cannot be opened.
pub fn start(plan: &FibPlan, rib: &mpsc::Sender<RibCommand>) -> io::Result<Option<Kernel>> {
    let install = match plan.install {
        InstallWord::None => return Ok(None),
        InstallWord::Best => Install::Best,
        InstallWord::Ecmp => Install::Ecmp,
    };
    let (handle, events) = fib::spawn(params(plan))?;
    tokio::spawn(follow(events, rib.clone()));
    let feed = FibFeed::new(handle.clone(), install);
    Ok(Some(Kernel { handle, feed }))
}

pub fn params(plan: &FibPlan) -> fib::Params {
    fib::Params { table: plan.table, protocol: plan.protocol, adopt: plan.adopt, ..fib::Params::default() }
}

async fn follow(mut events: mpsc::Receiver<Event>, rib: mpsc::Sender<RibCommand>) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Ready { adopted } => info!(adopted, "kernel routes read"),
            Event::NextHops(states) => {
                let states = states.into_iter().map(|(address, state)| (address, resolution(state))).collect();
                if rib.send(RibCommand::NextHops(states)).await.is_err() {
                    return;
                }
            }
            Event::Settled => {
                if rib.send(RibCommand::KernelSettled).await.is_err() {
                    return;
                }
            }
            Event::Routes(_) => {}
        }
    }
}

fn resolution(state: NextHopState) -> Resolution {
    match state {
        NextHopState::Unreachable(_) => Resolution::Unreachable,
        // The kernel task leaves our own routes out when it resolves, so nothing resolves through itself.
        NextHopState::Reachable { metric, connected, .. } => Resolution::Reachable { cost: metric, connected, through: None },
    }
}
