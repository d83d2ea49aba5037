//! Requests that change nothing.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::extract::Params;
use crate::api::query::{
    ConfigQuery, EventQuery, ExplainQuery, FibQuery, HistoryQuery, NeighborQuery, RibQuery, Selector, ServiceQuery, parse_prefix,
};
use crate::api::server::Shared;
use crate::api::stream;
use crate::api::types::{
    AdvertisementInfo, Allocation, BfdSession, BmpStation, Config, Document, Drain, Event, FibEntry, History, Interface, List, Memory,
    Neighbor, Network, NextHop, NodeStatus, PolicyInfo, PoolInfo, Problem, Readiness, RibEntry, RouteChange, RouteDetail, ServiceStatus,
    Summary, Trace, Version,
};

type Doc<T> = Result<Json<Document<T>>, Problem>;
type Listing<T> = Result<Json<List<T>>, Problem>;

/// Whether the process answers at all, and no thread of it is stuck. Neighbors and the API server do not count.
#[utoipa::path(get, path = "/livez", responses((status = 200, body = String), (status = 503, body = String)))]
pub(super) async fn livez(State(backend): State<Shared>) -> (StatusCode, &'static str) {
    match backend.is_stuck() {
        false => (StatusCode::OK, "ok\n"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "a thread is stuck\n"),
    }
}

/// Whether configuration and first synchronisation are done; sessions do not count. `?verbose` lists the checks.
#[utoipa::path(get, path = "/readyz", params(("verbose" = Option<String>, Query)),
    responses((status = 200, body = Document<Readiness>), (status = 503, body = Document<Readiness>)))]
pub(super) async fn readyz(State(backend): State<Shared>, uri: axum::http::Uri) -> Result<Response, Problem> {
    let readiness = backend.readiness().await?;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let verbose = uri.query().is_some_and(|query| query.split('&').any(|part| part.split('=').next() == Some("verbose")));
    Ok(match (verbose, readiness.ready) {
        (true, _) => (status, Json(Document::from(readiness))).into_response(),
        (false, true) => (status, "ok\n").into_response(),
        (false, false) => (status, "not ready; ask again with ?verbose\n").into_response(),
    })
}

/// Metrics as Prometheus text.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String)))]
pub(super) async fn metrics(State(backend): State<Shared>) -> Result<Response, Problem> {
    let text = backend.metrics().await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// The daemon in a few lines.
#[utoipa::path(get, path = "/v1/summary", responses((status = 200, body = Document<Summary>)))]
pub(super) async fn summary(State(backend): State<Shared>) -> Doc<Summary> {
    Ok(Json(backend.summary().await?.into()))
}

/// Version and commit of the daemon.
#[utoipa::path(get, path = "/v1/version", responses((status = 200, body = Document<Version>)))]
pub(super) async fn version(State(backend): State<Shared>) -> Doc<Version> {
    Ok(Json(backend.version().await?.into()))
}

/// Where the memory is.
#[utoipa::path(get, path = "/v1/memory", responses((status = 200, body = Document<Memory>)))]
pub(super) async fn memory(State(backend): State<Shared>) -> Doc<Memory> {
    Ok(Json(backend.memory().await?.into()))
}

/// The configuration, secrets masked.
#[utoipa::path(get, path = "/v1/config", params(ConfigQuery), responses((status = 200, body = Document<Config>)))]
pub(super) async fn config(State(backend): State<Shared>, Params(query): Params<ConfigQuery>) -> Doc<Config> {
    Ok(Json(backend.config(query.view).await?.into()))
}

/// Policies, their rules, and which neighbors use them.
#[utoipa::path(get, path = "/v1/policies", responses((status = 200, body = List<PolicyInfo>)))]
pub(super) async fn policies(State(backend): State<Shared>) -> Listing<PolicyInfo> {
    Ok(Json(backend.policies().await?.into()))
}

/// Neighbors; with `watch=true` their changes as NDJSON.
#[utoipa::path(get, path = "/v1/neighbors", params(NeighborQuery), responses((status = 200, body = List<Neighbor>), (status = 400, body = Problem)))]
pub(super) async fn neighbors(State(backend): State<Shared>, Params(query): Params<NeighborQuery>) -> Result<Response, Problem> {
    if query.watch {
        return Ok(stream::changes(backend.watch_neighbors(query).await?));
    }
    Ok(Json(List::from(backend.neighbors(query).await?)).into_response())
}

/// One neighbor by address, name, interface or description.
#[utoipa::path(get, path = "/v1/neighbors/{id}", params(("id" = String, Path)),
    responses((status = 200, body = Document<Neighbor>), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn neighbor(State(backend): State<Shared>, Path(id): Path<String>) -> Doc<Neighbor> {
    let mut found = backend.neighbors(NeighborQuery { neighbor: Some(id.clone()), ..NeighborQuery::default() }).await?;
    match (found.pop(), found.is_empty()) {
        (Some(neighbor), true) => Ok(Json(neighbor.into())),
        (Some(last), false) => {
            let labels: Vec<String> = found.iter().chain([&last]).map(Neighbor::label).collect();
            Err(Problem::conflict(format!("`{id}` means more than one neighbor")).with_detail(format!("use one of {}", labels.join(", "))))
        }
        (None, _) => Err(no_neighbor(&id)),
    }
}

/// The last state changes of a neighbor, with NOTIFICATIONs of both directions.
#[utoipa::path(get, path = "/v1/neighbors/{id}/history", params(("id" = String, Path)),
    responses((status = 200, body = Document<History>), (status = 404, body = Problem)))]
