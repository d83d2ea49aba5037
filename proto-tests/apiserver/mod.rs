//! A small Kubernetes API server in memory, over plain HTTP on loopback, for tests: it has the API's rules for versions, conflicts,
//! watches and subresources, and switches that break them. It checks no schemas and no permissions.
//!
//! As a module it is used in the process of a test; as the example `apiserver` it serves scripts, which drive it by HTTP:
//! `POST /_test/faults` takes an [`Order`](faults::Order) as JSON, `POST /_test/load` takes manifests, `GET /_test/state` tells.

#![allow(dead_code, reason = "each user of this module needs another part of it")]

mod answer;
mod cluster;
pub mod faults;
mod kinds;
pub mod patch;
mod routes;
mod selector;
mod watch;

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch as signal;
use tokio::task::{JoinHandle, JoinSet};

use self::cluster::{Cluster, Part, Refusal};
use self::faults::{Faults, Order};

/// What all connections share.
#[derive(Debug)]
pub struct Shared {
    state: Mutex<State>,
    /// The version of the cluster; watches wait for the next.
    version: signal::Sender<u64>,
    /// Raised to cut all watches.
    cut: signal::Sender<u64>,
    /// While true, nothing is answered.
    stalled: signal::Sender<bool>,
}

#[derive(Debug, Default)]
pub struct State {
    pub cluster: Cluster,
    pub faults: Faults,
    /// Requests so far.
    pub requests: Requests,
    /// What was asked for, each once.
    accesses: BTreeSet<Access>,
}

/// A request as permissions see it.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Access {
    pub verb: &'static str,
    pub group: &'static str,
    /// Plural, with the subresource: `services/status`.
    pub resource: String,
    /// `None`: all namespaces, or a kind of the cluster.
    pub namespace: Option<String>,
    /// Of one object; also where a field selector names it.
    pub name: Option<String>,
}

/// How many requests there were, by sort.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub struct Requests {
    /// Questions what is served.
    pub discoveries: u64,
    pub lists: u64,
    /// Those of the lists that a real API server takes from its storage and not from its cache.
    pub stored_lists: u64,
    pub watches: u64,
    pub writes: u64,
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct ApiServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    accept: Option<JoinHandle<()>>,
}

