//! A daemon in memory: answers from fixtures, applies the filters, and records what it was told to do.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use ipnet::IpNet;
use kubgp::api::backend::{Answer, Backend, Batch, Blocks, Changes, Rows};
use kubgp::api::query::{
    EventQuery, ExplainQuery, FibQuery, HistoryQuery, NeighborQuery, PrefixMatch, RibQuery, RibView, Selector, ServiceQuery,
};
use kubgp::api::types::*;
use serde::Deserialize;
use tokio::sync::mpsc;

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rest {
    pub summary: Summary,
    version: Version,
    memory: Memory,
    config: Config,
    policies: Vec<PolicyInfo>,
    history: History,
    route: RouteDetail,
    route_history: Vec<RouteChange>,
    explain: Trace,
    fib: Vec<FibEntry>,
    next_hops: Vec<NextHop>,
    interfaces: Vec<Interface>,
    bfd: Vec<BfdSession>,
    events: Vec<Event>,
    networks: Vec<Network>,
    services: Vec<ServiceStatus>,
    pools: Vec<PoolInfo>,
    allocations: Vec<Allocation>,
    advertisements: Vec<AdvertisementInfo>,
    explain_service: Trace,
    policy_test: PolicyTestResult,
    policy_table: PolicyTableResult,
    bmp: Vec<BmpStation>,
    reload: ReloadResult,
    readiness: Readiness,
}

pub struct Memo {
    pub neighbors: Vec<Neighbor>,
    rib: Vec<RibEntry>,
    rest: Rest,
    pub ready: AtomicBool,
    /// What changed things, as it arrived.
    pub calls: Mutex<Vec<String>>,
}

impl Default for Memo {
    fn default() -> Self {
        Self {
            neighbors: serde_json::from_str(include_str!("fixtures/neighbors.json")).unwrap(),
            rib: serde_json::from_str(include_str!("fixtures/rib.json")).unwrap(),
            rest: serde_json::from_str(include_str!("fixtures/rest.json")).unwrap(),
            ready: AtomicBool::new(true),
            calls: Mutex::default(),
        }
    }
}

fn answer<'a, T: Send + 'a>(value: T) -> Answer<'a, T> {
    Box::pin(async move { Ok(value) })
}

fn refuse<'a, T: Send + 'a>(problem: Problem) -> Answer<'a, T> {
    Box::pin(async move { Err(problem) })
}

/// One row a batch, through a channel of one: the writer must wait for the reader.
fn rows<T: Send + 'static>(items: Vec<T>, end: Option<Problem>) -> Rows<T> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        for item in items {
            if sender.send(Ok(Batch::from(vec![item]))).await.is_err() {
                return;
            }
        }
        let metadata = Some(ListMeta { resume: None, snapshot: Some(7) });
        let last = end.map_or(Ok(Batch { items: Vec::new(), metadata }), Err);
        let _ = sender.send(last).await;
    });
    receiver
}

fn changes<T: Send + 'static>(items: Vec<WatchEvent<T>>) -> Changes<T> {
    let (sender, receiver) = mpsc::channel(items.len().max(1));
    items.into_iter().for_each(|item| sender.try_send(item).ok().unwrap());
    receiver
}

/// What exists unless only changes are wanted, a bookmark, one change, and a gap.
fn watch<T: Clone + Send + 'static>(existing: Vec<T>, changes_only: bool) -> Changes<T> {
    let changed = existing.first().cloned();
    let mut events: Vec<WatchEvent<T>> = if changes_only { Vec::new() } else { existing.into_iter().map(WatchEvent::added).collect() };
    events.push(WatchEvent::bookmark());
    events.extend(changed.map(WatchEvent::modified));
    events.push(WatchEvent::lagged());
    changes(events)
}

impl Memo {
    fn record(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }

    fn selected(&self, query: &RibQuery) -> Vec<RibEntry> {
        let inside = |entry: &RibEntry| {
            query.prefix.is_none_or(|prefix| match query.matching.unwrap_or_default() {
                PrefixMatch::Exact => entry.prefix == prefix,
                PrefixMatch::Longer => prefix.contains(&entry.prefix),
                PrefixMatch::Shorter | PrefixMatch::Longest => entry.prefix.contains(&prefix),
            })
        };
        let family = |entry: &RibEntry| {
            query.family.is_none_or(|family| {
                matches!((family, entry.prefix), (Family::Ipv4Unicast, IpNet::V4(_)) | (Family::Ipv6Unicast, IpNet::V6(_)))
            })
        };
        let matches = |entry: &&RibEntry| {
            inside(entry)
                && family(entry)
                && (query.view == RibView::Filtered) == entry.filtered
                && query.best.is_none_or(|best| entry.best == best)
                && query.community.is_none_or(|community| entry.communities.contains(&community))
                && (!query.stale || entry.stale)
        };
        self.rib.iter().filter(matches).take(query.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap())).cloned().collect()
    }
}