pub(super) async fn history(State(backend): State<Shared>, Path(id): Path<String>) -> Doc<History> {
    let history = backend.history(Selector::Peer(id.clone())).await?.into_iter().next();
    history.map(|history| Json(history.into())).ok_or_else(|| no_neighbor(&id))
}

/// State changes of all neighbors.
#[utoipa::path(get, path = "/v1/histories", responses((status = 200, body = List<History>)))]
pub(super) async fn histories(State(backend): State<Shared>) -> Listing<History> {
    Ok(Json(backend.history(Selector::All).await?.into()))
}

/// The last changes of the best path of a prefix, oldest first.
#[utoipa::path(get, path = "/v1/history", params(HistoryQuery),
    responses((status = 200, body = List<RouteChange>), (status = 404, body = Problem)))]
pub(super) async fn route_history(State(backend): State<Shared>, Params(query): Params<HistoryQuery>) -> Listing<RouteChange> {
    Ok(Json(backend.route_history(query).await?.into()))
}

/// The end of the log, as it was written.
#[utoipa::path(get, path = "/v1/log", responses((status = 200, content_type = "text/plain", body = String)))]
pub(super) async fn log(State(backend): State<Shared>) -> Result<String, Problem> {
    backend.log().await
}

/// Rows of a RIB view, streamed; `count=true` only counts; with `watch=true` changes as NDJSON.
#[utoipa::path(get, path = "/v1/rib", params(RibQuery),
    responses((status = 200, body = List<RibEntry>), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(super) async fn rib(State(backend): State<Shared>, Params(query): Params<RibQuery>) -> Result<Response, Problem> {
    if query.matching.is_some() && query.prefix.is_none() {
        return Err(Problem::usage("`match` needs `prefix`"));
    }
    if query.count {
        return Ok(Json(Document::from(backend.rib_count(query).await?)).into_response());
    }
    if query.watch {
        return Ok(stream::changes(backend.watch_rib(query).await?));
    }
    let format = query.format;
    stream::rows(backend.rib(query).await?, format).await
}

/// One prefix: every path with the step that decided on it, its kernel state, and who was told.
#[utoipa::path(get, path = "/v1/routes/{prefix}", params(("prefix" = String, Path, description = "a prefix, or an address for its most specific prefix")),
    responses((status = 200, body = Document<RouteDetail>), (status = 404, body = Problem)))]
pub(super) async fn route(State(backend): State<Shared>, Path(prefix): Path<String>) -> Doc<RouteDetail> {
    let prefix = parse_prefix(&prefix).map_err(Problem::usage)?;
    Ok(Json(backend.route(prefix).await?.into()))
}

/// Why a prefix, or the addresses of a Service, are or are not used and sent; why a session is down.
#[utoipa::path(get, path = "/v1/explain", params(ExplainQuery), responses((status = 200, body = Document<Trace>), (status = 404, body = Problem)))]
pub(super) async fn explain(State(backend): State<Shared>, Params(query): Params<ExplainQuery>) -> Doc<Trace> {
    if [query.prefix.is_some(), query.service.is_some(), query.neighbor.is_some()].into_iter().filter(|is| *is).count() != 1 {
        return Err(Problem::usage("either `prefix`, `service` or `neighbor` is needed"));
    }
    Ok(Json(backend.explain(query).await?.into()))
}

/// Services and what became of their addresses on this node.
#[utoipa::path(get, path = "/v1/services", params(ServiceQuery),
    responses((status = 200, body = List<ServiceStatus>), (status = 404, body = Problem)))]
pub(super) async fn services(State(backend): State<Shared>, Params(query): Params<ServiceQuery>) -> Listing<ServiceStatus> {
    Ok(Json(backend.services(query).await?.into()))
}

