//! The looking glass: a web page about sessions and routes, the JSON that it reads, and the same in birdwatcher's shape for
//! Alice-LG. Served beside the metrics.
//!
//! Owns the page, who may open it, and what of the admin API is shown to them. Invariants: nothing can be changed here and no
//! configuration is shown; nobody but this host gets an answer unless the configuration opens it; a browser is not answered under a
//! name that we do not have, so that no page of others reads it by rebinding a name; the page loads nothing from elsewhere; the
//! number of long answers under way is bounded.

mod assets;
mod birdwatcher;
mod board;
mod data;
mod guard;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use tokio::sync::Semaphore;

use super::routes;
use super::server::Shared;
use crate::config::file::GlassAccess;
use crate::config::plan::GlassPlan;
use board::Board;
use guard::Guard;

/// Every route of the glass, behind its guard; none where it is off.
pub(super) fn router(backend: &Shared, plan: &GlassPlan) -> Router {
    if plan.access == GlassAccess::Off {
        return Router::new();
    }
    let seats = Arc::new(Semaphore::new(SEATS));
    let board = Arc::new(Board::default());
    let lists = routes::glass_lists()
        .merge(data::lists())
        .merge(birdwatcher::lists())
        .route_layer(from_fn_with_state(seats, |seats, request: Request, next: Next| data::seated(seats, request, next)));
    let page = Router::new().route("/", get(|| async { Redirect::temporary("/lg/") }));
    let page = page.route("/lg", get(|| async { Redirect::permanent("/lg/") })).merge(assets::routes());
    let answers = routes::glass().merge(data::routes(board)).merge(birdwatcher::routes()).merge(lists).merge(page);
    let guard = Arc::new(Guard::new(plan));
    answers
        .method_not_allowed_fallback(|| async { guard::not_read_only().into_response() })
        .with_state(Arc::clone(backend))
        .route_layer(from_fn_with_state(guard, |guard, request: Request, next: Next| pass(guard, request, next)))
}

async fn pass(axum::extract::State(guard): axum::extract::State<Arc<Guard>>, request: Request, next: Next) -> Response {
    match guard.admits(&request) {
        Ok(()) => guard::sealed(next.run(request).await),
        Err(refused) => guard::sealed(refused.into_response()),
    }
}

/// Long answers under way at a time; who comes then is asked to come again.
const SEATS: usize = 8;
