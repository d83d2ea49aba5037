//! The seam between the HTTP surface and the running daemon.

use std::pin::Pin;

use ipnet::IpNet;
use tokio::sync::mpsc;

use super::query::{EventQuery, ExplainQuery, FibQuery, HistoryQuery, NeighborQuery, RibQuery, Selector, ServiceQuery};
use super::types::{
    ActionOutcome, ActionRequest, AdvertisementInfo, Allocation, BfdSession, BmpStation, Config, ConfigView, Drain, DrainRequest, Event,
    FibEntry, History, Interface, ListMeta, LogRequest, LogStatus, Memory, Neighbor, Network, NetworkRequest, NextHop, NodeStatus,
    PolicyInfo, PolicyTableRequest, PolicyTableResult, PolicyTestRequest, PolicyTestResult, PoolInfo, Problem, Readiness, ReloadRequest,
    ReloadResult, RibCount, RibEntry, RouteChange, RouteDetail, ServiceStatus, Summary, Trace, Version, WatchEvent,
};

/// The future of one answer.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Problem>> + Send + 'a>>;

/// Rows of a big table, in batches through a bounded channel. An `Err` ends the list; so does dropping the sender. A receiver
/// that went away (the client left) shows as a closed channel.
pub type Rows<T> = mpsc::Receiver<Result<Batch<T>, Problem>>;

/// Changes through a bounded channel. A sender that finds it full drops changes and says `LAGGED` as soon as there is room.
pub type Changes<T> = mpsc::Receiver<WatchEvent<T>>;

/// Octets of something that is no JSON, through a bounded channel.
pub type Blocks = mpsc::Receiver<Result<bytes::Bytes, Problem>>;

/// Some rows, in table order.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch<T> {
    pub items: Vec<T>,
    /// Set in the last batch where `limit` cut the list, or to name the snapshot.
    pub metadata: Option<ListMeta>,
}

impl<T> From<Vec<T>> for Batch<T> {
    fn from(items: Vec<T>) -> Self {
        Self { items, metadata: None }
    }
}

/// What the daemon can be asked. Every method answers from one consistent moment; filters are applied by the implementation,
/// so that rows nobody wants are never built.
pub trait Backend: Send + Sync + 'static {
    /// A thread is stuck, and the process about to end.
    fn is_stuck(&self) -> bool {
        false
    }

    fn summary(&self) -> Answer<'_, Summary>;
    fn version(&self) -> Answer<'_, Version>;
    fn memory(&self) -> Answer<'_, Memory>;
    fn config(&self, view: ConfigView) -> Answer<'_, Config>;
    fn policies(&self) -> Answer<'_, Vec<PolicyInfo>>;

    /// Neighbors in the order of the configuration, dynamic ones after them by address; see [`NeighborQuery::matches`].
    fn neighbors(&self, query: NeighborQuery) -> Answer<'_, Vec<Neighbor>>;
    fn watch_neighbors(&self, query: NeighborQuery) -> Answer<'_, Changes<Neighbor>>;
    /// Histories of the neighbors that the selector means.
    fn history(&self, selector: Selector) -> Answer<'_, Vec<History>>;
    /// The last changes of the best paths of prefixes, oldest first; none at all is [`Problem::not_found`].
    fn route_history(&self, query: HistoryQuery) -> Answer<'_, Vec<RouteChange>>;
    /// One outcome per neighbor that the selector means; none at all is [`Problem::not_found`].
    fn act(&self, selector: Selector, request: ActionRequest) -> Answer<'_, Vec<ActionOutcome>>;

    /// Errors: an `asPath` that is no regular expression, an unknown neighbor, the view `out` without a neighbor.
    fn rib(&self, query: RibQuery) -> Answer<'_, Rows<RibEntry>>;
    fn rib_count(&self, query: RibQuery) -> Answer<'_, RibCount>;
    fn watch_rib(&self, query: RibQuery) -> Answer<'_, Changes<RibEntry>>;
    /// A host prefix that is not in the table means the most specific prefix that holds it.
    fn route(&self, prefix: IpNet) -> Answer<'_, RouteDetail>;
    fn explain(&self, query: ExplainQuery) -> Answer<'_, Trace>;

    /// Services with addresses that we are to announce; with a name in the query an unknown one is [`Problem::not_found`].
    fn services(&self, query: ServiceQuery) -> Answer<'_, Vec<ServiceStatus>>;
    fn pools(&self) -> Answer<'_, Vec<PoolInfo>>;
    /// Addresses in use, by address.
    fn allocations(&self) -> Answer<'_, Vec<Allocation>>;
    fn advertisements(&self) -> Answer<'_, Vec<AdvertisementInfo>>;

    /// Monitoring stations, by address.
    fn bmp(&self) -> Answer<'_, Vec<BmpStation>>;
    /// The tables as an MRT dump (RFC 6396).
    fn mrt(&self) -> Answer<'_, Blocks>;

    fn fib(&self, query: FibQuery) -> Answer<'_, Rows<FibEntry>>;
    fn next_hops(&self) -> Answer<'_, Vec<NextHop>>;
    /// Paths that BFD watches, by address.
    fn bfd(&self) -> Answer<'_, Vec<BfdSession>>;
    fn interfaces(&self) -> Answer<'_, Vec<Interface>>;

    fn events(&self, query: EventQuery) -> Answer<'_, Vec<Event>>;
    fn watch_events(&self, query: EventQuery) -> Answer<'_, Changes<Event>>;

    fn networks(&self) -> Answer<'_, Vec<Network>>;
    fn add_network(&self, request: NetworkRequest) -> Answer<'_, Network>;
    /// Only what was added at run time can be removed.
    fn delete_network(&self, prefix: IpNet) -> Answer<'_, Network>;

    fn test_policy(&self, request: PolicyTestRequest) -> Answer<'_, PolicyTestResult>;
    fn test_policy_on_table(&self, request: PolicyTableRequest) -> Answer<'_, PolicyTableResult>;
    fn reload(&self, request: ReloadRequest) -> Answer<'_, ReloadResult>;
    fn confirm(&self) -> Answer<'_, ReloadResult>;
    fn rollback(&self) -> Answer<'_, ReloadResult>;
    fn drain(&self) -> Answer<'_, Drain>;
    fn start_drain(&self, request: DrainRequest) -> Answer<'_, Drain>;
    /// Takes back what [`Self::start_drain`] asked for; others may still want it.
    fn end_drain(&self) -> Answer<'_, Drain>;
    fn set_log(&self, request: LogRequest) -> Answer<'_, LogStatus>;
    /// The last lines of the log, oldest first.
    fn log(&self) -> Answer<'_, String>;

    /// What CalicoNodeStatus has about this node; not every daemon is on one of Calico's.
    fn node_status(&self) -> Answer<'_, NodeStatus> {
        Box::pin(async { Err(Problem::not_found("this is no node of Calico")) })
    }

    fn readiness(&self) -> Answer<'_, Readiness>;
    /// Prometheus text, exposition format 0.0.4.
    fn metrics(&self) -> Answer<'_, String>;
}