impl ApiServer {
    /// Starts on a free port of loopback.
    pub async fn start() -> io::Result<Self> {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into()).await
    }

    pub async fn start_at(address: SocketAddr) -> io::Result<Self> {
        let state = Mutex::new(State::default());
        let shared = Shared { state, version: signal::Sender::new(0), cut: signal::Sender::new(0), stalled: signal::Sender::new(false) };
        let mut server = Self { shared: Arc::new(shared), address, accept: None };
        server.resume().await?;
        Ok(server)
    }

    /// Closes the port and all connections; the objects stay.
    pub async fn stop(&mut self) {
        if let Some(accept) = self.accept.take() {
            accept.abort();
            let _ = accept.await;
        }
    }

    /// Opens the port again.
    pub async fn resume(&mut self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.address = listener.local_addr()?;
        self.accept = Some(tokio::spawn(accept(listener, Arc::clone(&self.shared))));
        Ok(())
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A kubeconfig that leads here.
    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\nclusters:\n- name: test\n  cluster: {{ server: \"{}\" }}\nusers:\n- \
             name: test\n  user: {{}}\ncontexts:\n- name: test\n  context: {{ cluster: test, user: test, namespace: default }}\n",
            self.url()
        )
    }

    pub fn write_kubeconfig(&self, path: &Path) -> io::Result<()> {
        std::fs::write(path, self.kubeconfig())
    }

    /// Creates or replaces the objects of YAML manifests, status included.
    pub fn load(&self, yaml: &str) -> Result<usize, String> {
        self.shared.load(yaml)
    }

    /// Creates or replaces one object, status included.
    pub fn put(&self, object: Value) -> Value {
        self.shared.put(object).expect("an object of a known kind")
    }

    /// `kind` as in `apiVersion/Kind`, for example `v1/Service`.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let (row, _) = kinds::by_kind(kind.rsplit_once('/')?.0, kind.rsplit_once('/')?.1)?;
        self.shared.lock().cluster.get(&cluster::id(row, namespace, name)).cloned()
    }

    /// All objects of a kind, as [`get`](Self::get) names it.
    pub fn list(&self, kind: &str) -> Vec<Value> {
        let found = kind.rsplit_once('/').and_then(|(api, kind)| kinds::by_kind(api, kind));
        let (row, _) = found.expect("a known kind");
        self.shared.lock().cluster.list(row, None, &selector::Selector::default(), None).cloned().collect()
    }

    /// As [`get`](Self::get) names it; true if there was such an object.
    pub fn delete(&self, kind: &str, namespace: &str, name: &str) -> bool {
        let found = kind.rsplit_once('/').and_then(|(api, kind)| kinds::by_kind(api, kind));
        let (row, _) = found.expect("a known kind");
        let deleted = self.shared.lock().cluster.delete(&cluster::id(row, namespace, name)).is_ok();
        self.shared.announce();
        deleted
    }

    pub fn order(&self, order: &Order) {
        self.shared.order(order);
    }

    pub fn requests(&self) -> Requests {
        self.shared.lock().requests
    }

    /// What was asked for so far.
    pub fn accesses(&self) -> BTreeSet<Access> {
        self.shared.lock().accesses.clone()
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        if let Some(accept) = self.accept.take() {
            accept.abort();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no handler panics with the lock held")
    }

    /// Wakes the watches.
    fn announce(&self) {
        let version = self.lock().cluster.version();
        self.version.send_replace(version);
    }

    fn load(&self, yaml: &str) -> Result<usize, String> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).map_err(|error| error.to_string())?;
        let mut loaded = 0;
        for document in documents.into_iter().filter(|d| !d.is_null()) {
            let items = match document["items"].as_array() {
                Some(items) => items.clone(),
                None => vec![document],
            };
            for item in items {
                let name = format!("{} {}", item["kind"], item["metadata"]["name"]);
                self.put(item).map_err(|Refusal(_, _, why)| format!("{name}: {why}"))?;
                loaded += 1;
            }
        }
        Ok(loaded)
    }

    fn put(&self, mut object: Value) -> Result<Value, Refusal> {
        let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let (row, _) = kinds::by_kind(&api_version, &kind).ok_or_else(|| Refusal::not_found(&format!("kind {api_version}/{kind}")))?;
        let namespace =
            if row.namespaced { object["metadata"]["namespace"].as_str().unwrap_or("default").to_owned() } else { String::new() };
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
        }
        let id = cluster::id(row, &namespace, object["metadata"]["name"].as_str().unwrap_or_default());
        let mut state = self.lock();
        let result = if state.cluster.get(&id).is_some() {
            state.cluster.update(row, &id, object, Part::Whole, "test")
        } else {
            state.cluster.create(row, &namespace, object, Part::Whole, "test")
        };
        drop(state);
        self.announce();
        result
    }

    fn order(&self, order: &Order) {
        let mut state = self.lock();
        state.faults.change(order);
        for plural in &order.wipe {
            state.cluster.wipe(plural);
        }
        state.cluster.unserved.extend(order.unserve.iter().cloned());
        state.cluster.unserved.retain(|name| !order.serve.contains(name));
        if order.restart {
            state.cluster.forget();
        }
        if order.restore {
            state.cluster.rewind();
        }
        let stalled = state.faults.stall;
        drop(state);
        self.stalled.send_replace(stalled);
        if order.restart || order.restore || order.drop_watches {
            self.cut.send_modify(|count| *count += 1);
        }
        self.announce();
    }
}

/// Serves until aborted; then all connections end with it.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let router = routes::router(shared);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let service = TowerToHyperService::new(router.clone());
                connections.spawn(async move {
                    // A client that goes away in the middle of a watch is nothing to report.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}
