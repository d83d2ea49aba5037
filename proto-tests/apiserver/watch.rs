//! Watches: one line of JSON per change, as long as the client and the faults let them.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::json;
use tokio::sync::watch as signal;
use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::answer::Form;
use super::cluster::{Record, Refusal};
use super::faults::Faults;
use super::selector::Selector;

/// What a watch was asked for.
pub struct Request {
    pub form: Form,
    pub namespace: Option<String>,
    pub selector: Selector,
    /// `None`: begin with all objects there are.
    pub from: Option<u64>,
    /// The list comes first and ends with a bookmark that says so.
    pub send_initial_events: bool,
    pub bookmarks: bool,
    pub timeout: Duration,
}

struct Running {
    shared: Arc<Shared>,
    request: Request,
    position: u64,
    lines: VecDeque<String>,
    version: signal::Receiver<u64>,
    cut: signal::Receiver<u64>,
    stalled: signal::Receiver<bool>,
    ends: Instant,
    next_bookmark: Instant,
    over: bool,
}

pub fn start(shared: &Arc<Shared>, request: Request) -> Result<Response, Refusal> {
    let gone = || Refusal(410, "Expired", "too old resource version".into());
    // Before the state is read, so that nothing falls between.
    let (version, cut, stalled) = (shared.version.subscribe(), shared.cut.subscribe(), shared.stalled.subscribe());
    let mut state = shared.lock();
    state.requests.watches += 1;
    if Faults::take(&mut state.faults.gone) {
        return Err(gone());
    }
    if request.send_initial_events && state.faults.no_streaming {
        let why = "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
        return Err(Refusal::invalid(why));
    }
    let mut lines = VecDeque::new();
    if let Some(from) = request.from {
        if state.cluster.since(from).is_none() {
            let event = json!({"type": "ERROR", "object": gone().status()});
            return Ok(respond(Body::from(format!("{event}\n"))));
        }
    } else if !state.faults.empty_lists {
        let objects = state.cluster.list(request.form.row, request.namespace.as_deref(), &request.selector, None);
        lines.extend(objects.map(|object| request.form.event("ADDED", object)));
    }
    let position = request.from.unwrap_or_else(|| state.cluster.version());
    drop(state);
    if request.send_initial_events {
        lines.push_back(request.form.bookmark(position, true));
    }
    let now = Instant::now();
    let (ends, next_bookmark) = (now + request.timeout, now + BOOKMARKS);
    let shared = Arc::clone(shared);
    let running = Running { shared, request, position, lines, version, cut, stalled, ends, next_bookmark, over: false };
    Ok(respond(Body::from_stream(stream::unfold(running, Running::next))))
}

/// A real API server sends one about every minute.
const BOOKMARKS: Duration = Duration::from_secs(1);

fn respond(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

impl Running {
    async fn next(mut self) -> Option<(io::Result<Bytes>, Self)> {
        loop {
            if *self.stalled.borrow_and_update() {
                let _ = self.stalled.changed().await;
                continue;
            }
            if let Some(line) = self.lines.pop_front() {
                return Some((Ok(Bytes::from(line)), self));
            }
            if self.over {
                return None;
            }
            self.read();
            if !self.lines.is_empty() {
                continue;
            }
            tokio::select! {
                _ = self.version.changed() => {}
                _ = self.stalled.changed() => {}
                _ = self.cut.changed() => {
                    self.over = true;
                    return Some((Err(io::Error::other("cut")), self));
                }
                () = sleep_until(self.next_bookmark), if self.request.bookmarks => {
                    self.next_bookmark += BOOKMARKS;
                    self.lines.push_back(self.request.form.bookmark(self.position, false));
                }
                () = sleep_until(self.ends) => self.over = true,
            }
        }
    }

    /// Turns what happened since into lines.
    fn read(&mut self) {
        self.version.borrow_and_update();
        let state = self.shared.lock();
        match state.cluster.since(self.position) {
            Some(records) => self.lines.extend(records.filter_map(|record| self.request.line(record))),
            None => {
                let status = Refusal(410, "Expired", "too old resource version".into()).status();
                self.lines.push_back(format!("{}\n", json!({"type": "ERROR", "object": status})));
                self.over = true;
            }
        }
        self.position = state.cluster.version();
    }
}

impl Request {
    /// An object that begins or ceases to match is added or deleted as far as this watch is concerned.
    fn line(&self, record: &Record) -> Option<String> {
        let row = self.form.row;
        let other = self.namespace.as_ref().is_some_and(|wanted| *wanted != record.namespace);
        if record.group != row.group || record.plural != row.plural || other {
            return None;
        }
        let before = record.before.as_ref().is_some_and(|object| self.selector.matches(object));
        let after = !record.deleted && self.selector.matches(&record.after);
        let kind = match (before, after) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        Some(self.form.event(kind, &record.after))
    }
}
