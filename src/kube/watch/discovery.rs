use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kube::Client;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::kube::objects::{ApiVersion, Kind};
use crate::kube::words::of_error;

/// What the API server serves, asked for once for all watches.
pub(super) struct Discovery {
    client: Client,
    patience: Duration,
    /// Groups that count as not served.
    hidden: BTreeSet<String>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    at: Option<Instant>,
    groups: BTreeSet<String>,
    /// Plurals per `group/version`, as far as asked for.
    resources: BTreeMap<ApiVersion, BTreeSet<String>>,
    streams_lists: Option<bool>,
}

impl Discovery {
    pub(super) fn new(client: Client, patience: Duration, hidden: BTreeSet<String>) -> Self {
        Self { client, patience, hidden, known: Mutex::default() }
    }

    /// The version to read a kind in. Answers younger than `max_age` are used again.
    pub(super) async fn find(&self, kind: &Kind, max_age: Duration) -> Result<Option<ApiVersion>, String> {
        let mut known = self.known.lock().await;
        if known.at.is_none_or(|at| at.elapsed() >= max_age) {
            let groups = self.ask(self.client.list_api_groups()).await?.unwrap_or_default().groups;
            let groups = groups.into_iter().map(|group| group.name).filter(|name| !self.hidden.contains(name)).collect();
            *known = Known { at: Some(Instant::now()), groups, ..Known::default() };
            known.groups.insert(String::new());
        }
        let Some(group) = kind.served_by.iter().map(|api| api.group).find(|group| known.groups.contains(*group)) else { return Ok(None) };
        for api in kind.served_by.iter().filter(|api| api.group == group) {
            if !known.resources.contains_key(api) {
                let plurals = self.plurals(api).await?;
                known.resources.insert(*api, plurals);
            }
            if known.resources.get(api).is_some_and(|plurals| plurals.contains(kind.plural)) {
                return Ok(Some(*api));
            }
        }
        Ok(None)
    }

    /// Whether initial lists come as part of the watch (Kubernetes 1.32, where the feature is on).
    pub(super) async fn streams_lists(&self) -> Result<bool, String> {
        let mut known = self.known.lock().await;
        match known.streams_lists {
            Some(streams) => Ok(streams),
            None => Ok(*known.streams_lists.insert(self.is_recent().await?)),
        }
    }

    async fn is_recent(&self) -> Result<bool, String> {
        let version = match timeout(self.patience, self.client.apiserver_version()).await {
            Ok(Ok(version)) => version,
            // Whoever may not know the version can still list.
            Ok(Err(kube::Error::Api(_))) => return Ok(false),
            Ok(Err(error)) => return Err(of_error(&error)),
            Err(_) => return Err(format!("no answer within {} s", self.patience.as_secs_f32())),
        };
        let number = |text: &str| text.trim_end_matches(|c: char| !c.is_ascii_digit()).parse::<u32>().unwrap_or(0);
        Ok((number(&version.major), number(&version.minor)) >= (1, 32))
    }

    async fn plurals(&self, api: &ApiVersion) -> Result<BTreeSet<String>, String> {
        let list = if api.group.is_empty() {
            self.ask(self.client.list_core_api_resources(api.version)).await?
        } else {
            self.ask(self.client.list_api_group_resources(&format!("{}/{}", api.group, api.version))).await?
        };
        Ok(list.map(|list| list.resources.into_iter().map(|r| r.name).collect()).unwrap_or_default())
    }

    /// `None` where the API server does not know the path.
    async fn ask<T>(&self, request: impl Future<Output = kube::Result<T>>) -> Result<Option<T>, String> {
        match timeout(self.patience, request).await {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(None),
            Ok(Err(error)) => Err(format!("discovery: {}", of_error(&error))),
            Err(_) => Err(format!("discovery: no answer within {} s", self.patience.as_secs_f32())),
        }
    }
}