impl Backend for Memo {
    fn summary(&self) -> Answer<'_, Summary> {
        answer(self.rest.summary.clone())
    }

    fn version(&self) -> Answer<'_, Version> {
        answer(self.rest.version.clone())
    }

    fn memory(&self) -> Answer<'_, Memory> {
        answer(self.rest.memory.clone())
    }

    fn config(&self, view: ConfigView) -> Answer<'_, Config> {
        answer(Config { view, ..self.rest.config.clone() })
    }

    fn policies(&self) -> Answer<'_, Vec<PolicyInfo>> {
        answer(self.rest.policies.clone())
    }

    fn neighbors(&self, query: NeighborQuery) -> Answer<'_, Vec<Neighbor>> {
        answer(self.neighbors.iter().filter(|neighbor| query.matches(neighbor)).cloned().collect())
    }

    fn watch_neighbors(&self, query: NeighborQuery) -> Answer<'_, Changes<Neighbor>> {
        answer(watch(self.neighbors.iter().filter(|neighbor| query.matches(neighbor)).cloned().collect(), query.changes_only))
    }

    fn history(&self, selector: Selector) -> Answer<'_, Vec<History>> {
        let known = &self.rest.history;
        let history = |row: &Neighbor| {
            let entries = if row.name == known.name { known.entries.clone() } else { Vec::new() };
            History { address: row.address, name: row.name.clone(), entries }
        };
        answer(self.neighbors.iter().filter(|row| selector.matches(row)).map(history).collect())
    }

    fn route_history(&self, query: HistoryQuery) -> Answer<'_, Vec<RouteChange>> {
        let found: Vec<_> = self.rest.route_history.iter().filter(|change| query.matches(&change.prefix)).cloned().collect();
        if found.is_empty() { refuse(Problem::not_found(format!("no change of {} is known", query.prefix))) } else { answer(found) }
    }

    fn act(&self, selector: Selector, request: ActionRequest) -> Answer<'_, Vec<ActionOutcome>> {
        self.record(format!("{} {selector:?} {}", request.action.name(), request.reason));
        let outcome = |neighbor: &Neighbor| ActionOutcome {
            neighbor: neighbor.label(),
            name: neighbor.name.clone(),
            ok: neighbor.is_established(),
            message: if neighbor.is_established() { "done".into() } else { "the session is not established".into() },
        };
        let outcomes: Vec<_> = self.neighbors.iter().filter(|neighbor| selector.matches(neighbor)).map(outcome).collect();
        if outcomes.is_empty() { refuse(Problem::not_found("no such neighbor")) } else { answer(outcomes) }
    }

    fn rib(&self, query: RibQuery) -> Answer<'_, Rows<RibEntry>> {
        if query.view == RibView::Out && query.neighbor.is_none() {
            return refuse(Problem::usage("the view `out` needs a neighbor").with_detail("add `neighbor PEER`"));
        }
        let broken = (query.neighbor.as_deref() == Some("breaks")).then(|| Problem::failed("the table went away"));
        let items = self.selected(&query);
        Box::pin(async move { Ok(rows(items, broken)) })
    }

    fn rib_count(&self, query: RibQuery) -> Answer<'_, RibCount> {
        let paths = self.selected(&query);
        let mut prefixes: Vec<_> = paths.iter().map(|entry| entry.prefix).collect();
        prefixes.dedup();
        answer(RibCount { prefixes: prefixes.len() as u64, paths: paths.len() as u64 })
    }

    fn watch_rib(&self, query: RibQuery) -> Answer<'_, Changes<RibEntry>> {
        answer(watch(self.selected(&query), query.changes_only))
    }

    fn route(&self, prefix: IpNet) -> Answer<'_, RouteDetail> {
        if prefix == self.rest.route.prefix {
            answer(self.rest.route.clone())
        } else {
            refuse(Problem::not_found(format!("no route to {prefix}")))
        }
    }

    fn explain(&self, query: ExplainQuery) -> Answer<'_, Trace> {
        if let Some(name) = query.neighbor {
            let selector = Selector::Peer(name);
            let row = self.neighbors.iter().find(|row| selector.matches(row)).unwrap();
            return answer(kubgp::api::session_trace::trace(row));
        }
        match query.service {
            Some(service) => answer(Trace { service: Some(service), ..self.rest.explain_service.clone() }),
            None => answer(Trace { prefix: query.prefix, ..self.rest.explain.clone() }),
        }
    }

    fn services(&self, query: ServiceQuery) -> Answer<'_, Vec<ServiceStatus>> {
        let all = self.rest.services.iter().filter(|row| query.service.as_ref().is_none_or(|name| row.label() == *name));
        let all: Vec<_> = all.filter(|row| query.reason.as_ref().is_none_or(|reason| row.reason == *reason)).cloned().collect();
        match query.service {
            Some(name) if all.is_empty() => refuse(Problem::not_found(format!("no Service `{name}`"))),
            _ => answer(all),
        }
    }

    fn pools(&self) -> Answer<'_, Vec<PoolInfo>> {
        answer(self.rest.pools.clone())
    }

    fn allocations(&self) -> Answer<'_, Vec<Allocation>> {
        answer(self.rest.allocations.clone())
    }

    fn advertisements(&self) -> Answer<'_, Vec<AdvertisementInfo>> {
        answer(self.rest.advertisements.clone())
    }

    fn bmp(&self) -> Answer<'_, Vec<BmpStation>> {
        answer(self.rest.bmp.clone())
    }

    fn mrt(&self) -> Answer<'_, Blocks> {
        refuse(Problem::failed("there are no tables"))
    }

    fn fib(&self, _query: FibQuery) -> Answer<'_, Rows<FibEntry>> {
        let items = self.rest.fib.clone();
        Box::pin(async move { Ok(rows(items, None)) })
    }

    fn next_hops(&self) -> Answer<'_, Vec<NextHop>> {
        answer(self.rest.next_hops.clone())
    }

    fn interfaces(&self) -> Answer<'_, Vec<Interface>> {
        answer(self.rest.interfaces.clone())
    }

    fn bfd(&self) -> Answer<'_, Vec<BfdSession>> {
        answer(self.rest.bfd.clone())
    }

    fn events(&self, _query: EventQuery) -> Answer<'_, Vec<Event>> {
        answer(self.rest.events.clone())
    }

    fn watch_events(&self, query: EventQuery) -> Answer<'_, Changes<Event>> {
        answer(watch(self.rest.events.clone(), query.changes_only))
    }

    fn networks(&self) -> Answer<'_, Vec<Network>> {
        answer(self.rest.networks.clone())
    }

    fn add_network(&self, request: NetworkRequest) -> Answer<'_, Network> {
        self.record(format!("add {} med {:?} communities {:?}", request.prefix, request.med, request.communities));
        answer(Network { prefix: request.prefix, source: "runtime".into(), ..self.rest.networks[1].clone() })
    }

    fn delete_network(&self, prefix: IpNet) -> Answer<'_, Network> {
        self.record(format!("delete {prefix}"));
        match self.rest.networks.iter().find(|network| network.prefix == prefix) {
            Some(network) if network.source == "runtime" => answer(network.clone()),
            Some(_) => refuse(Problem::conflict("the network comes from the configuration")),
            None => refuse(Problem::not_found(format!("{prefix} is not originated"))),
        }
    }

    fn test_policy(&self, request: PolicyTestRequest) -> Answer<'_, PolicyTestResult> {
        if request.policy == "from-tor" {
            return answer(self.rest.policy_test.clone());
        }
        answer(PolicyTestResult {
            policy: request.policy,
            action: MatchAction::Reject,
            rule: None,
            reason: Some("deniedByPolicy".into()),
            trace: Vec::new(),
            result: None,
        })
    }

    fn test_policy_on_table(&self, request: PolicyTableRequest) -> Answer<'_, PolicyTableResult> {
        self.record(format!("table {request:?}"));
        answer(self.rest.policy_table.clone())
    }

    fn reload(&self, request: ReloadRequest) -> Answer<'_, ReloadResult> {
        self.record(format!("reload {request:?}"));
        answer(ReloadResult { applied: !request.dry_run, confirm_within_seconds: request.confirm_seconds, ..self.rest.reload.clone() })
    }

    fn confirm(&self) -> Answer<'_, ReloadResult> {
        refuse(Problem::conflict("nothing waits for confirmation"))
    }

    fn drain(&self) -> Answer<'_, Drain> {
        answer(self.rest.summary.drain_state.clone().unwrap_or_default())
    }

    fn start_drain(&self, request: DrainRequest) -> Answer<'_, Drain> {
        self.record(format!("drain {request:?}"));
        answer(self.rest.summary.drain_state.clone().unwrap_or_default())
    }

    fn end_drain(&self) -> Answer<'_, Drain> {
        self.record("undrain".to_owned());
        answer(Drain::default())
    }

    fn rollback(&self) -> Answer<'_, ReloadResult> {
        refuse(Problem::config_invalid(vec!["kubgp.yaml:3:1: router.asn is required".into(), "kubgp.yaml:4:1: second".into()]))
    }

    fn set_log(&self, request: LogRequest) -> Answer<'_, LogStatus> {
        answer(LogStatus { directives: request.directives, reverts_in_seconds: request.for_seconds })
    }

    fn log(&self) -> Answer<'_, String> {
        answer("a line\n".to_owned())
    }

    fn readiness(&self) -> Answer<'_, Readiness> {
        answer(Readiness { ready: self.ready.load(Ordering::Relaxed), ..self.rest.readiness.clone() })
    }

    fn metrics(&self) -> Answer<'_, String> {
        answer("kubgp_up 1\n".into())
    }
}