/// Pools of addresses, and how full they are.
#[utoipa::path(get, path = "/v1/pools", responses((status = 200, body = List<PoolInfo>)))]
pub(super) async fn pools(State(backend): State<Shared>) -> Listing<PoolInfo> {
    Ok(Json(backend.pools().await?.into()))
}

/// Addresses in use, and by whom.
#[utoipa::path(get, path = "/v1/allocations", responses((status = 200, body = List<Allocation>)))]
pub(super) async fn allocations(State(backend): State<Shared>) -> Listing<Allocation> {
    Ok(Json(backend.allocations().await?.into()))
}

/// Which pools go to which peers, with which attributes.
#[utoipa::path(get, path = "/v1/advertisements", responses((status = 200, body = List<AdvertisementInfo>)))]
pub(super) async fn advertisements(State(backend): State<Shared>) -> Listing<AdvertisementInfo> {
    Ok(Json(backend.advertisements().await?.into()))
}

/// Monitoring stations, and whether they are connected.
#[utoipa::path(get, path = "/v1/bmp", responses((status = 200, body = List<BmpStation>)))]
pub(super) async fn bmp(State(backend): State<Shared>) -> Listing<BmpStation> {
    Ok(Json(backend.bmp().await?.into()))
}

/// The tables as an MRT dump (TABLE_DUMP_V2, RFC 6396), streamed.
#[utoipa::path(get, path = "/v1/mrt", responses((status = 200, content_type = "application/octet-stream", body = Vec<u8>)))]
pub(super) async fn mrt(State(backend): State<Shared>) -> Result<Response, Problem> {
    Ok(stream::blocks(backend.mrt().await?))
}

/// Kernel routes, streamed.
#[utoipa::path(get, path = "/v1/fib", params(FibQuery), responses((status = 200, body = List<FibEntry>)))]
pub(super) async fn fib(State(backend): State<Shared>, Params(query): Params<FibQuery>) -> Result<Response, Problem> {
    let format = query.format;
    stream::rows(backend.fib(query).await?, format).await
}

/// Next hops, how the kernel reaches them, and how many routes use them.
#[utoipa::path(get, path = "/v1/nexthops", responses((status = 200, body = List<NextHop>)))]
pub(super) async fn next_hops(State(backend): State<Shared>) -> Listing<NextHop> {
    Ok(Json(backend.next_hops().await?.into()))
}

/// Interfaces and their addresses, as the daemon sees them.
#[utoipa::path(get, path = "/v1/interfaces", responses((status = 200, body = List<Interface>)))]
pub(super) async fn interfaces(State(backend): State<Shared>) -> Listing<Interface> {
    Ok(Json(backend.interfaces().await?.into()))
}

/// Sessions of BFD.
#[utoipa::path(get, path = "/v1/bfd", responses((status = 200, body = List<BfdSession>)))]
pub(super) async fn bfd(State(backend): State<Shared>) -> Listing<BfdSession> {
    Ok(Json(backend.bfd().await?.into()))
}

/// The last events of the daemon; with `watch=true` new ones as NDJSON.
#[utoipa::path(get, path = "/v1/events", params(EventQuery), responses((status = 200, body = List<Event>)))]
pub(super) async fn events(State(backend): State<Shared>, Params(query): Params<EventQuery>) -> Result<Response, Problem> {
    if query.watch {
        return Ok(stream::changes(backend.watch_events(query).await?));
    }
    Ok(Json(List::from(backend.events(query).await?)).into_response())
}

/// Prefixes that we originate.
#[utoipa::path(get, path = "/v1/networks", responses((status = 200, body = List<Network>)))]
pub(super) async fn networks(State(backend): State<Shared>) -> Listing<Network> {
    Ok(Json(backend.networks().await?.into()))
}

/// What CalicoNodeStatus has about this node: agent, sessions and routes, in Calico's words.
#[utoipa::path(get, path = "/v1/calico/nodestatus", responses((status = 200, description = "`status` of CalicoNodeStatus, beside `apiVersion` and `kind`")))]
pub(super) async fn node_status(State(backend): State<Shared>) -> Doc<NodeStatus> {
    Ok(Json(backend.node_status().await?.into()))
}

/// Whether traffic is to leave this node, and how far that is.
#[utoipa::path(get, path = "/v1/drain", responses((status = 200, body = Document<Drain>)))]
pub(super) async fn drain(State(backend): State<Shared>) -> Doc<Drain> {
    Ok(Json(backend.drain().await?.into()))
}

fn no_neighbor(id: &str) -> Problem {
    Problem::not_found(format!("no neighbor `{id}`")).with_detail("`bgpctl show neighbors -o name` lists them")
}
