//! The backend of the admin API on the running speaker.
//!
//! Owns the way from the speaker's snapshots and tables to the API's types, the ring of recent events, the servers that follow the
//! configuration. Keeps no state of BGP: every answer is made of one look at the shards and one at the tables.
//!
//! Invariants: a look at the tables is short, a long list is walked in slices; what waits for a slow client is bounded.

mod actions;
mod allocation;
mod bfd;
mod birds;
mod bmp;
mod calico;
mod capabilities;
mod changes;
mod clock;
mod drain;
mod errors;
mod events;
mod explain;
mod filter;
mod impact;
mod kernel;
mod logs;
mod mrt;
mod neighbors;
mod networks;
mod policies;
mod policy_table;
pub mod preview;
mod reasons;
mod route;
mod route_history;
mod rows;
mod scrape;
mod services;
mod serving;
mod status;
mod vips;
mod walk;
mod watch;

pub(super) use reasons::remedy;
pub(super) use services::GATES;
pub use serving::Serving;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use ipnet::IpNet;

use super::backend::{Answer, Backend, Blocks, Changes, Rows};
use super::query::{EventQuery, ExplainQuery, FibQuery, HistoryQuery, NeighborQuery, RibQuery, Selector, ServiceQuery};
use super::types::{
    ActionOutcome, ActionRequest, AdvertisementInfo, Allocation, BfdSession, BmpStation, Config, ConfigView, Drain, DrainRequest, Event,
    FibEntry, History, Interface, LogRequest, LogStatus, Memory, Neighbor, Network, NetworkRequest, NextHop, NodeStatus, PolicyInfo,
    PolicyTableRequest, PolicyTableResult, PolicyTestRequest, PolicyTestResult, PoolInfo, Problem, Readiness, ReloadRequest, ReloadResult,
    RibCount, RibEntry, RouteChange, RouteDetail, ServiceStatus, Summary, Trace, Version,
};
use crate::bmp::View as StationView;
use crate::net::PeerSnapshot;
use crate::operator::View;
use crate::rib::PeerId;
use crate::speaker::logging::Levels;
use crate::speaker::{Handle, Stage};
use crate::vips::View as VipView;
use clock::Clock;
use events::Events;
use filter::Filter;
use logs::Logs;
use neighbors::Builder;
use rows::Names;
use walk::{Walk, problem};

/// The running speaker as the API sees it; cheap to clone.
#[derive(Clone)]
pub struct Daemon(Arc<Inner>);

/// What other rooms show of themselves.
pub struct Views {
    pub cluster: View,
    pub vips: VipView,
    pub stations: StationView,
}

struct Inner {
    speaker: Handle,
    logs: Logs,
    events: Events,
    views: Views,
    /// [`calico::readiness`] was there once.
    was_ready: AtomicBool,
}

impl Daemon {
    /// Needs a runtime: a task that keeps the last events starts here.
    pub fn new(speaker: Handle, levels: Levels, views: Views) -> Self {
        let logs = Logs::new(levels, &speaker.running().plan.log.level);
        let events = Events::follow(speaker.clone());
        Self(Arc::new(Inner { speaker, logs, events, views, was_ready: AtomicBool::new(false) }))
    }

    fn speaker(&self) -> &Handle {
        &self.0.speaker
    }

    fn logs(&self) -> &Logs {
        &self.0.logs
    }

    fn events(&self) -> &Events {
        &self.0.events
    }

    fn cluster(&self) -> &View {
        &self.0.views.cluster
    }

    fn vips(&self) -> &VipView {
        &self.0.views.vips
    }

    fn names(&self) -> Names {
        Names::of(&self.speaker().running().plan)
    }

    /// All neighbors that pass `wanted`: those of the file by address, then those that came from ranges.
    async fn peers(&self, wanted: impl Fn(&Neighbor) -> bool) -> Result<Vec<(PeerSnapshot, Neighbor)>, Problem> {
        let mut peers = self.speaker().peers().await;
        peers.sort_by_key(|p| (p.dynamic, p.remote));
        let ids: Vec<PeerId> = peers.iter().map(|p| p.id).collect();
        let facts = self.speaker().inspect(move |state| neighbors::facts(state, &ids)).await.map_err(|e| problem(&e))?;
        let paths = bfd::states(self).await;
        let running = self.speaker().running();
        let draining = running.drain.stage != Stage::Serving;
        let (clock, hints) = (Clock::now(), errors::tcp_hints());
        let builder = Builder { plan: &running.plan, facts: &facts, paths: &paths, clock, hints, draining };
        let rows = peers.into_iter().map(|peer| {
            let row = builder.neighbor(&peer);
            (peer, row)
        });
        Ok(rows.filter(|(_, row)| wanted(row)).collect())
    }

