//! What the tests share.

use std::time::Duration;

use kubgp::kube::client::Connection;
use kubgp::kube::objects::{ApiVersion, Kind, Metadata, Object, Service};
use kubgp::kube::selection::{Selection, Selections};
use kubgp::kube::store::Store;
use kubgp::kube::watch::{Options, Watch};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::apiserver::ApiServer;

/// Nothing that a test waits for may take longer.
pub const BOUND: Duration = Duration::from_secs(20);

pub fn options() -> Options {
    Options {
        debounce: Duration::from_millis(2),
        patience: Duration::from_secs(2),
        idle: Duration::from_secs(10),
        backoff: (Duration::from_millis(20), Duration::from_millis(100)),
        probe: Duration::from_millis(50),
        confirm: Duration::from_millis(300),
        page: 2,
        ..Options::default()
    }
}

pub async fn connect(server: &ApiServer) -> Connection {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("kubeconfig");
    server.write_kubeconfig(&path).expect("the kubeconfig can be written");
    Connection::read(Some(&path)).await.expect("the kubeconfig is good")
}

pub fn only(selection: Selection) -> Selections {
    let mut selections = Selections::default();
    selections.add(selection);
    selections
}

pub async fn watch(server: &ApiServer, selections: &Selections) -> Watch {
    Watch::start(&connect(server).await.client().expect("a client"), selections, options())
}

/// Lets the watch run until the store is as it should be.
pub async fn until(watch: &mut Watch, what: &str, is_so: impl Fn(&Store) -> bool) {
    let reached = timeout(BOUND, async {
        while !is_so(watch.store()) {
            watch.changed().await;
        }
    });
    if reached.await.is_err() {
        panic!("not reached: {what}; {:?}, {:?}", *watch.status().borrow(), names(watch.store()));
    }
}

pub fn names(store: &Store) -> Vec<&str> {
    store.list::<Service>().map(|service| service.metadata.name.as_str()).collect()
}

pub fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "shop", "name": name}, "spec": {"type": "LoadBalancer"}})
}

/// A kind that a CRD defines, and that Calico serves in two groups.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct IPPool {
    pub metadata: Metadata,
    pub spec: PoolSpec,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct PoolSpec {
    pub cidr: String,
}

impl Object for IPPool {
    const KIND: Kind = Kind {
        name: "IPPool",
        plural: "ippools",
        served_by: &[
            ApiVersion { group: "crd.projectcalico.org", version: "v1" },
            ApiVersion { group: "projectcalico.org", version: "v3" },
        ],
        namespaced: false,
    };

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }
}

pub fn pool(name: &str, api_version: &str, cidr: &Value) -> Value {
    json!({"apiVersion": api_version, "kind": "IPPool", "metadata": {"name": name}, "spec": {"cidr": cidr}})
}
