//! What of the admin API the page reads: the same answers, with bounds.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::board::Board;
use crate::api::query::{EventQuery, FibQuery, Format, HistoryQuery, RibQuery, ServiceQuery};
use crate::api::routes::Params;
use crate::api::server::Shared;
use crate::api::stream;
use crate::api::types::{Event, FibEntry, FibView, List, Problem, RouteChange, ServiceStatus};

/// Short answers.
pub(super) fn routes(board: Arc<Board>) -> Router<Shared> {
    let page = move |State(backend): State<Shared>, Params(query): Params<BoardQuery>| async move {
        let json = board.page(&backend, query.since.as_deref()).await?;
        Ok::<_, Problem>(([(CONTENT_TYPE, "application/json")], json))
    };
    Router::new().route("/lg/v1/board", get(page)).route("/lg/v1/events", get(events))
}

/// Long answers: each needs a seat.
pub(super) fn lists() -> Router<Shared> {
    Router::new()
        .route("/lg/v1/rib", get(rib))
        .route("/lg/v1/fib", get(fib))
        .route("/lg/v1/services", get(services))
        .route("/lg/v1/history", get(history))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BoardQuery {
    /// The version that the reader has.
    #[serde(default)]
    since: Option<String>,
}

/// The last events, newest first.
async fn events(State(backend): State<Shared>) -> Result<Json<List<Event>>, Problem> {
    let mut events = backend.events(EventQuery::default()).await?;
    events.reverse();
    events.truncate(EVENTS);
    Ok(Json(events.into()))
}

/// Rows of a view, a page at a time.
async fn rib(State(backend): State<Shared>, Params(query): Params<RibQuery>) -> Result<Response, Problem> {
    if query.watch {
        return Err(Problem::usage("the looking glass streams no changes"));
    }
    if query.matching.is_some() && query.prefix.is_none() {
        return Err(Problem::usage("`match` needs `prefix`"));
    }
    let limit = Some(query.limit.unwrap_or(PAGE).min(PAGE));
    stream::rows(backend.rib(RibQuery { limit, format: Format::Json, ..query }).await?, Format::Json).await
}

/// Where the kernel differs from what it should hold, up to a bound.
async fn fib(State(backend): State<Shared>) -> Result<Json<List<FibEntry>>, Problem> {
    let query = FibQuery { view: FibView::Diff, family: None, format: Format::Json };
    let mut rows = backend.fib(query).await?;
    let mut items = Vec::new();
    while let Some(batch) = rows.recv().await {
        items.extend(batch?.items);
        if items.len() >= DIFFERENCES {
            break;
        }
    }
    items.truncate(DIFFERENCES);
    Ok(Json(items.into()))
}

/// The last changes of a prefix, oldest first; none is an answer here.
async fn history(State(backend): State<Shared>, Params(query): Params<HistoryQuery>) -> Result<Json<List<RouteChange>>, Problem> {
    match backend.route_history(query).await {
        Err(problem) if problem.status == 404 => Ok(Json(Vec::new().into())),
        found => Ok(Json(found?.into())),
    }
}

/// A Service with a few of its peers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Service {
    #[serde(flatten)]
    status: ServiceStatus,
    /// How many peers are to get it, and how many were told.
    wanted: usize,
    told: usize,
}

/// Services; each with the peers that lack it first, and no more of them than one can read unless the query names the Service.
async fn services(State(backend): State<Shared>, Params(query): Params<ServiceQuery>) -> Result<Json<Vec<Service>>, Problem> {
    let most = if query.service.is_some() { usize::MAX } else { PEERS };
    let brief = |mut status: ServiceStatus| {
        let (wanted, told) = (status.peers.len(), status.advertised());
        status.peers.sort_by_key(|peer| peer.advertised);
        status.peers.truncate(most);
        Service { status, wanted, told }
    };
    Ok(Json(backend.services(query).await?.into_iter().map(brief).collect()))
}

/// Answers where there is a seat, and keeps it until the last octet is on its way.
pub(super) async fn seated(State(seats): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let Ok(seat) = seats.try_acquire_owned() else {
        let problem = Problem::unavailable("too many long answers are under way; ask again");
        return ([(RETRY_AFTER, "1")], problem).into_response();
    };
    let (parts, body) = next.run(request).await.into_parts();
    let body = body.into_data_stream().map(move |piece| {
        let _held = &seat;
        piece
    });
    Response::from_parts(parts, Body::from_stream(body))
}

/// Rows of an answer.
const PAGE: u64 = 1000;
const DIFFERENCES: usize = 1000;
const EVENTS: usize = 100;
const PEERS: usize = 12;