    /// The one neighbor that `text` means.
    async fn peer(&self, text: &str) -> Result<(PeerSnapshot, Neighbor), Problem> {
        let selector = Selector::Peer(text.to_owned());
        let mut found = self.peers(|row| selector.matches(row)).await?;
        match (found.pop(), found.is_empty()) {
            (Some(one), true) => Ok(one),
            (Some(_), false) => Err(Problem::conflict(format!("`{text}` means more than one neighbor")).with_detail("use its address")),
            (None, _) => Err(no_neighbor(text)),
        }
    }

    async fn walk(&self, query: RibQuery) -> Result<Walk, Problem> {
        let peer = match &query.neighbor {
            Some(text) => Some(self.peer(text).await.map(|(peer, _)| (peer.id, peer.remote.ip()))?),
            None => None,
        };
        let resume = query.resume.clone();
        Walk::new(Filter::new(query, peer)?, self.names(), resume.as_deref())
    }
}

fn no_neighbor(text: &str) -> Problem {
    Problem::not_found(format!("no neighbor `{text}`")).with_detail("`bgpctl show neighbors -o name` lists them")
}

impl Backend for Daemon {
    fn is_stuck(&self) -> bool {
        self.speaker().is_stuck()
    }

    fn summary(&self) -> Answer<'_, Summary> {
        Box::pin(status::summary(self))
    }

    fn version(&self) -> Answer<'_, Version> {
        Box::pin(async { Ok(status::version()) })
    }

    fn memory(&self) -> Answer<'_, Memory> {
        Box::pin(status::memory(self))
    }

    fn config(&self, view: ConfigView) -> Answer<'_, Config> {
        Box::pin(async move { status::config(self, view) })
    }

    fn policies(&self) -> Answer<'_, Vec<PolicyInfo>> {
        Box::pin(async { Ok(policies::list(self)) })
    }

    fn neighbors(&self, query: NeighborQuery) -> Answer<'_, Vec<Neighbor>> {
        Box::pin(async move {
            let found = self.peers(|row| query.matches(row)).await?;
            Ok(found.into_iter().map(|(_, row)| row).collect())
        })
    }

    fn watch_neighbors(&self, query: NeighborQuery) -> Answer<'_, Changes<Neighbor>> {
        Box::pin(async move { watch::neighbors(self, query).await })
    }

    fn history(&self, selector: Selector) -> Answer<'_, Vec<History>> {
        Box::pin(events::history(self, selector))
    }

    fn route_history(&self, query: HistoryQuery) -> Answer<'_, Vec<RouteChange>> {
        Box::pin(route_history::changes(self, query))
    }

    fn act(&self, selector: Selector, request: ActionRequest) -> Answer<'_, Vec<ActionOutcome>> {
        Box::pin(async move {
            let found = self.peers(|row| selector.matches(row)).await?;
            if found.is_empty() {
                return Err(match selector {
                    Selector::All => Problem::not_found("there are no neighbors"),
                    Selector::Group(group) => Problem::not_found(format!("no neighbor of group `{group}`")),
                    Selector::Peer(text) => no_neighbor(&text),
                });
            }
            let mut outcomes = Vec::with_capacity(found.len());
            for (peer, row) in &found {
                outcomes.push(actions::act(self, peer, row, &request).await?);
            }
            Ok(outcomes)
        })
    }

    fn rib(&self, query: RibQuery) -> Answer<'_, Rows<RibEntry>> {
        Box::pin(async move {
            let limit = query.limit;
            Ok(walk::stream(self.clone(), self.walk(query).await?, limit))
        })
    }

    fn rib_count(&self, query: RibQuery) -> Answer<'_, RibCount> {
        Box::pin(async move { walk::count(self, self.walk(query).await?).await })
    }

    fn watch_rib(&self, query: RibQuery) -> Answer<'_, Changes<RibEntry>> {
        Box::pin(async move {
            let walk = self.walk(query.clone()).await?;
            watch::rib(self, query, walk).await
        })
    }

    fn route(&self, prefix: IpNet) -> Answer<'_, RouteDetail> {
        Box::pin(route::route(self, prefix))
    }

    fn explain(&self, query: ExplainQuery) -> Answer<'_, Trace> {
        Box::pin(explain::explain(self, query))
    }

    fn services(&self, query: ServiceQuery) -> Answer<'_, Vec<ServiceStatus>> {
        Box::pin(services::list(self, query))
    }

    fn pools(&self) -> Answer<'_, Vec<PoolInfo>> {
        Box::pin(async { Ok(vips::pools(self).await) })
    }

    fn allocations(&self) -> Answer<'_, Vec<Allocation>> {
        Box::pin(async { Ok(vips::allocations(self)) })
    }

    fn advertisements(&self) -> Answer<'_, Vec<AdvertisementInfo>> {
        Box::pin(async { Ok(vips::advertisements(self)) })
    }

    fn bmp(&self) -> Answer<'_, Vec<BmpStation>> {
        Box::pin(async { Ok(bmp::stations(&self.0.views.stations)) })
    }

    fn mrt(&self) -> Answer<'_, Blocks> {
        Box::pin(mrt::dump(self))
    }

    fn fib(&self, query: FibQuery) -> Answer<'_, Rows<FibEntry>> {
        Box::pin(kernel::routes(self, query))
    }

    fn next_hops(&self) -> Answer<'_, Vec<NextHop>> {
        Box::pin(kernel::next_hops(self))
    }

    fn interfaces(&self) -> Answer<'_, Vec<Interface>> {
        Box::pin(kernel::interfaces())
    }

    fn bfd(&self) -> Answer<'_, Vec<BfdSession>> {
        Box::pin(async { Ok(bfd::list(self).await) })
    }

    fn events(&self, query: EventQuery) -> Answer<'_, Vec<Event>> {
        Box::pin(async move {
            let (known, _) = self.events().subscribe();
            Ok(known.into_iter().filter(|event| events::concerns(event, query.neighbor.as_deref())).collect())
        })
    }

    fn watch_events(&self, query: EventQuery) -> Answer<'_, Changes<Event>> {
        Box::pin(async move { Ok(watch::events(self, query)) })
    }

    fn networks(&self) -> Answer<'_, Vec<Network>> {
        Box::pin(async { Ok(networks::list(self)) })
    }

    fn add_network(&self, request: NetworkRequest) -> Answer<'_, Network> {
        Box::pin(networks::add(self, request))
    }

    fn delete_network(&self, prefix: IpNet) -> Answer<'_, Network> {
        Box::pin(networks::delete(self, prefix))
    }

    fn test_policy(&self, request: PolicyTestRequest) -> Answer<'_, PolicyTestResult> {
        Box::pin(policies::test(self, request))
    }

    fn test_policy_on_table(&self, request: PolicyTableRequest) -> Answer<'_, PolicyTableResult> {
        Box::pin(policy_table::test(self, request))
    }

    fn reload(&self, request: ReloadRequest) -> Answer<'_, ReloadResult> {
        Box::pin(changes::reload(self, request))
    }

    fn confirm(&self) -> Answer<'_, ReloadResult> {
        Box::pin(changes::confirm(self))
    }

    fn rollback(&self) -> Answer<'_, ReloadResult> {
        Box::pin(changes::rollback(self))
    }

    fn drain(&self) -> Answer<'_, Drain> {
        Box::pin(async { Ok(drain::status(self.speaker().running().drain)) })
    }

    fn start_drain(&self, request: DrainRequest) -> Answer<'_, Drain> {
        Box::pin(drain::start(self, request))
    }

    fn end_drain(&self) -> Answer<'_, Drain> {
        Box::pin(drain::end(self))
    }

    fn set_log(&self, request: LogRequest) -> Answer<'_, LogStatus> {
        Box::pin(async move { self.logs().change(request) })
    }

    fn log(&self) -> Answer<'_, String> {
        Box::pin(async { Ok(self.logs().tail()) })
    }

    fn node_status(&self) -> Answer<'_, NodeStatus> {
        Box::pin(calico::status(self))
    }

    fn readiness(&self) -> Answer<'_, Readiness> {
        Box::pin(status::readiness(self))
    }

    fn metrics(&self) -> Answer<'_, String> {
        Box::pin(scrape::text(self))
    }
}
