use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use kube::Client;
use kube::api::{ListParams, WatchParams};
use kube::core::params::VersionMatch;
use kube::core::{ObjectList, Request, WatchEvent};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::discovery::Discovery;
use super::fault::Fault;
use super::{Counters, Options};
use crate::kube::backoff::Backoff;
use crate::kube::objects::ApiVersion;
use crate::kube::selection::Selection;
use crate::kube::store::{Change, SourceId};

/// One watch: lists, follows, and starts over as needed.
pub(super) struct Source {
    client: Client,
    discovery: Arc<Discovery>,
    selection: Selection,
    options: Options,
    counters: Arc<Counters>,
    backoff: Backoff,
    /// Whether lists come as part of the watch; `None` until asked.
    streams_lists: Option<bool>,
    /// Where the last watch stopped: a list may be as old as that, but no older.
    seen: Option<String>,
    /// The API server's cache was of no use for a list, so the next one is not from there.
    past_cache: bool,
    /// The version that was read last.
    served: Option<ApiVersion>,
    in_trouble: bool,
    /// An empty list is not to be believed at once: there was trouble since the last one that was not empty.
    doubtful: bool,
    /// When to look again whether everything is really gone.
    confirm_at: Option<Instant>,
}

/// How a source reports and is told.
pub(super) struct Port {
    pub(super) id: SourceId,
    pub(super) changes: mpsc::Sender<(SourceId, Change)>,
}

impl Port {
    async fn send(&self, change: Change) -> Result<(), Fault> {
        self.changes.send((self.id, change)).await.map_err(|_| Fault::Closed)
    }
}

/// A list that comes as part of the watch.
struct Incoming {
    empty: bool,
}

/// Why a watch ended without a fault.
#[derive(Debug, Eq, PartialEq)]
enum End {
    /// The API server ends watches after a while.
    Lifetime,
    Relist,
}

impl Source {
    pub(super) fn new(client: Client, discovery: Arc<Discovery>, selection: Selection, options: Options, counters: Arc<Counters>) -> Self {
        let backoff = Backoff::new(options.backoff);
        Self {
            client,
            discovery,
            selection,
            options,
            counters,
            backoff,
            streams_lists: None,
            seen: None,
            past_cache: false,
            served: None,
            in_trouble: false,
            doubtful: false,
            confirm_at: None,
        }
    }

    /// Runs until the store's owner is gone.
    pub(super) async fn run(mut self, port: Port) {
        // Right after a fault only a fresh answer will do.
        let mut fresh = false;
        loop {
            let max_age = if fresh { Duration::ZERO } else { self.options.probe / 2 };
            fresh = true;
            let result = match self.discovery.find(&self.selection.kind.kind, max_age).await {
                Ok(Some(api)) => self.follow(&port, api).await,
                Ok(None) => self.wait_until_served(&port).await.map(|()| fresh = false),
                Err(why) => Err(Fault::Other(why)),
            };
            let result = match result {
                Err(fault) => self.suffer(&port, fault).await,
                Ok(()) => Ok(()),
            };
            if result.is_err() {
                return;
            }
        }
    }

    /// Returns when it is time to look again.
    async fn wait_until_served(&mut self, port: &Port) -> Result<(), Fault> {
        self.in_trouble = false;
        if self.served.take().is_some() {
            tracing::warn!(kind = self.name(), "no longer served; the last known objects stay");
            self.doubtful = true;
        }
        port.send(Change::NotServed).await?;
        tokio::select! {
            () = sleep(self.options.probe) => Ok(()),
            () = port.changes.closed() => Err(Fault::Closed),
        }
    }

    /// Lists and watches until the path is unknown or discovery is to be done again.
    async fn follow(&mut self, port: &Port, api: ApiVersion) -> Result<(), Fault> {
        // Another version may hold other objects; that it has none must not look like a deletion.
        let before = self.served.replace(api);
        self.doubtful |= before.is_some_and(|old| old != api);
        if before != Some(api) {
            self.seen = None;
        }
        port.send(Change::Served(api)).await?;
        let mut position = None;
        loop {
            match self.step(port, &api, &mut position).await {
                Ok(End::Lifetime) => {}
                Ok(End::Relist) => self.list_anew(&mut position),
                Err(fault @ (Fault::Closed | Fault::NotFound)) => return Err(fault),
                Err(Fault::NoStreaming(why)) => {
                    tracing::debug!(kind = self.name(), why, "the API server does not stream lists");
                    self.streams_lists = Some(false);
                }
                Err(fault) => {
                    if matches!(fault, Fault::Gone(_)) {
                        self.list_anew(&mut position);
                    }
                    self.suffer(port, fault).await?;
                }
            }
        }
    }

    fn list_anew(&mut self, position: &mut Option<String>) {
        self.seen = position.take().or_else(|| self.seen.take());
    }

