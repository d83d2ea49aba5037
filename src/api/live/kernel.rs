//! Kernel routes, next hops and interfaces.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use tokio::sync::mpsc;

use super::Daemon;
use super::neighbors::wire_family;
use super::walk::problem;
use crate::api::backend::{Batch, Rows};
use crate::api::query::FibQuery;
use crate::api::types::{FibEntry, FibState, FibView, Hop, Interface, NextHop, Problem};
use crate::config::plan::FibPlan;
use crate::fib::{self, Action, Device, NextHopState, RouteState, RouteView, View};
use crate::rib::{DumpCursor, PathRef};
use crate::wire::Family;

/// How a prefix stands in the kernel; `None` when we neither want nor have it there.
///
/// # Errors
/// The kernel task has ended.
pub(super) async fn of_prefix(daemon: &Daemon, prefix: IpNet) -> Result<Option<FibEntry>, Problem> {
    let Some(kernel) = daemon.speaker().fib() else { return Ok(None) };
    let views = kernel.dump(View::Of(prefix)).await.map_err(|e| failed(&e))?;
    let devices = devices(&kernel).await?;
    let running = daemon.speaker().running();
    Ok(views.iter().find_map(|view| entry(view, &running.plan.fib, &devices)))
}

/// # Errors
/// The kernel task has ended.
pub(super) async fn routes(daemon: &Daemon, query: FibQuery) -> Result<Rows<FibEntry>, Problem> {
    let (rows, answer) = mpsc::channel(1);
    let Some(kernel) = daemon.speaker().fib() else { return Ok(answer) };
    let view = match query.view {
        FibView::Desired => View::Desired,
        FibView::Kernel => View::Kernel,
        FibView::Diff => View::Diff,
    };
    let views = kernel.dump(view).await.map_err(|e| failed(&e))?;
    let devices = devices(&kernel).await?;
    let plan = daemon.speaker().running().plan.fib.clone();
    tokio::spawn(async move {
        let wanted = |view: &&RouteView| query.family.is_none_or(|f| wire_family(f) == Family::of(&view.prefix));
        for some in views.chunks(BATCH) {
            let items: Vec<_> = some.iter().filter(wanted).filter_map(|view| entry(view, &plan, &devices)).collect();
            // The reader may have gone.
            if rows.send(Ok(Batch::from(items))).await.is_err() {
                return;
            }
        }
    });
    Ok(answer)
}

/// Names of interfaces by number.
pub(super) type Devices = BTreeMap<u32, Arc<str>>;

async fn devices(kernel: &fib::Handle) -> Result<Devices, Problem> {
    let links = kernel.links().await.map_err(|e| failed(&e))?;
    Ok(links.into_iter().map(|link| (link.index, link.name)).collect())
}

fn failed(error: &fib::Error) -> Problem {
    Problem::unavailable(error.to_string())
}

fn entry(view: &RouteView, plan: &FibPlan, devices: &Devices) -> Option<FibEntry> {
    let state = match (view.state, view.stale) {
        (Some(RouteState::Installed), _) => FibState::Installed,
        (Some(RouteState::Pending), _) => FibState::Pending,
        (Some(RouteState::Failed(_)), _) => FibState::Failed,
        (None, true) => FibState::Stale,
        (None, false) => FibState::Extra,
    };
    // What the kernel has is resolved; what we want names gateways only.
    let installed = view.kernel.as_ref().filter(|_| state != FibState::Failed);
    let route = installed.or(view.desired.as_ref()).or(view.kernel.as_ref())?;
    let hops = match &route.action {
        Action::Unicast(hops) => hops.iter().map(|hop| self::hop(hop, devices)).collect(),
        Action::Blackhole | Action::Unreachable | Action::Prohibit => Vec::new(),
    };
    let error = match view.state {
        Some(RouteState::Failed(failure)) => Some(failure.to_string()),
        _ => None,
    };
    Some(FibEntry {
        prefix: view.prefix,
        state,
        blackhole: hops.is_empty(),
        hops,
        metric: route.metric,
        protocol: plan.protocol,
        table: plan.table,
        error,
    })
}

pub(super) fn hop(hop: &fib::Hop, devices: &Devices) -> Hop {
    let device = hop.device.as_ref().map(|device| match device {
        Device::Name(name) => name.to_string(),
        Device::Index(index) => devices.get(index).map_or_else(|| index.to_string(), ToString::to_string),
    });
    Hop { via: hop.via, device, onlink: hop.onlink, weight: hop.weight.into() }
}

/// The next hops that paths name, with what the kernel says about them where it is asked.
///
/// # Errors
/// The daemon stops.
pub(super) async fn next_hops(daemon: &Daemon) -> Result<Vec<NextHop>, Problem> {
    let mut uses = BTreeMap::new();
    for family in Family::ALL {
        let mut cursor = Some(DumpCursor::default());
        while cursor.is_some() {
            let slice = daemon.speaker().inspect(move |state| {
                let mut found = Vec::new();
                for dest in state.rib.dump(family, &mut cursor) {
                    found.extend(dest.all_paths().filter_map(|path| used(&path)));
                }
                (cursor, found)
            });
            let found;
            (cursor, found) = slice.await.map_err(|e| problem(&e))?;
            found.into_iter().for_each(|address| *uses.entry(address).or_insert(0) += 1);
        }
    }
    let mut known = BTreeMap::new();
    let mut names = Devices::new();
    if let Some(kernel) = daemon.speaker().fib() {
        known = kernel.next_hops().await.map_err(|e| failed(&e))?.into_iter().map(|view| (view.address, view.state)).collect();
        names = devices(&kernel).await?;
    }
    let row = |(address, paths)| {
        let mut row = NextHop { address, reachable: true, via: None, device: None, connected: false, cost: None, paths };
        match known.get(&address) {
            // Nobody resolves next hops where nothing is installed: all count as reachable.
            None => {}
            Some(NextHopState::Unreachable(_)) => row.reachable = false,
            Some(NextHopState::Reachable { metric, connected, via, device }) => {
                (row.cost, row.connected, row.via) = (Some(*metric), *connected, *via);
                row.device = names.get(device).map(ToString::to_string);
            }
        }
        row
    };
    Ok(uses.into_iter().map(row).collect())
}

fn used(path: &PathRef<'_>) -> Option<std::net::IpAddr> {
    super::rows::next_hop(path.attrs)
}

/// # Errors
/// The kernel does not answer.
pub(super) async fn interfaces() -> Result<Vec<Interface>, Problem> {
    let found = fib::interfaces().await.map_err(|e| Problem::failed(format!("the interfaces cannot be read: {e}")))?;
    let row = |i: fib::Interface| Interface { name: i.name, index: i.index, up: i.up, mtu: i.mtu, addresses: i.addresses };
    Ok(found.into_iter().map(row).collect())
}

/// Rows of one batch.
const BATCH: usize = 4096;