    /// One list if need be, and one watch.
    async fn step(&mut self, port: &Port, api: &ApiVersion, position: &mut Option<String>) -> Result<End, Fault> {
        if position.is_none() && !self.streams().await? {
            *position = Some(self.list(port, api).await?);
        }
        let began = Instant::now();
        let end = self.watch(port, api, position).await?;
        // A server that ends every watch at once must not be asked without end.
        if end == End::Lifetime && began.elapsed() < self.options.lifetime / 4 {
            self.counters.count_restart(self.name());
            sleep(self.backoff.next()).await;
        }
        Ok(end)
    }

    async fn streams(&mut self) -> Result<bool, Fault> {
        match self.streams_lists {
            Some(known) => Ok(known),
            None => {
                let streams = self.discovery.streams_lists().await.map_err(Fault::Other)?;
                Ok(*self.streams_lists.insert(streams))
            }
        }
    }

    /// The whole list; returns where to watch from. It comes from the API server's cache, which many may ask at once without harm; and
    /// where the cache cannot answer, in pages from its storage.
    async fn list(&mut self, port: &Port, api: &ApiVersion) -> Result<String, Fault> {
        port.send(Change::ListStarted).await?;
        let mut params = self.list_params();
        if std::mem::take(&mut self.past_cache) {
            params.limit = Some(self.options.page);
        } else {
            // With a limit the API server would go to its storage.
            params.resource_version = Some(self.seen.clone().unwrap_or_else(|| ANY_VERSION.to_owned()));
            params.version_match = Some(VersionMatch::NotOlderThan);
        }
        let mut empty = true;
        loop {
            let page = match self.page(api, &params).await {
                Err(fault @ Fault::Gone(_)) => {
                    self.past_cache = true;
                    return Err(fault);
                }
                page => page?,
            };
            empty &= page.items.is_empty();
            for value in page.items {
                if let Some(item) = self.selection.kind.read(api, value) {
                    port.send(Change::Listed(item)).await?;
                }
            }
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                self.listed(port, empty).await?;
                return page.metadata.resource_version.ok_or_else(|| Fault::Other("expected a resourceVersion in the list".into()));
            }
        }
    }

    async fn page(&self, api: &ApiVersion, params: &ListParams) -> Result<ObjectList<Value>, Fault> {
        let path = Request::new(self.path(api));
        let request = if self.selection.metadata_only { path.list_metadata(params) } else { path.list(params) };
        let request = request.map_err(|error| Fault::Other(error.to_string()))?;
        match timeout(self.options.patience, self.client.request(request)).await {
            Ok(answer) => answer.map_err(|error| Fault::of(&error)),
            Err(_) => Err(Fault::silence(self.options.patience)),
        }
    }

    /// A complete list has arrived.
    async fn listed(&mut self, port: &Port, empty: bool) -> Result<(), Fault> {
        port.send(Change::ListDone).await?;
        self.confirm_at = (empty && self.doubtful).then(|| Instant::now() + self.options.confirm);
        self.doubtful &= empty;
        self.recovered();
        Ok(())
    }

    /// Follows the changes after `position`, or from the beginning; `position` moves along.
    async fn watch(&mut self, port: &Port, api: &ApiVersion, position: &mut Option<String>) -> Result<End, Fault> {
        let mut stream = pin!(self.open(api, position.as_deref()).await?);
        // A streamed list that breaks off leaves no position, so that the next one starts from the beginning.
        let mut list = if position.is_none() {
            port.send(Change::ListStarted).await?;
            Some(Incoming { empty: true })
        } else {
            port.send(Change::Resumed).await?;
            self.recovered();
            None
        };
        loop {
            let confirm_at = self.confirm_at;
            let event = tokio::select! {
                event = timeout(self.options.idle, stream.next()) => event,
                () = port.changes.closed() => return Err(Fault::Closed),
                () = sleep_until(confirm_at.unwrap_or_else(Instant::now)), if confirm_at.is_some() => {
                    match self.confirm(port, api).await? {
                        Some(end) => return Ok(end),
                        None => continue,
                    }
                }
            };
            match event {
                Ok(Some(Ok(event))) => self.take_in(port, api, event, &mut list, position).await?,
                Ok(Some(Err(error))) => return Err(Fault::of(&error)),
                Ok(None) => return Ok(End::Lifetime),
                Err(_) => return Err(Fault::silence(self.options.idle)),
            }
        }
    }

    async fn open(
        &self,
        api: &ApiVersion,
        position: Option<&str>,
    ) -> Result<impl Stream<Item = kube::Result<WatchEvent<Value>>> + use<>, Fault> {
        let params = WatchParams {
            label_selector: self.selection.labels.clone(),
            field_selector: self.selection.fields.clone(),
            timeout: Some(u32::try_from(self.options.lifetime.as_secs().max(1)).unwrap_or(u32::MAX)),
            bookmarks: true,
            send_initial_events: position.is_none(),
        };
        let path = Request::new(self.path(api));
        let from = position.unwrap_or_default();
        let request = if self.selection.metadata_only { path.watch_metadata(&params, from) } else { path.watch(&params, from) };
        let request = request.map_err(|error| Fault::Other(error.to_string()))?;
        match timeout(self.options.patience, self.client.request_events::<Value>(request)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) if position.is_none() => Err(Fault::of(&error).or_no_streaming(&error)),
            Ok(Err(error)) => Err(Fault::of(&error)),
            Err(_) => Err(Fault::silence(self.options.patience)),
        }
    }

    async fn take_in(
        &mut self,
        port: &Port,
        api: &ApiVersion,
        event: WatchEvent<Value>,
        list: &mut Option<Incoming>,
        position: &mut Option<String>,
    ) -> Result<(), Fault> {
        self.backoff.reset();
        let (value, deleted) = match event {
            WatchEvent::Added(value) | WatchEvent::Modified(value) => (value, false),
            WatchEvent::Deleted(value) => (value, true),
            WatchEvent::Error(status) => return Err(Fault::of_status(&status)),
            WatchEvent::Bookmark(mark) => {
                if let Some(Incoming { empty }) = list.take_if(|_| mark.metadata.annotations.contains_key(INITIAL_EVENTS_END)) {
                    self.listed(port, empty).await?;
                }
                if list.is_none() {
                    *position = Some(mark.metadata.resource_version);
                }
                return Ok(());
            }
        };
        let version = value.pointer("/metadata/resourceVersion").and_then(Value::as_str).map(str::to_owned);
        if let Some(item) = self.selection.kind.read(api, value) {
            let change = match list {
                _ if deleted => Change::Deleted(item.key),
                Some(incoming) => {
                    incoming.empty = false;
                    Change::Listed(item)
                }
                None => Change::Applied(item),
            };
            port.send(change).await?;
        }
        if list.is_none() && version.is_some() {
            *position = version;
        }
        Ok(())
    }

    /// Looks again, long enough after an empty list that followed an error.
    async fn confirm(&mut self, port: &Port, api: &ApiVersion) -> Result<Option<End>, Fault> {
        // Whatever goes wrong from here on is trouble, and the wait begins anew with the next list.
        self.confirm_at = None;
        let page = match self.page(api, &ListParams { limit: Some(1), ..self.list_params() }).await {
            Ok(page) => page,
            Err(fault) => {
                self.confirm_at = Some(Instant::now() + self.options.confirm);
                return Err(fault);
            }
        };
        if !page.items.is_empty() {
            return Ok(Some(End::Relist));
        }
        self.doubtful = false;
        port.send(Change::EmptyConfirmed).await?;
        Ok(None)
    }

    fn list_params(&self) -> ListParams {
        ListParams { label_selector: self.selection.labels.clone(), field_selector: self.selection.fields.clone(), ..ListParams::default() }
    }

    fn path(&self, api: &ApiVersion) -> String {
        api.path(self.selection.kind.kind.plural, self.selection.namespace.as_deref())
    }

    /// Reports a fault and waits a while.
    async fn suffer(&mut self, port: &Port, fault: Fault) -> Result<(), Fault> {
        let is_refused = self.selection.is_dispensable && matches!(fault, Fault::Forbidden(_));
        let why = match fault {
            Fault::Closed => return Err(fault),
            Fault::NotFound => "404: no longer served in this version".to_owned(),
            Fault::Gone(why) | Fault::NoStreaming(why) | Fault::Forbidden(why) | Fault::Other(why) => why,
        };
        self.counters.count_restart(self.name());
        if self.in_trouble {
            tracing::debug!(kind = self.name(), why, "watch failed again");
        } else {
            tracing::warn!(kind = self.name(), why, "watch failed; what is known stays as it is");
        }
        (self.in_trouble, self.doubtful) = (true, true);
        port.send(if is_refused { Change::Refused(why) } else { Change::Trouble(why) }).await?;
        self.confirm_at = self.confirm_at.map(|_| Instant::now() + self.options.confirm);
        tokio::select! {
            () = sleep(self.backoff.next()) => Ok(()),
            () = port.changes.closed() => Err(Fault::Closed),
        }
    }

    fn recovered(&mut self) {
        if std::mem::take(&mut self.in_trouble) {
            tracing::info!(kind = self.name(), "watch goes on");
        }
    }

    fn name(&self) -> &'static str {
        self.selection.kind.kind.name
    }
}

/// Whatever the cache of the API server holds.
const ANY_VERSION: &str = "0";
/// The annotation of the bookmark that ends a streamed list.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";
